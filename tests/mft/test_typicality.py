import math
import tracemalloc

import numpy as np
import pytest

from easymft.mft.typicality import (
    EmbeddingTransform,
    PrototypeAccumulator,
    compute_prototypes,
    compute_typicality,
)


def cosine(first, second):
    norms = math.sqrt(sum(a * a for a in first)) * math.sqrt(sum(b * b for b in second))
    return sum(a * b for a, b in zip(first, second, strict=True)) / norms


def mean_vector(vectors):
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def slow_typicality(embeddings, labels, domains, alpha, out_of_domain):
    """The definition in docs/methods.md 1.1, one example at a time, in plain Python."""
    scores = []
    for embedding, label, domain in zip(embeddings, labels, domains, strict=True):
        cells = {}
        for other, other_label, other_domain in zip(embeddings, labels, domains, strict=True):
            if other_label == label:
                cells.setdefault(other_domain, []).append(other)
        prototypes = {name: mean_vector(members) for name, members in cells.items()}
        inside = cosine(embedding, prototypes.pop(domain))
        if not prototypes:
            scores.append(inside)
            continue
        if out_of_domain == "mean_of_cosines":
            outside = sum(cosine(embedding, prototype) for prototype in prototypes.values()) / len(prototypes)
        else:
            outside = cosine(embedding, mean_vector(list(prototypes.values())))
        scores.append(alpha * inside + (1 - alpha) * outside)
    return scores


def score(embeddings, labels, domains, num_labels, num_domains, **options):
    prototypes, counts = compute_prototypes(embeddings, labels, domains, num_labels, num_domains)
    return compute_typicality(embeddings, labels, domains, prototypes, counts, **options)


def random_examples(seed=0, count=60, width=7, num_labels=3, num_domains=4):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_labels, count)
    domains = generator.integers(0, num_domains, count)
    embeddings = generator.normal(size=(count, width)) + labels[:, None] + 0.3 * domains[:, None]
    return embeddings, labels, domains, num_labels, num_domains


@pytest.mark.parametrize("out_of_domain", ["mean_of_cosines", "cosine_to_mean"])
def test_memory_does_not_grow_with_the_number_of_domains(out_of_domain):
    """Beside what the prototypes take: examples by width, not by width and domains."""
    examples = random_examples(count=4000, width=64, num_labels=2, num_domains=30)
    tracemalloc.start()
    score(*examples, alpha=0.5, out_of_domain=out_of_domain)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * examples[0].nbytes


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("out_of_domain", ["mean_of_cosines", "cosine_to_mean"])
def test_equals_the_definition(alpha, out_of_domain):
    embeddings, labels, domains, *sizes = random_examples()
    expected = slow_typicality(embeddings.tolist(), labels, domains, alpha, out_of_domain)
    found = score(embeddings, labels, domains, *sizes, alpha=alpha, out_of_domain=out_of_domain)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_by_hand_for_two_domains():
    # One example in each domain, at a right angle: own cosine 1, other cosine 0.
    scores = score(np.array([[3.0, 0.0], [0.0, 5.0]]), [0, 0], [0, 1], 1, 2, alpha=0.7)
    np.testing.assert_allclose(scores, [0.7, 0.7])


def test_the_two_variants_differ_for_three_domains():
    embeddings = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    by_paper = score(embeddings, [0, 0, 0], [0, 1, 2], 1, 3)
    by_code = score(embeddings, [0, 0, 0], [0, 1, 2], 1, 3, out_of_domain="cosine_to_mean")
    np.testing.assert_allclose(by_paper, [0.75, 0.75, 0.5])
    # Mean of the other prototypes [0.5, 1.5]: cosine with [1, 0] is 1 / sqrt(10).
    np.testing.assert_allclose(by_code, [0.5 + 0.5 / math.sqrt(10), 0.5 + 0.5 / math.sqrt(10), 0.5])


