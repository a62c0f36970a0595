"""Trials of machines: terminals, locales, homes, folders, many processes."""

import os
from pathlib import Path

from compatibility.project import Project, accepted, expect, make_rows, refused
from compatibility.trial import Bench, trial


def _emoji_labels(project: Project) -> None:
    names = {"neg": "schlecht 😞", "pos": "großartig 😀"}
    for split, count in (("train", 48), ("dev", 12), ("test", 18)):
        rows = [[text, domain, names[label]] for text, domain, label in make_rows(count, seed=count)]
        project.write_rows(f"{split}.tsv", rows)


@trial(
    "georgian-io/LLM-Finetuning-Toolkit/issues/193",
    "Data in UTF-8 on a machine whose encoding is another (Windows, the C locale)",
    "read and written as UTF-8; what a terminal cannot show is replaced",
)
def other_encoding_of_the_machine(bench: Bench) -> str:
    """Labels with emoji, a table on stdout, an error on stderr."""
    project = bench.project()
    _emoji_labels(project)
    for environment in ({"PYTHONIOENCODING": "cp1252"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        accepted(project.wait(project.start("validate", environment=environment), 120))
    rows = make_rows(3)
    rows[1][2] = "großartig 😁"
    bad = f'data.train_files=["{project.write_rows("bad.tsv", rows)}"]'
    started = project.start("validate", bad, 'data.labels=["schlecht 😞","großartig 😀"]', environment=environment)
    refused(project.wait(started, 120), ("row 3",))
    return "reads UTF-8 whatever the machine's encoding, and shows what the terminal can show"


@trial(
    "huggingface/transformers/issues/28683", "Progress bars that flood a log file", "none where stderr is no terminal"
)
def bars_in_a_log(bench: Bench) -> str:
    """runtime.progress is on."""
    project = bench.project()
    result = accepted(project.wait(project.start("meta_tune", "runtime.progress=true", "train.epochs=3")))
    said = result.out + result.err
    expect("\r" not in said and "\x1b" not in said, f"control characters: {said[:300]!r}")
    expect(len(said.splitlines()) < 60, f"{len(said.splitlines())} lines for a small run")
    return f"writes plain lines, {len(said.splitlines())} for a small run"


@trial(
    "huggingface/transformers/issues/13472",
    "No home folder, or one that cannot be written",
    "weights in a folder are used all the same",
)
def no_home(bench: Bench) -> str:
    """HOME is missing, or is no folder."""
    project = bench.project()
    homes = [{"HOME": "/nonexistent", "XDG_CACHE_HOME": ""}, {"HOME": "/proc/1", "MPLCONFIGDIR": ""}]
    for home in homes:
        result = project.wait(
            project.start(
                "meta_tune",
                f"output_folder={project.folder / home['HOME'].strip('/').replace('/', '_')}",
                environment=home,
            )
        )
        accepted(result)
        expect(not result.err, f"says: {result.told[:300]}")
    return "trains all the same, without a word"


@trial(
    "huggingface/huggingface_hub/issues/2797",
    "Weights and data on a file system that is read-only",
    "used: nothing is written beside them",
)
def read_only_inputs(bench: Bench) -> str:
    """Nothing new beside weights and data after a run."""
    project = bench.project()
    before = {path: path.stat().st_mtime_ns for path in project.folder.rglob("*")}
    output = bench.project("output").folder / "run"
    project.accept("meta_tune", f"output_folder={output}")
    after = {path: path.stat().st_mtime_ns for path in project.folder.rglob("*") if path.name != "config.json"}
    changed = [str(path) for path in after if before.get(path) != after[path] and path.is_file()]
    expect(not changed, f"written: {changed}")
    return "writes nothing beside weights and data"


@trial(
    "",
    "The same relative paths from another working folder",
    "paths are relative to the working folder; a missing file is refused with the folder",
)
def other_working_folder(bench: Bench) -> str:
    """Paths of the config are the command's."""
    project = bench.project()
    for split in ("train", "dev", "test"):
        project.set(f"data.{split}_files", [f"{split}.tsv"])
    project.set("output_folder", "run")
    accepted(project.wait(project.start("validate", cwd=project.folder), 120))
    elsewhere = project.folder / "elsewhere"
    elsewhere.mkdir()
    return "refused elsewhere: " + refused(project.wait(project.start("validate", cwd=elsewhere), 120), ("train.tsv",))


@trial(
    "huggingface/datasets/issues/7388",
    "Names with spaces, quotes, accents, emoji, percent signs and leading dashes",
    "used as they stand",
)
def odd_names_of_folders(bench: Bench) -> str:
    """Of the project's folder, and of domains, which become folders."""
    project = bench.project('it\'s a "test" é 😀 100% #1')
    domains = ("a/b", "..", "con é", "-x")
    for split, count in (("train", 48), ("dev", 16), ("test", 16)):
        project.write_rows(f"{split}.tsv", make_rows(count, seed=count, domains=domains))
    project.accept("finetune")
    inside = [Path(folder) for folder, _, _ in os.walk(project.folder / "run")]
    expect(len([path for path in inside if path.name == "best"]) == 4, f"folders {[path.name for path in inside]}")
    expect(len(project.predict()) == 16, "not 16 predictions")
    return "trains, predicts; domains with slashes and dots become folders within the run's"


@trial("tqdm/tqdm/issues/1342", "Jobs of cron and containers without a terminal, stdin or stdout", "they run")
def without_a_terminal(bench: Bench) -> str:
    """Stdin closed, TERM missing, 40 columns."""
    project = bench.project()
    started = project.start("validate", environment={"TERM": "", "COLUMNS": "40"}, start_new_session=True)
    said = accepted(project.wait(started, 120)).out
    expect("book" in said and "dvd" in said, f"said: {said[:300]}")
    return "runs; tables are plain text"


@trial(
    "huggingface/sentence-transformers/issues/4010",
    "Files of a saved model that other users cannot read, whatever the umask",
    "all files have the permissions that the umask leaves",
)
def permissions_of_files(bench: Bench) -> str:
    """Of weights, predictions and exports."""
    project = bench.project()
    old = os.umask(0o027)
    try:
        project.accept("meta_tune", "data.test_files=[]")
        project.accept("predict")
        project.accept("export")
    finally:
        os.umask(old)
    files = [path for path in (project.folder / "run").rglob("*") if path.is_file()]
    odd = {path.name: oct(path.stat().st_mode & 0o777) for path in files if path.stat().st_mode & 0o777 != 0o640}
    expect(not odd, f"other permissions: {odd}")
    return "gives all files of a run the permissions that the umask leaves"
