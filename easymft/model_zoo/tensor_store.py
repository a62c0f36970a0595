"""Filling an encoder from stored tensors, with every tensor accounted for."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from easymft.errors import CheckpointError
from easymft.model_zoo.weight_map import HEAD_BIAS, HEAD_KERNEL, Format, WeightRow, get_variable, weight_rows

_SHOWN = 5  # names a message lists before it only counts the rest

# Tensors that a BERT checkpoint may hold and that an encoder does not need; tried on names without prefix.
_IGNORED: dict[Format, tuple[str, ...]] = {
    "huggingface": (
        r"embeddings\.(position_ids|token_type_ids)",
        r"cls\.(predictions|seq_relationship)\..+",
    ),
    "tf1": (
        r"cls/(predictions|seq_relationship)/.+",
        r"(.+/)?(adam_[mv]|Adam(_\d+)?|AdamW(_\d+)?|AdamWeightDecayOptimizer(_\d+)?|Momentum|lamb_[mv]|LAMB(_\d+)?)",
        r"global_step|beta[12]_power|(good_steps|loss_scale|current_loss_scale)",
    ),
    "tf2": (
        r"save_counter|global_step|step|epoch",
        r"(.+/)?(optimizer|_optimizer)/.+",
        r".+/\.OPTIMIZER_SLOT/.+",
        r"(model/)?(masked_lm|next_sentence|classification_heads|cls)/.+",
    ),
}


@dataclasses.dataclass(frozen=True)
class TensorStore:
    """Tensors of one checkpoint, read one at a time.

    Attributes:
        format: Whose names the tensors have.
        path: The file or folder, for messages.
        shapes: Shape of each tensor, by its name without prefix.
        stored_names: The name in the file of each, by its name without prefix.
        read: Reads the tensor of a name in the file.
    """

    format: Format
    path: str
    shapes: dict[str, tuple[int, ...]]
    stored_names: dict[str, str]
    read: Callable[[str], np.ndarray]

    def get(self, row: WeightRow, shape: tuple[int, ...]) -> np.ndarray:
        """Reads the tensor of `row` as a variable of `shape`, float32.

        Raises:
            CheckpointError: The tensor is not there, has another shape, or holds something other than real numbers.
        """
        name = row.name(self.format)
        expected = row.stored_shape(shape, self.format)
        if name not in self.shapes:
            raise CheckpointError(f"{self.path}: no tensor {name} (expected with shape {list(expected)})")
        if self.shapes[name] != expected:
            raise CheckpointError(
                f"{self.path}: tensor {self.stored_names[name]} has shape {list(self.shapes[name])}; "
                f"expected {list(expected)} by the config"
            )
        value = np.asarray(self.read(self.stored_names[name]))
        # bfloat16 is no numpy type: its kind is "V", and its name tells it from other such types.
        if value.dtype.kind != "f" and value.dtype.name != "bfloat16":
            raise CheckpointError(
                f"{self.path}: tensor {self.stored_names[name]} holds {value.dtype}; expected a floating-point type"
            )
        value = row.from_stored(value.astype(np.float32), shape, self.format)
        if not np.isfinite(value).all():
            raise CheckpointError(f"{self.path}: tensor {self.stored_names[name]} holds values that are not finite")
        return value


def list_names(names: Iterable[str]) -> str:
    """Joins names for a message: the first five, then how many more there are."""
    names = list(names)
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest


def fill_encoder(encoder: Any, num_layers: int, store: TensorStore) -> list[str]:
    """Assigns every variable of `encoder` from `store`.

    Args:
        encoder: A built BertEncoderV2.
        num_layers: Its number of layers.
        store: The tensors.

    Returns:
        The names in the file of the tensors that were ignored because they are no part of an encoder or classifier.

    Raises:
        CheckpointError: A tensor is missing, has another shape, or is of no known use.
    """
    rows = list(weight_rows(num_layers))
    missing = [row.name(store.format) for row in rows if row.name(store.format) not in store.shapes]
    if missing:
        raise CheckpointError(f"{store.path}: tensors are missing: {list_names(missing)}")
    used = {row.name(store.format) for row in (*rows, HEAD_KERNEL, HEAD_BIAS)}
    rest = [name for name in store.shapes if name not in used]
    patterns = [re.compile(pattern) for pattern in _IGNORED[store.format]]
    unknown = [name for name in rest if not any(pattern.fullmatch(name) for pattern in patterns)]
    if unknown:
        shown = list_names(store.stored_names[name] for name in unknown)
        raise CheckpointError(f"{store.path}: tensors of no known use in a BERT of {num_layers} layers: {shown}")
    for row in rows:
        variable = get_variable(encoder, row)
        variable.assign(store.get(row, tuple(variable.shape)))
    return sorted(store.stored_names[name] for name in rest)


def read_head(store: TensorStore, hidden_size: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Reads the classifier head: kernel [d, M] and bias [M], float32; None where the checkpoint has none.

    Raises:
        CheckpointError: One of the two is missing, or their shapes do not fit `hidden_size` and one another.
    """
    kernel_name, bias_name = HEAD_KERNEL.name(store.format), HEAD_BIAS.name(store.format)
    if kernel_name not in store.shapes and bias_name not in store.shapes:
        return None
    if bias_name not in store.shapes or len(store.shapes[bias_name]) != 1:
        raise CheckpointError(
            f"{store.path}: classifier tensor {bias_name} has shape {store.shapes.get(bias_name)}; expected one axis"
        )
    num_classes = store.shapes[bias_name][0]
    return store.get(HEAD_KERNEL, (hidden_size, num_classes)), store.get(HEAD_BIAS, (num_classes,))
