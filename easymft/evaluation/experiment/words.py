"""What the tables of an experiment say, in plain words: notes on seeds, and verdicts."""

from collections.abc import Iterable

import numpy as np

from easymft.evaluation.experiment.tables import BASELINES, Comparison, MethodRow, ResultTable

NOISE_LEVEL = 0.05  # a p-value under it, and a 95% interval without 0, are beyond noise
SETTING_TITLES = {
    "full": "All data",
    "all_then_few": "All data first, then few to fine-tune",
    "few_both": "Few data in both stages",
    "unseen_target": "Target domain unseen in the first stage",
}
# What an amount is no amount of.
AMOUNT_NOTES = {
    "all_then_few": "The amount is that of the fine-tuning; the first stage, and with it mix, mtl and adversarial, "
    "which have no other, is of all rows.",
    "unseen_target": "The amount is that of the fine-tuning; mix and adversarial, which have none, have seen no label "
    "of the target but those of its dev rows, by which their learning rate is chosen.",
}


def table_title(table: ResultTable) -> str:
    """Returns the heading of a table, such as "Few data in both stages, 5%"."""
    return f"{SETTING_TITLES[table.setting]}, {table.amount}"


def shown_points(value: float, signed: bool = False) -> str:
    """Returns a share in [-1, 1] in percent, with a true minus sign.

    It has one decimal, and two where it would else be 0.0; zero has no sign.
    """
    sign = "+" if signed else ""
    for decimals in (1, 2):
        text = f"{100 * value:{sign}.{decimals}f}"
        if float(text) != 0.0:
            return text.replace("-", "−")
    return "0.0"


def shown_p(p_value: float) -> str:
    """Returns "p = 0.41", with three decimals where it is small."""
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"


def shown_rate(rate: float) -> str:
    """Returns a learning rate such as "1e-4"."""
    return np.format_float_scientific(rate, trim="-", exp_digits=1)


def shown_count(count: int, name: str) -> str:
    """Returns "1 seed" or "2 seeds"."""
    return f"{count:,} {name}{'s' if count != 1 else ''}"


def shown_seeds(seeds: Iterable[int]) -> str:
    """Returns "seed 1" or "seeds 1, 2, 3"."""
    names = [str(seed) for seed in seeds]
    return f"seed{'s' if len(names) != 1 else ''} {', '.join(names) or 'none'}"


def table_notes(table: ResultTable) -> list[str]:
    """Says what the amount means, which seeds are there, which are missing and have no partner; at least one line."""
    said: dict[str, list[str]] = {}  # what is to be said -> of which methods
    for row in table.rows:
        absent = [seed for seed in table.seeds if seed not in row.seeds]
        if absent:
            said.setdefault(f"no result for {shown_seeds(absent)}.", []).append(row.method)
        for seed in row.seeds:
            lacking = [name for name, score in row.by_domain.items() if score is None or seed not in score.seeds]
            if lacking:
                text = (
                    f"with seed {seed} no result for {', '.join(lacking)}: that seed counts in the columns of the "
                    "other domains, but neither in the average nor in comparisons."
                )
                said.setdefault(text, []).append(row.method)
    for row in table.rows:
        for baseline, comparison in row.comparisons.items():
            if comparison is None:
                text = f"not compared with {baseline}, as no seed has every domain under both."
                said.setdefault(text, []).append(row.method)
            elif comparison.without_partner:
                text = (
                    f"compared with {baseline} over {shown_seeds(comparison.by_seed)}; left out for want of a partner: "
                    f"{shown_seeds(comparison.without_partner)}."
                )
                said.setdefault(text, []).append(row.method)
    notes = [f"{', '.join(methods)}: {text}" for text, methods in said.items()]
    if not notes:
        notes.append(f"Every method has every domain with {shown_seeds(table.seeds)}; methods are paired by seed.")
    return [AMOUNT_NOTES[table.setting], *notes] if table.setting in AMOUNT_NOTES else notes


def is_beyond_noise(comparison: Comparison) -> bool:
    """Whether both the t-test over seeds and the interval over test items speak against no difference."""
    return _beyond_seeds(comparison) and _beyond_items(comparison)


