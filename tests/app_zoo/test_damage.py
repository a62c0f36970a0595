"""Every file that the product writes and later trusts, damaged in every way: made anew, or refused with one line."""

import json
import shutil
import warnings

import numpy as np
import pytest

from app_zoo.run_folder import RunFolder
from easymft.errors import ConfigError


def damages(content):
    """A flipped bit at the beginning, in the midst and at the end; a cut; nothing; another header; zeros."""
    for place in (0, len(content) // 2, len(content) - 3):
        yield content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]
    yield from (content[: len(content) // 2], b"", b"\x93NUMPY\x02\0" + content[8:], b"\0" * len(content))


def other_json(content):
    """Of other types, with keys missing, nested, in another encoding."""
    values = json.loads(content)
    yield from (b"[]", b"1", b"null", b"{}", b"[" * 100_000, content.decode().encode("utf-16"))
    for key in values:
        for other in (None, 5, [], {}, "x"):
            if other != values[key]:
                yield json.dumps(values | {key: other}).encode()
        yield json.dumps({name: value for name, value in values.items() if name != key}).encode()


@pytest.fixture
def copy(trained, tmp_path):
    """The trained runs, to damage; they work on domains."""
    return trained.copy(tmp_path / "copy")


def refuse(project, mode, file, *overrides):
    said = project.fail(mode, *overrides)
    assert f"@/{file.relative_to(project.folder)}: " in said, said
    return said


def warned(project, mode, *overrides):
    """What the command warns of; it ends well and says nothing else on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        result = project.run(mode, *overrides)
    assert result.code == 0, result
    return result.err.splitlines()


@pytest.mark.parametrize("name", ["run.json", "config.json", "maps.json"])
def test_a_runs_own_words(copy, name):
    file = copy.folder / "domains" / name
    content = file.read_bytes()
    # Without "sha256", or with that of nothing, the file is of an earlier version: another test looks at these.
    others = [other for other in other_json(content) if b'"sha256"' in other or not other.startswith(b'{"')]
    for damaged in (*damages(content), *others):
        if damaged != content:
            file.write_bytes(damaged)
            said = refuse(copy, "evaluate", file)
            assert "put back a copy of it, or " in said or damaged == b"{}"  # an earlier version's, with nothing in it
    file.write_bytes(content)
    assert "evaluation.json" in copy.succeed("evaluate")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"mode": 5}, 'mode: expected a mode, got 5'),
        ({"mode": "tune"}, 'mode: expected a mode, got "tune"'),
        ({"mode": None}, "mode: expected a mode, got none"),
        ({"finished": "true"}, 'finished: expected true or false, got "true"'),
        ({"finished": None}, "finished: expected true or false, got none"),
        ({"inputs": []}, "inputs: expected an object of texts, got []"),
        ({"inputs": {"data.train_files": 1}}, "inputs: expected an object of texts, got {"),
        ({"models": {}}, "models: expected a list of names, got {}"),
        ({"models": [1]}, "models: expected a list of names, got [1]"),
        ({"models": []}, "models: expected a list of names, got []"),
        ({"models": None}, "models: expected a list of names, got none"),
    ],
)
def test_the_record_of_an_earlier_version_is_checked_too(tmp_path, change, problem):
    record = {"mode": "finetune", "finished": True, "inputs": {"data.train_files": "11"}, "models": [""]}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert RunFolder(tmp_path).status() == record
    changed = {key: value for key, value in (record | change).items() if value is not None}
    (tmp_path / "run.json").write_text(json.dumps(changed))
    with pytest.raises(ConfigError) as error:
        RunFolder(tmp_path).status()
    assert str(error.value).startswith(f"{tmp_path}/run.json: {problem}")
    assert str(error.value).endswith(f"; put back a copy of it, or move {tmp_path} away to start anew")


def test_a_damaged_record_can_be_moved_away(copy):
    (copy.folder / "domains" / "run.json").write_bytes(b"")
    copy.set("model.weights", f"{copy.folder}/mft")
    assert "run.json: is not JSON" in copy.fail("finetune", "data.test_files=[]")
    words = ("data.test_files=[]", "train.domains=union", "runtime.overwrite=true")
    copy.succeed("finetune", *words)
    assert (copy.folder / "domains.old" / "run.json").read_bytes() == b""


def test_weights(copy):
    """Of the model that is worked on, and of the one that a fine-tuning starts from."""
    best = copy.folder / "domains" / "book" / "best"
    names = sorted(file.name for file in best.iterdir())
    assert "model.safetensors" in names and "vocab.txt" in names and "easymft.sha256" in names
    for name in names:
        content = (best / name).read_bytes()
        for damaged in damages(content):
            (best / name).write_bytes(damaged)
            said = refuse(copy, "evaluate", best / name) if name != "easymft.sha256" else copy.fail("evaluate")
            assert "domains/book/best/" in said and "if it was changed on purpose, remove @/domains/book/best/" in said
        (best / name).unlink()
        if name != "easymft.sha256":
            refuse(copy, "evaluate", best / name)
        (best / name).write_bytes(content)
    file = best / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for mode in ("predict", "export"):
        refuse(copy, mode, file)
    refuse(copy, "convert", file, f"model.weights={best}", f"output_folder={copy.folder}/new")
    refuse(copy, "finetune", file, f"model.weights={best}", f"output_folder={copy.folder}/new")
    (best / "easymft.sha256").unlink()  # on purpose
    copy.succeed("evaluate", dry_run=True)


def test_a_copy_of_the_weights_is_as_good_as_they_are(copy):
    copied = shutil.copytree(copy.folder / "domains" / "book" / "best", copy.folder / "elsewhere")
    words = ("output_folder=" + str(copy.folder / "new"), "train.domains=union", "data.test_files=[]")
    copy.succeed("finetune", f"model.weights={copied}", *words, dry_run=True)


def test_caches(copy):
    """Tokens and embeddings: damaged they are made anew, and the scores are the same."""
    cache = copy.folder / "cache"

    def run(name):
        """The warnings."""
        return warned(copy, "typicality", f"output_folder={copy.folder / name}", f"data.cache_folder={cache}")

    assert run("first") == []
    expected = (copy.folder / "first" / "scored.tsv").read_bytes()
    folders = sorted(folder for folder in cache.iterdir() if folder.is_dir())
    files = [file for folder in folders for file in folder.iterdir() if file.read_bytes()]
    contents = {file: file.read_bytes() for file in files}
    for number, changes in list(enumerate(zip(*map(damages, contents.values()), strict=True)))[1:6]:
        for file, damaged in zip(contents, changes, strict=True):
            file.write_bytes(damaged)
        lines = run(f"again_{number}")
        assert len(lines) == len(folders) == 2 and all(line.startswith("easymft: warning: @/cache/") for line in lines)
        assert {line.split("; ")[1] for line in lines} == {
            "the token cache is damaged and made anew",
            "the embeddings are damaged and made anew",
        }
        assert (copy.folder / f"again_{number}" / "scored.tsv").read_bytes() == expected
    assert run("whole") == []
    assert {file: file.read_bytes() for file in files if file.name != "easymft.sha256"} == {
        file: content for file, content in contents.items() if file.name != "easymft.sha256"
    }


def test_embeddings_that_hold_other_numbers(copy):
    """A valid file of the right size, as a flipped bit within a number leaves it."""
    words = (f"data.cache_folder={copy.folder}/cache",)
    copy.succeed("typicality", f"output_folder={copy.folder}/first", *words)
    (file,) = copy.folder.glob("cache/embeddings-*/embeddings.npy")
    embeddings = np.load(file)
    embeddings[0, 0] += 1.0
    np.save(file, embeddings)
    (line,) = warned(copy, "typicality", f"output_folder={copy.folder}/second", *words)
    assert line.startswith(f"easymft: warning: @/{file.relative_to(copy.folder)}: is not as it was written")
    assert line.endswith("; the embeddings are damaged and made anew")
    scored = [(copy.folder / name / "scored.tsv").read_bytes() for name in ("first", "second")]
    assert scored[0] == scored[1]


def test_scored_rows(copy):
    """What was edited on purpose is used from another folder; the run's own file is as the run wrote it, or refused."""
    file = copy.folder / "typicality" / "scored.tsv"
    scored = (f'data.train_files=["{file}"]', "data.columns.typicality=typicality", "data.test_files=[]")
    content = file.read_bytes()
    place = content.rindex(b".") + 1  # a digit of the last score
    for damaged in (content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], content[:-30], b""):
        file.write_bytes(damaged)
        said = refuse(copy, "meta_tune", file, *scored, f"output_folder={copy.folder}/new")
        assert said.endswith("copy it to another folder and name the copy")
    file.write_bytes(content)
    (copy.folder / "typicality" / "run.json").write_bytes(b"{")
    assert "cannot be checked" in refuse(copy, "meta_tune", file, *scored, f"output_folder={copy.folder}/new")
    edited = copy.folder / "edited.tsv"
    edited.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    words = (f'data.train_files=["{edited}"]', *scored[1:], f"output_folder={copy.folder}/new")
    copy.succeed("meta_tune", *words, dry_run=True)


def test_scored_rows_of_a_finished_run(copy):
    """A run whose file is gone is not called finished."""
    file, folder = copy.folder / "new" / "scored.tsv", f"output_folder={copy.folder}/new"
    copy.succeed("typicality", folder)
    content = file.read_bytes()
    file.write_bytes(content[:-30])
    assert "is not as it was written; put back" in refuse(copy, "typicality", file, folder)
    file.unlink()
    assert "is missing; put back" in refuse(copy, "typicality", file, folder)
    file.write_bytes(content)
    copy.succeed("typicality", folder)
    assert file.read_bytes() == content


def test_an_export(copy):
    copy.succeed("export")
    (file,) = copy.folder.glob("domains/saved_model/book/1/variables/variables.data-*")
    assert "already exported" in copy.succeed("export")
    content = file.read_bytes()
    for damaged in damages(content):
        file.write_bytes(damaged)
        result = copy.run("export")
        assert result.code == 2 and result.err.count("\n") == 1
        assert result.err.endswith("book/1 and export again\n") and str(file.name) in result.err


def test_training_of_a_part(project):
    """A fine-tuning that was stopped after its first domains takes what is there, if that is whole."""
    words = ("finetune", "data.test_files=[]", "data.dev_files=[]", 'train.domains=["book", "dvd"]')
    project.succeed(*words)
    run = project.folder / "run"
    status = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({"mode": "finetune", "finished": False, "inputs": status["inputs"]}))
    file = run / "book" / "training.json"
    content = file.read_bytes()
    for damaged in damages(content):
        file.write_bytes(damaged)
        result = project.run(*words)
        assert result.code == 2 and result.err.count("\n") == 1
        assert result.err.endswith("move @/run/book away to start anew\n"), result
    file.write_bytes(content)
    project.succeed(*words)
