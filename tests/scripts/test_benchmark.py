"""The benchmark's measurements on tiny weights, and its table; no time is asserted."""

import argparse
import contextlib
import json
import time
import types
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


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Of prediction, so that a few rows are several."""
    monkeypatch.setattr(benchmark_easymft, "PREDICT_BATCH", 8)


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

    for measure in (benchmark_easymft.predict, benchmark_easymft.score):
        measure(make_app(*overrides), 40, 2, ablations, report := benchmark_tokens.Report())
        report.print("versions")
        assert json.loads(capsys.readouterr().out)["rate"] > 0


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


def test_batches_without_length_grouping(make_app):
    app, tokens = make_app(), types.SimpleNamespace(lengths=np.arange(1, 129))
    spreads = []
    for ablations in ([], ["length_grouping"], ["short_rows"]):
        batches = benchmark_easymft.plan(app, tokens, 8, 4, ablations)
        spreads.append(np.mean([np.ptp(tokens.lengths[batch]) for batch in batches]))
    assert spreads[0] == 7 and min(spreads[1:]) > 50


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
    assert [len(batch) for batch in plain] == [2, 2, 2, 1] and len(set(np.concatenate(plain))) == 7
    grouped = benchmark_tokens.plan_batches(lengths, 2, grouped=True)
    assert sorted(sorted(lengths[batch].tolist()) for batch in grouped) == [[1], [2, 3], [5, 7], [8, 9]]
    tokens = {"ids": np.arange(1, 7), "types": np.array([0, 0, 1, 0, 0, 0]), "lengths": np.array([3, 1, 2])}
    padded = benchmark_tokens.pad(tokens, np.array([2, 0]), None, np.int32)
    assert padded["ids"].tolist() == [[5, 6, 0], [1, 2, 3]]
    assert padded["types"].tolist() == [[0, 0, 0], [0, 0, 1]]
    assert padded["mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert benchmark_tokens.pad(tokens, np.array([1]), 4, np.int32)["mask"].tolist() == [[1, 0, 0, 0]]


def test_timed_batches_are_of_the_same_rows():
    """Whether they are grouped by length or not, and of all lengths, so that as many tokens are computed."""
    lengths = np.random.default_rng(1).integers(5, 129, 1605)
    found = []
    for seed in range(10):
        plain, grouped = (benchmark_tokens.plan_steps(lengths, 32, both, 12, seed) for both in (False, True))
        for batches in (plain, grouped):
            assert len(batches) == 15 and {len(batch) for batch in batches} == {32}
            assert len(set(np.concatenate(batches))) == 15 * 32
        for part in (slice(0, 3), slice(3, 15)):
            assert set(np.concatenate(plain[part])) == set(np.concatenate(grouped[part]))
        assert np.mean([np.ptp(lengths[batch]) for batch in grouped[3:]]) < 5 and np.ptp(lengths[plain[3]]) > 60
        found.append(lengths[np.concatenate(grouped[3:])].mean() / lengths.mean())
    assert 0.9 < min(found) and max(found) < 1.1 and len(set(found)) == 10
    few = benchmark_tokens.plan_steps(lengths[:200], 32, True, 12, 0)
    assert len(few) == 6 and len(benchmark_tokens.plan_steps(lengths[:70], 32, False, 12, 0)) == 2


def test_a_python_that_is_not_there(tmp_path):
    arguments = argparse.Namespace(peer_python=str(tmp_path / "python"), keras_python="python")
    with pytest.raises(SystemExit, match="no such program, expected a Python that has torch, transformers"):
        benchmark.find_programs(arguments)


def test_a_peer_that_fails_is_left_out(tmp_path, monkeypatch, capsys):
    def run(python, program, words):
        asked.append((program, words[1]))
        if program == "keras_hub" and "--best" in words and words[1] == "predict":
            raise benchmark.WorkerError("no memory")
        return {"rate": 1.0}

    asked, found = [], {}
    monkeypatch.setattr(benchmark, "run_worker", run)
    monkeypatch.setattr(benchmark.Measurements, "__init__", lambda self: None)
    monkeypatch.setattr(benchmark.Measurements, "words", lambda self, program, mode, turn: ["--mode", mode])
    setup = benchmark.Measurements()
    setup._arguments = argparse.Namespace(ablation=False, modes=["train", "predict"])
    setup._config, setup._failed = "config", set()
    for turn in range(2):
        setup.measure(found, {"easymft": "python", "keras_hub": "python"}, turn)
    assert "KerasHub, mixed_bfloat16, padded to the maximum is left out: no memory" in capsys.readouterr().out
    names = ["EasyMFT", "EasyMFT, float32", "KerasHub, float32, padded to the maximum"]
    assert {mode: {name: len(results) for name, results in by.items()} for mode, by in found.items()} == {
        mode: dict.fromkeys(names, 2) for mode in ("train", "predict")
    }
    first = [program for program, mode in asked if mode == "train"]
    assert first[:2] == ["easymft", "easymft"] and first[4:] == ["keras_hub", "easymft", "easymft"]


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
    assert theirs[theirs.index("--batch_size") + 1] == "32"
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
