import json
import os

import pytest

from app_zoo.run_folder import RunFolder, check_writable, part_folder
from easymft.config.presets import resolve_presets
from easymft.config.schema import ExperimentConfig
from easymft.errors import ConfigError
from easymft.files import part_name

INPUTS = {"data.train_files": "11", "data.dev_files": "22"}


@pytest.fixture
def make_config(tmp_path):
    """A config whose output is tmp_path/run; settings are {"section.key": value}."""

    def make(**settings) -> ExperimentConfig:
        config = ExperimentConfig(output_folder=str(tmp_path / "run"))
        for path, value in settings.items():
            *sections, key = path.split(".")
            node = config
            for section in sections:
                node = getattr(node, section)
            setattr(node, key, value)
        return resolve_presets(config)

    return make


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_a_run_from_its_claim_to_its_end(folder, make_config):
    config = make_config()
    assert folder.check(config, "finetune", INPUTS) is False and not folder.path.exists()
    assert folder.status() is None and not folder.is_finished
    folder.claim(config, "finetune", INPUTS)
    assert folder.status() == {"mode": "finetune", "finished": False, "inputs": INPUTS}
    assert folder.check(config, "finetune", INPUTS) is False
    with pytest.raises(ConfigError, match="a run of --mode finetune, finished: False"):
        folder.read_config()
    folder.finish(models=["a", "b"])
    assert folder.check(config, "finetune", INPUTS) is True
    assert folder.status() == {"mode": "finetune", "finished": True, "inputs": INPUTS, "models": ["a", "b"]}
    assert folder.read_config() == config
    saved = json.loads((folder.path / "config.json").read_text())
    del saved["sha256"]
    saved["experiment"]["methods"] = ["of an earlier version"]
    (folder.path / "config.json").write_text(json.dumps(saved))
    assert folder.read_config() == config
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", "config.json", "run.json"]


@pytest.mark.parametrize("mode", ["typicality", None])
def test_only_training_runs_can_be_worked_on(folder, make_config, mode):
    if mode:
        folder.claim(make_config(), mode, INPUTS)
        folder.finish()
    found = f"a run of --mode {mode}, finished: True" if mode else "found no"
    with pytest.raises(ConfigError, match=f"expected a finished run of --mode meta_tune or finetune in .*{found}"):
        folder.read_config()


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"train.epochs": 7}, "train.epochs: 2 there, 7 here"),
        ({"mft.typicality.alpha": 0.7}, "mft.typicality.alpha: 0.5 there, 0.7 here"),
        ({"data.columns.text": "review"}, "data.columns.text: 'text' there, 'review' here"),
        ({"data.train_files": ["b.tsv"]}, r"data.train_files: \[\] there, \['b.tsv'\] here"),
        ({"runtime.seed": 1}, "runtime.seed: 42 there, 1 here"),
        ({"application": "text_matching"}, "application: 'text_classification' there"),
    ],
)
def test_another_run_is_refused(folder, make_config, settings, shown):
    folder.claim(make_config(), "meta_tune", INPUTS)
    with pytest.raises(ConfigError, match=f"holds another run .*{shown}.*runtime.overwrite"):
        folder.check(make_config(**settings), "meta_tune", INPUTS)


@pytest.mark.parametrize(
    "settings",
    [
        {"about.result": "0.9"},
        {"evaluation.batch_size": 7},
        {"prediction.chunk_size": 7},
        {"runtime.progress": False},
        {"data.test_files": ["test.tsv"]},
        {"train.checkpoint_every_steps": 7},
    ],
)
def test_what_is_not_computed_may_change(folder, make_config, settings):
    folder.claim(make_config(), "meta_tune", INPUTS)
    folder.finish(models=[""])
    assert folder.check(make_config(**settings), "meta_tune", INPUTS) is True


