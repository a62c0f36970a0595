"""The folder of one run: who owns it, whether it is finished, and what stands where in it."""

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from app_zoo.run_record import STATUS_FILE, TRAINING_MODES, read_part, read_status
from easymft.checksums import write_object
from easymft.config.loading import dump_config, load_config
from easymft.config.schema import ExperimentConfig
from easymft.errors import ConfigError
from easymft.files import remove_left, short_name

_CONFIG, _LOCK = "config.json", ".lock"
# Written while the inputs are still being checked.
_BEFORE_THE_RUN = re.compile(r"cache|locks|\.lock|validation\.json|\.?skipped_rows_.*|\.part\..*", re.DOTALL)
# Names in a run's folder that no domain's model may take.
_RESERVED = ("best", "last", "resume", "cache", "tensorboard", "typicality", "saved_model", "converted", "config.json")
_RESERVED += ("run.json", "maps.json", "metrics.json", "training.json", "validation.json", "evaluation.json")
_RESERVED += tuple(f"predictions.{ending}" for ending in ("csv", "tsv", "jsonl", "parquet", "xlsx"))
_RESERVED += ("metrics_confusion_matrix.png", "evaluation_confusion_matrix.png")
_TEST_FILES = "test_files"  # free for who measures later, in a file of its own, but an experiment has cells of them
# These say how to run or to describe, not what is computed: a run may be resumed with others.
_FREE_SETTINGS = {
    "about": None,
    "evaluation": None,
    "prediction": None,
    "export": None,
    "convert": None,
    # What decides on which cells there are, but not on what is in them.
    "experiment": (
        "methods",
        "variants",
        "domains",
        "setting",
        "shares",
        "examples_per_class",
        "seeds",
        "selection_seeds",
        "learning_rates",
        "keep_models",
    ),
    "output_folder": None,
    "model": ("cache_folder",),
    "runtime": ("resume", "overwrite", "progress"),
    "data": (_TEST_FILES, "cache_folder", "bad_row_limit"),
    "train": ("checkpoint_every_steps",),
}


def check_writable(setting: str, path: str | Path, *, file: bool = False) -> None:
    """Tells whether a file or folder could be written, before hours go into what shall stand there; writes nothing.

    Args:
        setting: The config's, for the message.
        path: May not exist yet, nor the folders above it.
        file: Whether it shall be a file.

    Raises:
        ConfigError: A file stands where a folder is needed, or the other way round, or the permission is missing.
    """
    path = Path(path)
    if file and path.is_dir():
        raise ConfigError(f"{setting}: {path} is a folder, expected the name of a file")
    found = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if found != path and not found.is_dir():
        raise ConfigError(f"{setting}: cannot write to {path}: {found} is a file, expected a folder")
    if not os.access(found, os.W_OK | (os.X_OK if found.is_dir() else 0)):
        raise ConfigError(f"{setting}: cannot write to {path}: no permission for {found}")


def part_folder(run: Path, domain: str) -> Path:
    """Where a run keeps the model of a domain ("": its only model); the name is escaped so that any can be a folder."""
    escaped = short_name(quote(domain, safe=" "))
    if escaped.startswith(".") or escaped in _RESERVED:
        escaped = f"%{ord(escaped[0]):02X}{escaped[1:]}"
    return run / escaped


def _what_counts(config: dict[str, Any], mode: str) -> dict[str, Any]:
    flat = {}
    for section, values in config.items():
        free = _FREE_SETTINGS.get(section, ())
        if free is None:
            continue
        if isinstance(values, dict):
            counts = (_TEST_FILES,) if mode == "experiment" else ()
            values = {key: value for key, value in values.items() if key not in free or key in counts}
        flat |= _flatten(section, values)
    return flat


