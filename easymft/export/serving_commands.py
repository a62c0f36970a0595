"""The commands that serve exported models with TensorFlow Serving and ask them, for a user to paste."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

_SINGLE = {"text": "A really good book; I love it!"}
_PAIR = {"text": "They read the book.", "text_pair": "Nobody read it."}
MODELS_FILE = "models.config"


def name_models(names: Sequence[str]) -> list[str]:
    """Makes names that can stand in a URL, all different: letters, digits, "_", "." and "-".

    Args:
        names: Any names.
    """
    taken: list[str] = []
    for name in names:
        base = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.") or "model"
        free, number = base, 2
        while free in taken:
            free, number = f"{base}_{number}", number + 1
        taken.append(free)
    return taken


def models_config(mounted: str, models: dict[str, str]) -> str:
    """Returns the text of a TensorFlow Serving model config file.

    Args:
        mounted: The export folder as the server sees it.
        models: {model name: its folder within that one}.
    """
    entries = [
        f'  config {{ name: "{name}" base_path: {json.dumps(f"{mounted}/{folder}")} model_platform: "tensorflow" }}\n'
        for name, folder in models.items()
    ]
    return f"model_config_list {{\n{''.join(entries)}}}\n"


def docker_command(folder: Path, name: str, *, several: bool) -> str:
    """Returns the command that serves an export on port 8501.

    Args:
        folder: The folder of the versions, or, for several models, that of models.config.
        name: The model's name; for several models, that of their folder.
        several: Whether a models.config names the models.
    """
    mount = shlex.quote(f"{folder.resolve()}:/models/{name}")
    start = f"docker run --rm -p 8501:8501 -v {mount}"
    if several:
        return f"{start} tensorflow/serving --model_config_file=/models/{name}/{MODELS_FILE}"
    return f"{start} -e MODEL_NAME={name} tensorflow/serving"


def curl_command(name: str, *, pair: bool, signature: str = "serving_default") -> str:
    """Returns a REST request with an example text, or pair.

    Args:
        name: The model's name.
        pair: Whether an example is a pair of texts.
        signature: Which signature to call; one that takes texts.
    """
    request = json.dumps({"signature_name": signature, "instances": [_PAIR if pair else _SINGLE]})
    return f"curl -d {shlex.quote(request)} http://localhost:8501/v1/models/{name}:predict"