@pytest.mark.parametrize("finished", [False, True])
def test_other_contents_are_another_run(folder, make_config, finished):
    folder.claim(make_config(), "meta_tune", INPUTS)
    if finished:
        folder.finish(models=[""])
    other = INPUTS | {"data.dev_files": "33"}
    with pytest.raises(ConfigError, match="holds a run on other contents of data.dev_files; choose another folder or"):
        folder.check(make_config(), "meta_tune", other)
    assert folder.check(make_config(**{"runtime.overwrite": True}), "meta_tune", other) is False
    folder.claim(make_config(**{"runtime.overwrite": True}), "meta_tune", other)
    assert folder.check(make_config(), "meta_tune", other) is False
    assert RunFolder(f"{folder.path}.old").status()["inputs"] == INPUTS


def test_a_run_without_digests_is_of_other_contents(folder, make_config):
    """As runs were recorded before there were digests."""
    folder.claim(make_config(), "meta_tune", INPUTS)
    status = {key: value for key, value in folder.status().items() if key != "inputs"}
    (folder.path / "run.json").write_text(json.dumps(status))
    with pytest.raises(ConfigError, match="holds a run on other contents of data.train_files, data.dev_files;"):
        folder.check(make_config(), "meta_tune", INPUTS)


def test_another_mode_and_other_things_are_refused(folder, make_config):
    folder.path.mkdir()
    (folder.path / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="is not empty and is not an EasyMFT run"):
        folder.check(make_config(), "meta_tune", INPUTS)
    (folder.path / "thesis.tex").unlink()
    folder.claim(make_config(), "meta_tune", INPUTS)
    with pytest.raises(ConfigError, match="holds a run of --mode meta_tune, received --mode finetune"):
        folder.check(make_config(), "finetune", INPUTS)


def test_what_is_written_before_the_run_is_not_in_the_way(folder, make_config):
    (folder.path / "cache").mkdir(parents=True)
    left = (".part.17.4711.validation.json", ".part.17.4711.run.json")
    for name in ("validation.json", "skipped_rows_train.tsv", *left):
        (folder.path / name).write_text("")
    assert folder.check(make_config(), "meta_tune", INPUTS) is False
    folder.claim(make_config(), "meta_tune", INPUTS)
    assert folder.status()["mode"] == "meta_tune" and (folder.path / "cache").is_dir()


def test_stopped_in_the_midst_of_the_claim(folder, make_config):
    """The config is written last; without it nothing was computed that could be of another run."""
    folder.claim(make_config(), "meta_tune", INPUTS)
    (folder.path / "config.json").unlink()
    config = make_config(**{"train.epochs": 3})
    assert folder.check(config, "meta_tune", INPUTS) is False
    folder.claim(config, "meta_tune", INPUTS)
    assert json.loads((folder.path / "config.json").read_text())["train"]["epochs"] == 3


def test_an_interrupted_run_goes_on_only_if_asked(folder, make_config):
    folder.claim(make_config(), "meta_tune", INPUTS)
    (folder.path / "resume").mkdir()
    with pytest.raises(ConfigError, match="interrupted run and runtime.resume is false"):
        folder.check(make_config(**{"runtime.resume": False}), "meta_tune", INPUTS)
    folder.claim(make_config(), "meta_tune", INPUTS)
    assert (folder.path / "resume").is_dir()


def test_overwrite_keeps_the_old_run(folder, make_config, tmp_path):
    folder.claim(make_config(), "meta_tune", INPUTS)
    folder.finish(models=[""])
    (folder.path / "best").mkdir()
    other = make_config(**{"runtime.overwrite": True, "train.epochs": 3})
    assert folder.check(other, "finetune", INPUTS) is False
    assert (folder.path / "best").exists()  # until the new run begins
    folder.claim(other, "finetune", INPUTS)
    assert folder.status() == {"mode": "finetune", "finished": False, "inputs": INPUTS}
    assert RunFolder(tmp_path / "run.old").status()["mode"] == "meta_tune"
    assert (tmp_path / "run.old" / "best").is_dir() and not (folder.path / "best").exists()
    folder.finish(models=[""])
    with pytest.raises(ConfigError, match="run.old is in the way"):
        folder.check(make_config(**{"runtime.overwrite": True}), "finetune", INPUTS)


