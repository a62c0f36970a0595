"""Loading pre-trained encoders from every source, and saving them as Hugging Face folders."""

import dataclasses
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from easymft.config.schema import ModelConfig
from easymft.data.vocabulary import Vocabulary
from easymft.errors import CheckpointError, ConfigError
from easymft.model_zoo.bert_files import read_config, read_pooling, read_vocabulary, write_config, write_vocabulary
from easymft.model_zoo.folders import MODEL_FILES, check_folder, replace_folder
from easymft.model_zoo.huggingface import open_huggingface, read_extra, write_extra, write_huggingface
from easymft.model_zoo.locate import Location, locate_weights
from easymft.model_zoo.tensor_store import TensorStore, fill_encoder, list_names, read_head
from easymft.model_zoo.tf1 import open_tf1
from easymft.model_zoo.tf2 import open_tf2
from easymft.model_zoo.weight_map import get_variable, weight_rows
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
        vocabulary: The WordPiece vocabulary; as long as the word embedding table.
        head: Kernel [d, M] and bias [M] of the checkpoint's classifier, float32; None without one.
        labels: The head's M classes in order, where the checkpoint names them.
        pooling: What the head reads.
        ignored: Tensors of the checkpoint that are no part of encoder or head.
        source: What was loaded, for logs.
        extra: Tensors named `mft.*` that `save_pretrained` stored beside the model.
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
    if model.weights is None:
        raise ConfigError("model.weights is null; name weights, or set model.initialization to random")
    if model.encoder is not None:
        raise ConfigError("model.encoder is given beside model.weights; it is only for model.initialization random")
    location = locate_weights(model.weights, model.weights_format)
    check_folder(location.folder)
    config = _override(read_config(location.folder)[0], model)
    vocabulary = _read_fitting_vocabulary(location.folder, model, config)
    store = _open(location)
    encoder = build_encoder(config, compute_dtype, pack_tokens)
    return _fill(PretrainedModel(encoder, config, vocabulary, None, None, [], location.source), location, store)


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
    return _fill(pretrained, location, _open(location))


def _fill(pretrained: PretrainedModel, location: Location, store: TensorStore) -> PretrainedModel:
    ignored = fill_encoder(pretrained.encoder, pretrained.config.num_layers, store)
    _, labels = read_config(location.folder)
    head = read_head(store, pretrained.config.hidden_size)
    if head is not None and labels is not None and len(labels) != len(head[1]):
        raise CheckpointError(
            f"{location.folder}: config.json names {len(labels)} classes; the classifier has {len(head[1])}"
        )
    return dataclasses.replace(
        pretrained,
        head=head,
        labels=labels if head is not None else None,
        pooling=read_pooling(location.folder),
        ignored=ignored,
        source=location.source,
        extra=read_extra(location.folder),
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
        extra: Further tensors, named `mft.*`, for mft.safetensors.

    Raises:
        CheckpointError: The parts do not fit one another, or the folder cannot be written or holds other files.
    """
    _check_parts(folder, config, vocabulary, head, labels)
    with replace_folder(folder, known_files=SAVED_FILES) as new:
        write_config(new, config, labels, classifier=head is not None, pooling=pooling)
        write_vocabulary(new, vocabulary, config.max_position_embeddings)
        write_huggingface(new, encoder, config.num_layers, head)
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
    if len(vocabulary.tokens) != config.vocab_size:
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


def _override(config: EncoderConfig, model: ModelConfig) -> EncoderConfig:
    """The weights' own config with the user's activation and dropout."""
    given = {name: getattr(model, name) for name in ("activation", "dropout", "attention_dropout")}
    return dataclasses.replace(config, **{name: value for name, value in given.items() if value is not None})


def _read_fitting_vocabulary(folder: Path | None, model: ModelConfig, config: EncoderConfig) -> Vocabulary:
    """The vocabulary, as long as the word embedding table."""
    vocabulary = read_vocabulary(folder, model.vocabulary_file, model.lower_case)
    if len(vocabulary.tokens) != config.vocab_size:
        raise CheckpointError(
            f"{model.vocabulary_file or folder}: the vocabulary has {len(vocabulary.tokens)} tokens; "
            f"expected {config.vocab_size}, one for each row of the word embeddings"
        )
    return vocabulary


def _open(location: Location) -> TensorStore:
    if location.format == "huggingface":
        return open_huggingface(location.folder)
    return (open_tf1 if location.format == "tf1" else open_tf2)(str(location.checkpoint))


def _make_random(model: ModelConfig, seed: int, compute_dtype: str, pack_tokens: bool) -> PretrainedModel:
    """An untrained encoder, its values a function of the seed alone."""
    folder = _random_folder(model)
    if model.encoder is not None:
        shape = model.encoder.model_dump()
        config = EncoderConfig(**shape)
    elif folder is not None:
        config, _ = read_config(folder)
    else:
        raise ConfigError("model.initialization is random, but neither model.encoder nor model.weights gives a shape")
    config = _override(config, model)
    if folder is None and model.vocabulary_file is None:
        raise ConfigError(
            "model.initialization is random, but there is no model.vocabulary_file, nor model.weights with one"
        )
    vocabulary = _read_fitting_vocabulary(folder, model, config)
    encoder = build_encoder(config, compute_dtype, pack_tokens)
    for row in weight_rows(config.num_layers):
        variable = get_variable(encoder, row)
        variable.assign(_random_value(row.tf2, tuple(variable.shape), seed))
    return PretrainedModel(encoder, config, vocabulary, None, None, [], f"random values of seed {seed}")


def _random_folder(model: ModelConfig) -> Path | None:
    """The folder that gives a random encoder its config or vocabulary; it may be without weights."""
    if model.weights is None:
        return None
    folder = Path(model.weights)
    if folder.is_dir() and any((folder / name).is_file() for name in ("config.json", "bert_config.json")):
        return folder
    return locate_weights(model.weights, model.weights_format).folder


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
