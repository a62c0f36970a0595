"""Hugging Face folders: what is read, and what is refused with which words."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from easymft.config.schema import ModelConfig
from easymft.errors import CheckpointError
from easymft.model_zoo.pretrained import load_pretrained

QUERY = "encoder.layer.1.attention.self.query.weight"


def load(folder, **settings):
    return load_pretrained(ModelConfig(weights=str(folder), **settings), seed=0)


def values(folder):
    return [variable.numpy() for variable in load(folder).encoder.variables]


def failure(folder, **settings) -> str:
    with pytest.raises(CheckpointError) as error:
        load(folder, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_same_weights(first, second, tolerance=0.0):
    for one, other in zip(values(first), values(second), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance)


def rename(tensors, function):
    return {function(name): value for name, value in tensors.items()}


def test_layout_of_attention_and_dense(tiny, tensors):
    encoder = load(tiny).encoder
    layer = encoder.transformer_layers[1]
    kernel = layer._attention_layer._query_dense.kernel.numpy()
    assert kernel.shape == (32, 4, 8)
    np.testing.assert_array_equal(kernel[5, 2, 3], tensors[QUERY][2 * 8 + 3, 5])
    output = layer._attention_layer._output_dense.kernel.numpy()
    assert output.shape == (4, 8, 32)
    np.testing.assert_array_equal(
        output[2, 3, 5], tensors["encoder.layer.1.attention.output.dense.weight"][5, 2 * 8 + 3]
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda name: f"bert.{name}",
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
    ],
)
def test_other_spellings_of_names(tiny, tensors, with_tensors, function):
    assert_same_weights(with_tensors(rename(tensors, function)), tiny)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 1e-3), (ml_dtypes.bfloat16, 1e-2), (np.float64, 0.0)])
def test_other_floating_point_types_become_float32(tiny, tensors, with_tensors, dtype, tolerance):
    folder = with_tensors({name: value.astype(dtype) for name, value in tensors.items()})
    assert {value.dtype for value in values(folder)} == {np.dtype(np.float32)}
    for one, other in zip(values(folder), values(tiny), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=1e-7)


def write_shards(folder, tensors):
    names = sorted(tensors)
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for i, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{i}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def test_shards(tiny, tiny_copy, tensors):
    assert_same_weights(write_shards(tiny_copy, tensors), tiny)


def test_damaged_shards(tiny_copy, tensors):
    folder = write_shards(tiny_copy, tensors)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "index.json: its files are missing: model-00002-of-00002.safetensors" in failure(folder)
    save_file({}, folder / "model-00002-of-00002.safetensors")
    assert "names tensors that its files do not hold: embeddings." in failure(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    assert "names files outside its folder: ../a.safetensors" in failure(folder)
    index.write_text("{")
    assert "model.safetensors.index.json: no JSON object with a weight_map" in failure(folder)


def test_known_tensors_of_no_use_are_named(tensors, with_tensors):
    more = {
        "cls.predictions.bias": np.zeros(3),
        "cls.seq_relationship.weight": np.zeros(3),
        "bert.embeddings.position_ids": np.arange(3),
    }
    folder = with_tensors(tensors | more)
    assert load(folder).ignored == [
        "bert.embeddings.position_ids",
        "cls.predictions.bias",
        "cls.seq_relationship.weight",
    ]


def test_unknown_tensors_are_refused(tensors, with_tensors, with_config):
    folder = with_tensors(tensors | {"bert.encoder.adapter.weight": np.zeros(3, np.float32)})
    assert "model.safetensors: tensors of no known use in a BERT of 3 layers: bert.encoder.adapter.weight" in failure(
        folder
    )
    with_tensors(tensors)
    with_config(num_hidden_layers=2)
    assert "of no known use in a BERT of 2 layers: encoder.layer.2.attention.output.LayerNorm.bias," in failure(folder)


@pytest.mark.parametrize("name", ["pooler.dense.weight", QUERY])
def test_missing_tensors_are_refused(tensors, with_tensors, name):
    del tensors[name]
    assert failure(with_tensors(tensors)).endswith(f"model.safetensors: tensors are missing: {name}")


def test_shapes_are_checked(tensors, with_tensors, with_config):
    folder = with_tensors(tensors | {QUERY: tensors[QUERY][:, :16]})
    assert f"tensor {QUERY} has shape [32, 16]; expected [32, 32] by the config" in failure(folder)
    with_tensors(tensors)
    with_config(intermediate_size=60)
    assert "encoder.layer.0.intermediate.dense.weight has shape [64, 32]; expected [60, 32]" in failure(folder)


def test_values_are_checked(tensors, with_tensors):
    folder = with_tensors(tensors | {QUERY: tensors[QUERY].astype(np.int32)})
    assert f"tensor {QUERY} holds int32; expected a floating-point type" in failure(folder)
    wrong = tensors[QUERY].copy()
    wrong[3, 4] = np.nan
    assert f"tensor {QUERY} holds values that are not finite" in failure(with_tensors(tensors | {QUERY: wrong}))


def test_two_tensors_of_one_meaning(tensors, with_tensors):
    folder = with_tensors(tensors | {f"bert.{QUERY}": tensors[QUERY]})
    message = failure(folder)
    assert f"bert.{QUERY}" in message and "stand for the same weights" in message


@pytest.mark.parametrize("length", [3, 400, -1])
def test_truncated_file_is_one_clear_line(tiny_copy, length):
    file = tiny_copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    assert failure(tiny_copy).startswith(f"{file}: damaged or cut short (")


def test_pickles_are_not_read(tiny_copy):
    (tiny_copy / "model.safetensors").rename(tiny_copy / "pytorch_model.bin")
    message = failure(tiny_copy)
    assert "no model.safetensors, but pytorch_model.bin (PyTorch's format; EasyMFT reads no pickles, which" in message
    assert "safe_serialization=True" in message


def test_no_weights(tiny_copy):
    (tiny_copy / "model.safetensors").unlink()
    assert "no model.safetensors or model.safetensors.index.json; found config.json," in failure(tiny_copy)


def test_classifier_head(tensors, with_tensors, with_config):
    weight, bias = np.arange(96, dtype=np.float32).reshape(3, 32), np.ones(3, np.float32)
    folder = with_tensors(tensors | {"classifier.weight": weight, "classifier.bias": bias})
    with_config(id2label={"0": "no", "1": "yes", "2": "maybe"})
    model = load(folder)
    np.testing.assert_array_equal(model.head[0], weight.T)
    np.testing.assert_array_equal(model.head[1], bias)
    assert model.labels == ["no", "yes", "maybe"]
    with_config(id2label={"0": "no", "1": "yes"})
    assert "config.json names 2 classes; the classifier has 3" in failure(folder)
    with_config(id2label={"0": "no", "2": "yes"})
    assert "expected the keys 0, 1, 2, ..." in failure(folder)
    with_config(id2label=None)
    for other in ({"classifier.weight": weight.T, "classifier.bias": bias}, {"classifier.weight": weight}):
        model = load(with_tensors(tensors | other))
        assert model.head is None and model.ignored == sorted(other)
        assert model.notes == [f"{model.source}: heads of other tasks, which are not used: classifier"]
