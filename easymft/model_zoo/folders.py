"""Folders that appear whole or not at all, and folders that a user may have meant."""

import difflib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from easymft.checksums import SUMS_FILE, check_sums, write_sums
from easymft.errors import CheckpointError, DamagedError
from easymft.files import new_folder
from easymft.model_zoo.tensor_store import list_names

# What a model's folder holds.
MODEL_FILES = ("*.safetensors", "*.safetensors.index.json", "config.json", "vocab.txt", "tokenizer.json") + (
    "tokenizer_config.json",
    "special_tokens_map.json",
)


@contextmanager
def replace_folder(folder: str | Path, *, known_files: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yields a new folder beside `folder` that takes its place when the block ends without an error.

    It gets the digests of its files, for `check_folder`. A folder that is there already is replaced only if it holds
    nothing but `known_files`, so that no user's file is lost. Were the process killed between the two renames,
    `restore_folder` brings the earlier folder back.

    Args:
        folder: The folder to write; its parents are made.
        known_files: Patterns of file names (as of `Path.match`) that an earlier call may have left in `folder`.

    Yields:
        The folder to write into.

    Raises:
        CheckpointError: `folder` is a file, holds other files, or cannot be written.
    """
    folder = Path(folder)
    restore_folder(folder)
    _check_replaceable(folder, known_files)
    with ExitStack() as stack:
        try:
            new = stack.enter_context(new_folder(folder))
        except OSError as error:
            raise CheckpointError(f"{folder}: cannot be written ({error.strerror})") from error
        yield new
        # Some writers make their files readable by the owner alone.
        for file in new.iterdir():
            file.chmod(new.stat().st_mode & 0o666)
        write_sums(new)
        if folder.exists():
            old = _old_name(folder)
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
            new.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            new.rename(folder)


def restore_folder(folder: Path) -> None:
    """Puts back what `replace_folder` had set aside when the process was killed before the new folder was in place."""
    if _old_name(folder).is_dir() and not folder.exists():
        try:
            _old_name(folder).rename(folder)
        except OSError as error:
            raise CheckpointError(
                f"{folder}: an interrupted save set it aside as {_old_name(folder).name}, and it cannot be put back "
                f"({error.strerror}); rename it"
            ) from error


def check_folder(folder: Path) -> None:
    """Checks that the files of a model that EasyMFT wrote are as it wrote them; of another's folder it knows nothing.

    Raises:
        CheckpointError: One is damaged, or was edited.
    """
    try:
        check_sums(folder, known=MODEL_FILES)
    except DamagedError as error:
        raise CheckpointError(
            f"{error}; put back a copy of the folder or write it again, or, if it was changed on purpose, remove "
            f"{folder / SUMS_FILE}"
        ) from error


def near_names(path: Path) -> str:
    """Names what is like a path that is not there, as the end of a message: " (near: 'x', 'y')", or nothing."""
    parent = path.parent
    if not parent.is_dir():
        return near_names(parent) if parent != parent.parent else ""
    names = [entry.name for entry in parent.iterdir() if not entry.name.startswith(".")]
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    return f" (near: {', '.join(repr(str(parent / name)) for name in near)})" if near else ""


def _old_name(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.old"


def _check_replaceable(folder: Path, known_files: tuple[str, ...]) -> None:
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder}: is a file; expected a folder, or none yet")
    if folder.is_dir():
        other = sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.is_dir() or not any(entry.match(pattern) for pattern in (*known_files, SUMS_FILE))
        )
        if other:
            raise CheckpointError(f"{folder}: holds other files ({list_names(other)}); name an empty or new folder")
