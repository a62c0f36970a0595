"""Whether a stock TensorFlow Serving can load a SavedModel: which ops it is made of."""

import re
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from easymft.errors import ExportError

# Those of tensorflow-text 2.12.1 that the released TensorFlow Serving is linked with.
SERVED_TEXT_OPS = frozenset(
    {"RegexSplitWithOffsets", "WordpieceTokenizeWithOffsets", "CaseFoldUTF8", "NormalizeUTF8"}
)
_RANDOM = re.compile(r"Random|Rng|Multinomial|TruncatedNormal|Stateful(Uniform|StandardNormal)")


def list_ops(folder: str | Path) -> frozenset[str]:
    """Names all ops of a SavedModel, in its graphs and in their functions.

    Args:
        folder: The SavedModel, the folder of saved_model.pb.

    Raises:
        ExportError: There is no SavedModel.
    """
    file = Path(folder) / "saved_model.pb"
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(file.read_bytes())
    except OSError as error:
        raise ExportError(f"{file}: cannot be read ({error.strerror})") from error
    except DecodeError as error:
        raise ExportError(f"{file}: is not a SavedModel ({error})") from error
    ops = set()
    for graph in (meta_graph.graph_def for meta_graph in saved.meta_graphs):
        ops |= {node.op for node in graph.node}
        ops |= {node.op for function in graph.library.function for node in function.node_def}
    return frozenset(ops)


def find_unservable_ops(ops: Iterable[str]) -> dict[str, str]:
    """Names the ops that must not stand in an exported graph, with the reason.

    Args:
        ops: Names of ops, none of them of a function.

    Returns:
        {op: reason}, in alphabetical order; empty where all is well.
    """
    return {op: reason for op in sorted(ops) if (reason := _reason(op)) is not None}


def check_ops(folder: str | Path) -> frozenset[str]:
    """Names the ops of a SavedModel, all of which a stock TensorFlow Serving knows.

    Raises:
        ExportError: It does not know all of them, or a graph runs Python or draws random numbers.
    """
    ops = list_ops(folder)
    unservable = find_unservable_ops(ops)
    if unservable:
        found = ", ".join(f"{op} ({reason})" for op, reason in unservable.items())
        raise ExportError(f"TensorFlow Serving cannot run these ops of the SavedModel: {found}")
    return ops


def _reason(op: str) -> str | None:
    if op in SERVED_TEXT_OPS:
        return None
    if "PyFunc" in op:
        return "runs Python code"
    if _RANDOM.search(op):
        return "draws random numbers"
    # raw_ops is generated with TensorFlow itself and so holds no op that another library registers.
    return None if hasattr(tf.raw_ops, op) else "is not an op of TensorFlow itself"
