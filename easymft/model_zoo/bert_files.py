"""The small files beside a BERT's weights: its config and its vocabulary."""

import dataclasses
import json
from pathlib import Path
from reprlib import repr as shorten
from typing import Any, get_args

from easymft.data.vocabulary import Vocabulary
from easymft.errors import CheckpointError, one_line
from easymft.model_zoo.foreign import is_lfs_pointer
from easymft.modeling.encoder_config import EncoderConfig, Pooling

CONFIG_FILE = "config.json"
GOOGLE_CONFIG_FILE = "bert_config.json"
VOCABULARY_FILE = "vocab.txt"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"

_POOLING_KEY = "easymft_pooling"
_SPECIAL_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


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


def read_vocabulary(folder: Path | None, vocabulary_file: str | None, lower_case: bool | None) -> Vocabulary:
    """Reads the vocabulary of a model.

    Args:
        folder: The weights' folder, with vocab.txt or tokenizer.json; None without one.
        vocabulary_file: The user's own vocab.txt, which then is read instead.
        lower_case: The user's own choice. None: as tokenizer_config.json or tokenizer.json says, or else false exactly
            if a token of the vocabulary has an upper-case letter.

    Raises:
        CheckpointError: There is no vocabulary.
    """
    if lower_case is None and folder is not None:
        lower_case = _read_lower_case(folder)
    if vocabulary_file is not None:
        file = Path(vocabulary_file)
    elif folder is not None and (folder / VOCABULARY_FILE).is_file():
        file = folder / VOCABULARY_FILE
    elif folder is not None and (folder / TOKENIZER_FILE).is_file():
        vocabulary = Vocabulary.from_tokenizer_json(folder / TOKENIZER_FILE)
        return vocabulary if lower_case is None else dataclasses.replace(vocabulary, lower_case=lower_case)
    else:
        raise CheckpointError(f"{folder}: no {VOCABULARY_FILE} or {TOKENIZER_FILE}; give model.vocabulary_file")
    vocabulary = Vocabulary.from_file(file, lower_case=bool(lower_case))
    if lower_case is None:
        vocabulary = dataclasses.replace(vocabulary, lower_case=not _has_upper_case(vocabulary))
    return vocabulary


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


def write_vocabulary(folder: Path, vocabulary: Vocabulary, max_length: int) -> None:
    """Writes vocab.txt, tokenizer_config.json and special_tokens_map.json; `max_length` is in tokens."""
    vocabulary.save(folder / VOCABULARY_FILE)
    special = {key: token for key, token in _SPECIAL_TOKENS.items() if token in vocabulary.special_tokens}
    values = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": vocabulary.lower_case,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": max_length,
        **special,
    }
    write_json(folder / TOKENIZER_CONFIG_FILE, values)
    write_json(folder / SPECIAL_TOKENS_FILE, special)


def read_json(file: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        CheckpointError: The file is no JSON object.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = "a Git LFS pointer; run git lfs pull" if is_lfs_pointer(file) else one_line(error)
        raise CheckpointError(f"{file}: cannot be read as JSON ({what})") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: holds {type(values).__name__} {shorten(values)}; expected a JSON object")
    return values


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Writes a JSON object, indented."""
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


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


def _read_lower_case(folder: Path) -> bool | None:
    """What tokenizer_config.json says of lower case, or else tokenizer.json's normalizer; None if neither does."""
    if (folder / TOKENIZER_CONFIG_FILE).is_file():
        file = folder / TOKENIZER_CONFIG_FILE
        values = read_json(file)
        lower_case = values.get("do_lower_case")
        if lower_case is not None and not isinstance(lower_case, bool):
            raise CheckpointError(f"{file}: do_lower_case is {lower_case!r}; expected true or false")
        for key, expected in {"tokenize_chinese_chars": True, "do_basic_tokenize": True, "strip_accents": None}.items():
            if values.get(key, expected) not in (expected, lower_case if key == "strip_accents" else expected):
                raise CheckpointError(f"{file}: {key} is {values[key]!r}; only BERT's own tokenizer is supported")
        if lower_case is not None:
            return lower_case
    if (folder / TOKENIZER_FILE).is_file():
        lower_case = (read_json(folder / TOKENIZER_FILE).get("normalizer") or {}).get("lowercase")
        return lower_case if isinstance(lower_case, bool) else None
    return None


def _has_upper_case(vocabulary: Vocabulary) -> bool:
    """Whether a token other than one in brackets, such as [CLS], has an upper-case letter."""
    return any(token != token.lower() for token in vocabulary.tokens if not token.startswith("["))
