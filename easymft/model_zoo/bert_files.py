"""The small files beside a BERT's weights: its config and its vocabulary."""

from pathlib import Path
from reprlib import repr as shorten
from typing import Any, get_args

from easymft.errors import CheckpointError
from easymft.model_zoo.json_files import read_json, write_json
from easymft.model_zoo.tokenizer_files import read_vocabulary as read_vocabulary  # a model's small files in one place
from easymft.modeling.encoder_config import EncoderConfig, Pooling

CONFIG_FILE = "config.json"
GOOGLE_CONFIG_FILE = "bert_config.json"

_POOLING_KEY = "easymft_pooling"


def read_config(folder: Path) -> tuple[EncoderConfig, list[str] | None]:
    """Reads `config.json`, or else Google's `bert_config.json`, in which "gelu" is the tanh approximation.

    Google's BERT and Model Garden both compute the approximation under that name; Hugging Face's `config.json` means
    the exact erf by it.

    Returns:
        The encoder's config, and the classes in order where the config names them.

    Raises:
        CheckpointError: Neither file is there, or what it says is not supported.
    """
    if (folder / CONFIG_FILE).is_file():
        values = read_json(folder / CONFIG_FILE)
        config = EncoderConfig.from_huggingface(values, source=str(folder / CONFIG_FILE))
        return config, _read_labels(values, folder / CONFIG_FILE)
    if (folder / GOOGLE_CONFIG_FILE).is_file():
        values = read_json(folder / GOOGLE_CONFIG_FILE)
        if values.get("hidden_act") == "gelu":
            values = {**values, "hidden_act": "gelu_new"}
        return EncoderConfig.from_huggingface(values, source=str(folder / GOOGLE_CONFIG_FILE)), None
    raise CheckpointError(f"{folder}: no {CONFIG_FILE} or {GOOGLE_CONFIG_FILE}; expected one beside the weights")


def read_pooling(folder: Path) -> Pooling:
    """What the classifier head of a model reads; of all but EasyMFT's own models, the pooled [CLS].

    Raises:
        CheckpointError: config.json names something else.
    """
    file = folder / CONFIG_FILE
    pooling = read_json(file).get(_POOLING_KEY, "pooled") if file.is_file() else "pooled"
    if pooling not in get_args(Pooling):
        raise CheckpointError(
            f"{file}: {_POOLING_KEY} is {shorten(pooling)}; expected one of {', '.join(get_args(Pooling))}"
        )
    return pooling


def is_text_classifier(folder: Path) -> bool | None:
    """Whether a model's classifier is one of texts, by the architecture in config.json; None where that says nothing.

    Of BertForTokenClassification, for one, it is not: its classes are tags of tokens.
    """
    file = folder / CONFIG_FILE
    names = read_json(file).get("architectures") if file.is_file() else None
    tasks = [name.partition("For")[2] for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return "SequenceClassification" in tasks if any(tasks) else None


def write_config(
    folder: Path,
    config: EncoderConfig,
    labels: list[str] | None,
    *,
    classifier: bool,
    pooling: Pooling = "pooled",
) -> None:
    """Writes a Hugging Face `config.json`.

    Args:
        folder: An existing folder.
        config: The encoder's config.
        labels: The classes in order, kept as id2label and label2id.
        classifier: Whether the weights hold a classifier head.
        pooling: What it reads. Hugging Face's BERT classifier knows nothing but the pooled [CLS], so that with any
            other the model is an encoder to it.
    """
    known = classifier and pooling == "pooled"
    values: dict[str, Any] = {
        "architectures": ["BertForSequenceClassification" if known else "BertModel"],
        **config.to_huggingface(),
    }
    if classifier and not known:
        values[_POOLING_KEY] = pooling
    if labels is not None:
        values["id2label"] = {str(i): label for i, label in enumerate(labels)}
        values["label2id"] = {label: i for i, label in enumerate(labels)}
    if classifier:
        values["problem_type"] = "single_label_classification"
    write_json(folder / CONFIG_FILE, values)


def write_google_config(folder: Path, config: EncoderConfig) -> None:
    """Writes Google's `bert_config.json`, whose only name for either GELU is "gelu"; `config.json` tells them apart."""
    keys = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    more = ("max_position_embeddings", "type_vocab_size", "hidden_dropout_prob", "attention_probs_dropout_prob")
    values = config.to_huggingface()
    kept = {key: values[key] for key in (*keys, *more, "initializer_range")}
    write_json(folder / GOOGLE_CONFIG_FILE, {**kept, "hidden_act": "gelu"})


def _read_labels(values: dict[str, Any], file: Path) -> list[str] | None:
    """The classes of id2label in order."""
    id2label = values.get("id2label")
    if id2label is None:
        return None
    expected = [str(i) for i in range(len(id2label))] if isinstance(id2label, dict) else None
    if expected is None or sorted(id2label) != sorted(expected):
        raise CheckpointError(f"{file}: id2label is {shorten(id2label)}; expected the keys 0, 1, 2, ...")
    labels = [id2label[i] for i in expected]
    wrong = [label for label in labels if not isinstance(label, (str, int, float))]
    if wrong:
        raise CheckpointError(f"{file}: id2label names a class {shorten(wrong[0])}; expected a text")
    return list(map(str, labels))
