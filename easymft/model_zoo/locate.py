"""From what a config says in model.weights to files on disk."""

import dataclasses
import glob
import json
import os
import re
from pathlib import Path

from easymft.checksums import SUMS_FILE
from easymft.errors import CheckpointError, one_line
from easymft.model_zoo.bert_files import CONFIG_FILE, GOOGLE_CONFIG_FILE
from easymft.model_zoo.checkpoints import find_checkpoint, is_object_checkpoint
from easymft.model_zoo.folders import near_names, restore_folder
from easymft.model_zoo.foreign import LFS_POINTER, describe_foreign, is_lfs_pointer, list_files
from easymft.model_zoo.hub import fetch_from_hub, looks_like_hub_name
from easymft.model_zoo.huggingface import INDEX_FILE, WEIGHTS_FILE
from easymft.model_zoo.json_files import read_json
from easymft.model_zoo.registry import SHORT_NAMES, default_folder, fetch_short_name, near_short_names
from easymft.model_zoo.tensor_store import list_names
from easymft.model_zoo.weight_map import Format

_BEST, _STATUS_FILE = "best", "run.json"  # of a run's folder
_RUN_FIRST = "if it is the output folder of a run, run that first (--mode meta_tune or finetune)"
_DEEPER = (f"*/{WEIGHTS_FILE}", f"*/*/{WEIGHTS_FILE}", "*/*.ckpt*.index")  # where weights may be below a folder
_MODULES_FILE = "modules.json"  # of a sentence-transformers folder
# First parts of paths that are hardly names of owners on the hub, and may not exist yet.
_FOLDERS = ("run", "runs", "out", "output", "outputs", "weights", "models", "model", "checkpoints", "data")


@dataclasses.dataclass(frozen=True)
class Location:
    """Where weights are.

    Attributes:
        format: How they are stored.
        folder: The folder with the config and vocabulary.
        checkpoint: The TF checkpoint's prefix, such as FOLDER/bert_model.ckpt; None for Hugging Face folders.
        source: What was found, for logs.
    """

    format: Format
    folder: Path
    checkpoint: str | None
    source: str

    @property
    def files(self) -> list[Path]:
        """Files of the weights, their config and vocabulary, sorted; of other checkpoints beside them none."""
        if self.checkpoint is None:
            return sorted(file for file in self.folder.iterdir() if file.is_file() and file.name != SUMS_FILE)
        own = self.folder.glob(f"{glob.escape(Path(self.checkpoint).name)}.*")
        return sorted({*own, *self.folder.glob("*.json"), *self.folder.glob("*.txt")})


def is_on_disk(weights: str, weights_format: str) -> bool:
    """Whether weights are meant as a path: a folder or a TF checkpoint's prefix that is there."""
    path = Path(os.path.expanduser(weights))
    return weights_format != "name" and (path.exists() or find_checkpoint(path) is not None)


def locate_weights(weights: str, weights_format: str = "auto", cache_folder: str | None = None) -> Location:
    """Finds weights by a path or name, fetching them where it is a name.

    `auto` takes a path that exists for what it holds, then a short name, then a Hugging Face name `owner/name`.

    Args:
        weights: A short name, a Hugging Face folder or name, a TF checkpoint's folder or prefix, or a run's folder.
        weights_format: auto, run, huggingface, tf1, tf2 or name.
        cache_folder: Where weights of short names are kept. None: in the user's cache.

    Returns:
        The weights' location.

    Raises:
        CheckpointError: Nothing is there, or it is not of the format asked for.
    """
    path = Path(os.path.expanduser(weights))
    restore_folder(path)
    restore_folder(path / _BEST)
    if weights_format == "name":
        return _locate_name(weights, cache_folder)
    if not is_on_disk(weights, weights_format):
        if weights_format == "auto" and weights in SHORT_NAMES:
            return _locate_name(weights, cache_folder)
        if weights_format == "auto" and _is_hub_name(weights, path):
            try:
                return _locate_name(weights, cache_folder)
            except CheckpointError as error:
                raise CheckpointError(f"{error}; no such folder in {Path.cwd()} either{near_names(path)}") from error
        raise CheckpointError(_not_found(weights, path, weights_format))
    found = _locate_path(path)
    if weights_format not in ("auto", "run" if found.source.startswith("run ") else found.format):
        raise CheckpointError(f"{weights}: is a {found.source}; expected weights_format {weights_format}")
    return found


def _is_hub_name(weights: str, path: Path) -> bool:
    """A name of the hub, unless a mistyped short name or a path is likelier: its first part is a folder here, say."""
    if not looks_like_hub_name(weights) or near_short_names(weights):
        return False
    return "/" not in weights or not (path.parent.exists() or path.parts[0] in _FOLDERS)


def _not_found(weights: str, path: Path, weights_format: str) -> str:
    where = "" if path.is_absolute() else f" in {Path.cwd()}"
    text = f"{weights}: no such folder or checkpoint{where}{near_names(path)}"
    near = near_short_names(weights)
    if weights_format == "auto" and near:
        return f"{text}; did you mean the short name {' or '.join(near)}?"
    if "\\" in weights and os.sep == "/":
        text += f"; folders are divided by / here: {weights.replace(chr(92), '/')}"
    elif re.match("https?://", weights):
        text += "; expected a folder, or a name of the Hugging Face hub, owner/model, without the address"
    elif "/" in weights or weights_format == "run":
        text += f"; {_RUN_FIRST}"
    if weights_format != "auto":
        return text
    hub = '; for a model of the Hugging Face hub set model.weights_format to "name"'
    return f"{text}; no short name either ({', '.join(SHORT_NAMES)}){hub if looks_like_hub_name(weights) else ''}"


