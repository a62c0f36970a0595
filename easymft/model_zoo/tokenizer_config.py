"""What tokenizer_config.json and its fellows say of a BERT tokenizer: honoured or refused by name."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easymft.errors import CheckpointError
from easymft.model_zoo.added_tokens import Declared, read_declared
from easymft.model_zoo.json_files import check_values, read_json

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"
BERT_NAMES = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}

_MODEL_CONFIG_FILE = "config.json"
_SENTENCE_CONFIG_FILE = "sentence_bert_config.json"
_WHY = "only BERT's own tokenizer is supported"
# Classes of transformers that make BertTokenizer's ids; those of the second row are whatever tokenizer.json says.
_BERT_CLASSES = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer")
_JSON_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend")
# What these say when they are given. Other names do not change ids: lengths, templates, where files come from.
_EXPECTED: dict[str, tuple[Any, ...]] = {
    "do_lower_case": (None, True, False),
    "strip_accents": (None, True, False),
    "tokenize_chinese_chars": (None, True, False),
    "do_basic_tokenize": (None, True),
    "never_split": (None, []),
    "clean_text": (None, True),
    "split_special_tokens": (None, False),
    "wordpieces_prefix": (None, "##"),
    "max_input_chars_per_word": (None, 100),
    "padding_side": (None, "right"),
    "truncation_side": (None, "right"),
}
_JAPANESE: dict[str, tuple[Any, ...]] = {
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
    "do_word_tokenize": (None, True),
    "do_subword_tokenize": (None, True),
}
_LISTS = ("additional_special_tokens", "extra_special_tokens")


@dataclass(frozen=True)
class TokenizerConfig:
    """What the files beside a vocabulary say.

    Attributes:
        settings: Those of `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` that are given.
        is_json_class: Whether the tokenizer's class is none of BERT's, but does what tokenizer.json says.
        decoder: The tokens that tokenizer_config.json declares to be found whole, with their numbers.
        added: Those of the other files and fields, in the order in which transformers believes them.
        lower_cased_before: The file by which sentence-transformers lower-cases texts before it tokenises them.
    """

    settings: dict[str, bool | None] = field(default_factory=dict)
    is_json_class: bool = False
    decoder: list[Declared] = field(default_factory=list)
    added: list[Declared] = field(default_factory=list)
    lower_cased_before: Path | None = None


def read_tokenizer_config(folder: Path) -> TokenizerConfig:
    """Reads tokenizer_config.json, special_tokens_map.json, added_tokens.json and what config.json says of these.

    Raises:
        CheckpointError: A file cannot be read, or asks for something that EasyMFT's tokeniser does not do.
    """
    config, values = _read(folder / _MODEL_CONFIG_FILE), _read(folder / TOKENIZER_CONFIG_FILE)
    is_json_class = _check_class(folder, config, values)
    for name, said in ((_MODEL_CONFIG_FILE, config), (TOKENIZER_CONFIG_FILE, values)):
        check_values(str(folder / name), said, _JAPANESE, _WHY)
    check_values(str(folder / TOKENIZER_CONFIG_FILE), values, _EXPECTED, _WHY)
    settings = {name: values[name] for name in ("strip_accents", "tokenize_chinese_chars") if name in values}
    if settings.get("tokenize_chinese_chars", True) is None:
        del settings["tokenize_chinese_chars"]
    if values.get("do_lower_case") is not None:
        settings["do_lower_case"] = values["do_lower_case"]
    sentence_file = folder / _SENTENCE_CONFIG_FILE
    lower_cased = _read(sentence_file).get("do_lower_case") is True
    decoder, added = _read_added(folder, values)
    return TokenizerConfig(settings, is_json_class, decoder, added, sentence_file if lower_cased else None)


def _read(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _check_class(folder: Path, config: dict[str, Any], values: dict[str, Any]) -> bool:
    """Returns whether the class is tokenizer.json's own; tokenizer_config.json comes before config.json."""
    file = folder / (TOKENIZER_CONFIG_FILE if values.get("tokenizer_class") is not None else _MODEL_CONFIG_FILE)
    name = values.get("tokenizer_class") if file.name == TOKENIZER_CONFIG_FILE else config.get("tokenizer_class")
    kind = name.removesuffix("Fast") if isinstance(name, str) else name
    if kind is not None and kind not in (*_BERT_CLASSES, *_JSON_CLASSES):
        raise CheckpointError(f"{file}: tokenizer_class is {name!r:.80}; expected 'BertTokenizer': {_WHY}")
    own_code = values.get("auto_map")
    own_code = own_code.get("AutoTokenizer") if isinstance(own_code, dict) else own_code
    if own_code:
        raise CheckpointError(
            f"{folder / TOKENIZER_CONFIG_FILE}: auto_map names code of its own ({own_code!r:.80}): {_WHY}"
        )
    return kind in _JSON_CLASSES


def _read_added(folder: Path, values: dict[str, Any]) -> tuple[list[Declared], list[Declared]]:
    """The tokens of added_tokens_decoder, and those of the other files and fields."""
    file = folder / TOKENIZER_CONFIG_FILE
    decoder = values.get("added_tokens_decoder")
    named = _read_named(file, values)
    if decoder is not None:
        if not isinstance(decoder, dict) or not all(number.isdecimal() for number in decoder):
            raise CheckpointError(f"{file}: added_tokens_decoder is {decoder!r:.80}; expected numbers and their tokens")
        source = f"{file}: added_tokens_decoder"
        # transformers then reads neither of the other files.
        return [read_declared(entry, source, int(number)) for number, entry in decoder.items()], named
    file = folder / SPECIAL_TOKENS_FILE
    named += _read_named(file, _read(file))
    special = {one.token.content for one in named}
    file = folder / ADDED_TOKENS_FILE
    numbered = [
        read_declared(token, str(file), number, special=True if token in special else None)
        for token, number in _read(file).items()
    ]
    return [], numbered + named


def _read_named(file: Path, values: dict[str, Any]) -> list[Declared]:
    """Tokens that have a name, such as bos_token, or stand in a list; they are special and have no number there."""
    found = []
    for name, entry in values.items():
        source = f"{file}: {name}"
        if name in _LISTS:
            entries = list(entry.values()) if isinstance(entry, dict) else entry
            if entries is not None and not isinstance(entries, list):
                raise CheckpointError(f"{source} is {entry!r:.80}; expected a list of tokens")
            found += [read_declared(one, source, special=True) for one in entries or ()]
        elif name in BERT_NAMES and entry is not None:
            one = read_declared(entry, source, special=True)
            if one.token.content != BERT_NAMES[name]:
                raise CheckpointError(
                    f"{file}: {name} is {one.token.content!r:.80}; expected {BERT_NAMES[name]!r}: {_WHY}"
                )
            found.append(Declared(one.token, None, source, optional=True))
        elif name in ("bos_token", "eos_token") and entry is not None:
            found.append(read_declared(entry, source, special=True))
        elif name.endswith("_token") and isinstance(entry, str) and entry:
            # A token's name of the model's own, or something else that ends like one.
            found.append(Declared(read_declared(entry, source, special=True).token, None, source, optional=True))
    return found
