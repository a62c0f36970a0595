"""Loading with the user's settings, random encoders, vocabularies, and saving."""

import json

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from easymft.config.schema import EncoderShape, ModelConfig
from easymft.data.vocabulary import AddedToken, Vocabulary
from easymft.errors import CheckpointError, ConfigError
from easymft.model_zoo.pretrained import load_pretrained, refill, save_pretrained

SHAPE = EncoderShape(
    vocab_size=169,
    hidden_size=16,
    num_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=40,
    activation="gelu_approximate",
)
LONG = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *map(str, range(166))), True)
HEAD = (np.arange(64, dtype=np.float32).reshape(32, 2), np.array([1.0, 2.0], np.float32))


def load(folder=None, seed=0, **settings):
    weights = None if folder is None else str(folder)
    return load_pretrained(ModelConfig(weights=weights, **settings), seed=seed)


def failure(*arguments, error=CheckpointError, **settings) -> str:
    with pytest.raises(error) as caught:
        load(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def save(folder, model, **settings):
    save_pretrained(folder, encoder=model.encoder, config=model.config, vocabulary=model.vocabulary, **settings)
    return folder


def test_the_users_settings_hold(tiny):
    model = load(tiny)
    assert (model.config.activation, model.config.dropout, model.config.attention_dropout) == ("gelu", 0.1, 0.1)
    model = load(tiny, activation="gelu_approximate", dropout=0.0, attention_dropout=0.3)
    assert (model.config.activation, model.config.dropout, model.config.attention_dropout) == (
        "gelu_approximate",
        0,
        0.3,
    )
    assert model.encoder.get_config()["output_dropout"] == 0.0


def test_weights_do_not_depend_on_the_seed(tiny):
    for one, other in zip(load(tiny, seed=1).encoder.variables, load(tiny, seed=2).encoder.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_random_encoder_is_a_function_of_the_seed(tiny):
    settings = {"initialization": "random", "encoder": SHAPE, "vocabulary_file": str(tiny / "vocab.txt")}
    first, again, other = (load(seed=seed, **settings) for seed in (3, 3, 4))
    assert first.source == "random values of seed 3"
    assert first.config.hidden_size == 16 and first.config.activation == "gelu_approximate"
    for one, two in zip(first.encoder.variables, again.encoder.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    values = {variable.name: variable.numpy() for variable in first.encoder.variables}
    for variable in other.encoder.variables:
        value, name = values[variable.name], variable.name
        if "gamma" in name or "beta" in name or "bias" in name:
            assert np.unique(value).tolist() == [float("gamma" in name)]
        else:
            assert np.abs(value).max() <= 0.04 and (value != variable.numpy()).all()
    embeddings = values["encoder/word_embeddings/embeddings:0"]
    # A normal of deviation 0.02, cut at two deviations, has deviation 0.0176.
    assert abs(embeddings.std() - 0.0176) < 0.0008 and abs(embeddings.mean()) < 0.002
    kernels = [values[f"encoder/transformer/layer_{i}/self_attention/query/kernel:0"] for i in range(2)]
    assert (kernels[0] != kernels[1]).all()


def test_random_encoder_of_a_folders_shape(tiny_copy):
    (tiny_copy / "model.safetensors").unlink()
    model = load(tiny_copy, initialization="random")
    assert model.config.hidden_size == 32 and len(model.vocabulary) == 169
    assert "no model.safetensors" in failure(tiny_copy)


def test_what_a_random_encoder_needs(tiny):
    assert "neither model.encoder nor model.weights" in failure(initialization="random", error=ConfigError)
    message = failure(initialization="random", encoder=SHAPE, error=ConfigError)
    assert "no model.vocabulary_file" in message
    shape = SHAPE.model_copy(update={"vocab_size": 168})
    message = failure(initialization="random", encoder=shape, vocabulary_file=str(tiny / "vocab.txt"))
    assert "the vocabulary has 169 tokens; expected at most 168" in message


def test_never_random_unless_asked(tiny):
    assert "model.weights is null" in failure(error=ConfigError)
    assert "only for model.initialization random" in failure(tiny, encoder=SHAPE, error=ConfigError)


def test_vocabulary_of_another_size(tiny_copy):
    with (tiny_copy / "vocab.txt").open("a") as file:
        file.write("surplus\n")
    assert failure(tiny_copy) == (
        f"{tiny_copy}: the vocabulary has 170 tokens; expected at most 169, one for each row of the word embeddings; "
        "name the vocabulary that these weights were trained with"
    )


def test_vocabulary_files(tiny, tiny_copy, tmp_path):
    vocabulary = tmp_path / "mine.txt"
    (tiny_copy / "vocab.txt").rename(vocabulary)
    assert "no vocab.txt or tokenizer.json; give model.vocabulary_file" in failure(tiny_copy)
    assert load(tiny_copy, vocabulary_file=str(vocabulary)).vocabulary == load(tiny).vocabulary
    assert str(tmp_path / "none.txt") in failure(tiny_copy, vocabulary_file=str(tmp_path / "none.txt"))
    tokens = load(tiny).vocabulary.tokens
    content = {
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "lowercase": False, "clean_text": True, "handle_chinese_chars": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "vocab": {token: i for i, token in enumerate(tokens)},
        },
    }
    (tiny_copy / "tokenizer.json").write_text(json.dumps(content))
    (tiny_copy / "tokenizer_config.json").unlink()
    assert load(tiny_copy).vocabulary == Vocabulary(tokens, lower_case=False)
    assert load(tiny_copy, lower_case=True).vocabulary == Vocabulary(tokens, lower_case=True)


def test_lower_case(tiny_copy):
    file = tiny_copy / "tokenizer_config.json"
    assert load(tiny_copy).vocabulary.lower_case
    assert not load(tiny_copy, lower_case=False).vocabulary.lower_case
    file.write_text('{"do_lower_case": false}')
    assert not load(tiny_copy).vocabulary.lower_case
    file.unlink()
    assert load(tiny_copy).vocabulary.lower_case
    vocabulary = tiny_copy / "vocab.txt"
    vocabulary.write_text(vocabulary.read_text().replace("\nfilm\n", "\nFilm\n").replace("\nthe\n", "\nThe\n"))
    assert not load(tiny_copy).vocabulary.lower_case


def test_config_files(tiny_copy, with_config):
    with_config(hidden_act="relu")
    assert "config.json: hidden_act is 'relu'" in failure(tiny_copy)
    (tiny_copy / "config.json").write_text("{")
    assert "config.json: cannot be read as JSON" in failure(tiny_copy)
    (tiny_copy / "config.json").write_text("[]")
    assert "config.json: holds list []; expected a JSON object" in failure(tiny_copy)
    (tiny_copy / "config.json").unlink()
    assert "no config.json or bert_config.json" in failure(tiny_copy)


def test_saved_folder_is_huggingfaces(tiny, tensors, tmp_path):
    folder = save(tmp_path / "new" / "saved", load(tiny), head=HEAD, labels=["no", "yes"])
    stored = load_file(folder / "model.safetensors")
    np.testing.assert_array_equal(stored.pop("classifier.weight"), HEAD[0].T)
    np.testing.assert_array_equal(stored.pop("classifier.bias"), HEAD[1])
    assert {name.removeprefix("bert.") for name in stored} == set(tensors)
    for name, value in stored.items():
        np.testing.assert_array_equal(value, tensors[name.removeprefix("bert.")])
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "no", "1": "yes"} and config["label2id"] == {"no": 0, "yes": 1}
    assert config["problem_type"] == "single_label_classification"
    assert json.loads((folder / "tokenizer_config.json").read_text())["do_lower_case"] is True
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == (folder / "config.json").stat().st_mode & 0o777


def test_save_and_load_again(tiny, tmp_path):
    model = load(tiny)
    extra = {"mft.domain_embedding": np.eye(3, dtype=np.float32)}
    again = load(save(tmp_path / "saved", model, head=HEAD, labels=["no", "yes"], extra=extra))
    assert again.config == model.config and again.vocabulary == model.vocabulary
    assert again.labels == ["no", "yes"] and again.ignored == []
    np.testing.assert_array_equal(again.head[0], HEAD[0])
    np.testing.assert_array_equal(again.extra["mft.domain_embedding"], np.eye(3))
    save(tmp_path / "saved", model)
    again = load(tmp_path / "saved")
    assert again.head is None and again.labels is None and again.extra == {}
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_the_tokenizers_settings_are_saved(tiny, tmp_path):
    model = load(tiny)
    tokens = (*model.vocabulary.tokens[:-2], "<e>", "[e]")
    added = (AddedToken("<e>"), AddedToken("[e]", normalized=True, special=False, apart=True))
    model.vocabulary = Vocabulary(tokens, True, strip_accents=False, tokenize_chinese_chars=False, added_tokens=added)
    folder = save(tmp_path / "saved", model)
    assert load(folder).vocabulary == model.vocabulary
    assert "[e]" not in (folder / "vocab.txt").read_text()


def test_an_encoder_is_filled_again(tiny, tmp_path):
    encoder = load(tiny).encoder
    model = load_pretrained(ModelConfig(weights=str(tiny)), seed=0)
    for variable in model.encoder.trainable_variables:
        variable.assign(variable + 1.0)
    folder = save(tmp_path / "other", model, head=HEAD, labels=["no", "yes"])
    first = load(tiny)
    other = refill(first, folder)
    assert other.encoder is first.encoder and first.head is None
    assert other.labels == ["no", "yes"] and other.source == f"Hugging Face folder {folder}"
    np.testing.assert_array_equal(other.head[1], HEAD[1])
    for ours, theirs, before in zip(other.encoder.variables, model.encoder.variables, encoder.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert (ours.numpy() != before.numpy()).any()
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model.safetensors: cannot be read .No such file"):
        refill(first, folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": (HEAD[0].T, HEAD[1])}, r"head of shapes \[2, 32\] and \[2\]; expected \[32, M\] and \[M\]"),
        ({"head": HEAD, "labels": ["one"]}, r"1 labels \(one\) for a head of 2 classes"),
        ({"extra": {"domain": np.zeros(2)}}, "extra tensors are named domain; expected names that begin with mft."),
        ({"vocabulary": LONG}, "170 tokens for 169 word embedding rows"),
    ],
)
def test_parts_that_do_not_fit_are_not_saved(tiny, tmp_path, settings, message):
    model = load(tiny)
    parts = {"encoder": model.encoder, "config": model.config, "vocabulary": model.vocabulary} | settings
    with pytest.raises(CheckpointError, match=message):
        save_pretrained(tmp_path / "saved", **parts)
    assert list(tmp_path.iterdir()) == []


def test_under_a_distribution_strategy(tiny, tmp_path, two_replicas):
    with two_replicas.scope():
        model = load(tiny)
    assert isinstance(model.encoder.variables[0], tf.distribute.DistributedValues)
    for one, other in zip(
        load(save(tmp_path / "a", model)).encoder.variables, load(tiny).encoder.variables, strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
