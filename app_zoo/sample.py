"""Writes the shipped sample where the user wants it: tables, configs and the schema that helps editors."""

import json
import shlex
import textwrap
from importlib.resources import files
from pathlib import Path
from typing import Any

from easymft.errors import ConfigError
from easymft.files import replacing

_EXPERIMENT = "experiment.json"
_FIRST_MODES = ("validate", "meta_tune")


def write_sample(folder: Path) -> str:
    """Writes the sample's tables and configs, and the schema, into `folder`, which is made where it is missing.

    The paths in the configs begin with `folder` as it is given, so that they hold where the user stands; what runs of
    them write stands in its subfolder runs. Files that are there with the same content stay, so that the same call
    finishes what an interrupt broke off.

    Args:
        folder: Where to write; relative to the current folder, or absolute.

    Returns:
        What to tell the user: what was written, and what to run next.

    Raises:
        ConfigError: `folder` is a file, or holds other files of these names; then nothing is written.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is not a folder, so the sample cannot be written there; name a new one")
    contents = _make_contents(folder)
    others = [path.name for path, content in contents.items() if path.exists() and path.read_bytes() != content]
    if others:
        what = f"holds {', '.join(others)} with other content"
        raise ConfigError(f"{folder}: {what}; nothing was written; move it away or name another folder")
    for path, content in contents.items():
        with replacing(path) as part:
            part.write_bytes(content)
    return _tell(folder, contents)


def _make_contents(folder: Path) -> dict[Path, bytes]:
    """Returns the content of every file of the sample in `folder`."""
    shipped = files("easymft") / "configs"
    sources = {source.name: source for source in (shipped / "sample").iterdir()}
    sources[_EXPERIMENT] = shipped / "experiments" / "sample.json"
    contents = {folder / "schema.json": (shipped / "schema.json").read_bytes()}
    for name, source in sorted(sources.items()):
        content = source.read_bytes()
        contents[folder / name] = _move_config(content, folder / name) if name.endswith(".json") else content
    return contents


def _move_config(shipped: bytes, path: Path) -> bytes:
    """Returns the shipped config of this content with the paths that it needs as `path`."""
    moves = {
        "configs/sample": path.parent,
        "runs/experiments/sample": path.parent / "runs" / "experiment",
        "runs/sample": path.parent / "runs",
    }

    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: move(one) for key, one in value.items()}
        if isinstance(value, list):
            return [move(one) for one in value]
        for place, moved in moves.items() if isinstance(value, str) else ():
            if Path(value).is_relative_to(place):
                return (moved / Path(value).relative_to(place)).as_posix()
        return value

    config = move(json.loads(shipped))
    command = config["about"]["command"].split(" --config ")[0]
    config["about"]["command"] = f"{command} --config {shlex.quote(path.as_posix())}"
    return json.dumps({"$schema": "schema.json", **config}, indent=2, ensure_ascii=False).encode() + b"\n"


def _tell(folder: Path, contents: dict[Path, bytes]) -> str:
    tables, configs = (
        textwrap.fill(", ".join(path.name for path in contents if path.suffix == end), 66, subsequent_indent=" " * 11)
        for end in (".tsv", ".json")
    )
    first = shlex.quote((folder / "meta_tune.json").as_posix())
    commands = "".join(f"  easymft --mode {mode:9} --config {first}\n" for mode in _FIRST_MODES)
    written = f"Written to {folder}:\n  tables   {tables}\n  configs  {configs}\n"
    return f"{written}\nNext, where you are now:\n{commands}"