def test_empty_cells_are_left_out():
    embeddings, labels, domains, *sizes = random_examples()
    kept = ~((labels == 1) & (domains >= 2)) & ~((labels == 2) & (domains > 0))  # class 2 in domain 0 only
    scores = score(embeddings[kept], labels[kept], domains[kept], *sizes)
    expected = slow_typicality(embeddings[kept].tolist(), labels[kept], domains[kept], 0.5, "mean_of_cosines")
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


@pytest.mark.parametrize("out_of_domain", ["mean_of_cosines", "cosine_to_mean"])
def test_one_domain_gives_the_in_domain_cosine(out_of_domain):
    embeddings, labels, _, num_labels, _ = random_examples()
    domains = np.zeros(len(labels), int)
    scores = score(embeddings, labels, domains, num_labels, 1, out_of_domain=out_of_domain)
    prototypes, _ = compute_prototypes(embeddings, labels, domains, num_labels, 1)
    expected = [cosine(e, prototypes[0, label]) for e, label in zip(embeddings, labels, strict=True)]
    np.testing.assert_allclose(scores, expected)


def test_new_example_of_an_empty_cell_gets_the_other_domains_cosine():
    prototypes = np.array([[[0.0, 0.0]], [[1.0, 0.0]]])
    scores = compute_typicality(np.array([[1.0, 1.0]]), [0], [0], prototypes, np.array([[0], [5]]))
    np.testing.assert_allclose(scores, [1 / math.sqrt(2)])


def test_never_nan_even_for_zero_vectors():
    scores = score(np.zeros([4, 3]), [0, 0, 1, 1], [0, 1, 0, 1], 2, 2)
    assert scores.tolist() == [0.0] * 4


def test_refuses_what_it_cannot_score():
    embeddings, labels, domains, *sizes = random_examples()
    prototypes, counts = compute_prototypes(embeddings, labels, domains, *sizes)
    with pytest.raises(ValueError, match="alpha=1.0"):
        compute_typicality(embeddings, labels, domains, prototypes, counts, alpha=1.0)
    with pytest.raises(ValueError, match="Received: median"):
        compute_typicality(embeddings, labels, domains, prototypes, counts, out_of_domain="median")
    counts[:, 2] = 0
    with pytest.raises(ValueError, match="label 2, which has none"):
        compute_typicality(embeddings, labels, domains, prototypes, counts)
    with pytest.raises(ValueError, match="1 that are not"):
        compute_prototypes(np.array([[np.nan, 1.0]]), [0], [0], 1, 1)


def test_streaming_equals_one_pass():
    embeddings, labels, domains, num_labels, num_domains = random_examples(count=101)
    accumulator = PrototypeAccumulator(num_domains, num_labels, embeddings.shape[1], covariance=True)
    for start in range(0, 101, 17):
        part = slice(start, start + 17)
        accumulator.update(embeddings[part], labels[part], domains[part])
    prototypes, counts = compute_prototypes(embeddings, labels, domains, num_labels, num_domains)
    np.testing.assert_allclose(accumulator.prototypes(), prototypes)
    np.testing.assert_array_equal(accumulator.counts, counts)
    np.testing.assert_allclose(accumulator.covariance(), np.cov(embeddings.T, bias=True), atol=1e-12)


def test_centring_and_whitening():
    embeddings, labels, domains, num_labels, num_domains = random_examples(count=200)
    statistics = PrototypeAccumulator(num_domains, num_labels, embeddings.shape[1], covariance=True)
    statistics.update(embeddings, labels, domains)
    centred = EmbeddingTransform.fit(statistics, center=True, whiten=False)(embeddings)
    np.testing.assert_allclose(centred, embeddings - embeddings.mean(0))
    white = EmbeddingTransform.fit(statistics, center=False, whiten=True, epsilon=1e-12)(embeddings)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(embeddings.shape[1]), atol=1e-8)
    unchanged = EmbeddingTransform.fit(statistics, center=False, whiten=False)(embeddings)
    np.testing.assert_array_equal(unchanged, embeddings)


def test_whitening_needs_the_covariance():
    with pytest.raises(ValueError, match="covariance=True"):
        PrototypeAccumulator(2, 2, 3).covariance()
