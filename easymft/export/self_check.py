"""Loading a SavedModel again and comparing it with the model in memory."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from easymft.errors import ExportError
from easymft.export.serving_model import ServingModel

TOLERANCE = 1e-5  # of probabilities; of embeddings, relative to the largest value


class SelfCheck(NamedTuple):
    """What was measured.

    Attributes:
        largest_difference: Of probabilities, over all probe texts and signatures.
        load_seconds: Time to load the SavedModel.
    """

    largest_difference: float
    load_seconds: float


def probe_texts(model: ServingModel) -> tuple[list[str], ...]:
    """Texts that try the corners: empty, plain, other scripts, longer than the maximum; one list, or two for pairs."""
    long_text = "a good book, not a bad one " * model.preprocessor.max_sequence_length
    texts = ["", "A really good book; I love it!", "Żółć, 東京 and [SEP] ☕", long_text]
    return (texts, [*texts[1:], texts[0]]) if model.pair else (texts,)


def check_reloaded(folder: str | Path, model: ServingModel) -> SelfCheck:
    """Loads a SavedModel and compares every signature with the model in memory on the probe texts.

    Args:
        folder: The SavedModel.
        model: What was saved there.

    Returns:
        What was measured.

    Raises:
        ExportError: It does not load or run, or answers otherwise than the model.
    """
    start = time.perf_counter()
    try:
        signatures = tf.saved_model.load(str(folder)).signatures
        seconds = time.perf_counter() - start
        texts = probe_texts(model)
        # As one batch, and each alone: no batch size may have become part of the graph.
        batches = [texts, *(tuple([column[row]] for column in texts) for row in range(len(texts[0])))]
        differences = [_compare(signatures, model, [tf.constant(column) for column in batch]) for batch in batches]
    except (tf.errors.OpError, OSError) as error:
        raise ExportError(f"the SavedModel does not load or run: {' '.join(str(error).split())[:300]}") from error
    return SelfCheck(max(differences), seconds)


def _compare(signatures: dict[str, Any], model: ServingModel, texts: list[tf.Tensor]) -> float:
    """The largest difference of probabilities on one batch."""
    features = model.preprocessor(*texts, length=model.padded_length)
    outputs = model.classifier(features, training=False)
    expected = tf.nn.softmax(outputs["logits"]).numpy()
    named = dict(zip(("text", "text_pair"), texts, strict=False))
    differences = []
    for name, inputs in (("serving_default", named), ("token_ids", features)):
        answer = {key: value.numpy() for key, value in signatures[name](**inputs).items()}
        differences.append(_difference(name, "probabilities", answer["probabilities"], expected, TOLERANCE))
        labels = [model.labels[place].encode() for place in answer["probabilities"].argmax(1)]
        if answer["label"].tolist() != labels:
            raise ExportError(f"signature {name} answers labels {answer['label'].tolist()}, expected {labels}")
    if model.embedding is not None:
        embedding = model.embed(features)["embedding"].numpy()
        answer = signatures["embeddings"](**named)["embedding"].numpy()
        _difference("embeddings", "embedding", answer, embedding, TOLERANCE * max(1.0, np.abs(embedding).max()))
    return max(differences)


def _difference(signature: str, output: str, answer: np.ndarray, expected: np.ndarray, tolerance: float) -> float:
    if answer.shape != expected.shape:
        raise ExportError(
            f"signature {signature}: {output} has shape {list(answer.shape)}, expected {list(expected.shape)}"
        )
    difference = float(np.abs(answer - expected).max(initial=0.0))
    if not difference <= tolerance:  # also where it is NaN
        raise ExportError(
            f"signature {signature}: {output} of the reloaded SavedModel differs by {difference:.3g} from the model in "
            f"memory, expected at most {tolerance:.3g}"
        )
    return difference
