"""What TF1 and TF2 checkpoints share; imports TensorFlow only to open one: finding weights must not wait for it."""

import glob
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from easymft.errors import CheckpointError
from easymft.files import has_wildcards, without_wildcards
from easymft.model_zoo.foreign import is_lfs_pointer
from easymft.model_zoo.tensor_store import list_names

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
CHECKPOINT_NAME = "bert_model.ckpt"


@contextmanager
def checkpoint_errors(path: str) -> Iterator[None]:
    """Turns TensorFlow's errors while reading the checkpoint `path` into a CheckpointError of one line."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        yield
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError, DecodeError) as error:
        reason = re.sub(r"\s+", " ", str(error)).strip()[:200]
        pointers = [str(file) for file in Path(path).parent.glob(f"{Path(path).name}.*") if is_lfs_pointer(file)]
        if pointers:
            raise CheckpointError(f"{pointers[0]}: a Git LFS pointer, not the weights; run git lfs pull") from error
        raise CheckpointError(f"{path}: damaged or cut short ({reason}); fetch or write it again") from error


@contextmanager
def open_checkpoint(prefix: str) -> Iterator[Any]:
    """Gives TensorFlow's reader of a checkpoint, whatever its path holds; good within the block."""
    import tensorflow as tf

    folder, name = Path(prefix).parent, Path(prefix).name
    with ExitStack() as stack:
        if has_wildcards(name):
            links = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for file in folder.glob(f"{glob.escape(name)}.*"):
                (links / file.name.replace(name, CHECKPOINT_NAME, 1)).symlink_to(file.absolute())
            folder, name = links, CHECKPOINT_NAME
        yield tf.train.load_checkpoint(str(stack.enter_context(without_wildcards(folder)) / name))


def find_checkpoint(path: Path) -> str | None:
    """Finds a TF checkpoint's prefix.

    It is `path` itself, or that without the ending of one of its files; in a folder what the file `checkpoint` names,
    or else the only one.

    Raises:
        CheckpointError: The folder holds several and does not say which.
    """
    if not path.name:  # "." or "/"
        path = path.absolute()
    for prefix in (path, path.with_name(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name))):
        if prefix.with_name(prefix.name + ".index").is_file():
            return str(prefix)
    if not path.is_dir():
        return None
    prefixes = sorted(file.with_suffix("") for file in path.glob("*.index"))
    if (path / "checkpoint").is_file():
        import tensorflow as tf

        with without_wildcards(path) as plain:
            state = tf.train.get_checkpoint_state(str(plain))
        if state is not None:
            latest = Path(state.model_checkpoint_path)
            latest = path / latest.relative_to(plain) if latest.is_relative_to(plain) else latest
            if latest.with_name(f"{latest.name}.index").is_file():
                return str(latest)
    if len(prefixes) > 1:
        raise CheckpointError(f"{path}: holds several checkpoints; name one of {list_names(map(str, prefixes))}")
    return str(prefixes[0]) if prefixes else None


def is_object_checkpoint(checkpoint: str) -> bool:
    """Whether a checkpoint was written by tf.train.Checkpoint (TF2), not by a TF1 Saver.

    Raises:
        CheckpointError: The checkpoint is damaged.
    """
    with checkpoint_errors(checkpoint), open_checkpoint(checkpoint) as reader:
        return reader.has_tensor(OBJECT_GRAPH)
