"""Hidden states against those of another implementation (scripts/make_golden_hidden_states.py)."""

import os
from pathlib import Path

import numpy as np
import pytest

from easymft.config.schema import ModelConfig
from easymft.model_zoo.pretrained import load_pretrained
from easymft.model_zoo.registry import default_folder

GOLDEN = Path(__file__).parent.parent / "golden"
FEATURES = ("input_word_ids", "input_mask", "input_type_ids")
TOLERANCE = 1e-4


def compute(folder, features, **settings):
    """Hidden states of all layers [layers, b, L, d] and pooled output [b, d]."""
    encoder = load_pretrained(ModelConfig(weights=str(folder), **settings), seed=0).encoder
    output = encoder(features)
    return np.stack([states.numpy() for states in output["encoder_outputs"]]), output["pooled_output"].numpy()


def largest_difference(hidden, golden, mask):
    """Over real tokens; what stands at padding is of no use to anyone."""
    return float(np.abs((hidden - golden) * mask[None, :, :, None]).max())


@pytest.fixture(scope="module")
def tiny():
    with np.load(GOLDEN / "tiny_bert_hidden_states.npz") as file:
        return dict(file)


@pytest.mark.parametrize("activation", ["gelu", "gelu_approximate"])
def test_tiny_bert_equals_reference(tiny, activation):
    features = {name: tiny[name] for name in FEATURES}
    hidden, pooled = compute(GOLDEN / "tiny_bert", features, activation=activation)
    assert largest_difference(hidden, tiny[f"hidden_{activation}"], tiny["input_mask"]) < TOLERANCE
    np.testing.assert_allclose(pooled, tiny[f"pooled_{activation}"], atol=TOLERANCE)


def test_tiny_golden_values_tell_activations_padding_and_pairs_apart(tiny):
    mask = tiny["input_mask"]
    assert largest_difference(tiny["hidden_gelu"], tiny["hidden_gelu_approximate"], mask) > 3 * TOLERANCE
    assert (mask.sum(axis=1) < mask.shape[1]).any()
    features = {name: tiny[name] for name in FEATURES}
    assert features["input_type_ids"].any()
    for name in ("input_mask", "input_type_ids"):
        wrong = {**features, name: np.ones_like(mask) if name == "input_mask" else np.zeros_like(mask)}
        hidden, _ = compute(GOLDEN / "tiny_bert", wrong)
        assert largest_difference(hidden, tiny["hidden_gelu"], mask) > 0.01


def test_a_row_is_the_same_alone_and_padded(tiny):
    row = int(tiny["input_mask"].sum(axis=1).argmin())
    length = int(tiny["input_mask"][row].sum())
    features = {name: tiny[name][row : row + 1, :length] for name in FEATURES}
    hidden, pooled = compute(GOLDEN / "tiny_bert", features)
    np.testing.assert_allclose(hidden[:, 0], tiny["hidden_gelu"][:, row, :length], atol=TOLERANCE)
    np.testing.assert_allclose(pooled[0], tiny["pooled_gelu"][row], atol=TOLERANCE)


def test_all_minilm_equals_reference_on_twenty_texts():
    folder = Path(os.environ.get("EASYMFT_MINILM", default_folder("all-minilm-l6-v2")))
    if not (folder / "model.safetensors").is_file():
        pytest.skip("no all-MiniLM-L6-v2: set EASYMFT_MINILM to its folder")
    with np.load(GOLDEN / "minilm_hidden_states.npz") as file:
        golden = dict(file)
    features = {name: golden[name] for name in FEATURES}
    assert len(features["input_mask"]) == 20
    hidden, pooled = compute(folder, features)
    difference = largest_difference(hidden[..., golden["dimensions"]], golden["hidden"], golden["input_mask"])
    print(f"largest differences: hidden {difference:.2e}, pooled {np.abs(pooled - golden['pooled']).max():.2e}")
    assert difference < TOLERANCE
    np.testing.assert_allclose(pooled, golden["pooled"], atol=TOLERANCE)
