"""The benchmark's measurements on tiny weights, and its table; no time is asserted."""

import argparse
import contextlib
import json
import time
from pathlib import Path
from unittest import mock

import benchmark
import benchmark_easymft
import benchmark_tokens
import numpy as np
import pytest
import tensorflow as tf

from app_zoo.base import Application
from app_zoo.registry import resolve_application
from easymft.config.loading import load_config
from easymft.data.batching import make_dataset
from easymft.modeling import fast_encoder, fast_ops
from easymft.training import inference


@pytest.fixture
def make_app(tmp_path):
    def make(*overrides) -> Application:
        rows = [f"it was {word} {number}\t{domain}\t{label}" for number in range(10) for domain in ("inn", "bar", "spa")
                for word, label in (("good", "pos"), ("bad", "neg"))]  # fmt: skip
        (tmp_path / "train.tsv").write_text("text\tdomain\tlabel\n" + "".join(f"{row}\n" for row in rows))
        config = {
            "output_folder": str(tmp_path / "run"),
            "data.train_files": f'["{tmp_path / "train.tsv"}"]',
            "data.columns": '{"text": "text", "domain": "domain", "label": "label"}',
            "model.weights": "tests/golden/tiny_bert",
            "train.global_batch_size": "8",
            "data.max_sequence_length": "16",
            "mft.layers": "[0]",
            "runtime.progress": "false",
        }
        (tmp_path / "config.json").write_text('{"output_folder": "x"}')
        words = [f"{key}={value}" for key, value in config.items()]
        loaded = load_config(tmp_path / "config.json", [*words, *overrides], mode="meta_tune")
        return resolve_application(loaded.application)(loaded)

    return make


@pytest.fixture
def report(monkeypatch):
    monkeypatch.setenv("BENCHMARK_STARTED", str(time.time()))
    return benchmark_tokens.Report()


@pytest.mark.parametrize(
    "ablations",
    [[], [*benchmark_easymft.PATCHES, "bfloat16"], [*benchmark.ALL_TRICKS]],
)
def test_measures_training_and_prediction(make_app, report, capsys, ablations):
    overrides = [override for name in ablations for override in benchmark_easymft.OVERRIDES.get(name, [])]
    benchmark_easymft.train(make_app(*overrides), 40, 2, ablations, report)
    report.print("versions")
    train = json.loads(capsys.readouterr().out)
    assert train["rate"] > 0 and 0 < train["first_step"] < train["seconds"]

    benchmark_easymft.predict(make_app(*overrides), 40, 2, ablations, report := benchmark_tokens.Report())
    report.print("versions")
    assert "rate" not in json.loads(capsys.readouterr().out)  # all 40 rows are one batch, which is warm-up


def test_ablations_are_of_what_the_code_calls(make_app, report):
    called = []
    names = benchmark_easymft.PATCHES
    patches = {name: (lambda name=name: called.append(name) or contextlib.nullcontext()) for name in names}
    with mock.patch.object(benchmark_easymft, "PATCHES", patches):
        benchmark_easymft.train(make_app(), 40, 1, ["byte_dropout"], report)
    assert called == ["byte_dropout"]

    def patched():
        training = tf.custom_gradient, fast_ops.Dropout.mask, fast_encoder.GELU_SCALE, fast_ops._sum_of_rows
        encoder = fast_encoder.FastBertEncoder.call, fast_encoder.gelu, fast_ops.normalizes_in_one
        return *training, *encoder, inference.IN_FLIGHT

    before = patched()
    with benchmark_easymft.patched(list(names)):
        assert not any(one is other for one, other in zip(patched(), before, strict=True))
    assert patched() == before


@pytest.mark.parametrize("ablation", ["first_token_alone", "one_op_normalization", "fused_gelu", "batches_in_flight"])
def test_predictions_without_a_trick_are_the_same(make_app, ablation):
    app = make_app("runtime.precision=float32")
    tokens, _, classifier = benchmark_easymft.prepare(app, 40, [])
    dataset = make_dataset(tokens, [np.arange(20), np.arange(20, 40)], padded_length=None)

    def predict():
        batches = inference.BatchInference(classifier, ["logits"], app.strategy)(dataset)
        return np.concatenate([outputs["logits"] for _, outputs in batches])

    expected = predict()
    with benchmark_easymft.patched([ablation]):
        found = predict()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sums_of_copied_rows_are_the_same():
    rows = tf.cast(tf.random.stateless_normal([50, 3], [1, 2]), tf.bfloat16)
    found, expected = benchmark_easymft.sum_of_copied_rows(rows), fast_ops._sum_of_rows(rows)
    assert found.dtype == expected.dtype == tf.float32
    np.testing.assert_allclose(found, expected, rtol=2**-7, atol=1e-2)


def test_dropout_of_floats_keeps_the_same_share():
    dropout = fast_ops.Dropout(0.25, tf.constant([1, 2]))
    masks = [benchmark_easymft.mask_of_floats(dropout, tf.constant([400, 50]), tf.float32) for _ in range(2)]
    assert float(tf.reduce_mean(masks[0])) == pytest.approx(0.75, abs=0.02)
    assert not bool(tf.reduce_all(masks[0] == masks[1]))


