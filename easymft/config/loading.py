"""Reads a JSON config, applies overrides, and reports all that is wrong with it at once."""

import copy
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from easymft.config.checks import Problem, check_mode, find_conflicts, find_mode_problems
from easymft.config.expectations import Expectations, PathParts, format_path, format_value
from easymft.config.presets import resolve_presets
from easymft.config.schema import ExperimentConfig
from easymft.errors import ConfigError

__all__ = ["check_mode", "config_json_schema", "dump_config", "load_config"]


class _Repeated:
    """Marks a key that a JSON object holds twice, with its values."""

    def __init__(self, values: list[Any]):
        self.values = values


def load_config(path: str | Path, overrides: Sequence[str] = (), mode: str | None = None) -> ExperimentConfig:
    """Reads and checks a config.

    Args:
        path: The JSON file. Two top-level keys are left out: "$schema", which editors use, and "sha256", by which a run
            knows its own config.json, and which says nothing of a copy that was edited.
        overrides: Settings that replace the file's, each "section.key=value"; the value is JSON, else a plain string.
        mode: If given, what this mode needs is checked too, and reported with the rest.

    Returns:
        The config with its presets resolved.

    Raises:
        ConfigError: The file cannot be read, or anything in it is wrong; one line for each problem, with the file or
            "--set", the path in the JSON, what was expected and the value.
    """
    tree = _read_json(Path(path))
    for key in ("$schema", "sha256"):
        tree.pop(key, None)
    problems: list[Problem] = []
    overridden: list[PathParts] = []
    lines: list[str] = []
    for override in overrides:
        try:
            overridden.append(_apply_override(tree, override))
        except ConfigError as error:
            lines.append(str(error))
    tree = _clean(tree, (), problems)
    config = _validate(tree, problems, mode)
    lines += [f"{_source(path, problem, overridden)}: {problem}" for problem in problems]
    if config is None or lines:
        raise ConfigError("\n".join(lines))
    return config


def dump_config(config: ExperimentConfig) -> str:
    """Returns `config` as JSON text that `load_config` reads back to an equal config."""
    return json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def config_json_schema() -> dict[str, Any]:
    """Returns the JSON schema of a config file, for editors."""
    schema = ExperimentConfig.model_json_schema()
    schema["properties"]["$schema"] = {"type": "string", "description": "This schema's file; changes nothing."}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ConfigError(f"{path}: not UTF-8: byte 0x{byte:02x} at offset {error.start}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read as a config file: {error.strerror}") from error
    try:
        tree = json.loads(text, object_pairs_hook=_make_object)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a JSON object {{...}}, got {format_value(tree)}")
    return tree


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            earlier = result[key].values if isinstance(result[key], _Repeated) else [result[key]]
            value = _Repeated([*earlier, value])
        result[key] = value
    return result


def _apply_override(tree: dict[str, Any], override: str) -> PathParts:
    """Puts one "section.key=value" into `tree` and returns its path."""
    name, separator, text = override.partition("=")
    parts = tuple(name.strip().split("."))
    if not separator or not all(parts):
        raise ConfigError(f"--set: expected section.key=value, got {format_value(override)}")
    try:
        value = json.loads(text, object_pairs_hook=_make_object)
    except (RecursionError, ValueError):
        value = text
    section = tree
    for depth, part in enumerate(parts[:-1], start=1):
        child = section.get(part)
        if child is None:
            child = section[part] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set: {name}: {format_path(parts[:depth])} holds no keys to set")
        section = child
    section[parts[-1]] = value
    return parts


def _clean(node: Any, parts: PathParts, problems: list[Problem]) -> Any:
    """Returns `node` without repeated keys and numbers that are not finite, which become problems."""
    if isinstance(node, _Repeated):
        shown = ", ".join(format_value(_clean(value, parts, [])) for value in node.values)
        problems.append(Problem(parts, f"the key stands here {len(node.values)} times, with {shown}; expected it once"))
        node = node.values[-1]
    if isinstance(node, float) and not math.isfinite(node):
        problems.append(Problem(parts, f"expected a finite number, got {node}"))
        return 0.0
    if isinstance(node, dict):
        return {key: _clean(value, (*parts, key), problems) for key, value in node.items()}
    if isinstance(node, list):
        return [_clean(value, (*parts, index), problems) for index, value in enumerate(node)]
    return node


