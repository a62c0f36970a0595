"""--mode export on run folders made here, without training: the tiny BERT with a head of random values."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app_zoo.base import Application
from app_zoo.registry import resolve_application
from app_zoo.run_folder import part_folder
from easymft.config.loading import load_config
from easymft.config.schema import ModelConfig
from easymft.data.labels import LabelMap, save_maps
from easymft.errors import ConfigError, ExportError
from easymft.model_zoo.pretrained import load_pretrained, save_pretrained

TINY = Path(__file__).parent.parent / "golden" / "tiny_bert"
LABELS = ("no", "perhaps", "yes")
ROWS = [
    ("a good book", "it was not bad"),
    ("Żółć 東京", "the kitchen [SEP] works"),
    ("long " * 40, "never " * 30),
    ("we love it!", "?"),
]
SERVER = """
import json, sys
import tensorflow as tf
import tensorflow_text

signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
answer = signature(**{name: tf.constant(values) for name, values in json.loads(sys.argv[2]).items()})
json.dump([answer["label"].numpy().astype(str).tolist(), answer["probabilities"].numpy().tolist()], sys.stdout)
"""


def save_parts(folder, parts):
    """A model for each part, told apart by its head."""
    pretrained = load_pretrained(ModelConfig(weights=str(TINY)), seed=0)
    for number, part in enumerate(parts):
        generator = np.random.default_rng(number)
        save_pretrained(
            part_folder(folder, part) / "best",
            encoder=pretrained.encoder,
            config=pretrained.config,
            vocabulary=pretrained.vocabulary,
            head=(generator.normal(0, 2, [32, 3]).astype(np.float32), np.zeros(3, np.float32)),
            labels=list(LABELS),
        )


@pytest.fixture
def make_app(tmp_path):
    """A finished run with a model for each of `parts`, and an application to work on it, as a later command has it."""

    def make(parts=("",), pair=False, overrides=(), trained_with=()) -> Application:
        columns = {"text": "text", "label": "label"} | ({"text_pair": "text_pair"} if pair else {})
        columns |= {"domain": "domain"} if parts != ("",) else {}
        tree = {
            "application": "text_matching" if pair else "text_classification",
            "output_folder": str(tmp_path / "my run"),
            "data": {"columns": columns, "train_files": ["train.tsv"]},
            "model": {"weights": str(TINY)},
            "runtime": {"progress": False},
        }
        file = tmp_path / "config.json"
        file.write_text(json.dumps(tree))
        trained = load_config(file, ["data.max_sequence_length=16", *trained_with])
        run = resolve_application(trained.application)(trained).folder
        if not run.is_finished:
            run.claim(trained, "finetune", {})
            save_maps(run.path / "maps.json", LabelMap(LABELS), LabelMap(parts))
            save_parts(run.path, parts)
            run.finish(models=list(parts))
            run.release()
        later = load_config(file, overrides)
        return resolve_application(later.application)(later)

    return make


def serve(folder, **inputs):
    command = [sys.executable, "-c", SERVER, str(folder), json.dumps(inputs)]
    plain = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=plain)
    assert done.returncode == 0, done.stderr[-2000:]
    labels, probabilities = json.loads(done.stdout)
    return labels, np.array(probabilities)


@pytest.mark.filterwarnings("ignore:input files")  # some texts are cut, and some have words that are unknown
def test_a_fresh_process_serves_what_predict_says(make_app, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text, "text_pair": pair}) + "\n" for text, pair in ROWS))
    predict = [f'prediction.input_files=["{rows}"]', f'prediction.output_file="{tmp_path / "out.jsonl"}"']
    app = make_app(pair=True, overrides=[*predict, "runtime.precision=float32"])
    app.run("predict")
    app.run("export")
    predicted = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    texts, pairs = (list(column) for column in zip(*ROWS, strict=True))
    labels, probabilities = serve(tmp_path / "my run" / "saved_model" / "1", text=texts, text_pair=pairs)
    assert labels == [row["predicted_label"] for row in predicted]
    expected = [[row[f"probability_{label}"] for label in LABELS] for row in predicted]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 0.05


def metadata(folder):
    return json.loads((folder / "assets" / "easymft.json").read_text(encoding="utf-8"))


def test_a_model_for_each_domain(make_app, tmp_path, capsys):
    overrides = [f'export.folder="{tmp_path / "models"}"', "export.version=4", "export.embeddings_signature=true"]
    make_app(("books", "a/b"), overrides=overrides, trained_with=["data.padding=max_length"]).run("export")
    described = {name: metadata(tmp_path / "models" / name / "4") for name in ("books", "a%2Fb")}
    assert [facts["domain"] for facts in described.values()] == ["books", "a/b"]
    assert len({facts["model_sha256"] for facts in described.values()}) == 2
    for facts in described.values():
        assert facts["max_sequence_length"] == facts["padding"] == 16 and "embeddings" in facts["signatures"]
    listed = (tmp_path / "models" / "models.config").read_text()
    assert 'name: "a_b" base_path: "/models/my_run/a%2Fb"' in listed
    printed = capsys.readouterr().out
    assert "models: books, a/b as a_b\n" in printed and "--model_config_file=/models/my_run/models.config" in printed
    assert "/v1/models/books:predict" in printed and '"signature_name": "embeddings"' in printed


def test_says_where_it_is_and_how_to_serve_it(make_app, tmp_path, capsys):
    make_app().run("export")
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / "my run" / "saved_model"
    assert lines[0].startswith(f"SavedModel: {folder / '1'}: ")
    docker, curl = (shlex.split(line.split(":", 1)[1]) for line in lines[1:])
    assert f"{folder}:/models/my_run" in docker and "MODEL_NAME=my_run" in docker
    assert json.loads(curl[2])["instances"][0].keys() == {"text"} and curl[-1].endswith("/v1/models/my_run:predict")
    assert metadata(folder / "1")["padding"] == "longest" and not (folder / "models.config").exists()


def test_again_is_fine_and_another_export_is_kept(make_app, capsys):
    make_app().run("export")
    make_app().run("export")
    assert "already exported: " in capsys.readouterr().out
    changed = make_app(overrides=["export.embeddings_signature=true"])
    for dry_run in (True, False):
        with pytest.raises(ExportError, match=r"saved_model/1: version 1 holds another export; .* such as 2"):
            changed.run("export", dry_run=dry_run)


def test_dry_run_leaves_nothing(make_app, tmp_path, capsys):
    make_app().run("export", dry_run=True)
    assert not (tmp_path / "my run" / "saved_model").exists()
    assert "dry run of --mode export" in capsys.readouterr().out


def test_mixed_precision_is_not_exported(make_app, tmp_path, capsys):
    make_app(overrides=["runtime.precision=mixed_bfloat16"]).run("export")
    assert "the SavedModel computes in float32" in capsys.readouterr().out
    assert (tmp_path / "my run" / "saved_model" / "1").is_dir()


def test_needs_a_finished_run(make_app, tmp_path):
    app = make_app()
    (tmp_path / "my run" / "run.json").write_text('{"mode": "finetune", "finished": false}')
    with pytest.raises(ConfigError, match="expected a finished run of --mode meta_tune or finetune"):
        app.run("export")
