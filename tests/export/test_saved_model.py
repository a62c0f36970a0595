import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from easymft.errors import ExportError
from easymft.export import self_check
from easymft.export.op_check import SERVED_TEXT_OPS, list_ops
from easymft.export.saved_model import export_saved_model
from easymft.training.strategy import keep_arithmetic

from .conftest import LABELS, LENGTH

TEXTS = ["A really good book!", "", "Żółć, 東京 ☕", "bad " * 50, "[SEP] and [MASK]"]


def probabilities(model, *texts):
    return tf.nn.softmax(model.classifier(model.preprocessor(*map(tf.constant, texts)))["logits"]).numpy()


def check(answer, expected):
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["label"].numpy().tolist() == [LABELS[place].encode() for place in expected.argmax(1)]


def test_signatures(single, pair):
    inputs = {
        name: {key: (spec.dtype, spec.shape.as_list()) for key, spec in function.structured_input_signature[1].items()}
        for name, function in single.signatures.items()
    }
    ids = {name: (tf.int32, [None, None]) for name in ("input_word_ids", "input_mask", "input_type_ids")}
    text = {"text": (tf.string, [None])}
    assert inputs == {"serving_default": text, "token_ids": ids, "embeddings": text}
    outputs = single.signatures["serving_default"].structured_outputs
    assert outputs["probabilities"].shape.as_list() == [None, 3] and outputs["probabilities"].dtype == tf.float32
    assert outputs["label"].shape.as_list() == [None] and outputs["label"].dtype == tf.string
    assert single.signatures["embeddings"].structured_outputs["embedding"].shape.as_list() == [None, 32]
    assert set(pair.signatures) == {"serving_default", "token_ids"}
    assert set(pair.signatures["serving_default"].structured_input_signature[1]) == {"text", "text_pair"}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_texts_of_any_batch_size(single, single_model, count):
    expected = probabilities(single_model, TEXTS[:count])
    check(single.signatures["serving_default"](text=tf.constant(TEXTS[:count])), expected)


def test_empty_batch(single, pair):
    none = tf.constant([], tf.string)
    assert single.signatures["serving_default"](text=none)["probabilities"].shape == [0, 3]
    assert single.signatures["embeddings"](text=none)["embedding"].shape == [0, 32]
    assert pair.signatures["serving_default"](text=none, text_pair=none)["label"].shape == [0]


def test_an_empty_text_is_cls_sep(single):
    ids = tf.constant([[2, 3]])  # [CLS] [SEP] of the tiny vocabulary
    by_ids = single.signatures["token_ids"](input_word_ids=ids, input_mask=ids * 0 + 1, input_type_ids=ids * 0)
    by_text = single.signatures["serving_default"](text=tf.constant([""]))
    np.testing.assert_allclose(by_text["probabilities"], by_ids["probabilities"], atol=1e-5)


def test_bytes_that_are_no_utf8_get_an_answer(single):
    answer = single.signatures["serving_default"](text=tf.constant([b"good \xff\xfe book"]))
    assert np.isfinite(answer["probabilities"]).all()


@pytest.mark.parametrize("shape", [[], [1, 1]])
def test_one_string_in_place_of_a_list_is_taken(exported_single, shape):
    # As in a client's process, where TensorFlow drops what changes no shape that the signature promises.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": True})
    try:
        serve = tf.saved_model.load(str(exported_single.path)).signatures["serving_default"]
        one = serve(text=tf.reshape(tf.constant(TEXTS[1]), shape))
        listed = serve(text=tf.constant([TEXTS[1]]))
    finally:
        keep_arithmetic()
    np.testing.assert_array_equal(one["probabilities"], listed["probabilities"])
    assert one["label"].numpy().tolist() == listed["label"].numpy().tolist()


def test_long_texts_are_cut(single):
    answers = single.signatures["serving_default"](text=tf.constant(["bad " * 10, "bad " * 10 + "good", "bad " * 9]))
    assert LENGTH == 12
    np.testing.assert_allclose(answers["probabilities"][0], answers["probabilities"][1], atol=1e-5)
    assert np.abs(answers["probabilities"][0] - answers["probabilities"][2]).max() > 1e-4


def test_pairs(pair, pair_model):
    second = TEXTS[1:] + TEXTS[:1]
    serve = pair.signatures["serving_default"]
    expected = probabilities(pair_model, TEXTS, second)
    check(serve(text=tf.constant(TEXTS), text_pair=tf.constant(second)), expected)
    swapped = serve(text=tf.constant(second), text_pair=tf.constant(TEXTS))
    assert np.abs(swapped["probabilities"] - expected).max() > 1e-3


