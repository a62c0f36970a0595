"""Tensors of Model Garden's TF2 checkpoints, found through the object graph that such a checkpoint holds."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from easymft.errors import CheckpointError
from easymft.files import without_wildcards
from easymft.model_zoo.checkpoints import CHECKPOINT_NAME, OBJECT_GRAPH, checkpoint_errors, open_checkpoint
from easymft.model_zoo.tensor_store import TensorStore, list_names
from easymft.model_zoo.weight_map import HEAD_KERNEL, weight_rows

# An object with these children is a BERT encoder, whichever class of Model Garden made it.
_ENCODER_CHILDREN = {"_embedding_layer", "_transformer_layers", "_pooler_layer"}
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def open_tf2(checkpoint: str) -> TensorStore:
    """Opens a checkpoint of tf.train.Checkpoint(encoder=...), (model=...) or of any object that holds an encoder.

    The same object may have several names in such a file (`_embedding_layer`, `layer_with_weights-0`), so names are
    resolved along the object graph, as tf.train.Checkpoint.restore does.

    Args:
        checkpoint: Its prefix, for example FOLDER/bert_model.ckpt-1.

    Returns:
        The tensors; the encoder's are named by their path from the encoder, all others as in the file.

    Raises:
        CheckpointError: It is damaged, or holds no encoder or several.
    """
    with checkpoint_errors(checkpoint), open_checkpoint(checkpoint) as reader:
        shapes = {key: tuple(shape) for key, shape in reader.get_variable_to_shape_map().items() if key != OBJECT_GRAPH}
        graph = TrackableObjectGraph.FromString(reader.get_tensor(OBJECT_GRAPH))
    encoders = {path: node for path, node in _walk(graph, 0) if _ENCODER_CHILDREN <= _children(graph, node).keys()}
    if len(encoders) != 1:
        found = list_names(path or "the root" for path in encoders) or f"none among {list_names(sorted(shapes))}"
        raise CheckpointError(f"{checkpoint}: expected one BERT encoder of Model Garden; found {found}")
    encoder = next(iter(encoders.values()))
    stored_names = _variables(graph, encoder)
    in_encoder = set(stored_names.values())
    stored_names |= {key.removesuffix(_VALUE): key for key in shapes if key not in in_encoder}
    lost = [key for key in stored_names.values() if key not in shapes]
    if lost:
        raise CheckpointError(f"{checkpoint}: its object graph names tensors that it does not hold: {list_names(lost)}")

    def read(name: str) -> np.ndarray:
        with checkpoint_errors(checkpoint), open_checkpoint(checkpoint) as reader:
            return reader.get_tensor(name)

    inside = _keys_below(graph, encoder)
    outside = frozenset(name for name, key in stored_names.items() if key not in inside)
    tensors = {name: shapes[key] for name, key in stored_names.items()}
    return TensorStore("tf2", checkpoint, tensors, stored_names, outside, read)


def write_tf2(folder: Path, encoder: Any, head: tuple[np.ndarray, np.ndarray] | None = None) -> None:
    """Writes FOLDER/bert_model.ckpt.* with tf.train.Checkpoint(encoder=...), and classifier=... for a head.

    Args:
        folder: An existing folder.
        encoder: A BertEncoderV2.
        head: Kernel [d, M] and bias [M].
    """
    items = {"encoder": encoder}
    if head is not None:
        classifier = tf.Module()
        classifier.kernel, classifier.bias = (tf.Variable(value, dtype=tf.float32) for value in head)
        items[HEAD_KERNEL.tf2.split("/")[0]] = classifier
    with without_wildcards(folder) as plain:
        tf.train.Checkpoint(**items).write(str(plain / CHECKPOINT_NAME))


def _children(graph: TrackableObjectGraph, node: int) -> dict[str, int]:
    """Name -> node of an object's children."""
    return {child.local_name: child.node_id for child in graph.nodes[node].children}


def _walk(graph: TrackableObjectGraph, start: int) -> list[tuple[str, int]]:
    """Path and node of every object below `start`, each once, by its shortest path."""
    seen = {start: ""}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for name, child in sorted(_children(graph, node).items()):
            if child not in seen:
                seen[child] = f"{seen[node]}/{name}".lstrip("/")
                queue.append(child)
    return [(path, node) for node, path in seen.items()]


def _keys_below(graph: TrackableObjectGraph, start: int) -> set[str]:
    """Keys in the file of all variables below an object."""
    return {key.checkpoint_key for _, node in _walk(graph, start) for key in graph.nodes[node].attributes}


def _variables(graph: TrackableObjectGraph, encoder: int) -> dict[str, str]:
    """Path from the encoder -> key in the file, of those variables of the weight map that the encoder has."""
    num_layers = len(_children(graph, _children(graph, encoder)["_transformer_layers"]))
    keys = {}
    for row in weight_rows(num_layers):
        node: int | None = encoder
        for part in row.tf2.split("/"):
            node = None if node is None else _children(graph, node).get(part)
        attributes = [] if node is None else graph.nodes[node].attributes
        values = [attribute.checkpoint_key for attribute in attributes if attribute.name == "VARIABLE_VALUE"]
        if values:
            keys[row.tf2] = values[0]
    return keys
