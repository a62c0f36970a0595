"""Averages of models that were fine-tuned from the same start."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from easymft.errors import CheckpointError
from easymft.model_zoo.folders import check_folder, replace_folder
from easymft.model_zoo.huggingface import WEIGHTS_FILE
from easymft.model_zoo.pretrained import SAVED_FILES


def average_weights(folders: Sequence[Path]) -> dict[str, np.ndarray]:
    """The mean of models that `save_pretrained` wrote, tensor by tensor; holds two models at a time.

    Fine-tuned from one start, models often lie in one basin of the loss, where their mean is better than each of them
    and less a matter of chance.

    Source: Wortsman et al. 2022, Model soups, equation 1 (the uniform soup).

    Args:
        folders: Of models of the same shapes.

    Returns:
        Name -> float32 tensor.

    Raises:
        CheckpointError: A file is missing or damaged, or the models differ in names or shapes.
    """
    total: dict[str, np.ndarray] = {}
    for folder, tensors in _read(folders):
        if not total:
            total = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
            continue
        shapes = [{name: tensor.shape for name, tensor in part.items()} for part in (total, tensors)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(f"{folder}: other tensors than in {folders[0]}, expected models of the same shapes")
        for name, tensor in tensors.items():
            total[name] += tensor
    return {name: (tensor / len(folders)).astype(np.float32) for name, tensor in total.items()}


def move_to_mean(sources: Sequence[Path], targets: Sequence[Path], share: float) -> None:
    """Writes each model of `sources` to the target of its place, moved by `share` towards the mean of them all.

    Raises:
        CheckpointError: As `average_weights` and `write_interpolated`.
    """
    mean = average_weights(sources)
    for source, target in zip(sources, targets, strict=True):
        write_interpolated(target, source, mean, share)


def write_interpolated(folder: Path, source: Path, towards: dict[str, np.ndarray], share: float) -> None:
    """Writes the model of `source` with its weights moved by `share` towards others; whole or not at all.

    Source: Wortsman et al. 2022, Robust fine-tuning of zero-shot models, equation 1.

    Args:
        folder: To write; an earlier model there is replaced.
        source: What `save_pretrained` wrote.
        towards: Of the same names and shapes.
        share: In [0, 1].

    Raises:
        CheckpointError: The source cannot be read, or the folder not be written.
    """
    [(_, tensors)] = _read([source])
    moved = {
        name: ((1.0 - share) * tensor + share * towards[name]).astype(np.float32) for name, tensor in tensors.items()
    }
    with replace_folder(folder, known_files=SAVED_FILES) as new:
        for file in source.iterdir():
            if file.name != WEIGHTS_FILE:
                shutil.copyfile(file, new / file.name)
        save_file(moved, new / WEIGHTS_FILE, metadata={"format": "pt"})


def _read(folders: Sequence[Path]) -> Iterator[tuple[Path, dict[str, np.ndarray]]]:
    for folder in folders:
        check_folder(folder)
        try:
            yield folder, load_file(folder / WEIGHTS_FILE)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{folder / WEIGHTS_FILE}: cannot be read ({error})") from error
