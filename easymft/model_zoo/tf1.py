"""Tensors of Google's TF1 BERT checkpoints."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from easymft.errors import CheckpointError
from easymft.files import without_wildcards
from easymft.model_zoo.checkpoints import CHECKPOINT_NAME, checkpoint_errors, open_checkpoint
from easymft.model_zoo.tensor_store import TensorStore, list_names
from easymft.model_zoo.weight_map import HEAD_BIAS, HEAD_KERNEL, get_variable, weight_rows

_WORD_EMBEDDINGS = "embeddings/word_embeddings"
_ENCODER_SCOPES = ("embeddings/", "encoder/", "pooler/")


def open_tf1(checkpoint: str) -> TensorStore:
    """Opens a TF1 checkpoint with names such as bert/encoder/layer_0/attention/self/query/kernel.

    Names may stand in a further scope; the word embeddings tell which.

    Args:
        checkpoint: Its prefix, for example FOLDER/bert_model.ckpt.

    Raises:
        CheckpointError: It is damaged, or holds no BERT or several.
    """
    with checkpoint_errors(checkpoint), open_checkpoint(checkpoint) as reader:
        stored_shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    scopes = sorted(name.removesuffix(_WORD_EMBEDDINGS) for name in stored_shapes if name.endswith(_WORD_EMBEDDINGS))
    if len(scopes) != 1:
        found = list_names(scopes) if scopes else f"none among {list_names(sorted(stored_shapes))}"
        raise CheckpointError(f"{checkpoint}: expected one tensor named .../{_WORD_EMBEDDINGS}; found {found}")
    stored_names = {name.removeprefix(scopes[0]): name for name in stored_shapes}
    shapes = {name: stored_shapes[stored] for name, stored in stored_names.items()}
    # In a scope of its own, all that is there is the encoder's.
    inside = {name for name in shapes if name.startswith(_ENCODER_SCOPES) or scopes[0] and stored_names[name] != name}

    def read(name: str) -> np.ndarray:
        with checkpoint_errors(checkpoint), open_checkpoint(checkpoint) as reader:
            return reader.get_tensor(name)

    return TensorStore("tf1", checkpoint, shapes, stored_names, frozenset(shapes.keys() - inside), read)


def write_tf1(
    folder: Path,
    encoder: Any,
    num_layers: int,
    head: tuple[np.ndarray, np.ndarray] | None = None,
    pooler: bool = True,
) -> None:
    """Writes FOLDER/bert_model.ckpt.* with the names of Google's BERT, and run_classifier's for a head.

    Args:
        folder: An existing folder.
        encoder: A BertEncoderV2.
        num_layers: Its number of layers.
        head: Kernel [d, M] and bias [M].
        pooler: Whether to write the encoder's pooler.
    """
    tensors = {
        f"bert/{row.tf1}": row.to_stored(get_variable(encoder, row).numpy(), "tf1")
        for row in weight_rows(num_layers, pooler)
    }
    if head is not None:
        for row, value in zip((HEAD_KERNEL, HEAD_BIAS), head, strict=True):
            tensors[row.tf1] = row.to_stored(np.asarray(value), "tf1")
    names = sorted(tensors)
    with without_wildcards(folder) as plain:
        tf.raw_ops.SaveV2(
            prefix=str(plain / CHECKPOINT_NAME),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tensors[name] for name in names],
        )
