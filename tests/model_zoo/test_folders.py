"""Folders that appear whole or not at all."""

import pytest

from easymft.errors import CheckpointError
from easymft.model_zoo.folders import near_names, replace_folder, restore_folder

KNOWN = ("*.txt",)


def write(folder, text, fail=False):
    with replace_folder(folder, known_files=KNOWN) as new:
        (new / "a.txt").write_text(text)
        if fail:
            raise KeyError(text)


def test_new_folder_and_replacement(tmp_path):
    target = tmp_path / "x" / "y"
    write(target, "first")
    write(target, "second")
    assert (target / "a.txt").read_text() == "second"
    assert [path.name for path in target.parent.iterdir()] == ["y"]


def test_a_failed_block_leaves_all_as_it_was(tmp_path):
    write(tmp_path / "y", "first")
    with pytest.raises(KeyError):
        write(tmp_path / "y", "second", fail=True)
    assert (tmp_path / "y" / "a.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["y"]


def test_other_files_are_never_lost(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    (tmp_path / "b.txt").write_text("known")
    with pytest.raises(CheckpointError, match=r"holds other files \(thesis.doc\); name an empty or new folder"):
        write(tmp_path, "new")
    assert (tmp_path / "thesis.doc").exists()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="is a file; expected a folder"):
        write(tmp_path / "file", "new")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write(tmp_path / "file" / "below", "new")


def test_killed_between_the_renames(tmp_path):
    write(tmp_path / "y", "first")
    (tmp_path / "y").rename(tmp_path / ".y.old")
    restore_folder(tmp_path / "y")
    assert (tmp_path / "y" / "a.txt").read_text() == "first"
    (tmp_path / "y").rename(tmp_path / ".y.old")
    write(tmp_path / "y", "second")
    assert (tmp_path / "y" / "a.txt").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["y"]


def test_near_names(tmp_path):
    (tmp_path / "minilm").mkdir()
    assert near_names(tmp_path / "minlm") == f" (near: '{tmp_path / 'minilm'}')"
    assert near_names(tmp_path / "zzzzzz") == ""
