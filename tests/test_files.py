import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from easymft import files
from easymft.files import STALE_SECONDS, new_folder, part_name, remove_folder, remove_left, replacing, without_wildcards


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


DYING = """
import os, sys
from pathlib import Path
from easymft.files import new_folder, replacing
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
file, below = replacing(folder / "a.json"), new_folder(folder / "below" / "model")
file.__enter__().write_text("half")
(below.__enter__() / "weights").write_text("half")
if sys.argv[2] == "alive":
    print("ready", flush=True)
    sys.stdin.read()
os._exit(9)
"""


def start(folder, end):
    root = Path(__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-c", DYING, str(folder), end], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def die(folder):
    process = start(folder, "dead")
    process.communicate()
    assert process.returncode == 9


def names_below(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_what_a_dead_process_left_goes_at_once_and_what_a_live_one_writes_stays(tmp_path):
    alive = start(tmp_path, "alive")
    assert alive.stdout.readline() == b"ready\n"
    die(tmp_path)
    own = part_name(tmp_path / "own.txt")
    own.write_text("half")
    (tmp_path / "kept.txt").write_text("whole")
    assert len(names_below(tmp_path)) == 1 + 1 + 1 + 2 * 3
    remove_left(tmp_path)
    names = names_below(tmp_path)
    assert len(names) == 1 + 1 + 1 + 3 and own.name in names and "kept.txt" in names
    assert all(f".{alive.pid}." in name for name in names if name.startswith(".part.") and name != own.name)
    alive.communicate(b"")
    with replacing(tmp_path / "a.json") as part:  # also without a start of a run
        assert sorted(names_below(tmp_path)[:2]) == sorted([own.name, *names_below(tmp_path / "below")[:1]])
        part.write_text("whole")
    remove_left(tmp_path)
    assert names_below(tmp_path) == [own.name, "a.json", "below", "kept.txt"]


def test_what_others_elsewhere_write_stays_until_it_is_old(tmp_path, monkeypatch):
    die(tmp_path)
    monkeypatch.setattr(files, "_here", lambda: "0" * 8)
    found = names_below(tmp_path)
    remove_left(tmp_path)
    assert names_below(tmp_path) == found
    for path in (*tmp_path.iterdir(), *(tmp_path / "below").iterdir()):
        os.utime(path, (0, time.time() - STALE_SECONDS - 60))
    remove_left(tmp_path)
    assert names_below(tmp_path) == ["below"]


def test_a_number_that_comes_again_is_another_process(tmp_path):
    """As in a container, where the first process always has the same."""
    left = part_name(tmp_path / "a").with_name(f".part.{files._here()}.{os.getpid()}.17.a")
    left.write_text("half")
    remove_left(tmp_path)
    assert not left.exists()


def test_links_are_removed_as_links(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (tmp_path / f".part.{files._here()}.{os.getpid()}.17.a").symlink_to(tmp_path / "mine")
    remove_left(tmp_path)
    assert names_below(tmp_path) == ["file", "mine"]
    remove_folder(tmp_path / "mine")
    remove_folder(tmp_path / "mine")
    assert names_below(tmp_path) == []


def test_a_name_without_wildcards(tmp_path):
    (tmp_path / "plain 100%").mkdir()
    with without_wildcards(tmp_path / "plain 100%") as folder:
        assert folder == tmp_path / "plain 100%"
    for name in ("proj [2024]", "a*b", "what?", "back\\slash"):
        (tmp_path / name).mkdir()
        with without_wildcards(tmp_path / name) as folder:
            assert not files.has_wildcards(folder)
            (folder / "file").write_text(name)
        assert (tmp_path / name / "file").read_text() == name and not os.path.lexists(folder)
