"""The tiny BERT of tests/golden, as it is and as a copy to damage."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

TINY = Path(__file__).parent.parent / "golden" / "tiny_bert"


@pytest.fixture
def tiny() -> Path:
    return TINY


@pytest.fixture
def tiny_copy(tmp_path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    return load_file(TINY / "model.safetensors")


@pytest.fixture
def with_tensors(tiny_copy):
    """Writes other tensors into the copy and returns its path."""

    def write(tensors) -> Path:
        save_file(
            {name: np.ascontiguousarray(value) for name, value in tensors.items()}, tiny_copy / "model.safetensors"
        )
        return tiny_copy

    return write


@pytest.fixture
def with_config(tiny_copy):
    """Changes fields of the copy's config.json and returns its path; None removes a field."""

    def write(**fields) -> Path:
        values = json.loads((tiny_copy / "config.json").read_text()) | fields
        kept = {key: value for key, value in values.items() if value is not None}
        (tiny_copy / "config.json").write_text(json.dumps(kept))
        return tiny_copy

    return write
