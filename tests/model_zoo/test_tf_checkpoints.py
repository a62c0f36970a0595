"""TF1 and TF2 checkpoints: against Model Garden's own converter and restore, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf
from official.legacy.bert import configs
from official.nlp.tools import tf2_bert_encoder_checkpoint_converter as model_garden

from easymft.checksums import SUMS_FILE
from easymft.config.schema import ConvertConfig, ModelConfig
from easymft.errors import CheckpointError
from easymft.model_zoo.convert import convert
from easymft.model_zoo.pretrained import load_pretrained, save_pretrained
from easymft.modeling.encoder import build_encoder
from easymft.modeling.encoder_config import EncoderConfig

HEAD = (np.arange(64, dtype=np.float32).reshape(32, 2), np.array([1.0, 2.0], np.float32))
MODEL_GARDEN_WARNINGS = pytest.mark.filterwarnings("ignore:Input dict contained keys:UserWarning")


def load(path, **settings):
    return load_pretrained(ModelConfig(weights=str(path), **settings), seed=0)


def failure(path, **settings) -> str:
    with pytest.raises(CheckpointError) as error:
        load(path, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_same_weights(first, second):
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def as_foreign(conversion):
    """The folder without the digests that would tell what a test changes in it."""
    (conversion.folder / SUMS_FILE).unlink()
    return conversion.folder


def write_checkpoint(folder, tensors):
    """Writes a TF1 checkpoint in place of the folder's own."""
    names = list(tensors)
    values = [tensors[name] for name in names]
    tf.raw_ops.SaveV2(
        prefix=str(folder / "bert_model.ckpt"), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
    )
    return folder


