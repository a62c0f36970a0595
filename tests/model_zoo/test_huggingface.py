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


PREFIXES = ["module.", "model.", "encoder.", "module.bert.", "model.bert.", "_orig_mod.bert.", "0.auto_model."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_names_below_others(tiny, tensors, with_tensors, prefix):
    folder = with_tensors({f"{prefix}{name}": value for name, value in tensors.items()})
    assert_same_weights(folder, tiny)
    assert load(folder).ignored == []


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_a_head_stands_below_the_same_names(tensors, with_tensors, prefix):
    named = {f"{prefix}bert.{name}": value for name, value in tensors.items()}
    head = {
        f"{prefix}classifier.weight": np.ones((2, 32), np.float32),
        f"{prefix}classifier.bias": np.ones(2, np.float32),
    }
    model = load(with_tensors(named | head))
    assert model.head[0].shape == (32, 2) and model.ignored == [] and model.notes == []


def test_several_encoders_and_none_are_refused(tensors, with_tensors):
    folder = with_tensors({f"{side}.{name}": value for name, value in tensors.items() for side in ("query", "passage")})
    assert "holds several encoders, below 'passage.', 'query.'; expected one BERT" in failure(folder)
    with_tensors({"distilbert.x": np.zeros(3, np.float32)})
    assert "no tensor named ...embeddings.word_embeddings.weight; found distilbert.x" in failure(folder)


HEADS = {
    "qa_outputs.weight": "qa_outputs",
    "cls.predictions.decoder.weight": "cls.predictions",
    "lm_head.bias": "lm_head",
    "score.weight": "score",
    "mlp.dense.weight": "mlp.dense",
    "crf.transitions": "crf",
    "2.linear.weight": "2.linear",
    "head.LayerNorm.weight": "head.LayerNorm",
}


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_heads_of_other_tasks_are_left_out_and_named(tiny, tensors, with_tensors, prefix):
    heads = {name: np.ones(3, np.float32) for name in HEADS if prefix or "LayerNorm" not in name}
    folder = with_tensors({f"{prefix}{name}": value for name, value in tensors.items()} | heads)
    model = load(folder)
    named = ", ".join(sorted(HEADS[name] for name in heads))
    assert model.notes == [f"Hugging Face folder {folder}: heads of other tasks, which are not used: {named}"]
    assert model.ignored == sorted(heads) and model.head is None
    assert_same_weights(folder, tiny)


@pytest.mark.parametrize(
    "name",
    [
        "encoder.layer.0.output.adapter.weight",
        "bert.gate.weight",
        "encoder.LayerNorm.weight",
        "embeddings.norm2.weight",
        "encoder.layer.3.output.dense.bias",
        "bert.encoder.layer.0.attention.self.query.lora_A.default.weight",
        "vision.encoder.layer.0.weight",
        "prefix_tuning.weight",
    ],
)
def test_what_would_change_the_encoder_is_refused_by_name(tensors, with_tensors, name):
    named = {f"bert.{key}": value for key, value in tensors.items()}
    message = failure(with_tensors(named | {name: np.ones(3, np.float32)}))
    assert f"tensors of no known use in a BERT of 3 layers: {name}" in message
    assert ("; merge adapters or LoRA" in message) == ("adapter" in name or "lora" in name or "prefix" in name)


def test_a_norm_beside_an_encoder_without_prefix_is_refused(tensors, with_tensors):
    message = failure(with_tensors(tensors | {"norm.weight": np.ones(32, np.float32)}))
    assert "tensors of no known use in a BERT of 3 layers: norm.weight" in message


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


def test_git_lfs_pointers_are_named(tiny_copy):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90\n"
    (tiny_copy / "model.safetensors").write_text(pointer)
    assert failure(tiny_copy).endswith(
        "model.safetensors: a Git LFS pointer, not the weights themselves; run git lfs pull"
    )
    (tiny_copy / "config.json").write_text(pointer)
    assert failure(tiny_copy).endswith("config.json: cannot be read as JSON (a Git LFS pointer; run git lfs pull)")


@pytest.mark.parametrize("name", ["vocab.txt", "model.safetensors.index.json", "modules.json"])
def test_git_lfs_pointers_beside_the_weights_are_named(tiny_copy, name):
    (tiny_copy / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90\n")
    if name != "vocab.txt":
        (tiny_copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError) as caught:
        load_pretrained(ModelConfig(weights=str(tiny_copy)), seed=1)
    assert str(caught.value) == f"{tiny_copy / name}: a Git LFS pointer, not the file itself; run git lfs pull"


def test_hidden_folders_are_no_weights(tiny_copy):
    """Such as Keras' own, `.keras`, in a home folder."""
    (tiny_copy / ".keras").mkdir()
    (tiny_copy / "model.safetensors").unlink()
    assert "found .keras, config.json, tokenizer_config.json, vocab.txt" in failure(tiny_copy)


@pytest.mark.parametrize("length", [0, 3, 400, -1])
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
