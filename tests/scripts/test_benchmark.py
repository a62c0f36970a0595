"""The benchmark's measurements on tiny weights, and its table; no time is asserted."""

import numpy as np
import pytest

from app_zoo.base import Application
from app_zoo.registry import resolve_application
from easymft.config.loading import load_config
from scripts import benchmark, benchmark_easymft


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


@pytest.mark.parametrize("model_garden", [False, True])
def test_measures_training_and_prediction(make_app, model_garden):
    overrides = benchmark_easymft.MODEL_GARDEN if model_garden else []
    done, seconds = benchmark_easymft.train(make_app(*overrides), 40, 2, model_garden)
    assert done == 16 and seconds > 0
    done, seconds = benchmark_easymft.predict(make_app(*overrides), 40, 2, model_garden)
    assert done == 0 and seconds > 0  # all 40 rows are one batch, which is warm-up


def test_tokens_for_the_peers(make_app, tmp_path):
    benchmark_easymft.export_tokens(make_app(), tmp_path / "tokens.npz", 6)
    found = np.load(tmp_path / "tokens.npz")
    assert len(found["lengths"]) == len(found["labels"]) == 6
    assert len(found["ids"]) == len(found["types"]) == found["lengths"].sum()


def test_table():
    rates = {"EasyMFT": (20.0, 30.0, 40.0), "other": (10.0, 10.0, 10.0)}
    by_subject = {
        name: [{"rate": rate, "peak_mib": 100.0 + number} for number, rate in enumerate(some)]
        for name, some in rates.items()
    }
    lines = benchmark.render({"train": by_subject}, "title")
    assert "| EasyMFT | 30.0 (20.0 to 40.0) | 1.00 (1.00 to 1.00) | 102 |" in lines
    assert "| other | 10.0 (10.0 to 10.0) | 3.00 (2.00 to 4.00) | 102 |" in lines
