"""How much a linear classifier can tell of a text's domain from each layer of an encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from easymft.errors import DataError
from easymft.evaluation.palette import COLORS, MARKERS
from easymft.names import cut_names


@dataclass(frozen=True)
class ProbeScore:
    """Accuracy of a probe over the folds of its cross-validation.

    Attributes:
        mean: Of the folds, in [0, 1].
        deviation: Their standard deviation.
    """

    mean: float
    deviation: float


def probe_domains(states: np.ndarray, domain_ids: np.ndarray, *, seed: int, folds: int = 5) -> list[ProbeScore]:
    """Cross-validates a logistic regression of the domain on frozen states, one layer at a time.

    A linear probe finds what is linearly there; what it misses, a deeper one may still find.

    Args:
        states: [N, layers, d], of texts that the encoder was not trained on.
        domain_ids: [N].
        seed: Of the folds.
        folds: Of the cross-validation, stratified by domain.

    Returns:
        One score a layer.

    Raises:
        DataError: There is but one domain, or one has fewer texts than there are folds.
    """
    counts = np.bincount(domain_ids)
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.min() < folds:
        raise DataError(
            f"domain probe: expected at least 2 domains of at least {folds} texts each, got {counts.tolist()} texts"
        )
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    scores = []
    for layer in range(states.shape[1]):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        found = cross_val_score(probe, states[:, layer], domain_ids, cv=splits)
        scores.append(ProbeScore(float(found.mean()), float(found.std(ddof=1))))
    return scores


def draw_probes(scores: Mapping[str, Sequence[ProbeScore]], chance: float) -> Figure:
    """Draws the accuracy of the probes over the layers, a line for each model.

    Args:
        scores: Model -> one score a layer.
        chance: The share of the largest domain, in [0, 1].
    """
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    names = cut_names(scores)
    for number, (name, layers) in enumerate(scores.items()):
        means, deviations = (100 * np.array([getattr(one, part) for one in layers]) for part in ("mean", "deviation"))
        color = COLORS[number % len(COLORS)]
        axes.plot(means, color=color, marker=MARKERS[number % len(MARKERS)], label=names[name], linewidth=2)
        axes.fill_between(range(len(means)), means - deviations, means + deviations, color=color, alpha=0.15, lw=0)
    axes.axhline(100 * chance, color="#555555", linestyle="--", linewidth=1)
    axes.annotate("largest domain", (0, 100 * chance), xytext=(0, 4), textcoords="offset points", color="#555555")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="layer", ylabel="domain told from frozen states, %")
    axes.grid(axis="y", color="#DDDDDD")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False)
    return figure