def read_checkpoint(folder):
    reader = tf.train.load_checkpoint(str(folder / "bert_model.ckpt"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture
def tf1(tiny, tmp_path):
    return as_foreign(convert(ModelConfig(weights=str(tiny)), ConvertConfig(format="tf1"), tmp_path / "one", 0))


@pytest.fixture
def tf2(tiny, tmp_path):
    return as_foreign(convert(ModelConfig(weights=str(tiny)), ConvertConfig(format="tf2"), tmp_path / "two", 0))


def test_tf1_names_and_shapes_are_googles(tf1):
    shapes = {name: list(value.shape) for name, value in read_checkpoint(tf1).items()}
    assert shapes["bert/embeddings/word_embeddings"] == [169, 32]
    assert shapes["bert/embeddings/LayerNorm/gamma"] == [32]
    assert shapes["bert/encoder/layer_2/attention/self/query/kernel"] == [32, 32]
    assert shapes["bert/encoder/layer_2/attention/output/dense/kernel"] == [32, 32]
    assert shapes["bert/encoder/layer_0/intermediate/dense/kernel"] == [32, 64]
    assert shapes["bert/pooler/dense/bias"] == [32]
    assert len(shapes) == 5 + 3 * 16 + 2


@MODEL_GARDEN_WARNINGS
@pytest.mark.parametrize("kind", ["encoder", "pretrainer"])
def test_model_gardens_converter_and_back(tiny, tf1, tmp_path, kind):
    """Our TF1 names are what Model Garden reads, and its TF2 checkpoints are what we read."""
    if kind == "pretrainer":
        tensors = read_checkpoint(tf1)
        dense, width = tensors["bert/pooler/dense/kernel"], 32
        zeros = np.zeros(width, np.float32)
        write_checkpoint(
            tf1,
            tensors
            | {
                "cls/predictions/transform/dense/kernel": dense,
                "cls/predictions/transform/dense/bias": zeros,
                "cls/predictions/transform/LayerNorm/gamma": zeros,
                "cls/predictions/transform/LayerNorm/beta": zeros,
                "cls/predictions/output_bias": np.zeros(169, np.float32),
            },
        )
    config = configs.BertConfig.from_json_file(str(tf1 / "bert_config.json"))
    folder = tmp_path / "garden"
    model_garden.convert_checkpoint(
        config, str(folder / "bert.ckpt"), str(tf1 / "bert_model.ckpt"), converted_model=kind
    )
    for name in ("bert_config.json", "vocab.txt"):
        (folder / name).write_bytes((tf1 / name).read_bytes())
    model = load(folder)
    assert model.source == f"TF2 checkpoint {folder}/bert.ckpt-1"
    assert model.config.activation == "gelu_approximate"  # what bert_config.json's "gelu" means to Model Garden
    assert_same_weights(model.encoder, load(tiny).encoder)
    assert ("masked_lm/output_bias.Sbias/.ATTRIBUTES/VARIABLE_VALUE" in model.ignored) == (kind == "pretrainer")
    if kind == "pretrainer":
        assert load(tf1).ignored[0] == "cls/predictions/output_bias"


def test_tf2_is_what_tensorflow_restores(tiny, tf2):
    model = load(tiny)
    encoder = build_encoder(model.config)
    status = tf.train.Checkpoint(encoder=encoder).read(str(tf2 / "bert_model.ckpt"))
    status.expect_partial().assert_existing_objects_matched()
    assert_same_weights(encoder, model.encoder)


def test_checkpoint_of_a_model_that_holds_the_encoder(tiny, tf2, tmp_path):
    model = load(tiny)
    holder = tf.Module()
    holder.network = model.encoder
    tf.train.Checkpoint(model=holder, global_step=tf.Variable(3)).write(str(tf2 / "bert_model.ckpt"))
    found = load(tf2 / "bert_model.ckpt")
    assert_same_weights(found.encoder, model.encoder)
    assert found.ignored == ["global_step/.ATTRIBUTES/VARIABLE_VALUE"]


@pytest.mark.parametrize("target", ["tf1", "tf2", "huggingface"])
def test_head_labels_and_extra_tensors_go_along(tiny, tmp_path, target):
    model = load(tiny)
    extra = {"mft.domain_embedding": np.ones((2, 32), np.float32)}
    save_pretrained(
        tmp_path / "source",
        encoder=model.encoder,
        config=model.config,
        vocabulary=model.vocabulary,
        head=HEAD,
        labels=["no", "yes"],
        extra=extra,
    )
    result = convert(ModelConfig(weights=str(tmp_path / "source")), ConvertConfig(format=target), tmp_path, 0)
    found = load(result.folder, weights_format=target)
    np.testing.assert_array_equal(found.head[0], HEAD[0])
    np.testing.assert_array_equal(found.head[1], HEAD[1])
    assert found.labels == ["no", "yes"]
    if target == "tf1":  # as run_classifier.py of Google's BERT has it
        np.testing.assert_array_equal(read_checkpoint(result.folder)["output_weights"], HEAD[0].T)
    np.testing.assert_array_equal(found.extra["mft.domain_embedding"], extra["mft.domain_embedding"])


def test_bert_config_alone_means_the_approximation(tf1):
    assert load(tf1).config.activation == "gelu"
    (tf1 / "config.json").unlink()
    assert load(tf1).config.activation == "gelu_approximate"
    assert load(tf1, activation="gelu").config.activation == "gelu"


def test_tf1_optimizer_slots_and_a_scope(tiny, tf1):
    tensors = {f"scope/{name}": value for name, value in read_checkpoint(tf1).items()}
    slot = "scope/bert/pooler/dense/kernel/adam_m"
    write_checkpoint(tf1, tensors | {slot: np.zeros(3, np.float32), "global_step": np.array(7, np.int64)})
    model = load(tf1)
    assert model.ignored == ["global_step", slot]
    assert_same_weights(model.encoder, load(tiny).encoder)


def test_tf1_missing_unknown_and_misshapen_tensors(tf1):
    tensors = read_checkpoint(tf1)
    kernel = "bert/pooler/dense/kernel"
    write_checkpoint(tf1, {name: value for name, value in tensors.items() if name != kernel})
    assert failure(tf1).endswith("bert_model.ckpt: tensors are missing: pooler/dense/kernel")
    write_checkpoint(tf1, tensors | {"bert/adapter": np.zeros(3, np.float32)})
    assert "tensors of no known use in a BERT of 3 layers: bert/adapter; merge adapters or LoRA" in failure(tf1)
    write_checkpoint(tf1, tensors | {kernel: tensors[kernel][:, :3]})
    assert f"tensor {kernel} has shape [32, 3]; expected [32, 32] by the config" in failure(tf1)
    write_checkpoint(tf1, {"something": np.zeros(3, np.float32)})
    assert "expected one tensor named .../embeddings/word_embeddings; found none among something" in failure(tf1)


def test_tf2_missing_and_unknown_tensors(tiny, tf2):
    model = load(tiny)
    model.encoder.surplus = tf.Variable([1.0])
    tf.train.Checkpoint(encoder=model.encoder).write(str(tf2 / "bert_model.ckpt"))
    assert "tensors of no known use in a BERT of 3 layers: encoder/surplus/" in failure(tf2)
    tf.train.Checkpoint(first=model.encoder, second=load(tiny).encoder).write(str(tf2 / "bert_model.ckpt"))
    assert "expected one BERT encoder of Model Garden; found first, second" in failure(tf2)
    tf.train.Checkpoint(step=tf.Variable(1)).write(str(tf2 / "bert_model.ckpt"))
    assert "expected one BERT encoder of Model Garden; found none among" in failure(tf2)
    shallow = build_encoder(EncoderConfig(**{**vars(model.config), "num_layers": 2}))
    tf.train.Checkpoint(encoder=shallow).write(str(tf2 / "bert_model.ckpt"))
    assert failure(tf2).endswith("bert_model.ckpt: holds 2 layers; expected 3, as the config says")


@pytest.mark.parametrize("kind", ["tf1", "tf2"])
@pytest.mark.parametrize("file", ["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"])
def test_truncated_checkpoint_is_one_clear_line(request, kind, file):
    folder = request.getfixturevalue(kind)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    assert f"{folder / 'bert_model.ckpt'}: damaged or cut short (" in failure(folder)
    (folder / file).unlink()
    expected = "damaged or cut short" if "data" in file else "but no .index file of that checkpoint"
    assert expected in failure(folder)
