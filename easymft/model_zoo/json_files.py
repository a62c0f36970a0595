"""Reading and writing the small JSON files beside weights."""

import json
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

from easymft.errors import CheckpointError, one_line
from easymft.model_zoo.foreign import is_lfs_pointer


def read_json(file: Path) -> dict[str, Any]:
    """Reads a JSON object; a byte order mark before it does no harm.

    Raises:
        CheckpointError: The file is no JSON object.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        what = "a Git LFS pointer; run git lfs pull" if is_lfs_pointer(file) else one_line(error)
        raise CheckpointError(f"{file}: cannot be read as JSON ({what})") from error
    except RecursionError as error:
        raise CheckpointError(f"{file}: cannot be read as JSON (nested too deeply)") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: holds {type(values).__name__} {shorten(values)}; expected a JSON object")
    return values


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Writes a JSON object, indented."""
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def check_values(source: str, values: dict[str, Any], expected: dict[str, tuple[Any, ...]], why: str) -> None:
    """Raises where a value is none of those expected.

    Args:
        source: The file.
        values: What it says, by name.
        expected: The values allowed of each name.
        why: The end of the message.

    Raises:
        CheckpointError: One line that names the value.
    """
    for name, allowed in expected.items():
        value = values.get(name)
        # JSON's 1 is not its true.
        if not any(value == one and type(value) is type(one) for one in allowed):
            given = [one for one in allowed if one is not None] or allowed
            shown = " or ".join(json.dumps(one, ensure_ascii=False) for one in given)
            raise CheckpointError(f"{source}: {name} is {json.dumps(value)[:80]}; expected {shown}: {why}")
