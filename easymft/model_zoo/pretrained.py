"""Loading pre-trained encoders from every source, and saving them as Hugging Face folders."""

import dataclasses
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from easymft.config.schema import ModelConfig
from easymft.data.vocabulary import Vocabulary
from easymft.errors import CheckpointError, ConfigError
from easymft.model_zoo.bert_files import write_config
from easymft.model_zoo.folders import MODEL_FILES, check_folder, replace_folder
from easymft.model_zoo.huggingface import read_extra, write_extra, write_huggingface
from easymft.model_zoo.locate import locate_weights
from easymft.model_zoo.opening import (
    OpenedWeights,
    open_model,
    open_tensors,
    random_config,
    read_fitting_vocabulary,
    tell_weights,
)
from easymft.model_zoo.tensor_store import fill_encoder, list_names, read_head
from easymft.model_zoo.tokenizer_files import write_vocabulary
from easymft.model_zoo.weight_map import POOLER, WeightRow, get_variable, weight_rows
from easymft.modeling.encoder import build_encoder
from easymft.modeling.encoder_config import EncoderConfig, Pooling

_RANDOM_STANDARD_DEVIATION = 0.02
SAVED_FILES = MODEL_FILES  # what a folder that save_pretrained replaces may hold


@dataclasses.dataclass
class PretrainedModel:
    """An encoder with its weights, and what came with it.

    Attributes:
        encoder: A built `FastBertEncoder` (see `easymft.modeling.encoder.build_encoder`).
        config: Its config, with the user's activation and dropout.
        vocabulary: The WordPiece vocabulary; the word embedding table may have more rows.
        head: Kernel [d, M] and bias [M] of the checkpoint's classifier, float32; None without one.
        labels: The head's M classes in order, where the checkpoint names them.
        ignored: Tensors of the checkpoint that are no part of encoder or head.
        source: What was loaded, for logs.
        extra: Tensors named `mft.*` that `save_pretrained` stored beside the model.
        pooling: What the head reads.
        has_pooler: Whether the pooler is the checkpoint's. False: it held none, and the values are new.
        notes: What a user should know of the weights, in lines.
    """

    encoder: Any
    config: EncoderConfig
    vocabulary: Vocabulary
    head: tuple[np.ndarray, np.ndarray] | None
    labels: list[str] | None
    ignored: list[str]
    source: str
    extra: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    pooling: Pooling = "pooled"
    has_pooler: bool = True
    notes: list[str] = dataclasses.field(default_factory=list)


def load_pretrained(
    model: ModelConfig, *, seed: int, compute_dtype: str = "float32", pack_tokens: bool = True
) -> PretrainedModel:
    """Loads the encoder that `model` names, or makes a random one if, and only if, `model` asks for that.

    Args:
        model: The model section of a config.
        seed: Of the random values with initialization "random"; otherwise of no effect.
        compute_dtype: As in `easymft.modeling.encoder.build_encoder`.
        pack_tokens: Likewise.

    Returns:
        The encoder with its vocabulary, and the checkpoint's head if it has one.

    Raises:
        CheckpointError: Weights, config or vocabulary are missing, damaged or do not fit one another.
        ConfigError: `model` names no weights, or an encoder shape beside weights.
    """
    if model.initialization == "random":
        return _make_random(model, seed, compute_dtype, pack_tokens)
    if model.weights is not None and model.encoder is not None:
        raise ConfigError("model.encoder is given beside model.weights; it is only for model.initialization random")
    opened, config, vocabulary = open_model(model)
    encoder = build_encoder(config, compute_dtype, pack_tokens)
    if not opened.plan.has_pooler:
        _assign_random(encoder, POOLER, seed)
    source = opened.location.source
    notes = tell_weights(source, opened.plan, config, vocabulary)
    return _fill(PretrainedModel(encoder, config, vocabulary, None, None, [], source, notes=notes), opened)


def refill(pretrained: PretrainedModel, folder: str | Path) -> PretrainedModel:
    """Puts the weights of another folder that `save_pretrained` wrote into an encoder, whose traces stay good.

    Args:
        pretrained: Whose encoder is filled.
        folder: Of a model of the same shape.

    Returns:
        The same encoder, with the other folder's head.

    Raises:
        CheckpointError: The weights are missing, damaged or of other shapes.
    """
    location = locate_weights(str(folder), "huggingface")
    check_folder(location.folder)
    return _fill(pretrained, open_tensors(location, pretrained.config))


