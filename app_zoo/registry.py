"""What `easymft` can run: application names -> classes, imported only when asked for, and the modes."""

import importlib
from typing import Any, NamedTuple

from easymft.config.expectations import nearest
from easymft.errors import ConfigError


class Mode(NamedTuple):
    """One word after --mode.

    Attributes:
        help: What it does, in a line.
        stage: The module in `app_zoo.stages` that does it.
        dry_run: What --dry_run has shown when it ends well.
    """

    help: str
    stage: str
    dry_run: str = "everything loads and one batch runs"


APPLICATIONS: dict[str, str] = {
    "text_classification": "app_zoo.text_classification.application:TextClassification",
    "text_matching": "app_zoo.text_matching.application:TextMatching",
}

MODES: dict[str, Mode] = {
    "validate": Mode(
        "read all files once and report rows, domains x labels, lengths and bad rows",
        "validate",
        "the files are read, nothing is written",
    ),
    "typicality": Mode("score how typical each training example is for its class over the domains", "typicality"),
    "meta_tune": Mode(
        "train one model on all domains, with typicality and corruption (mft.preset paper) or without", "meta_tune"
    ),
    "finetune": Mode("fine-tune each domain, a list of them, or all rows together", "finetune"),
    "evaluate": Mode("report accuracy, macro-F1, loss and confusion matrix by domain", "evaluate"),
    "predict": Mode("write the label and its probabilities for every row, in input order", "predict"),
    "export": Mode("write a SavedModel that takes texts, for TensorFlow Serving", "export"),
    "experiment": Mode(
        "compare methods over domains, amounts of data and seeds, and make the table",
        "experiment",
        "the files are there and the jobs are counted",
    ),
    "convert": Mode("write the weights in another checkpoint format", "convert"),
}


def resolve_application(name: str) -> Any:
    """Imports an application.

    Args:
        name: A key of `APPLICATIONS`.

    Returns:
        Its class, `Application(config)` with `run(mode, dry_run)`.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in APPLICATIONS:
        raise ConfigError(f'unknown application "{name}"; {nearest(name, list(APPLICATIONS))}')
    module, class_name = APPLICATIONS[name].split(":")
    return getattr(importlib.import_module(module), class_name)
