"""A model's files, all checked before anything is built: for `load_pretrained`, and for who looks without loading."""

import dataclasses
from pathlib import Path

from easymft.config.schema import ModelConfig
from easymft.data.vocabulary import Vocabulary
from easymft.errors import CheckpointError, ConfigError
from easymft.model_zoo.bert_files import CONFIG_FILE, GOOGLE_CONFIG_FILE, is_text_classifier, read_config, read_pooling
from easymft.model_zoo.folders import check_folder
from easymft.model_zoo.huggingface import open_huggingface
from easymft.model_zoo.locate import Location, locate_weights
from easymft.model_zoo.tensor_store import TensorPlan, TensorStore, list_names, plan_tensors
from easymft.model_zoo.tf1 import open_tf1
from easymft.model_zoo.tf2 import open_tf2
from easymft.model_zoo.tokenizer_files import read_vocabulary
from easymft.model_zoo.weight_map import HEAD_BIAS, POOLER
from easymft.modeling.encoder_config import EncoderConfig, Pooling


@dataclasses.dataclass(frozen=True)
class OpenedWeights:
    """A model's tensors, not read yet, and what they are for.

    Attributes:
        location: Where they are.
        store: The tensors.
        plan: Which of them are used.
        labels: The classes of the classifier in order, where there is one and config.json names them.
        pooling: What it reads.
    """

    location: Location
    store: TensorStore
    plan: TensorPlan
    labels: list[str] | None
    pooling: Pooling


def open_model(model: ModelConfig) -> tuple[OpenedWeights, EncoderConfig, Vocabulary]:
    """Finds the weights that `model` names, and checks config, vocabulary and tensors against one another.

    Returns:
        The weights, and their config and vocabulary with the user's settings.

    Raises:
        CheckpointError: Weights, config or vocabulary are missing, damaged or do not fit one another.
        ConfigError: `model` names no weights.
    """
    if model.weights is None:
        raise ConfigError("model.weights is null; name weights, or set model.initialization to random")
    location = locate_weights(model.weights, model.weights_format, model.cache_folder)
    check_folder(location.folder)
    config = override(read_config(location.folder)[0], model)
    vocabulary = read_fitting_vocabulary(location.folder, model, config)
    return open_tensors(location, config), config, vocabulary


def look_at_model(model: ModelConfig) -> tuple[Vocabulary, EncoderConfig | None, str, list[str]]:
    """What can be known of `model` without building or reading it; refuses what `load_pretrained` would.

    Returns:
        Its vocabulary, its config if `model` says anything of it, what was found, and what a user should know.

    Raises:
        CheckpointError: Weights, config or vocabulary are missing, damaged or do not fit one another.
    """
    if model.initialization == "random":
        folder, config = random_config(model)
        source, plan = "model.encoder" if folder is None else str(folder), None
        vocabulary = read_fitting_vocabulary(folder, model, config)
    elif model.weights is None:
        return read_vocabulary(None, model.vocabulary_file, model.lower_case), None, "", []
    else:
        opened, config, vocabulary = open_model(model)
        source, plan = opened.location.source, opened.plan
    notes = tell_weights(source, plan, config, vocabulary)
    if plan is not None and not plan.has_pooler and model.pooling == "pooled":
        notes.append(tell_new_pooler(source))
    return vocabulary, config, source, notes


def random_config(model: ModelConfig) -> tuple[Path | None, EncoderConfig]:
    """The folder that gives a random encoder its config or vocabulary, if any, and its config.

    Raises:
        CheckpointError: The folder or its config is missing or damaged, or the config is of no encoder.
        ConfigError: `model` gives no shape, or no vocabulary.
    """
    folder = _random_folder(model)
    if model.encoder is not None:
        config = EncoderConfig(**model.encoder.model_dump())
    elif folder is not None:
        config, _ = read_config(folder)
    else:
        raise ConfigError("model.initialization is random, but neither model.encoder nor model.weights gives a shape")
    if folder is None and model.vocabulary_file is None:
        raise ConfigError(
            "model.initialization is random, but there is no model.vocabulary_file, nor model.weights with one"
        )
    return folder, override(config, model)


