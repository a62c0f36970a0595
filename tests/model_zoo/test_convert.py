"""Conversions: the difference they report, and folders they leave alone."""

import json

import numpy as np
import pytest

from easymft.config.schema import ConvertConfig, ModelConfig
from easymft.errors import CheckpointError
from easymft.model_zoo import convert as module
from easymft.model_zoo.convert import convert, largest_difference, probe_batch
from easymft.model_zoo.pretrained import load_pretrained
from easymft.model_zoo.weight_map import get_variable, weight_rows


def load(folder, **settings):
    return load_pretrained(ModelConfig(weights=str(folder), **settings), seed=0)


def test_reports_what_was_done(tiny, tensors, with_tensors, tmp_path):
    source = with_tensors(tensors | {"cls.predictions.bias": np.zeros(3, np.float32)})
    result = convert(ModelConfig(weights=str(source)), ConvertConfig(format="tf2"), tmp_path / "run", 5)
    assert result.folder == tmp_path / "run" / "converted"
    assert result.largest_difference == 0.0
    lines = str(result).splitlines()
    assert lines[0] == f"Hugging Face folder {source}"
    assert lines[1] == f"-> tf2 in {result.folder}"
    assert lines[2] == "left out: cls.predictions.bias"
    assert lines[3] == "largest difference of hidden states on a probe batch: 0"


@pytest.mark.parametrize("target", ["tf1", "huggingface"])
def test_the_tokenizers_settings_go_along(tiny_copy, tmp_path, target):
    values = {"do_lower_case": True, "strip_accents": False, "additional_special_tokens": ["film"]}
    (tiny_copy / "tokenizer_config.json").write_text(json.dumps(values))
    result = convert(ModelConfig(weights=str(tiny_copy)), ConvertConfig(format=target), tmp_path / "run", 0)
    vocabulary = load(result.folder).vocabulary
    assert vocabulary == load(tiny_copy).vocabulary
    assert vocabulary.settings.keys() == {"lower_case", "strip_accents", "added_tokens"}


def test_every_tensor_shows_in_the_difference(tiny):
    first, second = load(tiny), load(tiny)
    assert largest_difference(first, second, seed=1) == 0.0
    for row in weight_rows(first.config.num_layers):
        variable = get_variable(second.encoder, row)
        kept = variable.numpy()
        # Keys' biases cancel in the softmax, and no probe is as long as the position table: change what can show.
        change = np.zeros_like(kept)
        change[: 8 if kept.ndim == 2 else None] = np.random.default_rng(0).normal(
            size=change[: 8 if kept.ndim == 2 else None].shape
        )
        variable.assign(kept + change)
        difference = largest_difference(first, second, seed=1)
        assert difference > 1e-3 or row.tf2.endswith("_key_dense/bias"), row.tf2
        variable.assign(kept)


def test_a_result_that_differs_is_not_kept(tiny, tmp_path, monkeypatch):
    def write_wrong(folder, encoder, num_layers, head=None, pooler=True):
        encoder.pooler_layer.bias.assign_add(np.ones(32, np.float32))
        write(folder, encoder, num_layers, head, pooler)
        encoder.pooler_layer.bias.assign_sub(np.ones(32, np.float32))

    write = module.write_tf1
    monkeypatch.setattr(module, "write_tf1", write_wrong)
    with pytest.raises(CheckpointError, match=r"hidden states of the result differ by .* expected at most 0\.0001"):
        convert(ModelConfig(weights=str(tiny)), ConvertConfig(format="tf1"), tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_never_overwritten(tiny_copy):
    with pytest.raises(CheckpointError, match="is the source itself"):
        convert(ModelConfig(weights=str(tiny_copy)), ConvertConfig(folder=str(tiny_copy)), tiny_copy, 0)


def test_a_runs_models_are_never_overwritten(tiny_copy):
    with pytest.raises(CheckpointError, match="named as a run's own model"):
        target = str(tiny_copy.parent / "best")
        (tiny_copy.parent / "best").mkdir()
        convert(ModelConfig(weights=str(tiny_copy)), ConvertConfig(folder=target), tiny_copy, 0)


def test_a_conversion_may_be_repeated(tiny, tmp_path):
    for target in ("tf1", "tf2", "huggingface"):
        convert(ModelConfig(weights=str(tiny)), ConvertConfig(format=target), tmp_path, 0)
    assert not list((tmp_path / "converted").glob("bert_model*"))
    assert load(tmp_path / "converted").source.startswith("Hugging Face folder")


def test_probe_batch():
    batch = probe_batch(169, 2, 128, seed=3)
    assert {name: (value.shape, value.dtype.name) for name, value in batch.items()} == {
        name: ((4, 24), "int32") for name in ("input_word_ids", "input_mask", "input_type_ids")
    }
    assert batch["input_mask"].sum(axis=1).tolist() == [24, 18, 13, 8]
    assert batch["input_type_ids"].max() == 1 and probe_batch(169, 1, 128, seed=3)["input_type_ids"].max() == 0
    assert probe_batch(169, 2, 10, seed=3)["input_mask"].shape == (4, 10)
