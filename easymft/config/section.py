"""What the sections of the config have in common: their base class, and kinds of values."""

import os
import unicodedata
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
Target = Annotated[str, Field(min_length=1), AfterValidator(os.path.expanduser)]  # a file or folder


class Section(BaseModel):
    """Base of all sections: unknown keys and values of another JSON type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=False)
