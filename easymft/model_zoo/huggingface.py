"""Tensors of a Hugging Face folder (safetensors, whole or in shards), read and written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from easymft.errors import CheckpointError, one_line
from easymft.model_zoo.tensor_store import TensorStore, list_names
from easymft.model_zoo.weight_map import HEAD_BIAS, HEAD_KERNEL, get_variable, weight_rows

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
EXTRA_FILE = "mft.safetensors"
_PREFIX = "bert."
# Checkpoints that were first made from TF1 keep TF1's names of the layer norms' variables.
_OLD_NORM_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def open_huggingface(folder: Path) -> TensorStore:
    """Opens the safetensors of a Hugging Face folder; names with and without `bert.` are the same.

    Raises:
        CheckpointError: There are only pickles or no weights at all, a shard is missing, a file is damaged, or two
            tensors have one name.
    """
    files = _tensor_files(folder)
    shapes: dict[str, tuple[int, ...]] = {}
    stored_names: dict[str, str] = {}
    file_of: dict[str, Path] = {}
    for file in files:
        for stored, shape in _list_tensors(file).items():
            name = _plain_name(stored)
            if name in shapes:
                raise CheckpointError(f"{file}: tensors {stored_names[name]} and {stored} stand for the same weights")
            shapes[name], stored_names[name], file_of[stored] = shape, stored, file
    sharded = files != [folder / WEIGHTS_FILE]
    path = folder / (INDEX_FILE if sharded else WEIGHTS_FILE)
    absent = sorted(set(_read_index(path)) - set(file_of)) if sharded else []
    if absent:
        raise CheckpointError(f"{path}: names tensors that its files do not hold: {list_names(absent)}")
    return TensorStore("huggingface", str(path), shapes, stored_names, lambda name: _read_tensor(file_of[name], name))


def read_extra(folder: Path) -> dict[str, np.ndarray]:
    """Reads the tensors that EasyMFT keeps beside a model (`mft.safetensors`); empty where there are none."""
    file = folder / EXTRA_FILE
    return {name: _read_tensor(file, name) for name in _list_tensors(file)} if file.exists() else {}


def write_huggingface(
    folder: Path, encoder: Any, num_layers: int, head: tuple[np.ndarray, np.ndarray] | None = None
) -> None:
    """Writes `model.safetensors` with Hugging Face's names (`bert.*`, and `classifier.*` for a head).

    Args:
        folder: An existing folder.
        encoder: A BertEncoderV2.
        num_layers: Its number of layers.
        head: Kernel [d, M] and bias [M].
    """
    tensors = {
        _PREFIX + row.huggingface: row.to_stored(get_variable(encoder, row).numpy(), "huggingface")
        for row in weight_rows(num_layers)
    }
    if head is not None:
        for row, value in zip((HEAD_KERNEL, HEAD_BIAS), head, strict=True):
            tensors[row.huggingface] = row.to_stored(np.asarray(value), "huggingface")
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def write_extra(folder: Path, extra: dict[str, np.ndarray]) -> None:
    """Writes tensors named `mft.*` to `mft.safetensors`, so that other programs read `model.safetensors` as usual.

    Raises:
        CheckpointError: A name does not begin with `mft.`.
    """
    wrong = [name for name in extra if not name.startswith("mft.")]
    if wrong:
        raise CheckpointError(f"extra tensors are named {list_names(wrong)}; expected names that begin with mft.")
    save_file({name: np.ascontiguousarray(value) for name, value in extra.items()}, folder / EXTRA_FILE)


def _plain_name(stored: str) -> str:
    """The name of a tensor without `bert.`, in today's spelling."""
    name = stored.removeprefix(_PREFIX)
    for old, new in _OLD_NORM_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _tensor_files(folder: Path) -> list[Path]:
    """The safetensors files that hold the model."""
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if (folder / INDEX_FILE).is_file():
        names = sorted(set(_read_index(folder / INDEX_FILE).values()))
        outside = [name for name in names if Path(name).name != name]
        if outside:
            raise CheckpointError(f"{folder / INDEX_FILE}: names files outside its folder: {list_names(outside)}")
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            raise CheckpointError(f"{folder / INDEX_FILE}: its files are missing: {list_names(absent)}")
        return [folder / name for name in names]
    pickles = sorted(file.name for file in folder.glob("*.bin"))
    if pickles:
        raise CheckpointError(
            f"{folder}: holds {list_names(pickles)} but no {WEIGHTS_FILE}, and EasyMFT reads no pickles, which can run "
            "any code; convert it once where transformers is installed: "
            "AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)"
        )
    found = list_names(sorted(file.name for file in folder.iterdir())) or "nothing"
    raise CheckpointError(f"{folder}: no {WEIGHTS_FILE} or {INDEX_FILE}; found {found}")


def _read_index(file: Path) -> dict[str, str]:
    """Tensor name -> file name."""
    try:
        weight_map = json.loads(file.read_text(encoding="utf-8"))["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: no JSON object with a weight_map ({one_line(error)})") from error
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{file}: weight_map is {weight_map!r:.80}; expected tensor names and their files")
    return weight_map


def _list_tensors(file: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors of a file."""
    try:
        with safe_open(file, framework="tf") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: damaged or cut short ({one_line(error)}); fetch or write it again") from error


def _read_tensor(file: Path, name: str) -> np.ndarray:
    """One tensor. Read through TensorFlow, as numpy alone has no bfloat16."""
    try:
        with safe_open(file, framework="tf") as tensors:
            return tensors.get_tensor(name).numpy()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: tensor {name} cannot be read ({one_line(error)})") from error
