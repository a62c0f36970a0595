"""A small project of a user: generated reviews of three domains, the tiny BERT of tests/golden, and the command."""

import contextlib
import hashlib
import io
import itertools
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.numpy import load_file, save_file

from app_zoo.experiment import harness
from app_zoo.experiment.methods import methods_of
from app_zoo.experiment.plan import amounts_of, plan_jobs
from app_zoo.main import main
from easymft.config.schema import ComparisonConfig, ExperimentConfig
from easymft.errors import DivergenceError, JobError
from easymft.evaluation.experiment.results import CellResult, ItemScores, Scores, write_cell

TINY_BERT = Path(__file__).parent.parent / "golden" / "tiny_bert"
DOMAINS, LABELS = ("book", "dvd", "phone"), ("neg", "pos")
WORDS = {"neg": "bad hate not never no".split(), "pos": "good great love really very".split()}
FILLER = "the an and is was it this that you we they of to in on for with buy price work one two all there".split()


class Result(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def copy_weights(folder: Path, blocks: int) -> None:
    """Copies the tiny BERT; with fewer of its 3 blocks a graph is traced in less time."""
    shutil.copytree(TINY_BERT, folder)
    tensors = load_file(folder / "model.safetensors")
    left_out = tuple(f"encoder.layer.{block}." for block in range(blocks, 3))
    kept = {name: value for name, value in tensors.items() if not name.startswith(left_out)}
    save_file(kept, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": blocks}))


class Project:
    """A folder with train.tsv, dev.tsv, test.tsv, weights, a config of small values, and the command.

    Args:
        folder: Where everything stands.
        pair: Of two texts.
    """

    def __init__(self, folder: Path, pair: bool = False):
        self.folder, self.pair, self.said = folder, pair, {}
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "tiny"
        if not weights.exists():
            copy_weights(weights, blocks=1)
        for name, count in (("train", 48), ("dev", 12), ("test", 18)):
            self.write_rows(f"{name}.tsv", self.make_rows(count, seed=count))
        columns = {"text": "text", "domain": "domain", "label": "label"} | ({"text_pair": "text_pair"} if pair else {})
        files = {f"{name}_files": [str(folder / f"{name}.tsv")] for name in ("train", "dev", "test")}
        self.config: dict[str, Any] = {
            "application": "text_matching" if pair else "text_classification",
            "output_folder": str(folder / "run"),
            "data": files | {"columns": columns, "max_sequence_length": 32},
            "model": {"weights": str(weights)},
            "mft": {"weighting": "typicality", "domain_loss_weight": 0.1},
            "train": {"epochs": 1, "global_batch_size": 8, "learning_rate": 1e-3},
            "prediction": {"input_files": [str(folder / "test.tsv")]},
            "runtime": {"progress": False, "precision": "float32"},
        }

    def make_rows(self, count: int, seed: int = 0, domains: tuple[str, ...] = DOMAINS) -> list[list[str]]:
        """Rows [text, (text_pair,) domain, label]; every domain holds both classes."""
        draw = random.Random(seed)
        rows = []
        for number in range(count):
            domain, label = domains[number % len(domains)], LABELS[number // len(domains) % 2]
            texts = []
            for _ in range(1 + self.pair):
                words = draw.choices(FILLER, k=draw.randint(2, 9)) + draw.choices(WORDS[label], k=2) + [domain]
                draw.shuffle(words)
                texts.append(" ".join(words))
            rows.append([*texts, domain, label])
        return rows

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def write_rows(self, name: str, rows: list[list[str]], header: list[str] | None = None) -> Path:
        header = header or ["text", *(["text_pair"] if self.pair else []), "domain", "label"]
        return self.write(name, "".join("\t".join(row) + "\n" for row in [header, *rows]))

    def read_rows(self, path: str | Path) -> list[dict[str, str]]:
        """The rows of a TSV file with a header."""
        names, *rows = [line.split("\t") for line in (self.folder / path).read_text("utf-8").split("\n")[:-1]]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def change(self, name: str, row: int, change: Callable[[bytes], bytes]) -> None:
        """Changes a row of a file, counted from 1 and with the header."""
        rows = (self.folder / name).read_bytes().split(b"\n")
        rows[row - 1] = change(rows[row - 1])
        self.write(name, b"\n".join(rows))

    def set(self, path: str, value: Any) -> None:
        """Changes a setting of the config."""
        *sections, key = path.split(".")
        node = self.config
        for section in sections:
            node = node.setdefault(section, {})
        node[key] = value

    def set_experiment(self, **experiment: Any) -> None:
        """Sets a small experiment, and what is given of it."""
        small = {"seeds": [1, 2], "learning_rates": [1e-3, 3e-3], "joint_epochs": 1, "finetune_epochs": 1}
        self.set("experiment", small | experiment)

    def snapshot(self, name: str = ".") -> dict[str, str]:
        """Every file under a folder of the project (relative name -> digest), and folders as "name/" -> ""."""
        paths = sorted((self.folder / name).rglob("*"))
        folders = {f"{path.relative_to(self.folder)}/": "" for path in paths if path.is_dir()}
        files = {str(path.relative_to(self.folder)): path.read_bytes() for path in paths if path.is_file()}
        return folders | {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}

    def words(self, mode: str, *overrides: str) -> list[str]:
        """The words of the command, for a config file that is written now."""
        config = self.write("config.json", json.dumps(self.config))
        sets = [word for override in overrides for word in ("--set", override)]
        return ["--mode", mode, "--config", str(config), *sets]

    def run(self, mode: str, *overrides: str, dry_run: bool = False) -> Result:
        """Runs the command in this process; the project's folder is called @ in what it says."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*self.words(mode, *overrides), *(["--dry_run"] if dry_run else [])])
        return Result(code, *(stream.getvalue().replace(str(self.folder), "@") for stream in (out, err)))

    def succeed(self, mode: str, *overrides: str, dry_run: bool = False) -> str:
        """Runs the command, which must end well; returns what it said."""
        result = self.run(mode, *overrides, dry_run=dry_run)
        assert (result.code, result.err) == (0, ""), result
        return result.out

    def fail(self, mode: str, *overrides: str) -> str:
        """Runs the command, which must end with one line of error and nothing else; returns the line."""
        result = self.run(mode, *overrides)
        assert (result.code, result.out) == (2, ""), result
        assert result.err.startswith("easymft: error: ") and result.err.count("\n") == 1, result.err
        return result.err.removeprefix("easymft: error: ").removesuffix("\n")

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
    """A project with the runs typicality, mft (from its scores) and domains (from mft); only to be read, or copied.

    Its `commands` are the words after which each run came to be.
    """
    project = Project(tmp_path_factory.mktemp("trained"))
    scored = f'data.train_files=["{project.folder}/typicality/scored.tsv"]'
    unmeasured = ("data.dev_files=[]", "data.test_files=[]")
    project.commands = {
        "typicality": ("typicality",),
        "mft": ("meta_tune", scored, "data.columns.typicality=typicality", "train.epochs=2", unmeasured[1]),
        "domains": ("finetune", f"model.weights={project.folder}/mft", "model.head=transfer", *unmeasured),
    }
    for name, words in project.commands.items():
        project.said[name] = project.succeed(*words, f"output_folder={project.folder / name}")
    project.set("output_folder", str(project.folder / "domains"))
    return project


@pytest.fixture(scope="session")
def trained_pair(tmp_path_factory):
    """A project of pairs with the run mft, which scored its rows itself."""
    project = Project(tmp_path_factory.mktemp("trained_pair"), pair=True)
    project.set("output_folder", str(project.folder / "mft"))
    project.said["mft"] = project.succeed("meta_tune", "data.test_files=[]")
    return project


@pytest.fixture
def plan():
    """Plans the jobs of an experiment on three domains."""

    def plan(rates=(1e-3,), seeds=(1,), tested=(), **experiment):
        config = ExperimentConfig(output_folder="x", experiment=ComparisonConfig(**experiment, domains=tested or None))
        groups = itertools.product(
            methods_of(config.experiment), [config.experiment.setting], map(str, amounts_of(config))
        )
        return plan_jobs(config, tested or ("a", "b", "c"), seeds, dict.fromkeys(groups, rates))

    return plan


class FakeJobs:
    """In place of processes: cells at once; mix is best with the smaller rate, all others with the larger."""

    def __init__(self):
        self.done, self.broken, self.diverged = [], set(), set()

    def __call__(self, folder, job):
        """Does a job."""
        self.done.append((job.method, job.seed, job.learning_rate))
        if (job.method, job.seed) in self.broken:
            raise JobError("exit code 9: it broke")
        if (job.method, job.seed, job.learning_rate) in self.diverged:
            raise DivergenceError("training diverged (log)")
        for stage in filter(None, (job.joint, job.final)):
            (folder / "runs" / stage.name / "best").mkdir(parents=True, exist_ok=True)
        right = 3 if (job.method == "mix") == (job.learning_rate < 2e-3) else 1
        for key in job.keys():
            dev = Scores(right / 4, right / 4, 0.5, 4)
            test = ItemScores(1 - right / 4, 0.5, 0.5, 4, "0" * right + "1" * (4 - right))
            write_cell(folder, CellResult(**key, dev=dev, test=test, seconds=1.0))


@pytest.fixture
def fake(monkeypatch):
    """Experiments without training."""
    jobs = FakeJobs()
    monkeypatch.setattr(harness, "run_process", jobs)
    return jobs