def _random_folder(model: ModelConfig) -> Path | None:
    """The folder that gives a random encoder its config or vocabulary; it may be without weights."""
    if model.weights is None:
        return None
    folder = Path(model.weights)
    if folder.is_dir() and any((folder / name).is_file() for name in (CONFIG_FILE, GOOGLE_CONFIG_FILE)):
        return folder
    return locate_weights(model.weights, model.weights_format, model.cache_folder).folder


def open_tensors(location: Location, config: EncoderConfig) -> OpenedWeights:
    """Opens weights and accounts for every tensor.

    Raises:
        CheckpointError: They are missing, damaged, or not those of an encoder of `config`.
    """
    store = _open(location)
    pooling, of_texts = read_pooling(location.folder), is_text_classifier(location.folder)
    plan = plan_tensors(store, config, text_head=of_texts is not False)
    if plan.has_head and not plan.has_pooler and pooling == "pooled":
        if of_texts:
            names = list_names(row.name(store.format) for row in POOLER)
            raise CheckpointError(f"{store.path}: tensors are missing, which the classifier reads: {names}")
        plan = plan_tensors(store, config, text_head=False)  # without a pooler, it is one of tokens
    labels = read_config(location.folder)[1] if plan.has_head else None
    classes = store.shapes[HEAD_BIAS.name(store.format)][0] if plan.has_head else 0
    if labels is not None and len(labels) != classes:
        raise CheckpointError(
            f"{location.folder}: config.json names {len(labels)} classes; the classifier has {classes}"
        )
    return OpenedWeights(location, store, plan, labels, pooling)


def tell_weights(source: str, plan: TensorPlan | None, config: EncoderConfig, vocabulary: Vocabulary) -> list[str]:
    """What a user should know of weights that can be used, in lines."""
    lines = []
    if len(vocabulary) < config.vocab_size:
        lines.append(
            f"{source}: {config.vocab_size} rows of word embeddings for {len(vocabulary)} tokens of the vocabulary; "
            "the spare rows are kept, and no text reads them"
        )
    if plan is not None and plan.heads:
        lines.append(f"{source}: heads of other tasks, which are not used: {', '.join(plan.heads)}")
    return lines


def tell_new_pooler(source: str) -> str:
    """What a user should know who trains a classifier on the pooler of weights that hold none."""
    return (
        f"{source}: holds no pooler; a new one, of random values as the head is, will be trained; model.pooling "
        "token_mean needs none"
    )


def override(config: EncoderConfig, model: ModelConfig) -> EncoderConfig:
    """The weights' own config with the user's activation and dropout."""
    given = {name: getattr(model, name) for name in ("activation", "dropout", "attention_dropout")}
    return dataclasses.replace(config, **{name: value for name, value in given.items() if value is not None})


def read_fitting_vocabulary(folder: Path | None, model: ModelConfig, config: EncoderConfig) -> Vocabulary:
    """The vocabulary, of at most as many tokens as the word embeddings have rows.

    Raises:
        CheckpointError: There is none, or one of more tokens.
    """
    vocabulary = read_vocabulary(folder, model.vocabulary_file, model.lower_case)
    if len(vocabulary) > config.vocab_size:
        raise CheckpointError(
            f"{model.vocabulary_file or folder}: the vocabulary has {len(vocabulary)} tokens; expected at most "
            f"{config.vocab_size}, one for each row of the word embeddings; name the vocabulary that these weights "
            "were trained with"
        )
    return vocabulary


def _open(location: Location) -> TensorStore:
    if location.format == "huggingface":
        return open_huggingface(location.folder)
    return (open_tf1 if location.format == "tf1" else open_tf2)(str(location.checkpoint))
