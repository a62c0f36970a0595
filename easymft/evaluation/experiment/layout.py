"""The tables of an experiment laid out, as Markdown and as LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass

from easymft.evaluation.experiment.tables import Comparison, ResultTable, Score
from easymft.evaluation.experiment.words import shown_p, shown_points, shown_rate, table_notes, table_title
from easymft.evaluation.markdown import escape_markdown, markdown_row

EXPLANATION = (
    "Test accuracy in percent: mean ± sample standard deviation over seeds; the average is of the domains alike, for "
    "each seed. Differences to a baseline are in points, with the p-value of the paired t-test over seeds and, in "
    "brackets, the 95% interval of the paired bootstrap over test items. Each p-value stands for itself: of many "
    "methods that differ in nothing, one in twenty falls under 0.05. Learning rates are chosen by dev accuracy alone."
)
LEFT_OUT = "In no table, as no learning rate could be chosen:"
_NONE = "–"
_ROUNDING = 1e-12
_LATEX = str.maketrans(
    {mark: "\\" + mark for mark in "{}$&#_%"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}"}
    | {">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "−": r"$-$", "–": "--"}
    | {"[": "{[}", "]": "{]}"}  # a row that starts with [ would else be read as an option of the row break before it
)


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: To show, not escaped.
        best: Whether it is the best of its column.
        detail: More of it, which may stand on a second line.
    """

    text: str
    best: bool = False
    detail: str = ""

    @property
    def whole(self) -> str:
        """Text and detail on one line."""
        return f"{self.text}, {self.detail}" if self.detail else self.text


def lay_out(table: ResultTable) -> tuple[list[str], list[list[Cell]]]:
    """Returns the headings and the rows: method, domains, average, baselines, seeds, learning rate.

    "4 (of 5)" seeds: so many have every domain, of all that have any. "1e-4 (of 3)": of so many rates that were tried.
    """
    baselines = [f"vs {name}" for name in table.baselines]
    headings = ["method", *table.domains, "average", *baselines, "seeds", "learning rate"]
    scores = [[*(row.by_domain[name] for name in table.domains), row.average] for row in table.rows]
    columns = [_mark_best(column) for column in zip(*scores, strict=True)]
    return headings, [
        [
            Cell(row.method),
            *(column[index] for column in columns),
            *(_lay_out_comparison(row.comparisons.get(name)) for name in table.baselines),
            Cell(_of(str(len(row.averages)), len(row.seeds), len(row.averages))),
            Cell(_of(shown_rate(row.learning_rate), len(row.tried), 1)),
        ]
        for index, row in enumerate(table.rows)
    ]


def render_markdown(tables: Sequence[ResultTable], left_out: Sequence[str] = ()) -> str:
    """Returns all tables as Markdown, the best mean of each column in bold, with the notes on seeds.

    Args:
        tables: As `build_tables` returns them.
        left_out: What is in no table, and why, a line each.
    """
    parts = ["# Methods by domains", EXPLANATION]
    if left_out:
        parts += [LEFT_OUT, "\n".join(f"- {escape_markdown(line)}" for line in left_out)]
    for table in tables:
        headings, rows = lay_out(table)
        lines = [markdown_row(map(escape_markdown, headings)), "|---|" + "---:|" * (len(headings) - 1)]
        for row in rows:
            texts = [escape_markdown(cell.whole) for cell in row]
            lines.append(markdown_row(f"**{t}**" if cell.best else t for t, cell in zip(texts, row, strict=True)))
        parts += [f"## {escape_markdown(table_title(table))}", "\n".join(lines)]
        parts.append("\n".join(f"- {escape_markdown(note)}" for note in table_notes(table)))
    return "\n\n".join(parts) + "\n"


def render_latex(tables: Sequence[ResultTable], left_out: Sequence[str] = ()) -> str:
    """Returns each table as a LaTeX `table` with booktabs' rules, the best mean of each column in bold.

    The text needs the packages booktabs and graphicx, and the T1 font encoding. `left_out` says in comments what is in
    no table.
    """
    parts = ["% \\usepackage{booktabs,graphicx} \\usepackage[T1]{fontenc}"]
    if left_out:
        parts.append("\n".join(f"% {' '.join(line.split())}" for line in (LEFT_OUT, *left_out)))
    for number, table in enumerate(tables, start=1):
        headings, rows = lay_out(table)
        caption = f"{table_title(table)}. {EXPLANATION} {' '.join(table_notes(table))}"
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(caption)}}}",
            rf"\label{{tab:experiment-{number}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
            r"\toprule",
            " & ".join(map(escape_latex, headings)) + r" \\",
            r"\midrule",
        ]
        for row in rows:
            texts = [escape_latex(cell.whole) for cell in row]
            marked = (rf"\textbf{{{t}}}" if cell.best else t for t, cell in zip(texts, row, strict=True))
            lines.append(" & ".join(marked) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def escape_latex(text: str) -> str:
    """Returns `text` on one line so that LaTeX shows it as it is."""
    return " ".join(text.split()).translate(_LATEX)


def shown_score(score: Score | None) -> str:
    """Returns "91.0 ± 0.4", or "91.0" with one seed."""
    if score is None:
        return _NONE
    spread = "" if score.deviation is None else f" ± {shown_points(score.deviation)}"
    return shown_points(score.mean) + spread


def _mark_best(scores: Sequence[Score | None]) -> list[Cell]:
    means = [score.mean for score in scores if score]
    best = max(means) if len(means) > 1 else None
    return [
        Cell(shown_score(score), best is not None and score is not None and score.mean >= best - _ROUNDING)
        for score in scores
    ]


def _lay_out_comparison(comparison: Comparison | None) -> Cell:
    if comparison is None:
        return Cell(_NONE)
    test = "" if comparison.p_value is None else shown_p(comparison.p_value)
    interval = f"[{shown_points(comparison.low)}, {shown_points(comparison.high)}]"
    return Cell(f"{shown_points(comparison.difference, signed=True)} {interval}", detail=test)


def _of(text: str, count: int, plain: int) -> str:
    """Returns "1e-4 (of 3)", or the text alone where the count is the plain one."""
    return text if count == plain else f"{text} (of {count})"