def _flatten(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {path: leaf for key, inner in value.items() for path, leaf in _flatten(f"{name}.{key}", inner).items()}


class RunFolder:
    """The output folder of a training or scoring run.

    Args:
        path: `output_folder` of the config.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._lock: FileLock | None = None

    def check(self, config: ExperimentConfig, mode: str, inputs: dict[str, str]) -> bool:
        """Tells whether the same run has already finished here; stops if the folder is not to be had; writes nothing.

        Args:
            config: Of the run that shall be.
            mode: Its mode.
            inputs: Settings that name files -> digest of their contents.

        Raises:
            ConfigError: The folder belongs to another run or to something else, or cannot be written.
        """
        check_writable("output_folder", self.path)
        if not self._is_occupied():
            return False
        if self.starts_anew(config, mode, inputs):
            self._check_old()
        else:
            self._check_same_run(config, mode, inputs)
            if not config.runtime.resume and not self.is_finished:
                raise ConfigError(
                    f"output_folder: {self.path} holds an interrupted run and runtime.resume is false; "
                    "set runtime.resume to go on or runtime.overwrite to start anew"
                )
            return self.is_finished
        return False

    def claim(self, config: ExperimentConfig, mode: str, inputs: dict[str, str]) -> None:
        """Makes the folder this run's own, after `check` and once all inputs are known to be good.

        Until `release`, or the end of the process, no other may claim it; an experiment's processes share theirs.

        Raises:
            ConfigError: The folder cannot be written, or another process has it.
        """
        if mode != "experiment":
            self._acquire()
        self.tidy(config)
        if self.starts_anew(config, mode, inputs):
            self._move_away()
        elif self.is_finished:
            raise ConfigError(f"output_folder: another process has finished the run in {self.path} meanwhile")
        elif self.status() is not None:
            # The run may have been stopped before it was written; the jobs of an experiment read it at every start.
            if mode == "experiment" or not (self.path / _CONFIG).exists():
                self._write_config(config)
            return
        try:
            write_object(self.path / STATUS_FILE, {"mode": mode, "finished": False, "inputs": inputs})
            self._write_config(config)
        except OSError as error:
            raise ConfigError(f"output_folder: cannot write to {self.path}: {error.strerror}") from error

    def _acquire(self) -> None:
        if self._lock is not None:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / _LOCK, timeout=0.0)
            lock.acquire()
        except Timeout:
            raise ConfigError(f"output_folder: another process is writing to {self.path}; wait for it to end") from None
        except OSError as error:
            raise ConfigError(f"output_folder: cannot write to {self.path}: {error.strerror}") from error
        except NotImplementedError:
            print(f"note: {self.path} is on a file system without locks; let no other run write there", flush=True)
            return
        self._lock = lock

    def tidy(self, config: ExperimentConfig) -> None:
        """Removes what processes that were killed left half-written here and in the cache."""
        for folder in filter(None, (self.path, config.data.cache_folder)):
            remove_left(Path(folder))

    def release(self) -> None:
        """Lets others claim the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def starts_anew(self, config: ExperimentConfig, mode: str, inputs: dict[str, str]) -> bool:
        """Whether `claim` will move what is in the folder away, and begin the run."""
        return config.runtime.overwrite and self._is_occupied() and not self._goes_on(config, mode, inputs)

    def _goes_on(self, config: ExperimentConfig, mode: str, inputs: dict[str, str]) -> bool:
        """Whether the folder holds this very run, unfinished: even with runtime.overwrite it goes on."""
        try:
            self._check_same_run(config, mode, inputs)
        except ConfigError:
            return False
        return config.runtime.resume and not self.is_finished

    def _move_away(self) -> None:
        old = self._check_old()
        self.path.rename(old)
        self.path.mkdir()
        for entry in list(old.iterdir()):  # made for the run that begins now
            if _BEFORE_THE_RUN.fullmatch(entry.name):
                entry.rename(self.path / entry.name)

    def _write_config(self, config: ExperimentConfig) -> None:
        write_object(self.path / _CONFIG, json.loads(dump_config(config)))

    def _is_occupied(self) -> bool:
        try:
            names = [entry.name for entry in self.path.iterdir()] if self.path.exists() else []
            return not all(_BEFORE_THE_RUN.fullmatch(name) for name in names)
        except NotADirectoryError as error:
            raise ConfigError(f"output_folder: {self.path} is a file, expected a folder") from error

    def _check_old(self) -> Path:
        """Where runtime.overwrite keeps the run that it replaces."""
        if not self.path.name:
            raise ConfigError(f"output_folder: {self.path} is the folder that the command runs in; name another one")
        old = self.path.with_name(self.path.name + ".old")
        if old.exists():
            raise ConfigError(
                f"output_folder: {old} is in the way of keeping the run that runtime.overwrite replaces; move it"
            )
        return old

    def _check_same_run(self, config: ExperimentConfig, mode: str, inputs: dict[str, str]) -> None:
        status = self.status()
        if status is None:
            raise ConfigError(
                f"output_folder: {self.path} is not empty and is not an EasyMFT run; choose another folder"
            )
        if status["mode"] != mode:
            raise ConfigError(
                f"output_folder: {self.path} holds a run of --mode {status['mode']}, received --mode {mode}; "
                "choose another folder or set runtime.overwrite"
            )
        if not (self.path / _CONFIG).exists():  # stopped before anything was computed
            return
        old = _what_counts(read_part(self.path, _CONFIG), mode)
        new = _what_counts(json.loads(dump_config(config)), mode)
        changed = [f"{key}: {old.get(key)!r} there, {new[key]!r} here" for key in new if old.get(key) != new[key]]
        if changed:
            raise ConfigError(
                f"output_folder: {self.path} holds another run ({'; '.join(changed)}); "
                "choose another folder or set runtime.overwrite"
            )
        changed = [name for name, digest in inputs.items() if status.get("inputs", {}).get(name) != digest]
        if changed:
            raise ConfigError(
                f"output_folder: {self.path} holds a run on other contents of {', '.join(changed)}; "
                "choose another folder or set runtime.overwrite"
            )

    def status(self) -> dict[str, Any] | None:
        """The run's record of itself ("mode", "finished", ...), or None where there is no run.

        Raises:
            ConfigError: It is damaged.
        """
        return read_status(self.path)

    @property
    def is_unfinished(self) -> bool:
        """Whether a run stands here that goes on somewhere, or was interrupted."""
        status = self.status()
        return bool(status) and not status["finished"]

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        status = self.status()
        return bool(status and status["finished"])

    def finish(self, **facts: Any) -> None:
        """Marks the run as finished and records facts about it (JSON values)."""
        write_object(self.path / STATUS_FILE, (self.status() or {}) | {"finished": True} | facts)

    def read_config(self) -> ExperimentConfig:
        """The resolved config of the training run in the folder, for modes that work on it.

        Raises:
            ConfigError: There is no finished training run in the folder, or its config is damaged.
        """
        status = self.status()
        if status is None or not status["finished"] or status["mode"] not in TRAINING_MODES:
            found = "nothing" if status is None else f"a run of --mode {status['mode']}, finished: {status['finished']}"
            raise ConfigError(
                f"output_folder: expected a finished run of --mode meta_tune or finetune in {self.path}, found {found}"
            )
        read_part(self.path, _CONFIG)
        # Of the experiment's section a training run needs nothing; an earlier version may have known other methods.
        return load_config(self.path / _CONFIG, ["experiment={}"])
