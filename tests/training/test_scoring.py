"""Typicality of a data set: embeddings against the encoder, scores against plain Python."""

import errno
import math

import numpy as np
import pytest
import tensorflow as tf

import easymft.training.scoring as scoring
from easymft.config.schema import TypicalityConfig
from easymft.data.token_dataset import TokenDataset
from easymft.errors import ConfigError
from easymft.training.scoring import (
    LayerEmbedder,
    TypicalityEmbedder,
    embed_dataset,
    score_embeddings,
    weights_fingerprint,
)

ROWS = 11


@pytest.fixture
def tokens():
    """11 texts of 3 to 13 tokens, 2 classes, 3 domains; domain 2 holds no example of class 1."""
    draw = np.random.default_rng(0)
    lengths = draw.permutation(np.arange(3, 3 + ROWS))
    labels = np.array([0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0], np.int32)
    domains = np.array([0, 0, 0, 1, 1, 1, 0, 2, 1, 2, 2], np.int32)
    arrays = {
        "ids": draw.integers(1, 50, lengths.sum()).astype(np.int32),
        "row_splits": np.concatenate([[0], np.cumsum(lengths)]),
        "second_starts": lengths.astype(np.int32),
        "label_ids": labels,
        "domain_ids": domains,
        "weights": np.ones(ROWS, np.float32),
    }
    return TokenDataset(arrays, max_sequence_length=16, pad_id=0)


def embed(embedder, tokens, file, *, batch_size=4, padded_length=None, strategy=None):
    strategy = strategy or tf.distribute.OneDeviceStrategy("CPU:0")
    return embed_dataset(
        embedder, tokens, file, batch_size=batch_size, padded_length=padded_length, strategy=strategy, progress=False
    )


@pytest.mark.parametrize("embedding", ["token_mean", "pooled"])
@pytest.mark.parametrize(("batch_size", "padded_length"), [(4, None), (3, 16), (64, None)])
def test_embeddings(make_classifier, tokens, tmp_path, embedding, batch_size, padded_length):
    """One text at a time and without padding gives the same, in the order of the examples."""
    encoder = make_classifier(dropout=0.5).encoder
    file = tmp_path / "cache" / "embeddings.npy"
    embedder = TypicalityEmbedder(encoder, embedding)
    found = embed(embedder, tokens, file, batch_size=batch_size, padded_length=padded_length)
    assert found.dtype == np.float32 and found.shape == (ROWS, 16) and isinstance(found, np.memmap)
    for row in range(ROWS):
        alone = tokens.features(np.array([row]), int(tokens.lengths[row]))
        outputs = encoder({name: alone[name] for name in ("input_word_ids", "input_mask", "input_type_ids")})
        states = outputs["sequence_output"][0].numpy()
        expected = states.mean(axis=0) if embedding == "token_mean" else outputs["pooled_output"][0]
        np.testing.assert_allclose(found[row], expected, atol=2e-6)
    assert [path.name for path in file.parent.iterdir()] == ["embeddings.npy"]
    np.testing.assert_array_equal(np.load(file), found)


def test_embeddings_of_every_layer(make_classifier, tokens, tmp_path):
    encoder = make_classifier(num_layers=3).encoder
    found = embed(LayerEmbedder(encoder), tokens, tmp_path / "states.npy").reshape(ROWS, 3, 16)
    for row in range(ROWS):
        alone = tokens.features(np.array([row]), int(tokens.lengths[row]))
        layers = encoder({name: alone[name] for name in ("input_word_ids", "input_mask", "input_type_ids")})
        expected = [layer[0].numpy().mean(axis=0) for layer in layers["encoder_outputs"]]
        np.testing.assert_allclose(found[row], expected, atol=2e-6)


def test_embeddings_do_not_depend_on_the_devices(make_classifier, tokens, tmp_path, two_replicas):
    """5 examples a step on 2 replicas: the last step has one example, for one of them."""
    one = embed(TypicalityEmbedder(make_classifier().encoder, "token_mean"), tokens, tmp_path / "one.npy")
    with two_replicas.scope():
        embedder = TypicalityEmbedder(make_classifier().encoder, "token_mean")
    two = embed(embedder, tokens, tmp_path / "two.npy", batch_size=5, strategy=two_replicas)
    np.testing.assert_allclose(two, one, atol=1e-6)


def test_room_for_embeddings_is_taken_before_they_are_written(make_classifier, tokens, tmp_path, monkeypatch):
    """On a full disk a sparse file would end in a signal that nothing can tell of."""
    embedder = TypicalityEmbedder(make_classifier().encoder, "token_mean")
    embed(embedder, tokens, tmp_path / "e.npy")
    taken = []

    def refuse(stream, start, size):
        taken.append((start, size))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scoring.os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="No space left"):
        embed(embedder, tokens, tmp_path / "f.npy")
    assert taken == [(0, (tmp_path / "e.npy").stat().st_size)]
    assert [file.name for file in tmp_path.iterdir()] == ["e.npy"]


def test_an_embedding_that_is_cut_short_is_not_taken_for_whole(make_classifier, tokens, tmp_path, monkeypatch):
    embedder = TypicalityEmbedder(make_classifier().encoder, "token_mean")
    batches = scoring.BatchInference.__call__

    def stop_after_one(inference, dataset):
        yield next(batches(inference, dataset))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scoring.BatchInference, "__call__", stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            embed(embedder, tokens, tmp_path / "e.npy")
    assert not (tmp_path / "e.npy").exists()
    assert np.isfinite(embed(embedder, tokens, tmp_path / "e.npy")).all()