def _validate(tree: dict[str, Any], problems: list[Problem], mode: str | None) -> ExperimentConfig | None:
    """Validates `tree`; adds to `problems`; returns the config where the schema has nothing against it."""
    cleaned_away = [problem.path for problem in problems]
    found: list[Problem] = []
    try:
        config = result = ExperimentConfig.model_validate(tree)
    except ValidationError as error:
        found, result = _schema_problems(tree, error), None
        config = _rest(tree, [problem.path for problem in found])
    problems += [problem for problem in found if problem.path not in cleaned_away]
    if config is None:
        return None
    wrong = [problem.path for problem in problems]
    resolved = resolve_presets(config)
    conflicts = find_conflicts(resolved)
    if mode is not None:
        # The first complaint about a path is enough: missing weights are missing for every mode.
        reported = {conflict.path for conflict in conflicts}
        conflicts += [problem for problem in find_mode_problems(resolved, mode) if problem.path not in reported]
    for conflict in conflicts:
        touched = (conflict.path, *conflict.depends_on)
        if not any(_overlap(path, other) for path in touched for other in wrong):
            problems.append(conflict)
    return None if result is None else resolved


def _schema_problems(tree: dict[str, Any], error: ValidationError) -> list[Problem]:
    expectations = Expectations(ExperimentConfig.model_json_schema())
    by_path: dict[PathParts, str] = {}
    for details in error.errors(include_url=False, include_context=False):
        parts, value = _locate(tree, details["loc"], missing=details["type"] == "missing")
        if details["type"] == "extra_forbidden":
            message = f"unknown key, {expectations.suggest(parts)} (its value: {format_value(value)})"
        elif details["type"] == "missing":
            message = f"missing; expected {expectations.describe(parts)}"
        elif details["type"] == "value_error":
            message = f"{details['msg'].removeprefix('Value error, ')}, got {format_value(value)}"
        else:
            message = f"expected {expectations.describe(parts)}, got {format_value(value)}"
            if isinstance(value, str) and " list of texts" in message:
                message += f"; a list of one is {format_value([value])}"
        by_path.setdefault(parts, message)
    # A list that fails in an item also fails as each other thing it might have been: the item says it best.
    return [
        Problem(parts, message)
        for parts, message in by_path.items()
        if not any(other[: len(parts)] == parts and other != parts for other in by_path)
    ]


def _locate(tree: Any, location: Sequence[str | int], missing: bool) -> tuple[PathParts, Any]:
    """Returns the path in the JSON and its value; pydantic's names for a union's members are left out."""
    parts: list[str | int] = []
    for index, part in enumerate(location):
        if isinstance(tree, dict) and part in tree or isinstance(tree, list) and isinstance(part, int):
            tree = tree[part]
            parts.append(part)
        elif missing and index == len(location) - 1:
            parts.append(part)
    return tuple(parts), tree


def _rest(tree: dict[str, Any], wrong: list[PathParts]) -> ExperimentConfig | None:
    """Returns the config that is left without the keys at `wrong`, so that the rest of it can be checked as well."""
    rest = copy.deepcopy(tree)
    for parts in wrong:
        names = parts[: next((index for index, part in enumerate(parts) if isinstance(part, int)), len(parts))]
        section: Any = rest
        for part in names[:-1]:
            section = section.get(part, {})
        if names:
            section.pop(names[-1], None)
    if isinstance(rest.get("model"), dict) and any(parts[:2] == ("model", "encoder") for parts in wrong):
        rest["model"].pop("encoder", None)
    rest.setdefault("output_folder", "unknown")
    try:
        return ExperimentConfig.model_validate(rest)
    except ValidationError:
        return None


def _overlap(first: PathParts, second: PathParts) -> bool:
    length = min(len(first), len(second))
    return first[:length] == second[:length]


def _source(path: str | Path, problem: Problem, overridden: list[PathParts]) -> str:
    return "--set" if any(_covers(parts, problem.path) for parts in overridden) else str(path)


def _covers(setting: PathParts, path: PathParts) -> bool:
    return path[: len(setting)] == setting or setting[: len(path)] == path and len(path) > 0
