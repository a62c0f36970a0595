import json
import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from easymft.errors import EasyMFTError
from easymft.evaluation.metrics import DomainMetrics, flatten_metrics

LABELS, DOMAINS = ("NEG", "POS"), ("books", "dvd")
LOG3 = math.log(3.0)


def test_by_hand():
    metrics = DomainMetrics(LABELS, DOMAINS)
    # softmax gives 3/4 to the larger logit
    logits = np.array([[LOG3, 0], [0, LOG3], [LOG3, 0], [0, LOG3]])
    metrics.update(np.array([0, 1, 1, 1]), logits, np.array([0, 0, 0, 1]))
    result = metrics.result()
    books = result["by_domain"]["books"]
    assert books["count"] == 3
    assert books["accuracy"] == pytest.approx(2 / 3)
    assert books["confusion_matrix"] == [[1, 0], [1, 1]]
    # NEG: precision 1/2, recall 1, F1 2/3. POS: precision 1, recall 1/2, F1 2/3.
    assert books["by_label"]["NEG"] == pytest.approx({"count": 1, "precision": 0.5, "recall": 1, "f1": 2 / 3})
    assert books["by_label"]["POS"] == pytest.approx({"count": 2, "precision": 1, "recall": 0.5, "f1": 2 / 3})
    assert books["macro_f1"] == pytest.approx(2 / 3)
    assert books["loss"] == pytest.approx((2 * -math.log(0.75) - math.log(0.25)) / 3)
    assert result["overall"]["accuracy"] == pytest.approx(3 / 4)
    assert result["overall"]["confusion_matrix"] == [[1, 0], [1, 2]]
    assert result["overall"]["loss"] == pytest.approx((3 * -math.log(0.75) - math.log(0.25)) / 4)
    assert result["domain_average"]["accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert result["domain_average"]["count"] == 2


def test_class_and_domain_without_examples_are_null_and_never_nan():
    metrics = DomainMetrics(("a", "b", "c"), DOMAINS)
    metrics.update([0, 0], [[2.0, 1, 0], [0, 2, 1]], [0, 0])
    result = json.loads(json.dumps(metrics.result(), allow_nan=False))
    dvd = result["by_domain"]["dvd"]
    assert (dvd["count"], dvd["accuracy"], dvd["macro_f1"], dvd["loss"]) == (0, None, None, None)
    assert dvd["confusion_matrix"] == [[0] * 3] * 3
    books = result["by_domain"]["books"]
    assert books["by_label"]["b"] == {"count": 0, "precision": None, "recall": None, "f1": None}
    # a: F1 2/3; b is predicted but never true: 0; c neither occurs nor is predicted and stays out of the mean.
    assert books["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert result["domain_average"]["count"] == 1
    assert result["domain_average"]["accuracy"] == books["accuracy"] == 0.5


def test_class_never_predicted_has_no_precision():
    metrics = DomainMetrics(LABELS)
    metrics.update([0, 1], [[1.0, 0], [1, 0]])
    by_label = metrics.result()["overall"]["by_label"]
    assert by_label["POS"] == {"count": 1, "precision": None, "recall": 0.0, "f1": 0.0}


def test_nothing_seen():
    result = DomainMetrics(LABELS, DOMAINS).result()
    assert result["overall"]["accuracy"] is None
    assert result["domain_average"] == {"count": 0, "accuracy": None, "macro_f1": None, "loss": None}
    assert flatten_metrics(result) == {}


def test_batches_equal_the_whole_and_scikit_learn():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=[200, 3]).astype(np.float32)
    labels, domains = rng.integers(0, 3, 200), rng.integers(0, 4, 200)
    names = (("a", "b", "c"), ("w", "x", "y", "z"))
    whole, streamed = DomainMetrics(*names), DomainMetrics(*names)
    whole.update(labels, logits, domains)
    for start in range(0, 200, 7):
        part = slice(start, start + 7)
        streamed.update(labels[part], logits[part], domains[part])
    streamed.update(labels[:0], logits[:0], domains[:0])
    result = whole.result()
    assert flatten_metrics(streamed.result()) == pytest.approx(flatten_metrics(result), abs=1e-12)
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    for index, name in enumerate(names[1]):
        own = domains == index
        expected = f1_score(labels[own], logits[own].argmax(1), average="macro")
        assert result["by_domain"][name]["macro_f1"] == pytest.approx(expected)
        expected = log_loss(labels[own], probabilities[own], labels=[0, 1, 2])
        assert result["by_domain"][name]["loss"] == pytest.approx(expected)


def test_probabilities_and_logits_agree():
    logits = np.array([[2.0, -1.0], [0.5, 0.25]])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    by_logits, by_probabilities = DomainMetrics(LABELS), DomainMetrics(LABELS, from_logits=False)
    by_logits.update([1, 0], logits)
    by_probabilities.update([1, 0], probabilities.astype(np.float32))
    assert flatten_metrics(by_probabilities.result()) == pytest.approx(flatten_metrics(by_logits.result()), rel=1e-6)


def test_extreme_outputs_stay_finite():
    metrics = DomainMetrics(LABELS)
    metrics.update([1], [[1e4, -1e4]])
    assert metrics.result()["overall"]["loss"] == pytest.approx(2e4)
    metrics = DomainMetrics(LABELS, from_logits=False)
    metrics.update([1], [[1.0, 0.0]])
    assert 80 < metrics.result()["overall"]["loss"] < 100


def test_ties_go_to_the_first_class():
    metrics = DomainMetrics(LABELS)
    metrics.update([0], [[0.5, 0.5]])
    assert metrics.result()["overall"]["accuracy"] == 1.0


def test_flat_names():
    metrics = DomainMetrics(LABELS, DOMAINS)
    metrics.update([0], [[1.0, 0.0]], [1])
    flat = flatten_metrics(metrics.result())
    assert set(flat) == {"accuracy", "macro_f1", "loss", "accuracy_dvd", "macro_f1_dvd", "loss_dvd"}
    metrics = DomainMetrics(LABELS)
    metrics.update([0], [[1.0, 0.0]])
    assert set(flatten_metrics(metrics.result())) == {"accuracy", "macro_f1", "loss"}


@pytest.mark.parametrize(
    ("label_ids", "outputs", "domain_ids", "message"),
    [
        ([-1], [[0.0, 1.0]], [0], r"label ids must be in \[0, 2\). Received: -1"),
        ([2], [[0.0, 1.0]], [0], r"label ids must be in \[0, 2\). Received: 2"),
        ([0], [[0.0, 1.0]], [5], r"domain ids must be in \[0, 2\). Received: 5"),
        ([0], [[0.0, 1.0, 2.0]], [0], r"outputs \(1, 3\)"),
        ([0, 1], [[0.0, 1.0]], [0, 0], r"labels \(2,\), outputs \(1, 2\)"),
    ],
)
def test_what_does_not_fit(label_ids, outputs, domain_ids, message):
    with pytest.raises(ValueError, match=message):
        DomainMetrics(LABELS, DOMAINS).update(label_ids, outputs, domain_ids)


def test_outputs_that_are_no_numbers():
    with pytest.raises(EasyMFTError, match="not finite for 1 of 2 examples"):
        DomainMetrics(LABELS).update([0, 0], [[0.0, np.nan], [0, 1]])
    with pytest.raises(ValueError, match=r"add up to 1. Received: \[3.0, 1.0\]"):
        DomainMetrics(LABELS, from_logits=False).update([0], [[3.0, 1.0]])
    with pytest.raises(ValueError, match="at least 2 labels"):
        DomainMetrics(["one"])
