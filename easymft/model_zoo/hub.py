"""Models of the Hugging Face hub, by name."""

import re
from pathlib import Path

from easymft.errors import CheckpointError

# No pickles, no other frameworks' weights, nothing from subfolders.
ALLOWED_FILES = (
    "config.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-[0-9]*-of-[0-9]*.safetensors",
    "mft.safetensors",
)
_NAME = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", re.ASCII)


def looks_like_hub_name(name: str) -> bool:
    """Whether a text has the form of a hub name, `owner/model` or `model`."""
    return bool(_NAME.fullmatch(name)) and len(name) <= 96 and "--" not in name and ".." not in name


def fetch_from_hub(name: str) -> Path:
    """Fetches a model into the library's own cache, or takes it from there.

    The library's settings HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME and HF_TOKEN hold as usual. Pickles are never fetched.

    Args:
        name: Such as sentence-transformers/all-MiniLM-L6-v2.

    Returns:
        The folder with the model's files.

    Raises:
        CheckpointError: The name has another form, or the model is not there, not allowed or not reachable.
    """
    # Imported here: its settings are read from the environment when it is imported, and most runs do not need it.
    from huggingface_hub import snapshot_download

    if not looks_like_hub_name(name):
        raise CheckpointError(f"{name}: no name of the Hugging Face hub; expected owner/model")
    try:
        return Path(snapshot_download(name, allow_patterns=list(ALLOWED_FILES)))
    except Exception as error:  # its own, and those of whichever HTTP library its release is built on
        reason = re.sub(r"\s+", " ", str(error)).strip()[:300]
        raise CheckpointError(
            f"{name}: cannot be fetched from the Hugging Face hub ({type(error).__name__}: {reason})"
        ) from error
