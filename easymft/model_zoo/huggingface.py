"""Tensors of a Hugging Face folder (safetensors, whole or in shards), read and written."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from easymft.errors import CheckpointError, one_line
from easymft.model_zoo.foreign import LFS_POINTER, describe_foreign, is_lfs_pointer, list_files
from easymft.model_zoo.tensor_store import TensorStore, list_names
from easymft.model_zoo.weight_map import HEAD_BIAS, HEAD_KERNEL, get_variable, weight_rows

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
EXTRA_FILE = "mft.safetensors"
_PREFIX = "bert."
_WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
# Names, without prefix, that are the encoder's own wherever they stand; a norm beside its parts changes what it gives.
_OF_ENCODER = re.compile(r"(.+\.)?(embeddings|encoder)\..+|pooler\..+")
_NORM = re.compile(r"(layer_?norm|norm)\..+", re.IGNORECASE)
# Checkpoints that were first made from TF1 keep TF1's names of the layer norms' variables.
_OLD_NORM_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def open_huggingface(folder: Path) -> TensorStore:
    """Opens the safetensors of a Hugging Face folder.

    Names may stand below others, such as `bert.`, `module.bert.` or `model.`; the word embeddings tell which.

    Raises:
        CheckpointError: There are no weights, or in another format alone, a shard is missing, a file is damaged, two
            tensors have one name, or there is no BERT or several.
    """
    files = _tensor_files(folder)
    stored = {name: (shape, file) for file in files for name, shape in _list_tensors(file).items()}
    sharded = files != [folder / WEIGHTS_FILE]
    path = folder / (INDEX_FILE if sharded else WEIGHTS_FILE)
    absent = sorted(set(_read_index(path)) - set(stored)) if sharded else []
    if absent:
        raise CheckpointError(f"{path}: names tensors that its files do not hold: {list_names(absent)}")
    prefix = _find_prefix(path, stored)
    stored_names: dict[str, str] = {}
    for name in stored:
        plain = _plain_name(name, prefix)
        if plain in stored_names:
            raise CheckpointError(f"{path}: tensors {stored_names[plain]} and {name} stand for the same weights")
        stored_names[plain] = name
    shapes = {plain: stored[name][0] for plain, name in stored_names.items()}
    outside = frozenset(plain for plain, name in stored_names.items() if _is_outside(plain, name, prefix))
    return TensorStore(
        "huggingface", str(path), shapes, stored_names, outside, lambda name: _read_tensor(stored[name][1], name)
    )


def read_extra(folder: Path) -> dict[str, np.ndarray]:
    """Reads the tensors that EasyMFT keeps beside a model (`mft.safetensors`); empty where there are none."""
    file = folder / EXTRA_FILE
    return {name: _read_tensor(file, name) for name in _list_tensors(file)} if file.exists() else {}


def write_huggingface(
    folder: Path,
    encoder: Any,
    num_layers: int,
    head: tuple[np.ndarray, np.ndarray] | None = None,
    pooler: bool = True,
) -> None:
    """Writes `model.safetensors` with Hugging Face's names (`bert.*`, and `classifier.*` for a head).

    Args:
        folder: An existing folder.
        encoder: A BertEncoderV2.
        num_layers: Its number of layers.
        head: Kernel [d, M] and bias [M].
        pooler: Whether to write the encoder's pooler.
    """
    tensors = {
        _PREFIX + row.huggingface: row.to_stored(get_variable(encoder, row).numpy(), "huggingface")
        for row in weight_rows(num_layers, pooler)
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


def _find_prefix(path: Path, names: Iterable[str]) -> str:
    """What stands before the names of the encoder's tensors."""
    prefixes = sorted(name.removesuffix(_WORD_EMBEDDINGS) for name in names if name.endswith(_WORD_EMBEDDINGS))
    if not prefixes:
        raise CheckpointError(f"{path}: no tensor named ...{_WORD_EMBEDDINGS}; found {list_names(sorted(names))}")
    if len(prefixes) > 1:
        raise CheckpointError(
            f"{path}: holds several encoders, below {list_names(map(repr, prefixes))}; expected one BERT"
        )
    return prefixes[0]


def _plain_name(stored: str, prefix: str) -> str:
    """The name of a tensor without prefix, in today's spelling; heads stand beside the encoder, `bert.`, or in it."""
    name = stored
    for start in (prefix, prefix.removesuffix(_PREFIX), _PREFIX):
        if start and stored.startswith(start):
            name = stored.removeprefix(start)
            break
    for old, new in _OLD_NORM_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _is_outside(plain: str, stored: str, prefix: str) -> bool:
    """Whether a tensor is no part of the encoder; below `bert.` all are but the pre-training heads, `cls.`."""
    if prefix.endswith(_PREFIX):
        own = stored.startswith(prefix) and not plain.startswith("cls.")
    else:
        own = bool(_NORM.fullmatch(plain))
    return not own and not _OF_ENCODER.fullmatch(plain)


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
    foreign = describe_foreign(list_files(folder))
    if foreign is not None:
        raise CheckpointError(f"{folder}: no {WEIGHTS_FILE}, but {foreign}")
    names = sorted(file.name for file in folder.iterdir())
    raise CheckpointError(f"{folder}: no {WEIGHTS_FILE} or {INDEX_FILE}; found {list_names(names) or 'nothing'}")


def _read_index(file: Path) -> dict[str, str]:
    """Tensor name -> file name."""
    try:
        weight_map = json.loads(file.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        if is_lfs_pointer(file):
            raise CheckpointError(f"{file}: {LFS_POINTER}") from error
        raise CheckpointError(f"{file}: no JSON object with a weight_map ({one_line(error)})") from error
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{file}: weight_map is {shorten(weight_map)}; expected tensor names and their files")
    return weight_map


def _list_tensors(file: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors of a file."""
    try:
        with safe_open(file, framework="tf") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}
    except (SafetensorError, OSError) as error:
        if is_lfs_pointer(file):
            raise CheckpointError(f"{file}: a Git LFS pointer, not the weights themselves; run git lfs pull") from error
        raise CheckpointError(f"{file}: damaged or cut short ({one_line(error)}); fetch or write it again") from error


def _read_tensor(file: Path, name: str) -> np.ndarray:
    """One tensor. Read through TensorFlow, as numpy alone has no bfloat16."""
    try:
        with safe_open(file, framework="tf") as tensors:
            return tensors.get_tensor(name).numpy()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: tensor {name} cannot be read ({one_line(error)})") from error
