"""Writing a classifier as a SavedModel that takes texts: whole or not at all, and only once its checks are passed."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from easymft import __version__
from easymft.checksums import check_sums, write_sums
from easymft.errors import DamagedError, ExportError
from easymft.export.op_check import check_ops
from easymft.export.self_check import check_reloaded
from easymft.export.serving_model import ServingModel
from easymft.files import new_folder, without_wildcards

METADATA, LABELS, VOCABULARY = "easymft.json", "labels.txt", "vocab.txt"


@dataclass(frozen=True)
class Export:
    """A SavedModel that was written.

    Attributes:
        path: Its version folder.
        num_bytes: Its size.
        largest_difference: Of probabilities, between the SavedModel and the model in memory; None where it was already
            there.
        load_seconds: Time to load it; None likewise.
        already_there: The same model stood there before, so nothing was written.
    """

    path: Path
    num_bytes: int
    largest_difference: float | None
    load_seconds: float | None
    already_there: bool = False


def export_saved_model(folder: str | Path, version: int, model: ServingModel) -> Export:
    """Writes <folder>/<version>/, a SavedModel with the signatures of `ServingModel.trace`.

    Its assets are labels.txt (a class a line, in the order of the probabilities), vocab.txt (for those who call
    `token_ids`) and easymft.json (`describe`). Before the folder gets its name the SavedModel must pass `check_ops` and
    `check_reloaded`.

    Args:
        folder: The folder of all versions of this model.
        version: The name of the version's folder, at least 1.
        model: What to export.

    Returns:
        Where it is, and what was measured.

    Raises:
        ExportError: Another export stands there, the folder cannot be written, or the SavedModel fails a check.
    """
    target, metadata = Path(folder) / str(version), describe(model)
    if is_same_export(target, metadata):
        _check_whole(target)
        return Export(target, _size(target), None, None, already_there=True)
    with _writing(target) as (new, scratch):
        signatures = model.trace()
        tf.saved_model.save(_saved_module(model, signatures, metadata, scratch), str(new), signatures=signatures)
        check_ops(new)
        checked = check_reloaded(new, model)
    return Export(target, _size(target), checked.largest_difference, checked.load_seconds)


def describe(model: ServingModel) -> dict[str, Any]:
    """What easymft.json tells those who serve or call the model."""
    digest = hashlib.sha256()
    for weight in model.classifier.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    vocabulary = model.preprocessor.vocabulary
    digest.update("\n".join(vocabulary.tokens).encode())
    texts, answer = ["text", "text_pair"] if model.pair else ["text"], ["label", "probabilities"]
    signatures = {
        "serving_default": {"inputs": texts, "outputs": answer},
        "token_ids": {"inputs": ["input_word_ids", "input_mask", "input_type_ids"], "outputs": answer},
    }
    if model.embedding is not None:
        signatures["embeddings"] = {"inputs": texts, "outputs": ["embedding"]}
    return {
        "easymft_version": __version__,
        "tensorflow_version": tf.__version__,
        "application": "text_matching" if model.pair else "text_classification",
        "domain": model.domain,
        "labels": list(model.labels),
        "max_sequence_length": model.preprocessor.max_sequence_length,
        "padding": "longest" if model.padded_length is None else model.padded_length,
        "truncation_tie": model.preprocessor.truncation_tie if model.pair else None,
        **vocabulary.settings,
        "embedding": model.embedding,
        "signatures": signatures,
        "model_sha256": digest.hexdigest(),
    }


def is_same_export(target: Path, metadata: dict[str, Any]) -> bool:
    """Tells whether the model that `metadata` describes stands in the version folder `target` already.

    Returns:
        False where nothing stands there.

    Raises:
        ExportError: Something else does.
    """
    if not target.exists():
        return False
    file = target / "assets" / METADATA
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        there = None  # not of this library's making
    if there == metadata:
        return True
    numbers = [int(entry.name) for entry in target.parent.iterdir() if entry.name.isdecimal()]
    found = "something that is no EasyMFT export" if there is None else "another export"
    raise ExportError(
        f"{target}: version {target.name} holds {found}; set export.version to a free one, such as {max(numbers) + 1}"
    )


def _check_whole(target: Path) -> None:
    try:
        check_sums(target)
    except DamagedError as error:
        raise ExportError(f"{error}; remove {target} and export again") from error


@contextmanager
def _writing(target: Path) -> Iterator[tuple[Path, Path]]:
    """Gives a folder to make, which takes the place of `target` if the block ends well, and one for scratch files."""
    try:
        # The temporary name is no number, so that a server that watches the folder does not take it for a version.
        with new_folder(target) as scratch:
            with without_wildcards(scratch) as plain:
                yield plain / "saved_model", plain
            write_sums(scratch / "saved_model")
            (scratch / "saved_model").rename(target)
    except ExportError as error:
        raise ExportError(f"{target}: not written: {error}") from error
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror or error})") from error
    except tf.errors.OpError as error:
        raise ExportError(f"{target}: cannot be written ({error.message})") from error


def _saved_module(
    model: ServingModel, signatures: dict[str, Any], metadata: dict[str, Any], scratch: Path
) -> tf.Module:
    """What the signatures need: variables, lookup table, assets.

    Not the Keras model itself, which would bring its own graphs, with dropout, and could be loaded by Keras alone.
    """
    module = tf.Module()
    used = {id(variable): variable for function in signatures.values() for variable in function.variables}
    module.variables_in_use = list(used.values())
    module.preprocessor = model.preprocessor
    contents = {
        "metadata_file": (METADATA, json.dumps(metadata, indent=2, ensure_ascii=False)),
        "labels_file": (LABELS, "\n".join(model.labels)),
        "vocabulary_file": (VOCABULARY, "\n".join(model.preprocessor.vocabulary.tokens)),
    }
    for attribute, (name, text) in contents.items():
        (scratch / name).write_text(text + "\n", encoding="utf-8", newline="\n")
        setattr(module, attribute, tf.saved_model.Asset(str(scratch / name)))
    return module


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
