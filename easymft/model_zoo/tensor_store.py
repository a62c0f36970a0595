"""Filling an encoder from stored tensors, with every tensor accounted for."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from easymft.errors import CheckpointError
from easymft.model_zoo.weight_map import HEAD_BIAS, HEAD_KERNEL, POOLER, Format, WeightRow, get_variable, weight_rows
from easymft.modeling.encoder_config import EncoderConfig

_SHOWN = 5  # names a message lists before it only counts the rest

# What is no weight, or is not for computing: told to nobody but who converts. Tried on names without prefix.
_QUIET: dict[Format, str] = {
    "huggingface": r"embeddings\.(position_ids|token_type_ids)",
    "tf1": r"(.+/)?(adam_[mv]|Adam(_\d+)?|AdamW(_\d+)?|AdamWeightDecayOptimizer(_\d+)?|Momentum|lamb_[mv]|LAMB(_\d+)?)"
    r"|global_step|beta[12]_power|(good_steps|loss_scale|current_loss_scale)",
    "tf2": r"save_counter|global_step|step|epoch|(.+/)?(optimizer|_optimizer)/.+|.+/\.OPTIMIZER_SLOT/.+",
}
_LAYER_NUMBER: dict[Format, str] = {
    "huggingface": r"encoder\.layer\.(\d{1,9})\.",
    "tf1": r"encoder/layer_(\d{1,9})/",
    "tf2": r"_transformer_layers/(\d{1,9})/",
}
# Weights that change what the encoder computes, wherever they stand.
_ADAPTERS = re.compile(r"(^|[._/])(adapters?|lora|lora_\w+|prefix_tuning|prompt_\w+|ia3_\w+|base_layer)([._/]|$)", re.I)


@dataclasses.dataclass(frozen=True)
class TensorStore:
    """Tensors of one checkpoint, read one at a time.

    Attributes:
        format: Whose names the tensors have.
        path: The file or folder, for messages.
        shapes: Shape of each tensor, by its name without prefix.
        stored_names: The name in the file of each, by its name without prefix.
        outside: Those, without prefix, that stand outside the encoder: heads of whichever task.
        read: Reads the tensor of a name in the file.
    """

    format: Format
    path: str
    shapes: dict[str, tuple[int, ...]]
    stored_names: dict[str, str]
    outside: frozenset[str]
    read: Callable[[str], np.ndarray]

    def check_shape(self, row: WeightRow, shape: tuple[int, ...]) -> None:
        """Checks that the tensor of `row` is of a variable of `shape`.

        Raises:
            CheckpointError: It is not.
        """
        name, expected = row.name(self.format), row.stored_shape(shape, self.format)
        if self.shapes[name] != expected:
            raise CheckpointError(
                f"{self.path}: tensor {self.stored_names[name]} has shape {list(self.shapes[name])}; "
                f"expected {list(expected)} by the config"
            )

    def get(self, row: WeightRow, shape: tuple[int, ...]) -> np.ndarray:
        """Reads the tensor of `row` as a variable of `shape`, float32.

        Raises:
            CheckpointError: The tensor has another shape, or holds something other than real numbers.
        """
        self.check_shape(row, shape)
        name = row.name(self.format)
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


@dataclasses.dataclass(frozen=True)
class TensorPlan:
    """Which tensors of a store are used.

    Attributes:
        has_pooler: Whether the pooler's are there.
        has_head: Whether there is a classifier of texts.
        heads: Heads of other tasks, which are not used, by their names.
        ignored: Names in the file of all tensors that are not used.
    """

    has_pooler: bool
    has_head: bool
    heads: list[str]
    ignored: list[str]


def plan_tensors(store: TensorStore, config: EncoderConfig, *, text_head: bool) -> TensorPlan:
    """Accounts for every tensor of a store before anything is built.

    Args:
        store: The tensors.
        config: What the encoder shall be.
        text_head: Whether a classifier among them is one of texts, not of tokens or answers.

    Raises:
        CheckpointError: A tensor of the encoder is missing, has another shape, or is of no known use.
    """
    _check_layers(store, config)
    rows = list(weight_rows(config.num_layers, pooler=False))
    pooler = _usable_pooler(store)
    used = {row.name(store.format) for row in (*rows, *pooler)}
    head = _head_names(store, config.hidden_size) if text_head else set()
    quiet = re.compile(_QUIET[store.format])
    rest = [name for name in store.shapes if name not in used | head]
    heads = [name for name in rest if not quiet.fullmatch(name)]
    foreign = {row.name(store.format) for row in (HEAD_KERNEL, HEAD_BIAS)} | store.outside
    unknown = [
        name for name in heads if _ADAPTERS.search(name) or name not in foreign and not _of_pooler(name, store.format)
    ]
    if unknown:
        shown = list_names(store.stored_names[name] for name in unknown)
        adapters = "; merge adapters or LoRA into the weights they belong to, and name those"
        raise CheckpointError(
            f"{store.path}: tensors of no known use in a BERT of {config.num_layers} layers: {shown}"
            + (adapters if any(map(_ADAPTERS.search, unknown)) else "")
        )
    missing = sorted(used - store.shapes.keys())
    if missing:
        raise CheckpointError(f"{store.path}: tensors are missing: {list_names(missing)}")
    for row in (*rows, *pooler):
        store.check_shape(row, row.shape(config))
    return TensorPlan(
        has_pooler=bool(pooler),
        has_head=bool(head),
        heads=sorted({_module(name, store.format) for name in heads}),
        ignored=sorted(store.stored_names[name] for name in rest),
    )


def fill_encoder(encoder: Any, config: EncoderConfig, store: TensorStore, plan: TensorPlan) -> None:
    """Assigns every variable of `encoder` from `store`; the pooler's only if `plan` has it.

    Args:
        encoder: A built BertEncoderV2.
        config: Its config.
        store: The tensors.
        plan: As `plan_tensors` made it.

    Raises:
        CheckpointError: A tensor cannot be read, or holds something other than finite real numbers.
    """
    for row in weight_rows(config.num_layers, pooler=plan.has_pooler):
        get_variable(encoder, row).assign(store.get(row, row.shape(config)))


def read_head(store: TensorStore, plan: TensorPlan, hidden_size: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Reads the classifier head: kernel [d, M] and bias [M], float32; None where there is none of texts.

    Raises:
        CheckpointError: A tensor cannot be read, or holds something other than finite real numbers.
    """
    if not plan.has_head:
        return None
    num_classes = store.shapes[HEAD_BIAS.name(store.format)][0]
    return store.get(HEAD_KERNEL, (hidden_size, num_classes)), store.get(HEAD_BIAS, (num_classes,))


