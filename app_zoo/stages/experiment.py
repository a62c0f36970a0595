"""--mode experiment: train and measure every method on every domain, amount of data and seed, and sum it up."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from app_zoo.base import Application, Maps
from app_zoo.experiment.harness import Harness
from app_zoo.experiment.job import make_application
from app_zoo.experiment.methods import methods_of
from app_zoo.experiment.plan import Job, amounts_of, plan_jobs
from app_zoo.inputs import with_excluded
from app_zoo.run_folder import write_json
from easymft.config.loading import dump_config
from easymft.config.presets import AVERAGE_DOMAINS, preset_value
from easymft.config.schema import ExperimentConfig
from easymft.data.bad_rows import SkippedRows
from easymft.data.labels import save_maps
from easymft.data.reading import OPTIONAL_OUTSIDE_TRAINING, read_examples
from easymft.data.sources import digest_files, expand_files
from easymft.errors import ConfigError, DataError, EasyMFTError
from easymft.evaluation.experiment_results import Cell, Group, choose_learning_rates, read_cells
from easymft.evaluation.experiment_summary import write_summary

_VARIANTS = "variants.json"


def run(app: Application) -> None:
    """Runs the cells that are not there yet, chooses each method's learning rate on dev, and writes summary/.

    Raises:
        EasyMFTError: Jobs failed; all others were run.
    """
    config, experiment = app.config, app.config.experiment
    inputs = app.inputs | {"data.test_files": digest_files(expand_files(config.data.test_files))}
    app.folder.check(config, "experiment", inputs)
    _check_variants(config)
    maps = app.infer_maps()
    domains = _domains(app, maps.domains.names)
    _check_measured(app, maps, domains)
    folder = app.folder.path
    selection = experiment.selection_seeds or experiment.seeds[:1]
    amounts = [str(amount) for amount in amounts_of(config)]
    groups = [(method, experiment.setting, amount) for amount in amounts for method in methods_of(experiment)]
    candidates = plan_jobs(config, domains, selection, dict.fromkeys(groups, experiment.learning_rates))
    if app.dry_run:
        rest = [seed for seed in experiment.seeds if seed not in selection]
        count = len(candidates) + len(plan_jobs(config, domains, rest, dict.fromkeys(groups, [1.0])))
        print(f"{count} jobs, {len(candidates)} of them to choose learning rates", flush=True)
        return
    with _lock(folder):
        variants = _variants_of(folder, config)
        app.folder.claim(config, "experiment", inputs)
        write_json(folder / _VARIANTS, variants)
        save_maps(folder / "maps.json", maps.labels, maps.domains)
    _tell_decided(config)
    harness = Harness(folder, experiment.keep_models)
    harness.run(candidates)
    chosen = _choose(folder, candidates, selection, harness.failed)
    rest = [seed for seed in experiment.seeds if seed not in selection]
    rates = {group: [] if rate is None else [rate] for group, rate in chosen.items()}
    for seed in rest:
        harness.run(plan_jobs(config, domains, [seed], rates))
    if any(rates.values()):
        with _lock(folder):
            page = write_summary(folder, selection, chosen)
        print(f"summary: {page}", flush=True)
    if harness.failed:
        raise EasyMFTError(
            f"{len(harness.failed)} jobs failed, first {harness.failed[0]}; see {folder / 'failures'}, mend, "
            "and run the same command again"
        )


def _lock(folder: Path) -> FileLock:
    """Of what every process that shares the experiment writes, at its start and at its end."""
    file = folder / "locks" / "folder.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(file)


def _tell_decided(config: ExperimentConfig) -> None:
    """Says which of the config's settings an experiment does not follow."""
    given = config.train.model_fields_set
    names = [f"train.{name}" for name in ("domains", "epochs", "learning_rate") if name in given]
    if config.train.average_domains != preset_value(config.mft.preset, AVERAGE_DOMAINS):
        names.append(AVERAGE_DOMAINS)
    if "seed" in config.runtime.model_fields_set:
        names.append("runtime.seed")
    if names:
        print(f"note: {', '.join(names)}: not followed; experiment.* and the methods decide", flush=True)


def _variants_of(folder: Path, config: ExperimentConfig) -> dict[str, Any]:
    """The settings of every variant that has cells in the folder, or will have.

    Raises:
        ConfigError: One of them has other settings there.
    """
    file = folder / _VARIANTS
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    ours = {name: variant.model_dump(mode="json") for name, variant in config.experiment.variants.items()}
    for name, settings in ours.items():
        if known.get(name, settings) != settings:
            raise ConfigError(
                f"experiment.variants.{name}: {folder} has results of that name with {json.dumps(known[name])}; choose "
                "another name"
            )
    return known | ours


def _check_variants(config: ExperimentConfig) -> None:
    """Raises ConfigError if a variant's settings are none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(dump_config(config), encoding="utf-8")
        for name in config.experiment.variants:
            try:
                method = methods_of(config.experiment)[name]
                make_application(file, method.both | method.final, "meta_tune")
            except ConfigError as error:
                lines = str(error).replace(f"{file}: ", "").replace("--set: ", "").splitlines()
                raise ConfigError("\n".join(f"experiment.variants.{name}: {line}" for line in lines)) from error


def _domains(app: Application, known: Sequence[str]) -> list[str]:
    wanted = app.config.experiment.domains or list(known)
    for name in wanted:
        if name not in known:
            raise ConfigError(f"experiment.domains: unknown domain {name!r}, expected some of {', '.join(known)}")
    return list(wanted)


def _check_measured(app: Application, maps: Maps, domains: Sequence[str]) -> None:
    """Reads the dev and test files once, since after hours of training is too late to say that they are bad."""
    for split in ("dev", "test"):
        found: set[str] = set()
        for batch in read_examples(
            getattr(app.config.data, f"{split}_files"),
            app.config.data,
            pair=app.pair,
            labels=maps.labels,
            domains=with_excluded(app, maps),
            optional_columns=OPTIONAL_OUTSIDE_TRAINING,
            skipped_rows=SkippedRows(None),
        ):
            found.update(batch.domain)
        for name in domains:
            if name not in found:
                raise DataError(f"data.{split}_files: no row of domain {name!r}, expected at least one to measure on")


def _choose(
    folder: Path, candidates: Sequence[Job], seeds: Sequence[int], failed: Sequence[Job]
) -> dict[Group, float | None]:
    """The chosen rate of each (method, setting, amount); None where a candidate failed."""
    lost = {Cell(**key).group for job in failed for key in job.keys()}
    tried = [cell for job in candidates for key in job.keys() if (cell := Cell(**key)).group not in lost]
    keys = {cell.key for cell in tried}
    rates = choose_learning_rates([cell for cell in read_cells(folder) if cell.key in keys], seeds) if keys else {}
    for (method, _, amount), rate in rates.items():
        print(f"learning rate of {method}, {amount}: {rate:g}", flush=True)
    for method, _, amount in sorted(lost):
        print(f"{method}, {amount}: a candidate failed, so no learning rate is chosen and no other seed is run")
    return rates | dict.fromkeys(lost)
