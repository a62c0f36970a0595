"""--mode experiment: train and measure every method on every domain, amount of data and seed, and sum it up."""

import json
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from filelock import FileLock

from app_zoo.base import Application
from app_zoo.experiment.checks import check_data, check_methods
from app_zoo.experiment.harness import Harness, is_held
from app_zoo.experiment.methods import methods_of
from app_zoo.experiment.plan import Job, amounts_of, plan_jobs
from app_zoo.run_record import read_part
from easymft.checksums import write_object
from easymft.config.presets import AVERAGE_DOMAINS, preset_value
from easymft.config.schema import ExperimentConfig
from easymft.data.labels import save_maps
from easymft.data.sources import digest_files, expand_files
from easymft.errors import ConfigError, EasyMFTError
from easymft.evaluation.experiment.failures import read_failures
from easymft.evaluation.experiment.results import Cell, Group, choose_learning_rates, read_cells
from easymft.evaluation.experiment.summary import write_summary
from easymft.files import PART

_VARIANTS, _FOLDER_LOCK = "variants.json", "folder.lock"
# Settings that it does not follow, as it has its own, beside those of the methods.
_DECIDED = ("train.domains", "train.epochs", "train.learning_rate", "runtime.seed", "data.subset.seed")
_DECIDED += ("data.cache_folder", "evaluation.after_training", "evaluation.metrics_file")


def run(app: Application) -> None:
    """Runs the cells that are not there yet, chooses each method's learning rate on dev, and writes summary/.

    Raises:
        EasyMFTError: Jobs failed; all others were run.
    """
    config, experiment = app.config, app.config.experiment
    inputs = app.inputs | {"data.test_files": digest_files(expand_files(config.data.test_files))}
    app.folder.check(config, "experiment", inputs)
    maps = app.infer_maps()
    domains = _domains(app, maps.domains.names)
    check_methods(config, maps.domains.names, domains)
    check_data(app, maps, domains)
    folder = app.folder.path
    selection = experiment.selection_seeds or experiment.seeds[:1]
    amounts = [str(amount) for amount in amounts_of(config)]
    groups = [(method, experiment.setting, amount) for amount in amounts for method in methods_of(experiment)]
    candidates = plan_jobs(config, domains, selection, dict.fromkeys(groups, experiment.learning_rates))
    rest = [seed for seed in experiment.seeds if seed not in selection]
    count = len(candidates) + len(plan_jobs(config, domains, rest, dict.fromkeys(groups, [1.0])))
    if app.dry_run:
        print(f"{count} jobs, {len(candidates)} of them to choose learning rates", flush=True)
        return
    with _lock(folder):
        app.folder.check(config, "experiment", inputs)  # another process may have been faster
        anew = app.folder.starts_anew(config, "experiment", inputs)
        if anew:
            _check_nobody_works(folder)
        variants = _variants_of(folder, config, anew)
        app.folder.claim(config, "experiment", inputs)
        write_object(folder / _VARIANTS, variants)
        save_maps(folder / "maps.json", maps.labels, maps.domains)
    _check_earlier(folder)
    _tell_decided(config)
    harness = Harness(folder, experiment.keep_models, expected=count)
    harness.run(candidates)
    chosen = _choose(folder, candidates, selection, harness)
    rates = {group: [] if rate is None else [rate] for group, rate in chosen.items()}
    jobs_by_seed = [plan_jobs(config, domains, [seed], rates) for seed in rest]
    harness.expected = len(candidates) + sum(map(len, jobs_by_seed))  # a method without a rate has no other seeds
    for jobs in jobs_by_seed:
        harness.run(jobs)
    if any(rates.values()):
        with _lock(folder):
            page = write_summary(folder, selection, chosen)
        print(f"summary: {page}", flush=True)
    # A candidate that diverged is no failure where another rate was chosen.
    failed = harness.failed + [job for job in harness.diverged if chosen[job.group] in (None, job.learning_rate)]
    if failed:
        raise EasyMFTError(
            f"{len(failed)} jobs failed, first {failed[0]}; see {folder / 'failures'}, mend, and run the same command "
            "again"
        )


