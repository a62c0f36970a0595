"""Which models an experiment trains, in which folders, and which cells of its table each of them fills."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from app_zoo.experiment.methods import Method, methods_of
from easymft.config.presets import AVERAGE_DOMAINS, DOMAIN_LOSS_WEIGHT, preset_value
from easymft.config.schema import ExperimentConfig


@dataclass(frozen=True)
class Amount:
    """How many labelled examples of a domain are used: a share, a number for each class, or all of them."""

    share: float | None = None
    examples_per_class: int | None = None

    def __str__(self) -> str:
        """As a table shows it: "100%", "5%", "8 per class"."""
        if self.examples_per_class is not None:
            return f"{self.examples_per_class} per class"
        return f"{100 * (1.0 if self.share is None else self.share):.10g}%"

    def settings(self) -> dict[str, Any]:
        """Of a config; which examples they are is decided by data.subset.seed."""
        if self.share in (None, 1.0) and self.examples_per_class is None:
            return {}
        return {"data.subset.share": self.share, "data.subset.examples_per_class": self.examples_per_class}


@dataclass(frozen=True)
class Stage:
    """One training run.

    Attributes:
        mode: Of `easymft`.
        settings: What it changes in the experiment's config; `output_folder` is not among them. `model.weights` is the
            name of the stage before, if there is one.
    """

    mode: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Of its folder: the same for the same run, so that methods share it."""
        digest = hashlib.sha256(json.dumps([self.mode, self.settings], sort_keys=True).encode()).hexdigest()
        return f"{self.mode}_{digest[:16]}"

    def lock(self, experiment: Path, timeout: float = -1.0) -> FileLock:
        """What the process that trains it holds; others wait for `timeout` seconds, or below 0 as long as it takes."""
        name = ".".join(filter(None, (self.name, self.settings.get("model.weights"))))
        file = experiment / "runs" / f"{name}.lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(file, timeout=timeout)

    def locks_after(self, experiment: Path) -> list[FileLock]:
        """Those of the stages that begin with its weights, whoever planned them; one that is held reads them."""
        return [FileLock(file, timeout=0.0) for file in (experiment / "runs").glob(f"*.{self.name}.lock")]


@dataclass(frozen=True)
class Job:
    """One method with one amount of data, seed and rate, on some domains: what one process trains and measures.

    Attributes:
        method: A name in `methods_of`.
        setting: Of the experiment.
        amount: Labelled data.
        seed: Of everything random.
        learning_rate: Of all stages.
        domains: The cells that it fills.
        joint: The stage on several domains; None: there is none.
        final: The fine-tuning; None: the joint stage's model is measured.
        average_share: How far the fine-tuned domains are moved to their mean before they are measured. The fine-tuning
            does not do it, so that methods which differ in nothing else share it.
    """

    method: str
    setting: str
    amount: Amount
    seed: int
    learning_rate: float
    domains: tuple[str, ...]
    joint: Stage | None
    final: Stage | None
    average_share: float = 0.0

    @property
    def group(self) -> tuple[str, str, str]:
        """Method, setting and amount, which have one learning rate in the table."""
        return self.method, self.setting, str(self.amount)

    def keys(self) -> list[dict[str, Any]]:
        """What tells each of its cells from all others."""
        common = {"method": self.method, "setting": self.setting, "amount": str(self.amount), "seed": self.seed}
        return [common | {"domain": domain, "learning_rate": self.learning_rate} for domain in self.domains]

    def __str__(self) -> str:
        """For people."""
        where = f", {self.domains[0]}" if len(self.domains) == 1 else ""
        return f"{self.method}, {self.amount}, seed {self.seed}, rate {self.learning_rate:g}{where}"


def amounts_of(config: ExperimentConfig) -> list[Amount]:
    """The experiment's amounts of data; all of it, where it names none."""
    experiment = config.experiment
    shares = [Amount(share=share) for share in experiment.shares]
    counts = [Amount(examples_per_class=count) for count in experiment.examples_per_class]
    return shares + counts or [Amount(share=1.0)]


def plan_jobs(config: ExperimentConfig, domains: Sequence[str], seeds: Sequence[int], rates: dict) -> list[Job]:
    """Every job of some seeds.

    Args:
        config: Of the experiment.
        domains: Those that are tested.
        seeds: Some of the experiment's.
        rates: (method, setting, amount as text) -> learning rates to try.

    Returns:
        The jobs, in the order in which they should be run: one seed after the other.
    """
    setting = config.experiment.setting
    # Where the joint stage leaves the target out, each target has its own; a model on all domains is trained once.
    groups = [(domain,) for domain in domains] if setting == "unseen_target" else [tuple(domains)]
    return [
        _plan_job(config, name, method, amount, seed, rate, group)
        for seed in seeds
        for amount in amounts_of(config)
        for name, method in methods_of(config.experiment).items()
        for rate in rates[name, setting, str(amount)]
        for group in groups
    ]


def _plan_job(
    config: ExperimentConfig,
    name: str,
    method: Method,
    amount: Amount,
    seed: int,
    rate: float,
    domains: tuple[str, ...],
) -> Job:
    experiment = config.experiment
    joint_epochs = method.joint_epochs or experiment.joint_epochs
    finetune_epochs = method.finetune_epochs or experiment.finetune_epochs
    both = joint_epochs + finetune_epochs
    # The subset's seed is that of the dev rows too, wherever these are few.
    common = {"runtime.seed": seed, "train.learning_rate": rate, "data.subset.seed": seed}
    joint = final = None
    share = 0.0
    if method.joint is not None:
        # Where the preset does without corruption, methods that have it take the paper's.
        settings = {DOMAIN_LOSS_WEIGHT: config.mft.domain_loss_weight or preset_value("paper", DOMAIN_LOSS_WEIGHT)}
        settings |= common | method.joint | {"train.epochs": joint_epochs if method.finetunes else both} | method.both
        if experiment.setting == "few_both":
            settings |= amount.settings()
        if experiment.setting == "unseen_target":
            settings["data.subset.exclude_domains"] = [*config.data.subset.exclude_domains, *domains]
        settings.pop(AVERAGE_DOMAINS, None)  # of the fine-tuning alone, whichever stage a variant says it for
        joint = Stage("meta_tune", settings)
    if method.finetunes:
        settings = common | {"train.epochs": finetune_epochs if method.joint is not None else both}
        settings |= method.both | method.final | amount.settings()
        share = _average_share(config, settings)
        # An average is of all domains, whichever are tested.
        every = not experiment.domains and experiment.setting != "unseen_target"
        settings |= {AVERAGE_DOMAINS: 0.0, "train.domains": "all" if share or every else list(domains)}
        if joint is not None:
            settings["model.weights"] = joint.name  # in the experiment's folder of runs
        final = Stage("finetune", settings)
    return Job(name, experiment.setting, amount, seed, rate, domains, joint, final, share)


def _average_share(config: ExperimentConfig, settings: dict[str, Any]) -> float:
    share = settings[AVERAGE_DOMAINS]
    preset = settings.get("mft.preset", config.mft.preset)
    return preset_value(preset, AVERAGE_DOMAINS) if share is None else share