def verdict(row: MethodRow, baseline: str) -> str:
    """Returns a sentence on `row` against `baseline`, with the numbers it rests on.

    Raises:
        ValueError: The row was not compared with that baseline.
    """
    comparison = row.comparisons.get(baseline)
    if comparison is None:
        raise ValueError(f"{row.method} was not compared with {baseline}. Received: {list(row.comparisons)}")
    points = shown_points(abs(comparison.difference))
    if points == "0.0":
        place = f"level with {baseline}"
    else:
        place = f"{points} points {'above' if comparison.difference > 0 else 'below'} {baseline}"
    seeds = shown_count(len(comparison.by_seed), "seed")
    test = f"{shown_p(comparison.p_value)}, {seeds}" if comparison.p_value is not None else f"no t-test, {seeds}"
    interval = f"{shown_points(comparison.low)} to {shown_points(comparison.high)}"
    return f"{row.method} is {place} ({test}; 95% interval over test items {interval}): {_conclude(comparison)}."


def verdicts(table: ResultTable) -> list[str]:
    """Returns a sentence on each method against the first baseline there is, best first, then on that baseline."""
    if not table.baselines:
        return []
    first, *others = table.baselines
    ranked = sorted(table.rows, key=lambda row: -(row.average.mean if row.average else 0.0))
    pairs = [(row, first) for row in ranked if row.method not in table.baselines]
    pairs += [(row, baseline) for row in ranked if row.method == first for baseline in others]
    return [verdict(row, baseline) for row, baseline in pairs if row.comparisons[baseline] is not None]


def best_row(table: ResultTable) -> MethodRow | None:
    """Returns the row with the highest average, the first of equals; None where no row has one."""
    return max((row for row in table.rows if row.average), key=lambda row: row.average.mean, default=None)


def count_beyond_noise(table: ResultTable, baseline: str) -> tuple[int, int, int]:
    """Returns how many methods are above `baseline`, below it, both beyond noise, and neither of these."""
    found = [row.comparisons[baseline] for row in table.rows if row.comparisons.get(baseline)]
    above = sum(is_beyond_noise(one) and one.difference > 0 for one in found)
    below = sum(is_beyond_noise(one) and one.difference < 0 for one in found)
    return above, below, len(found) - above - below


def headline(table: ResultTable) -> str:
    """Returns the best average of a table and how many methods differ from the first baseline, in words."""
    best = best_row(table)
    if best is None:
        return "No method has every domain with any seed."
    text = f"The highest average is {best.method}'s, {shown_points(best.average.mean)}%."
    if not table.baselines:
        return f"{text} There is no {' or '.join(BASELINES)} in this table to compare with."
    baseline = table.baselines[0]
    above, below, unclear = count_beyond_noise(table, baseline)
    methods = shown_count(above + below + unclear, "method")
    return (
        f"{text} Of {methods} compared with {baseline}, {above} {_are(above)} above and {below} "
        f"{_are(below)} below it by more than the noise of seeds and of test items; "
        f"{unclear} cannot be told from it."
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _beyond_seeds(comparison: Comparison) -> bool:
    return comparison.p_value is not None and comparison.p_value < NOISE_LEVEL


def _beyond_items(comparison: Comparison) -> bool:
    return comparison.low > 0.0 or comparison.high < 0.0


def _conclude(comparison: Comparison) -> str:
    items = _beyond_items(comparison)
    if is_beyond_noise(comparison):
        return "a difference beyond the noise of seeds and of test items"
    if comparison.p_value is None:
        why = "with one seed" if len(comparison.by_seed) < 2 else "as every seed gives the same difference"
        beyond = "beyond the noise of test items" if items else "no difference beyond the noise of test items"
        return f"{beyond}; {why}, the noise of seeds is unknown"
    if _beyond_seeds(comparison):
        return "beyond the noise of seeds, but other test items could turn it"
    if items:
        return "beyond the noise of test items, but other seeds could turn it"
    return "no difference beyond noise"
