"""Weights that people have: without a pooler, with spare rows, with other heads; checked before anything is built."""

import json

import numpy as np
import pytest

from easymft.config.schema import EncoderShape, ModelConfig
from easymft.errors import CheckpointError
from easymft.model_zoo import pretrained as module
from easymft.model_zoo.opening import look_at_model, tell_new_pooler
from easymft.model_zoo.pretrained import load_pretrained, refill, save_pretrained

TASKS = ["TokenClassification", "MultipleChoice", "QuestionAnswering"]
HEAD = {"classifier.weight": np.ones((2, 32), np.float32), "classifier.bias": np.zeros(2, np.float32)}


def load(folder, seed=0, **settings):
    return load_pretrained(ModelConfig(weights=str(folder), **settings), seed=seed)


def look(folder, **settings):
    return look_at_model(ModelConfig(weights=str(folder), **settings))


def failure(folder, **settings) -> str:
    """What `load_pretrained` and `look_at_model` both say."""
    messages = []
    for function in (look, load):
        with pytest.raises(CheckpointError) as error:
            function(folder, **settings)
        messages.append(str(error.value))
    assert messages[0] == messages[1] and "\n" not in messages[0]
    return messages[0]


@pytest.fixture
def without_pooler(tensors, with_tensors):
    return with_tensors({name: value for name, value in tensors.items() if not name.startswith("pooler.")})


def pooler(model):
    return model.encoder._pooler_layer.kernel.numpy()


def test_a_new_pooler_is_a_function_of_the_seed(without_pooler, tiny):
    first, again, other = (load(without_pooler, seed=seed) for seed in (3, 3, 4))
    assert not first.has_pooler and load(tiny).has_pooler
    np.testing.assert_array_equal(pooler(first), pooler(again))
    assert (pooler(first) != pooler(other)).all() and abs(pooler(first).std() - 0.0176) < 0.001
    assert not first.encoder._pooler_layer.bias.numpy().any()
    assert first.notes == [] and look(without_pooler)[3] == []
    source = f"Hugging Face folder {without_pooler}"
    assert look(without_pooler, pooling="pooled")[3] == [tell_new_pooler(source)]
    assert tell_new_pooler(source).endswith("will be trained; model.pooling token_mean needs none")
    assert look(tiny, pooling="pooled")[3] == []


def test_a_pooler_that_was_not_trained_is_not_written(without_pooler, tmp_path):
    model = load(without_pooler, seed=3)
    parts = {"encoder": model.encoder, "config": model.config, "vocabulary": model.vocabulary}
    save_pretrained(tmp_path / "none", **parts, pooler=False)
    save_pretrained(tmp_path / "trained", **parts)
    assert not load(tmp_path / "none").has_pooler and load(tmp_path / "trained").has_pooler
    before = pooler(model)
    assert not refill(model, tmp_path / "none").has_pooler
    np.testing.assert_array_equal(pooler(model), before)
    assert refill(model, tmp_path / "trained").has_pooler


def test_a_classifier_without_a_pooler_is_one_of_tokens(without_pooler, tensors, with_tensors, with_config):
    folder = with_tensors({name: value for name, value in tensors.items() if "pooler" not in name} | HEAD)
    model = load(folder)
    assert model.head is None and model.labels is None and model.ignored == sorted(HEAD)
    with_config(architectures=["BertForSequenceClassification"])
    assert "tensors are missing, which the classifier reads: pooler.dense.weight, pooler.dense.bias" in failure(folder)
    with_config(architectures=["BertModel"], easymft_pooling="token_mean")
    assert load(folder).head is not None


@pytest.mark.parametrize("task", TASKS)
def test_classifiers_of_other_tasks_are_named_by_the_architecture(tensors, with_tensors, with_config, task):
    with_tensors(tensors | HEAD)
    folder = with_config(architectures=[f"BertFor{task}"], id2label={"0": "B", "1": "I", "2": "O"})
    model = load(folder)
    assert model.head is None and model.labels is None
    assert model.notes == [f"Hugging Face folder {folder}: heads of other tasks, which are not used: classifier"]
    with_config(architectures=["BertForSequenceClassification"], id2label={"0": "no", "1": "yes"})
    assert load(folder).labels == ["no", "yes"]


def test_a_pooler_of_another_kind_is_left_out(tensors, with_tensors):
    folder = with_tensors(tensors | {"pooler.mlp.weight": np.ones((32, 32), np.float32)})
    model = load(folder)
    assert not model.has_pooler
    expected = "heads of other tasks, which are not used: pooler.dense, pooler.mlp"
    assert model.notes == [f"{model.source}: {expected}"]


