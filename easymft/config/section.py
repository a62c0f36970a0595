"""What the sections of the config have in common: their base class, and kinds of values."""

import os
import unicodedata
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def composed(name: str) -> str:
    """Returns `name` in Unicode's composed form (NFC): "é" is one character, not an e and an accent, as on macOS."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


Name = Annotated[str, AfterValidator(composed)]  # of a class, a domain or a column
Column = Annotated[Name, Field(min_length=1)] | Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
FileList = list[str]


def expand_home(path: str) -> str:
    """Puts the home folder in the place of ~ at the beginning of a path.

    Raises:
        ValueError: There is none; left as it is, a folder called ~ would be made.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        name = Path(path).parts[0]
        raise ValueError(f"there is no home folder to put in the place of {name}; expected the path in full")
    return expanded


Target = Annotated[str, Field(min_length=1), AfterValidator(expand_home)]  # a file or folder


class Section(BaseModel):
    """Base of all sections: unknown keys and values of another JSON type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=False)
