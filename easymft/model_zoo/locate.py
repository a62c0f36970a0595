"""From what a config says in model.weights to files on disk."""

import dataclasses
import difflib
import glob
import os
from pathlib import Path

from easymft.checksums import SUMS_FILE
from easymft.errors import CheckpointError
from easymft.model_zoo.bert_files import CONFIG_FILE, GOOGLE_CONFIG_FILE
from easymft.model_zoo.checkpoints import find_checkpoint, is_object_checkpoint
from easymft.model_zoo.folders import near_names, restore_folder
from easymft.model_zoo.hub import fetch_from_hub, looks_like_hub_name
from easymft.model_zoo.registry import SHORT_NAMES, fetch_short_name
from easymft.model_zoo.tensor_store import list_names
from easymft.model_zoo.weight_map import Format

_BEST = "best"


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


def locate_weights(weights: str, weights_format: str = "auto") -> Location:
    """Finds weights by a path or name, fetching them where it is a name.

    `auto` takes a path that exists for what it holds, then a short name, then a Hugging Face name `owner/name`.

    Args:
        weights: A short name, a Hugging Face folder or name, a TF checkpoint's folder or prefix, or a run's folder.
        weights_format: auto, run, huggingface, tf1, tf2 or name.

    Returns:
        The weights' location.

    Raises:
        CheckpointError: Nothing is there, or it is not of the format asked for.
    """
    path = Path(os.path.expanduser(weights))
    restore_folder(path)
    restore_folder(path / _BEST)
    if weights_format == "name":
        return _locate_name(weights)
    if not is_on_disk(weights, weights_format):
        if weights_format == "auto" and (weights in SHORT_NAMES or _is_hub_name(weights, path)):
            try:
                return _locate_name(weights)
            except CheckpointError as error:
                raise CheckpointError(f"{error}; no such folder here either{near_names(path)}") from error
        raise CheckpointError(_not_found(weights, path, weights_format))
    found = _locate_path(path)
    if weights_format not in ("auto", "run" if found.source.startswith("run ") else found.format):
        raise CheckpointError(f"{weights}: is a {found.source}; expected weights_format {weights_format}")
    return found


def _is_hub_name(weights: str, path: Path) -> bool:
    """A name of the hub, unless a mistyped short name, or path (its first part is a folder here), is likelier."""
    if not looks_like_hub_name(weights):
        return False
    return not path.parent.exists() if "/" in weights else not _near_short_names(weights)


def _near_short_names(weights: str) -> list[str]:
    return difflib.get_close_matches(weights.lower(), SHORT_NAMES, cutoff=0.8)


def _not_found(weights: str, path: Path, weights_format: str) -> str:
    meant = f", near: {', '.join(_near_short_names(weights))}" if _near_short_names(weights) else ""
    names = f"; no short name either ({', '.join(SHORT_NAMES)}{meant})" if weights_format == "auto" else ""
    hub = looks_like_hub_name(weights) and weights_format == "auto"
    hint = '; for a model of the Hugging Face hub set model.weights_format to "name"' if hub else ""
    return f"{weights}: no such folder or checkpoint{near_names(path)}{names}{hint}"


def _locate_name(name: str) -> Location:
    if name in SHORT_NAMES:
        folder, origin = fetch_short_name(name)
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
        raise CheckpointError(f"{path}: is a file; expected a folder or the prefix of a TF checkpoint")
    domains = sorted(file.parent.parent.name for file in path.glob(f"*/{_BEST}/{CONFIG_FILE}"))
    if domains:
        raise CheckpointError(f"{path}: a run with a model for each domain; name one of {list_names(domains)} in it")
    if (path / CONFIG_FILE).is_file() or any(path.glob("*.safetensors*")) or any(path.glob("*.bin")):
        return Location("huggingface", path, None, f"Hugging Face folder {path}")
    if (path / GOOGLE_CONFIG_FILE).is_file():
        raise CheckpointError(f"{path}: holds {GOOGLE_CONFIG_FILE} but no TF checkpoint (.index and .data files)")
    found = list_names(sorted(entry.name for entry in path.iterdir())) or "nothing"
    raise CheckpointError(f"{path}: no weights here; found {found}")
