"""Models of the Hugging Face hub, by name."""

import re
from pathlib import Path

from easymft.errors import CheckpointError, one_line
from easymft.model_zoo.foreign import describe_foreign
from easymft.model_zoo.tensor_store import list_names

# No pickles, no other frameworks' weights, nothing from subfolders.
ALLOWED_FILES = (
    "config.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "sentence_bert_config.json",
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
        CheckpointError: The name has another form, the model is not there, not allowed or not reachable, or it is
            there in other formats alone.
    """
    # Imported here: its settings are read from the environment when it is imported, and most runs do not need it.
    from huggingface_hub import constants, snapshot_download

    if not looks_like_hub_name(name):
        raise CheckpointError(f"{name}: no name of the Hugging Face hub; expected owner/model")
    if constants.HF_HUB_CACHE.startswith("~"):
        raise CheckpointError(f"{name}: there is no home folder to keep it in; set HF_HOME in the environment")
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(ALLOWED_FILES)))
    except Exception as error:  # its own, and those of whichever HTTP library its release is built on
        raise CheckpointError(
            f"{name}: cannot be fetched from the Hugging Face hub ({_reason(name, error)})"
        ) from error
    if not any(folder.glob("model*.safetensors*")):
        raise CheckpointError(f"{name}: the Hugging Face hub has no model.safetensors of it{_what_else(name)}")
    return folder


def _reason(name: str, error: BaseException) -> str:
    """Why a model cannot be had, in a few words; the library's own messages fill a page."""
    kinds, status, cause = set(), None, error
    while cause is not None:
        kinds |= {kind.__name__ for kind in type(cause).__mro__}
        status = status or getattr(getattr(cause, "response", None), "status_code", None)
        cause = cause.__cause__ or cause.__context__
    if "GatedRepoError" in kinds:
        return (
            f"it is gated: accept its terms at https://huggingface.co/{name}, and set HF_TOKEN or log in with hf auth"
        )
    if "RepositoryNotFoundError" in kinds:
        return "there is no such model, or it is private: then set HF_TOKEN, or log in with hf auth"
    if status in (401, 403):
        return f"it may not be read, HTTP status {status}: set HF_TOKEN, or log in with hf auth"
    if status is not None:
        return f"HTTP status {status}"
    if "OfflineModeIsEnabled" in kinds or "LocalEntryNotFoundError" in kinds:
        return "the hub is not reached, and the model is not in its cache; name a folder, or try again with a network"
    return f"{type(error).__name__}: {one_line(error)[:120]}"


def _what_else(name: str) -> str:
    """What a repository without safetensors holds, as the end of a message."""
    from huggingface_hub import HfApi

    try:
        names = HfApi().list_repo_files(name)
    except Exception:  # as above; without a network there is no more to say
        return " in its cache"
    foreign = describe_foreign(names)
    return f", but {foreign}" if foreign is not None else f"; found {list_names(sorted(names)) or 'nothing'}"