def test_places_that_cannot_be_written(folder, make_config, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file/deep/x: .*file is a file, expected a folder"):
        check_writable("prediction.output_file", tmp_path / "file" / "deep" / "x")
    check_writable("prediction.output_file", tmp_path / "file")
    check_writable("prediction.output_file", tmp_path / "new" / "x")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(os, "access", lambda place, mode: False)  # root may do anything
    with pytest.raises(ConfigError, match=f"^output_folder: cannot write to .*run: no permission for {tmp_path}$"):
        folder.check(make_config(), "meta_tune", INPUTS)


@pytest.mark.parametrize(
    "names",
    [["a/b", "a%2Fb", "a"], ["..", ".", "%2E", "x..y"], ["best", "cache", "Best", "ü", " "], ["日" * 40, "日" * 41]],
)
def test_every_domain_has_a_folder_of_its_own(tmp_path, names):
    folders = [part_folder(tmp_path, name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        folder.mkdir()
        assert folder.resolve().parent == tmp_path.resolve()
    assert {"best", "last", "cache", "resume"}.isdisjoint(folder.name for folder in folders)
    assert part_folder(tmp_path, "") == tmp_path


def test_a_folder_is_of_one_process_until_it_is_released(folder, make_config):
    config = make_config()
    folder.claim(config, "finetune", INPUTS)
    folder.claim(config, "finetune", INPUTS)  # its own
    other = RunFolder(folder.path)
    begun = (folder.path / "run.json").stat().st_mtime_ns
    for settings in ({}, {"runtime.overwrite": True, "train.epochs": 9}):
        with pytest.raises(ConfigError, match="another process is writing to"):
            other.claim(make_config(**settings), "finetune", INPUTS)
    assert (folder.path / "run.json").stat().st_mtime_ns == begun
    folder.release()
    other.claim(config, "finetune", INPUTS)


def test_an_experiment_is_of_many(folder, make_config):
    folder.claim(make_config(), "experiment", INPUTS)
    RunFolder(folder.path).claim(make_config(), "experiment", INPUTS)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="is a folder, expected the name of a file"):
        check_writable("evaluation.metrics_file", tmp_path, file=True)
    check_writable("evaluation.metrics_file", tmp_path / "new.json", file=True)


def test_the_current_folder_is_not_moved_away(tmp_path, monkeypatch, make_config):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("kept")
    config = make_config(**{"runtime.overwrite": True})
    with pytest.raises(ConfigError, match="name another one"):
        RunFolder(".").check(config, "finetune", INPUTS)


def test_a_run_that_another_process_finished_meanwhile(folder, make_config):
    other = RunFolder(folder.path)
    assert folder.check(make_config(), "finetune", INPUTS) is False
    other.claim(make_config(), "finetune", INPUTS)
    other.finish(models=[""])
    other.release()
    with pytest.raises(ConfigError, match="another process has finished the run in .* meanwhile"):
        folder.claim(make_config(), "finetune", INPUTS)


def test_a_claim_removes_what_a_dead_process_left(folder, make_config, tmp_path):
    """Wherever it is, in the run and in a cache elsewhere; what others write stays."""
    config = make_config(**{"data.cache_folder": str(tmp_path / "cache")})
    folder.claim(config, "finetune", INPUTS)
    dead = part_name(tmp_path / "x").name.split(".")
    dead[4] = "17"  # long before this process began
    places = [folder.path / "book" / "best", folder.path / "resume", tmp_path / "cache"]
    for place in places:
        (place / ".".join(dead)).mkdir(parents=True)
        part_name(place / "y").write_text("of this process")
    folder.claim(config, "finetune", INPUTS)
    assert [len(list(place.iterdir())) for place in places] == [1, 1, 1]
    assert not any((place / ".".join(dead)).exists() for place in places)
