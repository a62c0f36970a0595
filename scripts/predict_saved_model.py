"""Classifies a text with an exported SavedModel; needs tensorflow and tensorflow_text only, not EasyMFT.

Usage: python scripts/predict_saved_model.py runs/sample/saved_model/1 "The battery drains before lunch."
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops of the tokenizer


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the label and the probability of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a version folder of an export")
    parser.add_argument("text")
    parser.add_argument("text_pair", nargs="?", help="the second text, for a model of text pairs")
    options = parser.parse_args(arguments)
    if not (options.folder / "saved_model.pb").is_file():
        print(f"error: {options.folder}: no saved_model.pb in it, expected an exported version folder", file=sys.stderr)
        return 2
    model = tf.saved_model.load(str(options.folder))
    labels = (options.folder / "assets" / "labels.txt").read_text(encoding="utf-8").splitlines()
    texts = {"text": tf.constant([options.text])}
    if options.text_pair is not None:
        texts["text_pair"] = tf.constant([options.text_pair])
    signature = model.signatures["serving_default"]
    expected = set(signature.structured_input_signature[1])
    if set(texts) != expected:
        wanted = "a text and its text_pair" if "text_pair" in expected else "one text"
        print(f"error: {options.folder}: got {' and '.join(texts)}, the model reads {wanted}", file=sys.stderr)
        return 2
    outputs = signature(**texts)
    shares = zip(labels, outputs["probabilities"][0].numpy(), strict=True)
    probabilities = ", ".join(f"{label} {share:.3f}" for label, share in shares)
    print(f'"{options.text}"\n  -> {outputs["label"][0].numpy().decode()} ({probabilities})')
    return 0


if __name__ == "__main__":
    sys.exit(main())
