"""Training and measuring one job of an experiment, in a process of its own."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from app_zoo.base import Application, Maps
from app_zoo.experiment.plan import Amount, Job, Stage
from app_zoo.inputs import load_tokens
from app_zoo.registry import resolve_application
from app_zoo.run_folder import RunFolder
from app_zoo.run_record import read_part
from app_zoo.stages.fitting import predict_logits
from app_zoo.stages.trained import PartInference, TrainedRun, open_run
from easymft.config.loading import load_config
from easymft.data.label_map import LabelMap
from easymft.data.token_dataset import TokenDataset
from easymft.errors import DataError, DivergenceError, EasyMFTError
from easymft.evaluation.experiment.results import CellResult, ItemScores, Scores, write_cell
from easymft.evaluation.metrics import DomainMetrics
from easymft.files import new_folder, remove_folder
from easymft.model_zoo.averaging import move_to_mean
from easymft.model_zoo.tokenizer_files import read_vocabulary
from easymft.training.inference import BatchInference

DIVERGED_CODE = 3  # the exit code of a job whose training diverged


def run_job(folder: Path, job: Job) -> None:
    """Trains what is not trained yet, and writes the job's cells.

    Args:
        folder: Of the experiment; holds config.json.
        job: What to do.

    Raises:
        EasyMFTError: A stage cannot be run.
    """
    started = time.time()
    with contextlib.ExitStack() as until_measured:  # so that nobody removes what is read
        last = job.final or job.joint
        if job.joint and job.final:
            with job.joint.lock(folder):
                train(folder, job.joint)
                until_measured.enter_context(last.lock(folder))
        else:
            until_measured.enter_context(last.lock(folder))
        scores = _measure(train(folder, last), job)
    seconds = (time.time() - started) / len(job.domains)
    for key, by_split in zip(job.keys(), scores, strict=True):
        dev = {name: value for name, value in asdict(by_split["dev"]).items() if name != "correct"}
        write_cell(folder, CellResult(**key, dev=Scores(**dev), test=by_split["test"], seconds=seconds))


def _measure(app: Application, job: Job) -> list[dict[str, ItemScores]]:
    """On dev and test, for each of its domains."""
    trained = open_run(app)
    vocabulary = read_vocabulary(trained.model_folder(trained.parts[0]), None, None)
    unseen = [domain for domain in job.domains if domain not in trained.maps.domains]
    maps = Maps(trained.maps.labels, LabelMap((*trained.maps.domains, *unseen)))
    tokens = {split: load_tokens(app, split, maps, vocabulary) for split in ("dev", "test")}
    with _averaged(trained, job.average_share) as run:
        inference = PartInference(app, run)
        return [
            {split: score_domain(app, inference(_part(run, domain)), maps, tokens[split], domain) for split in tokens}
            for domain in job.domains
        ]


@contextlib.contextmanager
def _averaged(run: TrainedRun, share: float) -> Iterator[TrainedRun]:
    """The run with its domains moved to their mean, as `train.average_domains` would have left it, for a while."""
    if share == 0.0:
        yield run
        return
    with new_folder(run.folder / "averaged") as folder:
        averaged = replace(run, folder=folder)
        targets = [averaged.model_folder(part) for part in run.parts]
        for target in targets:
            target.parent.mkdir()
        move_to_mean([run.model_folder(part) for part in run.parts], targets, share)
        yield averaged


def train(folder: Path, stage: Stage) -> Application:
    """Runs a stage, unless it has been run; whoever calls this holds its lock.

    Returns:
        Its application.
    """
    target = folder / "runs" / stage.name
    changes = stage.settings | {"output_folder": str(target), "data.cache_folder": str(folder / "cache")}
    if "model.weights" in changes:
        changes["model.weights"] = str(folder / "runs" / changes["model.weights"])
        # However the weights of the stage before were come by, these are its own.
        changes |= {"model.initialization": "weights", "model.weights_format": "auto", "model.encoder": None}
    if not RunFolder(target).is_finished:
        _forget_other_weights(target, changes)
        # It is measured once, for the cells.
        unmeasured = {"data.test_files": [], "evaluation.after_training": False}
        make_application(folder / "config.json", changes | unmeasured, stage.mode).run(stage.mode)
    return make_application(folder / "config.json", changes, stage.mode)


def _forget_other_weights(target: Path, changes: dict[str, object]) -> None:
    """Starts an interrupted fine-tuning anew if the stage before it was trained again since, and is not bit-equal."""
    if "model.weights" in changes and (target / "run.json").is_file():
        began, trained = ((folder / "run.json").stat().st_mtime for folder in (target, Path(changes["model.weights"])))
        if trained > began:
            remove_folder(target)


def make_application(config_file: Path, changes: dict[str, object], mode: str) -> Application:
    """The application of a config with some settings changed, and nothing of the experiment."""
    own = {"experiment": {}, "runtime.progress": False, "runtime.resume": True, "runtime.overwrite": False}
    changes = changes | own
    read_part(config_file.parent, config_file.name)
    config = load_config(config_file, [f"{key}={json.dumps(value)}" for key, value in changes.items()], mode=mode)
    return resolve_application(config.application)(config)


def _part(run: TrainedRun, domain: str) -> str:
    return domain if domain in run.parts else ""


def score_domain(
    app: Application, inference: BatchInference, maps: Maps, tokens: TokenDataset, domain: str
) -> ItemScores:
    """The model behind `inference` on a domain's examples, in the files' order.

    Raises:
        DataError: There is none.
    """
    rows = np.flatnonzero(tokens.domain_ids == maps.domains.index(domain))
    if not len(rows):
        raise DataError(f"dev or test files: no row of domain {domain!r}, expected at least one to measure it on")
    logits = predict_logits(app, inference, tokens, rows)
    metrics = DomainMetrics(maps.labels.names, maps.domains.names)
    metrics.update(tokens.label_ids[rows], logits, tokens.domain_ids[rows])
    found = metrics.result()["overall"]
    right = logits.argmax(1) == tokens.label_ids[rows]
    marks = "".join("1" if one else "0" for one in right)
    return ItemScores(found["accuracy"], found["macro_f1"], found["loss"], len(rows), marks)


def main(words: list[str]) -> int:
    """Runs the job that a JSON text describes: folder, job."""
    folder, text = words
    job = json.loads(text)
    job |= {"amount": Amount(**job["amount"]), "domains": tuple(job["domains"])}
    job |= {name: Stage(**job[name]) for name in ("joint", "final") if job[name] is not None}
    try:
        run_job(Path(folder), Job(**job))
    except EasyMFTError as error:
        print(error, file=sys.stderr)
        return DIVERGED_CODE if isinstance(error, DivergenceError) else 2
    return 0


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # the log is read as UTF-8, whatever the terminal's encoding
        stream.reconfigure(encoding="utf-8", errors="replace")
    sys.exit(main(sys.argv[1:]))