@pytest.fixture
def spare(tensors, with_tensors, with_config):
    """176 rows of word embeddings for 169 tokens."""
    name = "embeddings.word_embeddings.weight"
    rows = np.concatenate([tensors[name], np.full((7, 32), 5.0, np.float32)])
    with_tensors(tensors | {name: rows})
    return with_config(vocab_size=176)


def test_spare_rows_are_kept_and_told(spare, tmp_path):
    model = load(spare)
    assert (model.config.vocab_size, len(model.vocabulary)) == (176, 169)
    assert model.notes == look(spare)[3]
    assert model.notes == [
        f"Hugging Face folder {spare}: 176 rows of word embeddings for 169 tokens of the vocabulary; the spare rows "
        "are kept, and no text reads them"
    ]
    save_pretrained(tmp_path / "saved", encoder=model.encoder, config=model.config, vocabulary=model.vocabulary)
    again = load(tmp_path / "saved")
    assert again.encoder._embedding_layer.embeddings.numpy()[169:].tolist() == np.full((7, 32), 5.0).tolist()
    assert again.vocabulary == model.vocabulary and again.config.vocab_size == 176


def test_more_tokens_than_rows_are_refused_in_every_mode(spare):
    with (spare / "vocab.txt").open("a") as file:
        file.write("".join(f"surplus{i}\n" for i in range(8)))
    assert "the vocabulary has 177 tokens; expected at most 176, one for each row of the word embeddings" in failure(
        spare
    )


def test_sizes_are_compared_with_the_tensors_before_anything_is_built(tiny_copy, with_config, monkeypatch):
    monkeypatch.setattr(module, "build_encoder", None)
    for fields, message in (
        ({"num_hidden_layers": 1000}, "model.safetensors: holds 3 layers; expected 1000, as the config says"),
        ({"num_hidden_layers": 10**9}, "config.json: num_hidden_layers is 1000000000; expected at most 1000"),
        ({"vocab_size": 10**8}, "word_embeddings.weight has shape [169, 32]; expected [100000000, 32] by the config"),
        ({"hidden_size": 10**9}, "make more than 1e+10 weights (40 GB)"),
        ({"type_vocab_size": 1}, "token_type_embeddings.weight has shape [2, 32]; expected [1, 32] by the config"),
    ):
        kept = (tiny_copy / "config.json").read_bytes()
        assert message in failure(with_config(**fields))
        (tiny_copy / "config.json").write_bytes(kept)


def test_configs_of_any_depth_and_kind_are_one_line(tiny_copy, with_config, tensors, with_tensors):
    file = tiny_copy / "config.json"
    kept = file.read_text()
    file.write_text("[" * 100_000 + "]" * 100_000)
    assert failure(tiny_copy).startswith(f"{file}: cannot be read as JSON (nested too deeply)")
    nested = json.loads("[" * 500 + "]" * 500)
    for fields, message in (
        ({"id2label": nested}, "id2label is [[[[[[[...]]]]]]]; expected the keys 0, 1, 2, ..."),
        ({"id2label": {"0": nested}}, "id2label names a class [[[[[[[...]]]]]]]; expected a text"),
        ({"easymft_pooling": nested}, "easymft_pooling is [[[[[[[...]]]]]]]; expected one of pooled, token_mean"),
    ):
        file.write_text(kept)
        assert message in failure(with_config(**fields))


def test_random_encoders_are_looked_at_too(tiny):
    settings = {"initialization": "random", "vocabulary_file": str(tiny / "vocab.txt")}
    shape = EncoderShape(vocab_size=170, hidden_size=16, num_layers=1, num_attention_heads=2, intermediate_size=24)
    vocabulary, config, source, notes = look_at_model(ModelConfig(encoder=shape, **settings))
    assert (len(vocabulary), config.vocab_size, source) == (169, 170, "model.encoder")
    assert notes[0].startswith("model.encoder: 170 rows of word embeddings for 169 tokens")
    with pytest.raises(CheckpointError, match="num_layers is 1000000000; expected at most 1000"):
        look_at_model(ModelConfig(encoder=shape.model_copy(update={"num_layers": 10**9}), **settings))
    vocabulary, config, source, notes = look_at_model(ModelConfig(vocabulary_file=str(tiny / "vocab.txt")))
    assert (len(vocabulary), config, source, notes) == (169, None, "", [])
