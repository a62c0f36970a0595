"""Tensors of Google's TF1 BERT checkpoints, and what TF1 and TF2 checkpoints share."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from easymft.errors import CheckpointError
from easymft.model_zoo.tensor_store import TensorStore, list_names
from easymft.model_zoo.weight_map import HEAD_BIAS, HEAD_KERNEL, get_variable, weight_rows

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
CHECKPOINT_NAME = "bert_model.ckpt"
_WORD_EMBEDDINGS = "embeddings/word_embeddings"


@contextmanager
def checkpoint_errors(path: str) -> Iterator[None]:
    """Turns TensorFlow's errors while reading the checkpoint `path` into a CheckpointError of one line."""
    try:
        yield
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError, DecodeError) as error:
        reason = re.sub(r"\s+", " ", str(error)).strip()[:200]
        raise CheckpointError(f"{path}: damaged or cut short ({reason}); fetch or write it again") from error


def find_checkpoint(path: Path) -> str | None:
    """Finds a TF checkpoint's prefix: `path` itself, what the folder's file `checkpoint` names, or its only one.

    Raises:
        CheckpointError: The folder holds several and does not say which.
    """
    for prefix in (path, path.with_suffix("") if path.suffix == ".index" else path):
        if prefix.with_name(prefix.name + ".index").is_file():
            return str(prefix)
    if not path.is_dir():
        return None
    prefixes = sorted(file.with_suffix("") for file in path.glob("*.index"))
    latest = tf.train.latest_checkpoint(str(path)) if (path / "checkpoint").is_file() else None
    if latest is not None:
        return latest
    if len(prefixes) > 1:
        raise CheckpointError(f"{path}: holds several checkpoints; name one of {list_names(map(str, prefixes))}")
    return str(prefixes[0]) if prefixes else None


def is_object_checkpoint(checkpoint: str) -> bool:
    """Whether a checkpoint was written by tf.train.Checkpoint (TF2), not by a TF1 Saver.

    Raises:
        CheckpointError: The checkpoint is damaged.
    """
    with checkpoint_errors(checkpoint):
        return tf.train.load_checkpoint(checkpoint).has_tensor(OBJECT_GRAPH)


def open_tf1(checkpoint: str) -> TensorStore:
    """Opens a TF1 checkpoint with names such as bert/encoder/layer_0/attention/self/query/kernel.

    Names may stand in a further scope; the word embeddings tell which.

    Args:
        checkpoint: Its prefix, for example FOLDER/bert_model.ckpt.

    Raises:
        CheckpointError: It is damaged, or holds no BERT or several.
    """
    with checkpoint_errors(checkpoint):
        reader = tf.train.load_checkpoint(checkpoint)
        stored_shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    scopes = sorted(name.removesuffix(_WORD_EMBEDDINGS) for name in stored_shapes if name.endswith(_WORD_EMBEDDINGS))
    if len(scopes) != 1:
        found = list_names(scopes) if scopes else f"none among {list_names(sorted(stored_shapes))}"
        raise CheckpointError(f"{checkpoint}: expected one tensor named .../{_WORD_EMBEDDINGS}; found {found}")
    stored_names = {name.removeprefix(scopes[0]): name for name in stored_shapes}
    shapes = {name: stored_shapes[stored] for name, stored in stored_names.items()}

    def read(name: str) -> np.ndarray:
        with checkpoint_errors(checkpoint):
            return reader.get_tensor(name)

    return TensorStore("tf1", checkpoint, shapes, stored_names, read)


def write_tf1(folder: Path, encoder: Any, num_layers: int, head: tuple[np.ndarray, np.ndarray] | None = None) -> None:
    """Writes FOLDER/bert_model.ckpt.* with the names of Google's BERT, and run_classifier's for a head.

    Args:
        folder: An existing folder.
        encoder: A BertEncoderV2.
        num_layers: Its number of layers.
        head: Kernel [d, M] and bias [M].
    """
    tensors = {
        f"bert/{row.tf1}": row.to_stored(get_variable(encoder, row).numpy(), "tf1") for row in weight_rows(num_layers)
    }
    if head is not None:
        for row, value in zip((HEAD_KERNEL, HEAD_BIAS), head, strict=True):
            tensors[row.tf1] = row.to_stored(np.asarray(value), "tf1")
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(folder / CHECKPOINT_NAME),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tensors[name] for name in names],
    )
