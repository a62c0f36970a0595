"""run.json: what a run says of itself, checked before anything is made of it."""

import json
from pathlib import Path
from typing import Any

from app_zoo.registry import MODES
from easymft.checksums import file_digest, read_object
from easymft.errors import ConfigError, DamagedError, DataError

STATUS_FILE = "run.json"
TRAINING_MODES = ("meta_tune", "finetune")
_FIELDS: dict[str, tuple[type, str]] = {  # type, and what a message calls it
    "mode": (str, "a mode"),
    "finished": (bool, "true or false"),
    "inputs": (dict, "an object of texts"),
    "models": (list, "a list of names"),
    "training": (dict, "an object"),
    "scored_file": (str, "a path"),
    "scored_sha256": (str, "a digest"),
}


def read_part(run: Path, name: str) -> dict[str, Any]:
    """Reads a JSON object of a run.

    Raises:
        ConfigError: It is damaged.
    """
    try:
        return read_object(run / name)
    except DamagedError as error:
        raise _damaged(run, str(error)) from error


def read_status(run: Path) -> dict[str, Any] | None:
    """Reads run.json; None where there is none.

    Raises:
        ConfigError: It is damaged.
    """
    if not (run / STATUS_FILE).exists():
        return None
    status = read_part(run, STATUS_FILE)
    needed = {"mode", "finished"}
    if status.get("finished") is True and status.get("mode") in TRAINING_MODES:
        needed.add("models")
    for name, (kind, expected) in _FIELDS.items():
        if name in status and not _is_right(name, status[name], kind):
            raise _damaged(run, f"{run / STATUS_FILE}: {name}: expected {expected}, got {json.dumps(status[name]):.60}")
        if name not in status and name in needed:
            raise _damaged(run, f"{run / STATUS_FILE}: {name}: expected {expected}, got none")
    return status


def check_scored(file: Path) -> None:
    """Checks that a file in the folder of a typicality run, of the name of its scored file, is as the run wrote it.

    Raises:
        DataError: It is damaged or was edited, or the run's record is damaged.
    """
    if file.stem != "scored":
        return
    use = "score the rows again, or, if it is meant to be as it is, copy it to another folder and name the copy"
    try:
        status = read_status(file.parent)
    except ConfigError as error:
        raise DataError(f"{file}: cannot be checked ({str(error).partition('; ')[0]}); {use}") from error
    if not status or Path(status.get("scored_file", "")).name != file.name:
        return
    if status.get("scored_sha256") not in (None, file_digest(file)):
        raise DataError(f"{file}: is not as --mode typicality wrote it: damaged, or edited; {use}")


def _is_right(name: str, value: Any, kind: type) -> bool:
    if not isinstance(value, kind):
        return False
    if name == "mode":
        return value in MODES
    if name in ("inputs", "models"):
        return all(isinstance(one, str) for one in (value.values() if kind is dict else value)) and value != []
    return True


def _damaged(run: Path, problem: str) -> ConfigError:
    return ConfigError(f"{problem}; put back a copy of it, or move {run} away to start anew")