def _lock(folder: Path) -> FileLock:
    """Of what every process that shares the experiment writes, at its start and at its end."""
    file = folder / "locks" / _FOLDER_LOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(file)


def _check_nobody_works(folder: Path) -> None:
    for file in [*(folder / "locks").glob("*.lock"), *(folder / "runs").glob("*.lock")]:
        if file.name != _FOLDER_LOCK and is_held(FileLock(file, timeout=0.0)):
            raise ConfigError(
                f"runtime.overwrite: another process works on the experiment in {folder}; stop it first, or choose "
                "another output_folder"
            )


def _check_earlier(folder: Path) -> None:
    """Raises DataError where what an earlier process measured is damaged, before others wait for the end to hear it."""
    if any(not file.name.startswith(PART) for file in (folder / "cells").glob("*.json")):
        read_cells(folder)
    read_failures(folder)


def _tell_decided(config: ExperimentConfig) -> None:
    """Says which of the config's settings an experiment does not follow."""
    places = {path: path.split(".") for path in _DECIDED}
    names = [path for path, (*above, name) in places.items() if name in reduce(getattr, above, config).model_fields_set]
    if config.train.average_domains != preset_value(config.mft.preset, AVERAGE_DOMAINS):
        names.append(AVERAGE_DOMAINS)
    if names:
        print(f"note: {', '.join(names)}: not followed; experiment.* and the methods decide", flush=True)


def _variants_of(folder: Path, config: ExperimentConfig, anew: bool) -> dict[str, Any]:
    """The settings of every variant that has cells in the folder, if these are to stay, or will have.

    Raises:
        ConfigError: One of them has other settings there.
    """
    file = folder / _VARIANTS
    known = read_part(folder, _VARIANTS) if file.exists() and not anew else {}
    ours = {name: variant.model_dump(mode="json") for name, variant in config.experiment.variants.items()}
    for name, settings in ours.items():
        if known.get(name, settings) != settings:
            raise ConfigError(
                f"experiment.variants.{name}: {folder} has results of that name with {json.dumps(known[name])}; choose "
                "another name, or start anew with runtime.overwrite true and runtime.resume false"
            )
    return known | ours


def _domains(app: Application, known: Sequence[str]) -> list[str]:
    wanted = app.config.experiment.domains or list(known)
    for name in wanted:
        if name not in known:
            raise ConfigError(f"experiment.domains: unknown domain {name!r}, expected some of {', '.join(known)}")
    return list(wanted)


def _choose(
    folder: Path, candidates: Sequence[Job], seeds: Sequence[int], harness: Harness
) -> dict[Group, float | None]:
    """The chosen rate of each (method, setting, amount); None where a candidate failed, or with every rate diverged."""
    failed = {job.group for job in harness.failed}
    diverged = {(job.group, job.learning_rate) for job in harness.diverged}
    left = [job for job in candidates if job.group not in failed and (job.group, job.learning_rate) not in diverged]
    keys = {Cell(**key).key for job in left for key in job.keys()}
    rates = choose_learning_rates([cell for cell in read_cells(folder) if cell.key in keys], seeds) if keys else {}
    for (method, _, amount), rate in sorted(diverged):
        print(f"{method}, {amount}: training diverged at {rate:g}, which is not chosen", flush=True)
    for (method, _, amount), rate in rates.items():
        print(f"learning rate of {method}, {amount}: {rate:g}", flush=True)
    lost = {job.group for job in candidates} - rates.keys()
    for method, _, amount in sorted(lost):
        print(f"{method}, {amount}: a candidate failed, so no learning rate is chosen and no other seed is run")
    return rates | dict.fromkeys(lost)
