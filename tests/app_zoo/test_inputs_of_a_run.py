"""Weights that are another run's, or a name's of the hub, as what a run is made from."""

import json

import pytest

from app_zoo import base
from app_zoo.base import Application
from app_zoo.run_folder import RunFolder
from easymft.config.schema import ExperimentConfig, ModelConfig
from easymft.errors import CheckpointError
from easymft.model_zoo.locate import Location


def inputs_of(folder, weights):
    config = ExperimentConfig(output_folder=str(folder / "run"), model=ModelConfig(weights=str(weights)))
    return Application(config).inputs


def copy_run(folder, tiny, part="", finished=False):
    best = folder / part / "best"
    best.mkdir(parents=True)
    for file in tiny.iterdir():
        (best / file.name).write_bytes(file.read_bytes())
    (folder / "run.json").write_text(json.dumps({"mode": "meta_tune", "finished": finished, "models": [""]}))


@pytest.mark.parametrize("part", ["", "books"])
def test_a_run_under_way_has_no_weights_for_others(tmp_path, part):
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    (tiny / "config.json").write_text("{}")
    copy_run(tmp_path / "mft", tiny, part)
    weights = tmp_path / "mft" / part
    with pytest.raises(CheckpointError, match=f"^model.weights: the run in {tmp_path}/mft is not finished; let it"):
        inputs_of(tmp_path, weights)
    asked_for = inputs_of(tmp_path, weights / "best")
    (tmp_path / "mft" / "run.json").write_text(json.dumps({"mode": "meta_tune", "finished": True, "models": [""]}))
    assert RunFolder(tmp_path / "mft").is_finished
    assert inputs_of(tmp_path, weights) == asked_for


def test_weights_of_the_hub_are_known_by_their_revision(tmp_path, monkeypatch):
    for revision in ("3a1f", "9c2e"):
        found = Location("huggingface", tmp_path / "snapshots" / revision, None, "the hub's")
        monkeypatch.setattr(base, "locate_weights", lambda weights, weights_format, found=found: found)
        assert inputs_of(tmp_path, "owner/model") == {"model.weights": f"revision {revision}"}
    assert inputs_of(tmp_path, "all-minilm-l6-v2") == {}, "its digest is checked when it is loaded"