def test_rate_counts_from_the_end_of_the_warm_up(report, monkeypatch, capsys):
    seconds = iter([10.0, 12.0, 14.0])
    monkeypatch.setattr(benchmark_tokens.time, "perf_counter", lambda: next(seconds))
    report.run([np.arange(size) for size in (7, 7, 7, 5, 3)], lambda batch: None)
    report.print("versions")
    assert json.loads(capsys.readouterr().out)["rate"] == (5 + 3) / (14 - 10)


def test_batches_for_the_peers():
    lengths = np.array([3, 9, 1, 5, 7, 2, 8])
    plain = benchmark_tokens.plan_batches(lengths, 2, grouped=False)
    assert len(plain) == 3 and len(set(np.concatenate(plain))) == 6
    grouped = benchmark_tokens.plan_batches(lengths, 2, grouped=True)
    assert sorted(sorted(lengths[batch].tolist()) for batch in grouped) == [[2, 3], [5, 7], [8, 9]]
    tokens = {"ids": np.arange(1, 7), "types": np.array([0, 0, 1, 0, 0, 0]), "lengths": np.array([3, 1, 2])}
    padded = benchmark_tokens.pad(tokens, np.array([2, 0]), None, np.int32)
    assert padded["ids"].tolist() == [[5, 6, 0], [1, 2, 3]]
    assert padded["types"].tolist() == [[0, 0, 0], [0, 0, 1]]
    assert padded["mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert benchmark_tokens.pad(tokens, np.array([1]), 4, np.int32)["mask"].tolist() == [[1, 0, 0, 0]]


def test_whole_runs_are_of_the_same_rows(tmp_path):
    cells = [f"{domain}\t{label}" for domain in "ab" for label in "xy"]
    rows = [f"premise {number}\thypothesis\t{cell}" for number in range(3) for cell in cells]
    (tmp_path / "train.tsv").write_text("".join(f"{row}\n" for row in rows))
    config = {
        "application": "text_matching",
        "output_folder": "x",
        "data": {
            "train_files": [str(tmp_path / "train.tsv")],
            "dev_files": [str(tmp_path / "train.tsv")],
            "columns": {"text": 0, "text_pair": 1, "domain": 2, "label": 3},
        },
        "model": {"weights": "tests/golden/tiny_bert"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    arguments = argparse.Namespace(
        modes=["run"], rows=5, steps=1, rows_per_cell=2, dev_rows=3, epochs=4, learning_rate=1e-4, ablation=False
    )
    setup = benchmark.Measurements(arguments, str(tmp_path / "config.json"), tmp_path / "scratch")
    assert setup.run_rows == 2 * 4 * 4
    theirs = setup.words("transformers", "run", 1)
    assert theirs[theirs.index("--columns") + 1 :][:3] == ["0", "1", "3"]
    train_file = theirs[theirs.index("--train_file") + 1]
    ours = setup.words("easymft", "run", 1)
    assert f"data.train_files={json.dumps([train_file])}" in ours and "runtime.seed=1" in ours
    assert len(Path(train_file).read_text().splitlines()) == 8
    assert len(Path(theirs[theirs.index("--dev_file") + 1]).read_text().splitlines()) == 3
    assert ours != setup.words("easymft", "run", 1)  # a folder of its own, or the run would be found finished


def test_tokens_for_the_peers(make_app, tmp_path):
    benchmark_easymft.export_tokens(make_app(), tmp_path / "tokens.npz", 6)
    found = np.load(tmp_path / "tokens.npz")
    assert len(found["lengths"]) == len(found["labels"]) == 6
    assert len(found["ids"]) == len(found["types"]) == found["lengths"].sum()


def test_table():
    rates = {"EasyMFT": (20.0, 30.0, 40.0), "other": (10.0, 10.0, 10.0)}
    by_subject = {
        name: [{"rate": rate, "seconds": 9.0, "peak_mib": 100.0 + number} for number, rate in enumerate(some)]
        for name, some in rates.items()
    }
    lines = benchmark.render({"train": by_subject}, "title")
    assert "| train | examples/s | EasyMFT is faster by | peak memory, MiB |" in lines
    assert "| EasyMFT | 30.0 (20.0 to 40.0) | 1.00 (1.00 to 1.00) | 102 |" in lines
    assert "| other | 10.0 (10.0 to 10.0) | 3.00 (2.00 to 4.00) | 102 |" in lines
    for results in by_subject.values():
        for number, result in enumerate(results):
            result["accuracy"] = 0.5 + number / 4
    lines = benchmark.render({"run": by_subject}, "title")
    assert "| run | examples/s | EasyMFT is faster by | seconds in all | dev accuracy | peak memory, MiB |" in lines
    assert lines[-2].endswith("| 3.00 (2.00 to 4.00) | 9 (9 to 9) | 0.7500 (0.5000 to 1.0000) | 102 |")
