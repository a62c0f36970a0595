import os

import pytest

from easymft.files import STALE_SECONDS, new_folder, replacing


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    file = tmp_path / "new" / "a.npy"
    with replacing(file) as first:
        first.write_text("half")
        with replacing(file) as second:
            assert first.name.endswith(".a.npy") and first != second and first.read_text() == "half"
            second.write_text("second")
        assert file.read_text() == "second"
        first.write_text("first")
    assert file.read_text() == "first" and list(file.parent.iterdir()) == [file]


def test_an_error_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(file) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_what_a_killed_writer_left_is_removed_once_it_is_old(tmp_path):
    for name, age in (("old", STALE_SECONDS + 60), ("young", 60)):
        left = tmp_path / f".part.{name}.a.txt"
        left.write_text("half")
        os.utime(left, (left.stat().st_mtime - age,) * 2)
    with replacing(tmp_path / "a.txt") as part:
        part.write_text("whole")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".part.young.a.txt", "a.txt"]


def test_a_new_folder_is_of_one_writer_and_goes_unless_renamed(tmp_path):
    target = tmp_path / "new" / "a"
    with new_folder(target) as first, new_folder(target) as second:
        assert first != second
        (first / "file").write_text("whole")
        (second / "file").write_text("late")
        first.rename(target)
    assert [file.name for file in target.parent.iterdir()] == ["a"] and (target / "file").read_text() == "whole"


def test_a_folder_that_a_killed_writer_left_is_removed_once_it_is_old(tmp_path):
    for name, age in (("old", STALE_SECONDS + 60), ("young", 60)):
        left = tmp_path / f".part.{name}.a"
        left.mkdir()
        (left / "file").write_text("half")
        os.utime(left, (left.stat().st_mtime - age,) * 2)
    with new_folder(tmp_path / "a"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == [".part.young.a"]