def _check_layers(store: TensorStore, config: EncoderConfig) -> None:
    """Fewer layers than the config says are one line, however many it says; more are named as tensors of no use."""
    pattern = re.compile(_LAYER_NUMBER[store.format])
    found = {int(match[1]) for match in map(pattern.match, store.shapes) if match}
    held = max(found, default=-1) + 1
    if config.num_layers > held:
        raise CheckpointError(f"{store.path}: holds {held} layers; expected {config.num_layers}, as the config says")


def _usable_pooler(store: TensorStore) -> tuple[WeightRow, ...]:
    """The rows of BERT's pooler, if the store has one of that kind alone."""
    names = {row.name(store.format) for row in POOLER}
    quiet = re.compile(_QUIET[store.format])
    own = {name for name in store.shapes if _of_pooler(name, store.format) and not quiet.fullmatch(name)}
    return POOLER if own and own <= names else ()


def _of_pooler(name: str, store_format: Format) -> bool:
    return name.startswith(("pooler.", "pooler/") if store_format != "tf2" else "_pooler_layer/")


def _head_names(store: TensorStore, hidden_size: int) -> set[str]:
    """The names of a classifier's kernel and bias that fit the encoder and one another, or none."""
    kernel, bias = HEAD_KERNEL.name(store.format), HEAD_BIAS.name(store.format)
    shape = store.shapes.get(bias, ())
    if len(shape) != 1 or store.shapes.get(kernel) != HEAD_KERNEL.stored_shape((hidden_size, *shape), store.format):
        return set()
    return {kernel, bias}


def _module(name: str, store_format: Format) -> str:
    """The head that a tensor belongs to, in at most two words: cls.predictions of cls.predictions.decoder.weight."""
    separator = "." if store_format == "huggingface" else "/"
    *parts, last = name.split(separator)
    return separator.join(parts[:2]) or last
