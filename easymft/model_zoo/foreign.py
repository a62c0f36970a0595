"""What files are that hold a model in a way EasyMFT does not read, and what to do with each."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

LFS_POINTER = "a Git LFS pointer, not the file itself; run git lfs pull"
_LFS = b"version https://git-lfs.github.com/spec/"
_TRANSFORMERS = "convert it once where transformers is installed: AutoModel.from_pretrained(FOLDER"
# In the order in which they are looked for: (patterns of names, what it is, what to do).
_KINDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("adapter_config.json", "adapter_model.*", "pytorch_adapter.bin"),
        "an adapter (LoRA or its like), which is no model without the weights it was made for",
        "merge the two once where peft is installed: PeftModel.from_pretrained(BASE, FOLDER).merge_and_unload()"
        ".save_pretrained(NEW_FOLDER)",
    ),
    (
        ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl"),
        "PyTorch's format; EasyMFT reads no pickles, which can run any code",
        f"{_TRANSFORMERS}).save_pretrained(NEW_FOLDER, safe_serialization=True)",
    ),
    (
        ("*.h5", "*.keras"),
        "Keras' format",
        f"{_TRANSFORMERS}, from_tf=True).save_pretrained(NEW_FOLDER), with a transformers before 5",
    ),
    (
        ("*.msgpack",),
        "Flax's format",
        f"{_TRANSFORMERS}, from_flax=True).save_pretrained(NEW_FOLDER), with a transformers before 5",
    ),
    (
        ("saved_model.pb",),
        "a SavedModel, as TF-Hub has them",
        "take the same model's checkpoint (.index and .data files), or its Hugging Face folder",
    ),
    (("*.onnx",), "ONNX, a graph for inference", "take the model that it was exported from"),
    (("*.gguf", "*.ggml"), "GGUF, quantised for llama.cpp", "take the model that it was made from"),
    (
        ("*.tflite", "*.ot", "*.mlmodel", "openvino_model.*"),
        "a format for inference",
        "take the model it was made from",
    ),
    (
        ("*.zip", "*.tar", "*.tar.*", "*.tgz", "*.7z", "*.rar"),
        "an archive",
        "unpack it, and name the folder in it",
    ),
)


def describe_foreign(names: Iterable[str]) -> str | None:
    """Names files that EasyMFT does not read, what they are and what to do; None where there is nothing known.

    Args:
        names: Paths in one folder or repository, with / between their parts.
    """
    paths = [PurePosixPath(name) for name in sorted(names)]
    for patterns, what, advice in _KINDS:
        found = [path for path in paths if any(path.match(pattern) for pattern in patterns)]
        if found:
            shown = ", ".join(map(str, found[:3])) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            return f"{shown} ({what}); {advice}"
    return None


def list_files(folder: Path) -> list[str]:
    """What a folder and the folders in it hold, by their paths in it, sorted; hidden ones are no part of a model."""
    found = (entry.relative_to(folder) for pattern in ("*", "*/*") for entry in folder.glob(pattern))
    return sorted(str(path) for path in found if not any(part.startswith(".") for part in path.parts))


def is_lfs_pointer(file: Path) -> bool:
    """Whether a file is a Git LFS pointer: the small text that stands for it where git-lfs did not fetch it."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(_LFS)) == _LFS
    except OSError:
        return False