def _fill(pretrained: PretrainedModel, opened: OpenedWeights) -> PretrainedModel:
    store, plan = opened.store, opened.plan
    fill_encoder(pretrained.encoder, pretrained.config, store, plan)
    return dataclasses.replace(
        pretrained,
        head=read_head(store, plan, pretrained.config.hidden_size),
        labels=opened.labels,
        pooling=opened.pooling,
        has_pooler=plan.has_pooler,
        ignored=plan.ignored,
        source=opened.location.source,
        extra=read_extra(opened.location.folder),
    )


def save_pretrained(
    folder: str | Path,
    *,
    encoder: Any,
    config: EncoderConfig,
    vocabulary: Vocabulary,
    head: tuple[np.ndarray, np.ndarray] | None = None,
    labels: list[str] | None = None,
    pooling: Pooling = "pooled",
    pooler: bool = True,
    extra: dict[str, np.ndarray] | None = None,
) -> None:
    """Writes a Hugging Face folder, whole or not at all; an earlier one at that place is replaced.

    transformers' AutoModel loads it and, with a head on the pooled [CLS], AutoModelForSequenceClassification.

    Args:
        folder: The folder to write.
        encoder: A BertEncoderV2.
        config: Its config.
        vocabulary: Its vocabulary.
        head: Kernel [d, M] and bias [M] of a classifier.
        labels: The M classes in order.
        pooling: What the classifier reads.
        pooler: Whether to write the encoder's pooler. One that was never trained is better left out: whoever loads the
            folder is then told that there is none.
        extra: Further tensors, named `mft.*`, for mft.safetensors.

    Raises:
        CheckpointError: The parts do not fit one another, or the folder cannot be written or holds other files.
    """
    _check_parts(folder, config, vocabulary, head, labels)
    with replace_folder(folder, known_files=SAVED_FILES) as new:
        write_config(new, config, labels, classifier=head is not None, pooling=pooling)
        write_vocabulary(new, vocabulary, config.max_position_embeddings)
        write_huggingface(new, encoder, config.num_layers, head, pooler)
        if extra:
            write_extra(new, extra)


def _check_parts(
    folder: str | Path,
    config: EncoderConfig,
    vocabulary: Vocabulary,
    head: tuple[np.ndarray, np.ndarray] | None,
    labels: list[str] | None,
) -> None:
    """Raises CheckpointError where what is to be saved does not fit together."""
    if len(vocabulary.tokens) > config.vocab_size:
        raise CheckpointError(f"{folder}: {len(vocabulary.tokens)} tokens for {config.vocab_size} word embedding rows")
    if head is None:
        return
    kernel, bias = (np.shape(part) for part in head)
    if len(bias) != 1 or kernel != (config.hidden_size, *bias):
        raise CheckpointError(
            f"{folder}: head of shapes {list(kernel)} and {list(bias)}; expected [{config.hidden_size}, M] and [M]"
        )
    if labels is not None and len(labels) != bias[0]:
        raise CheckpointError(f"{folder}: {len(labels)} labels ({list_names(labels)}) for a head of {bias[0]} classes")


def _make_random(model: ModelConfig, seed: int, compute_dtype: str, pack_tokens: bool) -> PretrainedModel:
    """An untrained encoder, its values a function of the seed alone."""
    folder, config = random_config(model)
    vocabulary = read_fitting_vocabulary(folder, model, config)
    encoder = build_encoder(config, compute_dtype, pack_tokens)
    _assign_random(encoder, weight_rows(config.num_layers), seed)
    source = f"random values of seed {seed}"
    notes = tell_weights(source, None, config, vocabulary)
    return PretrainedModel(encoder, config, vocabulary, None, None, [], source, notes=notes)


def _assign_random(encoder: Any, rows: Iterable[WeightRow], seed: int) -> None:
    for row in rows:
        variable = get_variable(encoder, row)
        variable.assign(_random_value(row.tf2, tuple(variable.shape), seed))


def _random_value(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """BERT's initial value of a variable: ones, zeros, or normal with deviation 0.02, cut at two deviations."""
    if name.endswith("/gamma"):
        return np.ones(shape, np.float32)
    if name.endswith(("/beta", "/bias")):
        return np.zeros(shape, np.float32)
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = generator.standard_normal(shape, dtype=np.float32)
    while (outside := np.abs(values) > 2.0).any():
        values[outside] = generator.standard_normal(int(outside.sum()), dtype=np.float32)
    return values * np.float32(_RANDOM_STANDARD_DEVIATION)
