"""A small project of a user: generated reviews of three domains, the tiny BERT of tests/golden, and the command."""

import contextlib
import hashlib
import io
import json
import random
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app_zoo.main import main

TINY_BERT = Path(__file__).parent.parent / "golden" / "tiny_bert"
DOMAINS, LABELS = ("book", "dvd", "phone"), ("neg", "pos")
WORDS = {"neg": "bad hate not never no".split(), "pos": "good great love really very".split()}
FILLER = "the an and is was it this that you we they of to in on for with buy price work one two all there".split()


class Result(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def make_rows(count: int, seed: int, pair: bool = False, domains: tuple[str, ...] = DOMAINS) -> list[list[str]]:
    """Rows [text, (text_pair,) domain, label]; every domain holds both classes."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        domain, label = domains[number % len(domains)], LABELS[number // len(domains) % 2]
        texts = []
        for _ in range(1 + pair):
            words = draw.choices(FILLER, k=draw.randint(2, 9)) + draw.choices(WORDS[label], k=2) + [domain]
            draw.shuffle(words)
            texts.append(" ".join(words))
        rows.append([*texts, domain, label])
    return rows


def tsv(rows: list[list[str]], pair: bool = False) -> str:
    """The rows as a TSV with a header."""
    header = ["text", *(["text_pair"] if pair else []), "domain", "label"]
    return "".join("\t".join(row) + "\n" for row in [header, *rows])


def read_tsv(path: Path) -> list[dict[str, str]]:
    """The rows of a TSV file with a header."""
    names, *rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    return [dict(zip(names, row, strict=True)) for row in rows]


def snapshot(folder: Path) -> dict[str, str]:
    """Every file under a folder (relative name -> digest), folders as "name/"; empty where there is none."""
    return {
        str(path.relative_to(folder)) + "/" * path.is_dir(): "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
    }


class Project:
    """A folder with train.tsv, dev.tsv, test.tsv, a config of small values, and the command.

    Args:
        folder: Where everything stands.
        pair: Of two texts.
    """

    def __init__(self, folder: Path, pair: bool = False):
        self.folder, self.pair = folder, pair
        folder.mkdir(parents=True, exist_ok=True)
        for name, count in (("train", 48), ("dev", 12), ("test", 18)):
            self.write(f"{name}.tsv", tsv(make_rows(count, seed=count, pair=pair), pair))
        columns = {"text": "text", "domain": "domain", "label": "label"} | ({"text_pair": "text_pair"} if pair else {})
        self.config: dict[str, Any] = {
            "application": "text_matching" if pair else "text_classification",
            "output_folder": str(folder / "run"),
            "data": {f"{name}_files": [str(folder / f"{name}.tsv")] for name in ("train", "dev", "test")}
            | {"columns": columns, "max_sequence_length": 32},
            "model": {"weights": str(TINY_BERT)},
            "train": {"epochs": 1, "global_batch_size": 8, "learning_rate": 1e-3},
            "prediction": {"input_files": [str(folder / "test.tsv")]},
            "runtime": {"progress": False},
        }

    @property
    def run_folder(self) -> Path:
        return Path(self.config["output_folder"])

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def change(self, name: str, old: str, new: str) -> None:
        """Replaces the one place where a file holds `old`."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def set(self, path: str, value: Any) -> None:
        *sections, key = path.split(".")
        node = self.config
        for section in sections:
            node = node.setdefault(section, {})
        node[key] = value

    def words(self, mode: str, *overrides: str) -> list[str]:
        """The words of the command, for a config file that is written now."""
        config = self.write("config.json", json.dumps(self.config))
        sets = [word for override in overrides for word in ("--set", override)]
        return ["--mode", mode, "--config", str(config), *sets]

    def run(self, mode: str, *overrides: str, dry_run: bool = False) -> Result:
        """Runs the command in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*self.words(mode, *overrides), *(["--dry_run"] if dry_run else [])])
        return Result(code, out.getvalue(), err.getvalue())

    def succeed(self, mode: str, *overrides: str, dry_run: bool = False) -> str:
        """Runs the command, which must end well; returns what it said."""
        result = self.run(mode, *overrides, dry_run=dry_run)
        assert (result.code, result.err) == (0, ""), result
        return result.out

    def copy(self, folder: Path) -> "Project":
        """The same files and runs elsewhere."""
        other = Project(folder, self.pair)
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        other.config = json.loads(json.dumps(self.config).replace(str(self.folder), str(folder)))
        return other


@pytest.fixture
def project(tmp_path):
    """A project of single texts in which nothing has run yet."""
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A project with runs/mft (meta_tune) and runs/domains (finetune from it); to be read, or copied and changed."""
    project = Project(tmp_path_factory.mktemp("trained"))
    project.said = {}
    for mode, name, *overrides in (
        ("meta_tune", "mft"),
        ("finetune", "domains", f"model.weights={project.folder / 'mft'}", "model.head=transfer"),
    ):
        project.set("output_folder", str(project.folder / name))
        project.said[name] = project.succeed(mode, *overrides)
    return project


@pytest.fixture(scope="session")
def trained_pair(tmp_path_factory):
    """A project of pairs with runs/mft."""
    project = Project(tmp_path_factory.mktemp("trained_pair"), pair=True)
    project.set("output_folder", str(project.folder / "mft"))
    project.succeed("meta_tune")
    return project
