"""A Hugging Face `tokenizer.json`, as far as it is BERT's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easymft.errors import CheckpointError
from easymft.model_zoo.added_tokens import Declared, read_declared
from easymft.model_zoo.json_files import check_values, read_json

_WHY = "only BERT's WordPiece tokenizer is known"
_SINGLE, _PAIR = (("[CLS]", 0), "A0", ("[SEP]", 0)), (("[CLS]", 0), "A0", ("[SEP]", 0), "B1", ("[SEP]", 1))


@dataclass(frozen=True)
class TokenizerJson:
    """What a `tokenizer.json` says.

    Attributes:
        ids: The id of each token of the model's vocabulary.
        added: The tokens that it declares to be found whole.
        settings: `do_lower_case`, `strip_accents` and `tokenize_chinese_chars`, by the names of tokenizer_config.json.
        adds_cls: Whether it puts [CLS] and [SEP] around texts; None: it does not say.
    """

    ids: dict[str, int]
    added: list[Declared]
    settings: dict[str, bool | None]
    adds_cls: bool | None

    def tokens(self, source: str) -> list[str]:
        """Returns the model's tokens in the order of their ids; a number that no token has is an empty one.

        Raises:
            CheckpointError: Two tokens have the same number, or most numbers have no token.
        """
        count = max(self.ids.values(), default=-1) + 1
        if count > 2 * len(self.ids):
            raise CheckpointError(
                f"{source}: model.vocab has {len(self.ids)} tokens with numbers up to {count - 1}; "
                f"expected 0 to {len(self.ids) - 1}"
            )
        tokens = [""] * count
        for token, number in self.ids.items():
            if tokens[number]:
                raise CheckpointError(
                    f"{source}: model.vocab gives {tokens[number]!r:.80} and {token!r:.80} the same number, {number}"
                )
            tokens[number] = token
        # No word of a text has white space at its end, nor a line end, which a vocab.txt could not hold.
        return ["" if token != token.rstrip() or "\n" in token or "\r" in token else token for token in tokens]


def read_tokenizer_json(file: Path) -> TokenizerJson:
    """Reads a `tokenizer.json`.

    Raises:
        CheckpointError: The file cannot be read, or asks for something that EasyMFT's tokeniser does not do.
    """
    content = read_json(file)
    model, normalizer = _part(file, content, "model"), _only(file, _part(file, content, "normalizer"), "normalizers")
    pre_tokenizer = _only(file, _part(file, content, "pre_tokenizer"), "pretokenizers")
    values = {f"model.{name}": value for name, value in model.items()}
    values |= {f"normalizer.{name}": value for name, value in normalizer.items()}
    values["pre_tokenizer.type"] = pre_tokenizer.get("type")
    if isinstance(model.get("vocab"), dict) and "merges" not in model:
        values.setdefault("model.type", "WordPiece")  # files of old releases lack it
    values.setdefault("model.max_input_chars_per_word", 100)
    for name in ("truncation", "padding"):
        values[f"{name}.direction"] = str(_part(file, content, name).get("direction", "Right")).capitalize()
    expected = {
        "model.type": ("WordPiece",),
        "model.unk_token": ("[UNK]",),
        "model.continuing_subword_prefix": ("##",),
        "model.max_input_chars_per_word": (100,),
        "normalizer.type": ("BertNormalizer",),
        "normalizer.lowercase": (True, False),
        "normalizer.clean_text": (True,),
        "normalizer.handle_chinese_chars": (True, False),
        "normalizer.strip_accents": (None, True, False),
        "pre_tokenizer.type": ("BertPreTokenizer",),
        "truncation.direction": ("Right",),
        "padding.direction": ("Right",),
    }
    check_values(str(file), values, expected, _WHY)
    ids, entries = model.get("vocab"), content.get("added_tokens") or []
    if not isinstance(ids, dict) or not all(type(number) is int and number >= 0 for number in ids.values()):
        raise CheckpointError(f"{file}: model.vocab is {ids!r:.60}; expected an object of tokens and their numbers")
    if not isinstance(entries, list):
        raise CheckpointError(f"{file}: added_tokens is {entries!r:.60}; expected a list")
    added = [read_declared(entry, f"{file}: added_tokens") for entry in entries]
    if any(one.number is None for one in added):
        raise CheckpointError(f"{file}: added_tokens has a token without an id; expected a number for each")
    settings = {
        "do_lower_case": normalizer["lowercase"],
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
    }
    numbers = {one.token.content: one.number for one in added} | ids
    return TokenizerJson(ids, added, settings, _check_post_processor(file, content, numbers))


def _part(file: Path, content: dict[str, Any], name: str) -> dict[str, Any]:
    part = content.get(name)
    if part is not None and not isinstance(part, dict):
        raise CheckpointError(f"{file}: {name} is {part!r:.60}; expected an object")
    return part or {}


def _only(file: Path, part: dict[str, Any], name: str) -> dict[str, Any]:
    """A sequence of one part is that part."""
    parts = part.get(name)
    if part.get("type") == "Sequence" and isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict):
        return parts[0]
    return part


def _check_post_processor(file: Path, content: dict[str, Any], numbers: dict[str, int | None]) -> bool | None:
    """Returns whether there is one; raises unless it makes [CLS] A [SEP] and [CLS] A [SEP] B [SEP]."""
    if "post_processor" not in content:
        return None
    part = _part(file, content, "post_processor")
    if not part:
        return False
    right = {token: numbers.get(token) for token in ("[CLS]", "[SEP]")}
    if part.get("type") == "BertProcessing":
        found = {"[CLS]": part.get("cls"), "[SEP]": part.get("sep")}
        fits = found == {token: [token, number] for token, number in right.items()}
    elif part.get("type") == "TemplateProcessing":
        special = part.get("special_tokens")
        special = special if isinstance(special, dict) else {}
        found = {token: one.get("ids") for token, one in special.items() if token in right and isinstance(one, dict)}
        fits = found == {token: [number] for token, number in right.items()}
        fits = fits and (_pieces(part.get("single")), _pieces(part.get("pair"))) == (_SINGLE, _PAIR)
    else:
        fits = False
    if not fits:
        raise CheckpointError(
            f"{file}: post_processor of type {part.get('type')!r:.40} does not make [CLS] A [SEP] and "
            f"[CLS] A [SEP] B [SEP] with the vocabulary's numbers: {_WHY}"
        )
    return True


def _pieces(template: Any) -> tuple[Any, ...]:
    """A template's pieces: a special token with its type id, or A or B with its type id."""
    found: list[Any] = []
    for piece in template if isinstance(template, list) else []:
        special = piece.get("SpecialToken") if isinstance(piece, dict) else None
        sequence = piece.get("Sequence") if isinstance(piece, dict) else None
        if isinstance(special, dict):
            found.append((special.get("id"), special.get("type_id")))
        elif isinstance(sequence, dict):
            found.append(f"{sequence.get('id')}{sequence.get('type_id')}")
        else:
            found.append(None)
    return tuple(found)
