import json
import shlex
from pathlib import Path

import pytest

from app_zoo.main import main
from app_zoo.sample import write_sample
from easymft.config.loading import load_config
from easymft.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "configs"
CONFIGS = {path.name: path for path in (SHIPPED / "sample").glob("*.json")}
CONFIGS["experiment.json"] = SHIPPED / "experiments" / "sample.json"
TABLES = ("train.tsv", "dev.tsv", "test.tsv")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_tables_and_schema_are_those_that_are_shipped(here):
    write_sample(Path("new/mine"))
    written = contents(here / "new/mine")
    assert set(written) == {"schema.json", *TABLES, *CONFIGS}
    assert written["schema.json"] == (SHIPPED / "schema.json").read_bytes()
    assert all(written[name] == (SHIPPED / "sample" / name).read_bytes() for name in TABLES)


@pytest.mark.parametrize("folder", ["mine", "my sample", ".", "{here}/mine"])
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_configs_are_the_shipped_ones_with_their_paths_moved(here, folder, name):
    folder = Path(folder.format(here=here))
    write_sample(folder)
    path = folder / name
    text = CONFIGS[name].read_text(encoding="utf-8")
    for shipped, moved in (
        ("runs/experiments/sample", folder / "runs/experiment"),
        ("configs/experiments/sample.json", path),
        ("configs/sample", folder),
        ("runs/sample", folder / "runs"),
    ):
        text = text.replace(shipped, str(moved))
    expected = json.loads(text.replace("./", ""))
    easymft, mode_flag, mode, config_flag, *_ = expected["about"]["command"].split()
    expected["about"]["command"] = shlex.join([easymft, mode_flag, mode, config_flag, str(path)])
    written = json.loads(path.read_text(encoding="utf-8"))
    assert (path.parent / written.pop("$schema")).resolve() == (folder / "schema.json").resolve()
    assert written == expected
    config = load_config(path, mode=mode)
    data = config.data
    named = [*data.train_files, *data.dev_files, *data.test_files, *config.prediction.input_files]
    assert all(Path(file).is_file() for file in named)
    assert named or mode == "export"


def test_says_what_it_wrote_and_what_comes_next(here, capsys):
    said = write_sample(Path("my sample"))
    assert said.startswith("Written to my sample:\n  tables   dev.tsv, test.tsv, train.tsv\n  configs  schema.json, ")
    commands = [line.strip() for line in said.splitlines() if line.startswith("  easymft")]
    assert [line.split()[2] for line in commands] == ["validate", "meta_tune"]
    words = shlex.split(commands[1])[1:]
    assert words[-1] == "my sample/meta_tune.json" and main([*words, "--dump_config"]) == 0
    assert json.loads(capsys.readouterr().out)["output_folder"] == "my sample/runs/meta_tune"


def test_finishes_what_was_broken_off_and_leaves_the_users_own_files(here):
    write_sample(Path("mine"))
    before = contents(here / "mine")
    (here / "mine/test.tsv").unlink()
    (here / "mine/notes.txt").write_text("mine")
    write_sample(Path("mine"))
    assert contents(here / "mine") == before | {"notes.txt": b"mine"}


def test_writes_nothing_over_other_files(here):
    (here / "mine").mkdir()
    for name in ("meta_tune.json", "train.tsv"):
        (here / "mine" / name).write_text("mine")
    with pytest.raises(ConfigError) as error:
        write_sample(Path("mine"))
    expected = "mine: holds meta_tune.json, train.tsv with other content; nothing was written; "
    assert str(error.value) == f"{expected}move it away or name another folder"
    assert contents(here / "mine") == {"meta_tune.json": b"mine", "train.tsv": b"mine"}


def test_refuses_a_file(here):
    (here / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="^mine: is not a folder, so the sample cannot be written there; name a new"):
        write_sample(Path("mine"))