def cosine(first, second):
    dot = sum(a * b for a, b in zip(first, second, strict=True))
    return dot / math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))


def mean(vectors):
    return [sum(values) / len(vectors) for values in zip(*vectors, strict=True)]


def plain_typicality(embeddings, labels, domains, alpha, out_of_domain):
    """docs/methods.md 1.1 in plain Python."""
    cells = {}
    for vector, label, domain in zip(embeddings, labels, domains, strict=True):
        cells.setdefault((domain, label), []).append(vector)
    prototypes = {cell: mean(vectors) for cell, vectors in cells.items()}
    scores = []
    for vector, label, domain in zip(embeddings, labels, domains, strict=True):
        inside = cosine(vector, prototypes[domain, label])
        others = [one for (k, m), one in prototypes.items() if m == label and k != domain]
        if not others:
            scores.append(inside)
            continue
        if out_of_domain == "mean_of_cosines":
            outside = sum(cosine(vector, one) for one in others) / len(others)
        else:
            outside = cosine(vector, mean(others))
        scores.append(alpha * inside + (1 - alpha) * outside)
    return scores


def make_embeddings():
    return (np.random.default_rng(1).normal(0, 1, [ROWS, 5]) + 0.5).astype(np.float32)


def score(tokens, embeddings=None, **settings):
    config = TypicalityConfig(**({"out_of_domain": "mean_of_cosines"} | settings))
    return score_embeddings(make_embeddings() if embeddings is None else embeddings, tokens, 3, 2, config)


@pytest.mark.parametrize("out_of_domain", ["mean_of_cosines", "cosine_to_mean"])
@pytest.mark.parametrize("alpha", [0.5, 0.9])
@pytest.mark.parametrize("chunk", [3, 8192])
def test_scores_against_plain_python(tokens, monkeypatch, out_of_domain, alpha, chunk):
    monkeypatch.setattr(scoring, "_CHUNK", chunk)
    found = score(tokens, alpha=alpha, out_of_domain=out_of_domain)
    labels, domains = tokens.label_ids.tolist(), tokens.domain_ids.tolist()
    expected = plain_typicality(make_embeddings().tolist(), labels, domains, alpha, out_of_domain)
    assert found.typicality.dtype == np.float32
    np.testing.assert_allclose(found.typicality, expected, atol=1e-6)
    assert found.counts.tolist() == [[2, 2], [2, 2], [3, 0]]
    np.testing.assert_allclose(found.prototypes[2, 0], make_embeddings()[[7, 9, 10]].mean(axis=0), atol=1e-6)


def test_an_empty_cell_has_no_prototype_under_a_transform_either(tokens):
    for settings in ({"center": True}, {"whiten": True}):
        found = score(tokens, **settings)
        assert not found.prototypes[2, 1].any() and found.prototypes[2, 0].any()


def test_centring_is_taking_the_mean_away_first(tokens):
    embeddings = make_embeddings().astype(np.float64)
    centred = (embeddings - embeddings.mean(axis=0)).tolist()
    labels, domains = tokens.label_ids.tolist(), tokens.domain_ids.tolist()
    expected = plain_typicality(centred, labels, domains, 0.5, "mean_of_cosines")
    np.testing.assert_allclose(score(tokens, center=True).typicality, expected, atol=1e-6)


def test_whitening_makes_the_covariance_the_identity(tokens):
    found = score(tokens, whiten=True, whitening_epsilon=1e-9)
    white = found.transform(make_embeddings())
    np.testing.assert_allclose(white.T @ white / ROWS, np.eye(5), atol=1e-5)
    expected = plain_typicality(
        white.tolist(), tokens.label_ids.tolist(), tokens.domain_ids.tolist(), 0.5, "mean_of_cosines"
    )
    np.testing.assert_allclose(found.typicality, expected, atol=1e-6)


def test_rounding_and_rescaling(tokens):
    plain = score(tokens).typicality.astype(np.float64)
    np.testing.assert_array_equal(score(tokens, decimals=2).typicality, np.round(plain, 2).astype(np.float32))
    rescaled = score(tokens, rescale_to_mean_1=True).typicality
    np.testing.assert_allclose(rescaled, plain / plain.mean(), rtol=1e-5)
    assert rescaled.mean() == pytest.approx(1.0, abs=1e-6)


def test_scores_without_a_mean_to_divide_by(tokens):
    """Two opposite texts of one class: their prototype is 0."""
    with pytest.raises(ConfigError, match="mft.typicality.rescale_to_mean_1: the mean score is .*, expected at least"):
        score(tokens.subset(np.array([0, 2])), np.array([[1.0, 0.0], [-1.0, 0.0]]), rescale_to_mean_1=True)


def test_a_zero_embedding_and_a_lone_example_give_no_nan(tokens):
    embeddings = make_embeddings()
    embeddings[3] = 0.0
    assert np.isfinite(score(tokens, embeddings).typicality).all()
    alone = score(tokens.subset(np.array([0])), make_embeddings()[:1])
    np.testing.assert_allclose(alone.typicality, [1.0], atol=1e-6)


def test_fingerprint_of_weights(make_classifier):
    encoder = make_classifier(seed=0).encoder
    before = weights_fingerprint(encoder)
    assert before == weights_fingerprint(make_classifier(seed=0).encoder)
    assert before != weights_fingerprint(make_classifier(seed=1).encoder)
    variable = encoder.trainable_variables[-1]
    variable.assign(variable + 1e-6)
    assert before != weights_fingerprint(encoder)
