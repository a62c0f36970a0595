import json
import os

import pytest

from easymft.checksums import SUMS_FILE, check_sums, file_digest, read_object, write_object, write_sums
from easymft.errors import DamagedError

VALUE = {"name": "ünï", "numbers": [1, 2.5, None, True], "zone": {"b": {"c": "d"}, "a": 0.1 + 0.2}}


def flips(content, step=1):
    """The content with one bit flipped, at every `step`-th byte."""
    for place in range(0, len(content), step):
        yield content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


def test_an_object_is_read_back(tmp_path):
    file = tmp_path / "new" / "a.json"
    write_object(file, VALUE | {"pair": (1, 2)})
    assert read_object(file) == VALUE | {"pair": [1, 2]}
    text = file.read_text("utf-8")
    assert list(json.loads(text))[-1] == "sha256" and '"name": "ünï"' in text and text.endswith("}\n")
    file.write_text(json.dumps(json.loads(text), sort_keys=True), "utf-8-sig")  # laid out anew by an editor
    assert read_object(file)["numbers"] == VALUE["numbers"]
    file.write_text(json.dumps(VALUE))  # of a version without checksums
    assert read_object(file) == VALUE
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "none.json")


def test_an_object_is_written_whole_or_not_at_all(tmp_path):
    write_object(tmp_path / "x.json", {"ü": 1})
    with pytest.raises(TypeError):
        write_object(tmp_path / "x.json", {"ü": object()})
    assert read_object(tmp_path / "x.json") == {"ü": 1} and [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_no_flipped_bit_of_an_object_changes_what_is_read(tmp_path):
    file = tmp_path / "a.json"
    write_object(file, VALUE)
    content, found = file.read_bytes(), 0
    for damaged in flips(content):
        file.write_bytes(damaged)
        try:
            read = read_object(file)
        except DamagedError as error:
            assert str(error).startswith(f"{file}: is not ") and "\n" not in str(error)
            found += 1
        else:  # in white space
            assert read == VALUE
    assert found > 0.8 * len(content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not JSON in UTF-8"),
        (b'{"a": 1', "is not JSON in UTF-8"),
        (b"\0" * 40, "is not JSON in UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "is not JSON in UTF-8"),
        ('{"a": "ü"}'.encode("latin-1"), "is not JSON in UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "is not JSON in UTF-8"),
        (b'{"a": "\\ud800"}', "is not JSON in UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON in UTF-8"),
        (b"[" * 100_000, "is not JSON in UTF-8"),
        (b"[1]", "holds a list, expected a JSON object"),
        (b'"a"', "holds a str, expected a JSON object"),
        (b'{"a": 1, "sha256": 5}', 'is not as it was written, by its "sha256"'),
        (b'{"a": 1, "sha256": null}', 'is not as it was written, by its "sha256"'),
    ],
)
def test_what_is_no_object_is_one_line(tmp_path, content, problem):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedError) as error:
        read_object(tmp_path / "a.json")
    assert str(error.value).startswith(f"{tmp_path / 'a.json'}: {problem}") and "\n" not in str(error.value)


def test_a_folder_of_files(tmp_path):
    (tmp_path / "below").mkdir()
    contents = {"a.bin": bytes(range(100)), "below/b.txt": b"text", "empty": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    check_sums(tmp_path)  # a foreign folder
    with pytest.raises(DamagedError, match=f"{SUMS_FILE}: is missing"):
        check_sums(tmp_path, needed=True)
    write_sums(tmp_path)
    check_sums(tmp_path, needed=True)
    assert os.system(f"cd {tmp_path} && sha256sum --quiet -c {SUMS_FILE}") == 0
    for name, content in contents.items():
        for damaged in (*flips(content, 7), content[:-1], content + b"\0", b"other"):
            if damaged != content:
                (tmp_path / name).write_bytes(damaged)
                with pytest.raises(DamagedError, match=f"{name}: is not as it was written, by {SUMS_FILE} beside it"):
                    check_sums(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(DamagedError, match=f"{name}: cannot be read .No such file or directory., but {SUMS_FILE}"):
            check_sums(tmp_path)
        (tmp_path / name).write_bytes(content)
    check_sums(tmp_path)


def test_no_flipped_bit_of_the_digests_is_overlooked(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "words.txt").write_bytes(b"words")
    write_sums(tmp_path)
    sums = tmp_path / SUMS_FILE
    content = sums.read_bytes()
    for damaged in (*flips(content), b"", content[:30], content[: content.index(b"\n") + 1], b"\xff" + content):
        sums.write_bytes(damaged)
        with pytest.raises(DamagedError):
            check_sums(tmp_path)
    sums.write_bytes(content)
    (tmp_path / "README.md").write_text("mine")
    check_sums(tmp_path, known=("*.bin", "*.txt"))
    (tmp_path / "more.txt").write_text("mine")
    with pytest.raises(DamagedError, match="does not name more.txt, which is beside it"):
        check_sums(tmp_path, known=("*.bin", "*.txt"))


def test_a_digest_is_kept_until_the_file_changes(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"one")
    first = file_digest(file)
    os.utime(file, (1, 1))
    assert file_digest(file) == first
    file.write_bytes(b"two")
    assert file_digest(file) != first
