"""What the schema expects at a path of the config, in words; and the key a user may have meant."""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any

PathParts = tuple[str | int, ...]

_PLURALS = {"string": "texts", "integer": "whole numbers", "number": "numbers", "boolean": "true or false values"}
_VALUE_WIDTH = 80


def format_path(parts: PathParts) -> str:
    """Returns `parts` as a user would write them: ("data", "train_files", 0) -> "data.train_files[0]"."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        key = part if part and part == part.strip() else json.dumps(part)  # white space would not be seen
        text += f".{key}" if text else key
    return text or "the config"


def format_value(value: Any) -> str:
    """Returns `value` as JSON, shortened to one line of at most about 80 characters."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= _VALUE_WIDTH else text[: _VALUE_WIDTH - 4] + " ..."


class Expectations:
    """Looks up paths of a config in its JSON schema."""

    def __init__(self, json_schema: dict[str, Any]):
        """Takes the schema as `BaseModel.model_json_schema()` gives it."""
        self._root = json_schema
        self._definitions = json_schema.get("$defs", {})

    def describe(self, parts: PathParts) -> str:
        """Returns what belongs at `parts`, such as "a whole number of at least 4, or null"."""
        return ", or ".join(self._phrase(node) for node in self._alternatives(self._find(parts)))

    def keys(self, parts: PathParts) -> list[str]:
        """Returns the known keys of the section at `parts`."""
        return [key for node in self._alternatives(self._find(parts)) for key in node.get("properties", {})]

    def suggest(self, parts: PathParts) -> str:
        """Returns a hint for the unknown key at `parts`: the nearest key here or elsewhere, else all keys here."""
        *section, key = parts
        here = self.keys(tuple(section))
        near = difflib.get_close_matches(str(key), here, n=1)
        if near:
            return f'did you mean "{near[0]}"?'
        elsewhere = {path[-1]: path for path in self._all_paths()}
        near = difflib.get_close_matches(str(key), [str(name) for name in elsewhere], n=1, cutoff=0.75)
        if near:
            return f'did you mean "{format_path(elsewhere[near[0]])}"?'
        return f"known here: {', '.join(here)}" if here else f"nothing is known under {format_path(tuple(section))}"

    def _all_paths(self, parts: PathParts = ()) -> Iterator[PathParts]:
        for key in self.keys(parts):
            yield (*parts, key)
            yield from self._all_paths((*parts, key))

    def _find(self, parts: PathParts) -> dict[str, Any]:
        node = self._root
        for part in parts:
            children = [
                child
                for alternative in self._alternatives(node)
                if (child := alternative.get("items") if isinstance(part, int) else _member(alternative, part))
            ]
            if not children:
                return {}
            node = children[0]
        return node

    def _alternatives(self, node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return self._alternatives(self._definitions[node["$ref"].rsplit("/", 1)[-1]])
        if "anyOf" in node:
            return [leaf for alternative in node["anyOf"] for leaf in self._alternatives(alternative)]
        return [node]

    def _phrase(self, node: dict[str, Any]) -> str:
        if "const" in node:
            return json.dumps(node["const"])
        if "enum" in node:
            return "one of " + ", ".join(json.dumps(value) for value in node["enum"])
        kind = node.get("type")
        if kind == "object":
            return "an object {...}"
        if kind == "array":
            return f"a list of {_PLURALS.get(node.get('items', {}).get('type'), 'values')}"
        if kind in ("integer", "number"):
            return ("a whole number" if kind == "integer" else "a number") + _describe_range(node)
        if kind == "string":
            if node.get("maxLength") == 1:
                return "one character"
            return "a non-empty text" if node.get("minLength") else "a text"
        return {"boolean": "true or false", "null": "null"}.get(str(kind), "a known key")


def _member(node: dict[str, Any], key: str) -> dict[str, Any] | None:
    """What belongs under `key` of an object; None if nothing does."""
    others = node.get("additionalProperties")  # of an object with keys of the user's own
    return node.get("properties", {}).get(key, others if isinstance(others, dict) else None)


def nearest(word: str, known: Sequence[str]) -> str:
    """Returns a hint for an unknown `word`: the nearest of `known`, else all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"


def _describe_range(node: dict[str, Any]) -> str:
    bounds = [
        f"{words} {node[key]:g}"
        for key, words in (
            ("minimum", "of at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in node
    ]
    return " " + " and ".join(bounds) if bounds else ""
