"""What an experiment says of its settings and files before hours of training go by."""

import contextlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app_zoo.base import Application, Maps
from app_zoo.experiment.job import make_application
from app_zoo.experiment.methods import methods_of
from app_zoo.experiment.plan import Stage, amounts_of, plan_jobs
from app_zoo.inputs import with_excluded
from app_zoo.stages.meta_tune import check_domains
from easymft.config.loading import dump_config
from easymft.config.presets import AVERAGE_DOMAINS
from easymft.config.schema import ExperimentConfig
from easymft.data.reading import OPTIONAL_OUTSIDE_TRAINING, read_examples
from easymft.errors import ConfigError, DataError


def check_methods(config: ExperimentConfig, known: Sequence[str], domains: Sequence[str]) -> None:
    """Checks every stage of every method and variant, as it will be run.

    Args:
        config: Of the experiment.
        known: All domains of the run.
        domains: Those that are tested.

    Raises:
        ConfigError: A variant's settings are none, or a method cannot be run on so few or unseen domains.
    """
    experiment = config.experiment
    groups = itertools.product(methods_of(experiment), [experiment.setting], map(str, amounts_of(config)))
    jobs = plan_jobs(config, domains, [0], dict.fromkeys(groups, [1.0]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(dump_config(config), encoding="utf-8")
        for job in {job.method: job for job in jobs}.values():
            where = "experiment.variants" if job.method in experiment.variants else "experiment.methods"
            where = f"{where}.{job.method}"
            unseen = job.domains if job.setting == "unseen_target" else ()
            if unseen and job.average_share:
                raise ConfigError(f"{where}: expected a method without train.average_domains, as a target is alone")
            try:
                if job.joint is not None:
                    check_domains(_make(file, job.joint), [name for name in known if name not in unseen])
                if job.final is not None:
                    averaged = {AVERAGE_DOMAINS: job.average_share}
                    _make(file, replace(job.final, settings=job.final.settings | averaged))
            except ConfigError as error:
                lines = str(error).replace(f"{file}: ", "").replace("--set: ", "").splitlines()
                raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from error


def _make(file: Path, stage: Stage) -> Application:
    changes = {path: value for path, value in stage.settings.items() if path != "model.weights"}  # not there yet
    return make_application(file, changes, stage.mode)


def check_data(app: Application, maps: Maps, domains: Sequence[str]) -> None:
    """Reads all files once: rows must be good, every domain measured, every amount to be had.

    Raises:
        DataError: They are not; the first problem.
    """
    train, dev, test = (_count(app, maps, split) for split in ("train", "dev", "test"))
    for split, cells in (("dev", dev), ("test", test)):
        for name in domains:
            if name not in {domain for domain, _ in cells}:
                raise DataError(f"data.{split}_files: no row of domain {name!r}, expected at least one to measure on")
    measured = {domain for domain, _ in dev}
    if app.config.experiment.setting == "unseen_target" and len(measured) == 1:
        raise DataError(
            f"data.dev_files: rows of {measured.pop()!r} alone, expected some of the other domains too, by which the "
            "first stage chooses its checkpoint"
        )
    for number in app.config.experiment.examples_per_class:
        _check_number("experiment.examples_per_class", number, train, "train", maps)
    number = app.config.data.subset.dev_examples_per_class
    if number is not None:
        _check_number("data.subset.dev_examples_per_class", number, dev, "dev", maps)


def _count(app: Application, maps: Maps, split: str) -> Counter[tuple[str, str]]:
    """(domain, class) -> its rows; lists what the jobs will skip."""
    cells: Counter[tuple[str, str]] = Counter()
    with app.skipped_rows(split) or contextlib.nullcontext() as skipped_rows:
        for batch in read_examples(
            getattr(app.config.data, f"{split}_files"),
            app.config.data,
            pair=app.pair,
            labels=maps.labels,
            domains=with_excluded(app, maps),
            optional_columns=() if split == "train" else OPTIONAL_OUTSIDE_TRAINING,
            skipped_rows=skipped_rows,
        ):
            cells.update(zip(batch.domain or itertools.repeat(maps.domains.names[0]), batch.label, strict=False))
    return cells


def _check_number(setting: str, number: int, cells: Counter[tuple[str, str]], split: str, maps: Maps) -> None:
    for (domain, label), rows in cells.items():
        if domain in maps.domains and rows < number:
            raise DataError(
                f"{setting}: expected at most {rows}, the rows of class {label!r} in domain {domain!r} of "
                f"data.{split}_files, got {number}"
            )