def _locate_name(name: str, cache_folder: str | None) -> Location:
    if name in SHORT_NAMES:
        folder, origin = fetch_short_name(name, default_folder(name, cache_folder))
        return Location("huggingface", folder, None, f"{name} from {origin}, Hugging Face folder {folder}")
    folder = fetch_from_hub(name)
    return Location("huggingface", folder, None, f"Hugging Face model {name}, folder {folder}")


def _locate_path(path: Path) -> Location:
    if (path / _BEST / CONFIG_FILE).is_file():
        return Location("huggingface", path / _BEST, None, f"run {path}, its Hugging Face folder {_BEST}")
    checkpoint = find_checkpoint(path)
    if checkpoint is not None:
        kind: Format = "tf2" if is_object_checkpoint(checkpoint) else "tf1"
        return Location(kind, Path(checkpoint).parent, checkpoint, f"{kind.upper()} checkpoint {checkpoint}")
    parts = sorted(file.name for file in path.glob("*.data-*-of-*"))
    if parts:
        raise CheckpointError(f"{path}: holds {list_names(parts)} but no .index file of that checkpoint")
    if path.is_file():
        if path.name not in (WEIGHTS_FILE, INDEX_FILE):
            raise CheckpointError(_wrong_file(path))
        path = path.parent
    _check_run(path)
    inner = _inner_folder(path)
    if inner is not None or any((path / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE, INDEX_FILE)):
        return Location("huggingface", inner or path, None, f"Hugging Face folder {inner or path}")
    deeper = sorted(str(file.parent) for pattern in _DEEPER for file in path.glob(pattern))
    if deeper:
        raise CheckpointError(f"{path}: holds no weights itself; name one of {list_names(deeper)}")
    foreign = describe_foreign(list_files(path))
    if foreign is not None:
        raise CheckpointError(f"{path}: holds no weights that EasyMFT reads, but {foreign}")
    if (path / GOOGLE_CONFIG_FILE).is_file():
        raise CheckpointError(f"{path}: holds {GOOGLE_CONFIG_FILE} but no TF checkpoint (.index and .data files)")
    names = list_names(sorted(entry.name for entry in path.iterdir())) or "nothing"
    raise CheckpointError(f"{path}: no weights here; found {names}; {_RUN_FIRST}")


def _wrong_file(path: Path) -> str:
    foreign = describe_foreign([path.name])
    if foreign is not None:
        return f"{path}: is a file; expected a folder, but this is {foreign}"
    renamed = f", with {path.name} renamed to {WEIGHTS_FILE}" if path.suffix == ".safetensors" else ""
    return f"{path}: is a file; expected a folder or the prefix of a TF checkpoint, such as {path.parent}{renamed}"


def _check_run(path: Path) -> None:
    """Says of a run's folder without a model of its own why it has none.

    Raises:
        CheckpointError: It is such a folder.
    """
    domains = sorted(file.parent.parent.name for file in path.glob(f"*/{_BEST}/{CONFIG_FILE}"))
    if domains:
        raise CheckpointError(f"{path}: a run with a model for each domain; name one of {list_names(domains)} in it")
    if not (path / _STATUS_FILE).is_file():
        return
    status = read_json(path / _STATUS_FILE)
    mode = status.get("mode")
    if mode in ("meta_tune", "finetune") and status.get("finished") is True:
        raise CheckpointError(
            f"{path / _BEST / CONFIG_FILE}: is missing, but the run of --mode {mode} has finished; put back a copy of "
            f"{path / _BEST}, or train anew in another folder"
        )
    if mode in ("meta_tune", "finetune"):
        raise CheckpointError(
            f"{path}: a run of --mode {mode} that has saved no model yet; let it end first (the same command goes on)"
        )
    raise CheckpointError(
        f"{path}: a run of --mode {mode}, which leaves no model there; expected one of meta_tune or finetune"
    )


def _inner_folder(path: Path) -> Path | None:
    """The BERT's folder in a sentence-transformers folder that keeps it in one of its own; None where it does not.

    Raises:
        CheckpointError: The first module is none of transformers.
    """
    if (path / WEIGHTS_FILE).is_file() or (path / INDEX_FILE).is_file():
        return None
    file = path / _MODULES_FILE
    if not file.is_file():
        return next(
            (path / name for name in ("0_Transformer", "0_BERT") if (path / name / CONFIG_FILE).is_file()), None
        )
    try:
        first = json.loads(file.read_text(encoding="utf-8"))[0]
        kind, inner = str(first["type"]), str(first["path"])
    except (OSError, ValueError, RecursionError, LookupError, TypeError) as error:
        if is_lfs_pointer(file):
            raise CheckpointError(f"{file}: {LFS_POINTER}") from error
        raise CheckpointError(f"{file}: no list of modules with type and path ({one_line(error)})") from error
    if kind.rpartition(".")[2] not in ("Transformer", "BERT"):
        raise CheckpointError(f"{file}: the first module is of type {kind}; expected a Transformer, a BERT's")
    if inner in ("", "."):
        return None
    if Path(inner).name != inner or not (path / inner).is_dir():
        raise CheckpointError(f"{file}: the first module is in {inner!r}; expected a folder beside this file")
    return path / inner
