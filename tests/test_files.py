import os

import pytest

from easymft.files import STALE_SECONDS, replacing


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
