"""Accuracy, macro-F1, loss and confusion matrix, by domain and overall, from streamed batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from easymft.errors import DivergenceError

_SCALARS = ("accuracy", "macro_f1", "loss")
_LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)


class DomainMetrics:
    """Collects predictions batch by batch; memory is K * M * M, whatever the number of examples.

    Args:
        labels: The M classes, in the order of their numbers.
        domains: The K domains, in the order of their numbers; one unnamed domain "" where there are none.
        from_logits: Whether `update` gets logits or probabilities.
    """

    def __init__(self, labels: Sequence[str], domains: Sequence[str] = ("",), *, from_logits: bool = True):
        """Starts with no example."""
        if len(labels) < 2 or len(domains) < 1:
            raise ValueError(f"expected at least 2 labels and 1 domain. Received: {list(labels)}, {list(domains)}")
        self.labels, self.domains = tuple(labels), tuple(domains)
        self._from_logits = from_logits
        self._confusion = np.zeros([len(domains), len(labels), len(labels)], np.int64)
        self._loss_sums = np.zeros(len(domains))

    def update(self, label_ids: np.ndarray, outputs: np.ndarray, domain_ids: np.ndarray | None = None) -> None:
        """Adds a batch.

        Args:
            label_ids: The true classes, [n] in [0, M).
            outputs: Logits or probabilities, [n, M]; the prediction is the first of the largest.
            domain_ids: [n] in [0, K); None puts all into the first domain.

        Raises:
            ValueError: Shapes or numbers do not fit.
            DivergenceError: An output is not finite, as after training that diverged.
        """
        label_ids = np.asarray(label_ids)
        domain_ids = np.zeros(len(label_ids), np.int64) if domain_ids is None else np.asarray(domain_ids)
        outputs = np.asarray(outputs, np.float64)
        if outputs.shape != (len(label_ids), len(self.labels)) or domain_ids.shape != label_ids.shape:
            shapes = f"labels {label_ids.shape}, outputs {outputs.shape}, domains {domain_ids.shape}"
            raise ValueError(f"expected [n], [n, {len(self.labels)}], [n]. Received: {shapes}")
        _check_range("label", label_ids, len(self.labels))
        _check_range("domain", domain_ids, len(self.domains))
        broken = np.count_nonzero(~np.isfinite(outputs).all(axis=1))
        if broken:
            raise DivergenceError(
                f"the model gave outputs that are not finite for {broken} of {len(outputs)} examples: "
                "training has diverged or the weights are damaged; try a smaller train.learning_rate"
            )
        np.add.at(self._confusion, (domain_ids, label_ids, outputs.argmax(axis=1)), 1)
        np.add.at(self._loss_sums, domain_ids, self._losses(label_ids, outputs))

    def result(self) -> dict[str, Any]:
        """Returns the metrics so far, ready for JSON: no NaN, null where there is nothing to measure.

        Returns:
            "labels", "domains": the names. "overall": metrics over all examples alike. "by_domain": domain -> metrics.
            "domain_average": accuracy, macro_f1, loss as unweighted means over the domains that have examples, and the
            "count" of these. Metrics: "count"; "accuracy" in [0, 1]; "macro_f1", the mean F1 over the classes that
            occur or are predicted; "loss", mean cross-entropy in nats; "by_label": label -> count, precision, recall,
            f1 (null for a class without examples); "confusion_matrix" [M][M], rows true, columns predicted.
        """
        by_domain = {
            name: self._measure(self._confusion[index], self._loss_sums[index])
            for index, name in enumerate(self.domains)
        }
        present = [metrics for metrics in by_domain.values() if metrics["count"]]
        average: dict[str, Any] = {"count": len(present)}
        for name in _SCALARS:
            average[name] = float(np.mean([metrics[name] for metrics in present])) if present else None
        return {
            "labels": list(self.labels),
            "domains": list(self.domains),
            "overall": self._measure(self._confusion.sum(axis=0), self._loss_sums.sum()),
            "domain_average": average,
            "by_domain": by_domain,
        }

    def _losses(self, label_ids: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        of_truth = outputs[np.arange(len(label_ids)), label_ids]
        if self._from_logits:
            largest = outputs.max(axis=1, initial=-np.inf)
            return np.log(np.exp(outputs - largest[:, None]).sum(axis=1)) + largest - of_truth
        if (outputs < 0.0).any() or (np.abs(outputs.sum(axis=1) - 1.0) > 1e-2).any():
            worst = outputs[np.abs(outputs.sum(axis=1) - 1.0).argmax()]
            raise ValueError(f"probabilities must be at least 0 and add up to 1. Received: {worst.tolist()}")
        # A probability that underflowed to 0 in float32 is as good as the smallest one float32 holds.
        return -np.log(np.maximum(of_truth, _LEAST_PROBABILITY))

    def _measure(self, confusion: np.ndarray, loss_sum: float) -> dict[str, Any]:
        count = int(confusion.sum())
        metrics: dict[str, Any] = {"count": count, **dict.fromkeys(_SCALARS)}
        by_label = {name: {"count": 0, "precision": None, "recall": None, "f1": None} for name in self.labels}
        if count:
            precision, recall, f1, support = _scores_by_class(confusion)
            metrics["accuracy"] = float(np.trace(confusion) / count)
            metrics["macro_f1"] = float(np.nanmean(f1))
            metrics["loss"] = float(loss_sum / count)
            for index in np.flatnonzero(support):
                values = {"precision": precision[index], "recall": recall[index], "f1": f1[index]}
                shown = {name: None if np.isnan(value) else float(value) for name, value in values.items()}
                by_label[self.labels[index]] = {"count": int(support[index]), **shown}
        return {**metrics, "by_label": by_label, "confusion_matrix": confusion.tolist()}


def flatten_metrics(result: dict[str, Any]) -> dict[str, float]:
    """Returns the scalars of a `DomainMetrics.result()`: accuracy, macro_f1, loss, then the same by domain.

    The names by domain are "accuracy_books" and so on; an unnamed domain and values of null are left out.
    """
    flat = {name: result["overall"][name] for name in _SCALARS}
    for domain, metrics in result["by_domain"].items():
        if domain:
            flat |= {f"{name}_{domain}": metrics[name] for name in _SCALARS}
    return {name: value for name, value in flat.items() if value is not None}


def _scores_by_class(confusion: np.ndarray) -> tuple[np.ndarray, ...]:
    """Precision, recall, F1, each [M] with NaN where undefined, and the number of examples, from counts [M, M]."""
    from sklearn.metrics import precision_recall_fscore_support  # late: a first training step need not wait for it

    classes = np.arange(len(confusion))
    true, predicted = np.nonzero(confusion)
    # The cells of the matrix stand for their examples, so nothing but the counts has to be kept.
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=classes, sample_weight=confusion[true, predicted], zero_division=np.nan
    )
    return precision, recall, f1, confusion.sum(axis=1)


def _check_range(what: str, ids: np.ndarray, count: int) -> None:
    outside = ids[(ids < 0) | (ids >= count)]
    if len(outside):
        raise ValueError(f"{what} ids must be in [0, {count}). Received: {int(outside[0])}")
