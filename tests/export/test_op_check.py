import pytest
import tensorflow as tf
import tensorflow_text as text

from easymft.errors import ExportError
from easymft.export.op_check import SERVED_TEXT_OPS, check_ops, find_unservable_ops, list_ops

TEXT = tf.TensorSpec([None], tf.string)


def save(folder, function, *specs):
    module = tf.Module()
    module.function = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(folder))
    return folder


def lowered(texts):
    return tf.strings.lower(texts)


def trimmed(ids):
    return text.RoundRobinTrimmer(4).trim([tf.RaggedTensor.from_tensor(ids)] * 2)[0].to_tensor()


def by_python(texts):
    return tf.py_function(lambda value: value, [texts], tf.string)


def by_numpy(texts):
    return tf.numpy_function(lambda value: value, [texts], tf.string)


def dropped(values):
    return tf.nn.dropout(values, 0.5)


def stateless(values):
    return tf.random.stateless_normal(tf.shape(values), [1, 2])


def nested(texts):
    # The op stands in a function of a function.
    return tf.cond(tf.size(texts) > 1, lambda: by_python(texts), lambda: texts)


@pytest.mark.parametrize(
    ("function", "spec", "op", "reason"),
    [
        (trimmed, tf.TensorSpec([None, None], tf.int32), "RoundRobin", "is not an op of TensorFlow itself"),
        (by_python, TEXT, "EagerPyFunc", "runs Python code"),
        (by_numpy, TEXT, "PyFunc", "runs Python code"),
        (nested, TEXT, "EagerPyFunc", "runs Python code"),
        (dropped, tf.TensorSpec([None], tf.float32), "RandomUniform", "draws random numbers"),
        (stateless, tf.TensorSpec([None], tf.float32), "StatelessRandom", "draws random numbers"),
    ],
)
def test_refuses(tmp_path, function, spec, op, reason):
    save(tmp_path / "model", function, spec)
    with pytest.raises(ExportError, match=rf"{op}\w* \({reason}\)"):
        check_ops(tmp_path / "model")


def test_accepts_core_ops(tmp_path):
    assert "StringLower" in check_ops(save(tmp_path / "model", lowered, TEXT))


def test_every_unservable_op_is_named_once():
    found = find_unservable_ops(["MatMul", "NoSuchOp", "CaseFoldUTF8", "StatefulUniform", "FastBertNormalize"])
    assert found == {
        "FastBertNormalize": "is not an op of TensorFlow itself",
        "NoSuchOp": "is not an op of TensorFlow itself",
        "StatefulUniform": "draws random numbers",
    }


def test_served_text_ops_are_none_of_tensorflow_itself():
    assert not [op for op in SERVED_TEXT_OPS if hasattr(tf.raw_ops, op)]


def test_a_generator_is_found(tmp_path):
    module = tf.Module()
    module.generator = tf.random.Generator.from_seed(1)
    module.draw = tf.function(lambda: module.generator.normal([2]), input_signature=[])
    tf.saved_model.save(module, str(tmp_path / "model"))
    with pytest.raises(ExportError, match="draws random numbers"):
        check_ops(tmp_path / "model")


def test_names_the_file_that_is_no_saved_model(tmp_path):
    with pytest.raises(ExportError, match=r"saved_model.pb: cannot be read \(No such file"):
        list_ops(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(ExportError, match="saved_model.pb: is not a SavedModel"):
        list_ops(tmp_path)