def test_token_ids_with_padding(single, single_model):
    features = single_model.preprocessor(tf.constant(TEXTS), length=LENGTH + 4)
    check(single.signatures["token_ids"](**features), probabilities(single_model, TEXTS))


def test_embeddings(single, single_model):
    features = single_model.preprocessor(tf.constant(TEXTS))
    states = single_model.classifier(features, last_layer=True)["sequence_output"].numpy()
    mask = features["input_mask"].numpy()
    expected = [row[real == 1].mean(0) for row, real in zip(states, mask, strict=True)]
    answer = single.signatures["embeddings"](text=tf.constant(TEXTS))["embedding"]
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_ops(exported_single, exported_pair):
    for export in (exported_single, exported_pair):
        ops = list_ops(export.path)
        assert "FusedBatchNormV3" not in ops  # as this machine's kernels normalise rows, but not every server's
        foreign = {op for op in ops if not hasattr(tf.raw_ops, op)}
        assert foreign == {"NormalizeUTF8", "WordpieceTokenizeWithOffsets"} <= SERVED_TEXT_OPS


def test_assets(single, exported_single, single_model):
    assets = exported_single.path / "assets"
    assert (assets / "labels.txt").read_text(encoding="utf-8").splitlines() == list(LABELS)
    vocabulary = (assets / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert tuple(vocabulary) == single_model.preprocessor.vocabulary.tokens
    facts = json.loads((assets / "easymft.json").read_text(encoding="utf-8"))
    assert (facts["domain"], facts["labels"], facts["max_sequence_length"]) == ("books", list(LABELS), LENGTH)
    assert (facts["padding"], facts["embedding"]) == ("longest", "token_mean")
    signatures = {name: set(function.structured_outputs) for name, function in single.signatures.items()}
    assert {name: set(parts["outputs"]) for name, parts in facts["signatures"].items()} == signatures
    assert single.labels_file.asset_path.numpy().decode() == str(assets / "labels.txt")


def test_reports_what_it_measured(exported_single):
    assert exported_single.path.name == "3" and not exported_single.already_there
    assert 0.0 <= exported_single.largest_difference < 1e-5 and exported_single.load_seconds > 0.0
    assert exported_single.num_bytes > 150_000
    assert [entry.name for entry in exported_single.path.parent.iterdir()] == ["3"]


def test_the_same_export_is_left_as_it_is(exported_single, single_model):
    before = (exported_single.path / "saved_model.pb").stat()
    again = export_saved_model(exported_single.path.parent, 3, single_model)
    assert again.already_there and again.path == exported_single.path and again.num_bytes == exported_single.num_bytes
    assert (exported_single.path / "saved_model.pb").stat() == before


def test_another_export_is_not_overwritten(exported_single, single_model):
    other = dataclasses.replace(single_model, labels=("a", "b", "c"))
    with pytest.raises(ExportError, match=r"/3: version 3 holds another export; .* such as 4"):
        export_saved_model(exported_single.path.parent, 3, other)
    bias = single_model.classifier.head.bias
    bias.assign_add([0.0, 0.0, 0.5])
    try:
        with pytest.raises(ExportError, match="version 3 holds another export"):
            export_saved_model(exported_single.path.parent, 3, single_model)
    finally:
        bias.assign_sub([0.0, 0.0, 0.5])


def test_a_folder_of_something_else_is_not_overwritten(tmp_path, single_model):
    (tmp_path / "1").mkdir()
    (tmp_path / "7").mkdir()
    with pytest.raises(ExportError, match=r"/1: version 1 holds something that is no EasyMFT export; .* such as 8"):
        export_saved_model(tmp_path, 1, single_model)


def test_a_failed_check_leaves_nothing(tmp_path, single_model, monkeypatch):
    monkeypatch.setattr(self_check, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"/1: not written: signature serving_default: probabilities .* differs by"):
        export_saved_model(tmp_path, 1, single_model)
    assert list(tmp_path.iterdir()) == []


def test_says_where_it_cannot_write(tmp_path, single_model):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"file/1: cannot be written \("):
        export_saved_model(tmp_path / "file", 1, single_model)


def test_folders_can_be_read_by_others(exported_single):
    umask = os.umask(0)
    os.umask(umask)
    assert exported_single.path.stat().st_mode & 0o777 == 0o777 & ~umask


def test_a_moved_export_still_works(tmp_path, exported_single, single_model):
    moved = shutil.copytree(exported_single.path, tmp_path / "elsewhere")
    loaded = tf.saved_model.load(str(moved))
    check(loaded.signatures["serving_default"](text=tf.constant(TEXTS)), probabilities(single_model, TEXTS))
