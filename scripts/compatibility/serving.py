"""Trials of exported models: ops, signatures, batches, the tokeniser inside."""

import json
import subprocess
import sys

import numpy as np

from compatibility.project import Project, expect
from compatibility.trial import Bench, trial

_TEXTS = ["good book", "bad [SEP] good", "日本語 😀 é Ünï", "never " * 100, "!?", "A Really GOOD phone"]
_LOAD = """
import json, sys, tensorflow as tf, tensorflow_text
model = tf.saved_model.load(sys.argv[1])
signature = model.signatures["serving_default"]
print(sorted(signature.structured_input_signature[1]), signature.structured_input_signature[1]["text"].shape)
for texts in (sys.argv[2:], sys.argv[2:3]):
    outputs = signature(text=tf.constant(texts))
    labels = [label.decode() for label in outputs["label"].numpy()]
    print(json.dumps([labels, outputs["probabilities"].numpy().tolist()]))
"""


def _export(bench: Bench) -> Project:
    project = bench.trained()
    project.accept("export")
    return project


@trial(
    "tensorflow/text/issues/200",
    "An op of the tokeniser that TensorFlow Serving does not know",
    "the export is made of ops that it knows, and loads with tensorflow and tensorflow_text alone",
)
def ops_of_serving(bench: Bench) -> str:
    """In a process that knows nothing of EasyMFT; its answers are those of predict."""
    project = _export(bench)
    folder = str(project.folder / "run" / "saved_model" / "1")
    words = [sys.executable, "-c", _LOAD, folder, *_TEXTS]
    result = subprocess.run(words, capture_output=True, text=True, cwd=project.folder)
    expect(result.returncode == 0, result.stderr[-300:])
    lines = result.stdout.splitlines()
    expect(lines[0] == "['text'] (None,)", f"signature {lines[0]}")
    path = project.write_rows("new.tsv", [[text, "book", "pos"] for text in _TEXTS])
    rows = project.predict(f'prediction.input_files=["{path}"]')
    labels, values = json.loads(lines[1])
    expect(labels == [row["predicted_label"] for row in rows], f"labels {labels}")
    ours = [[row["probability_neg"], row["probability_pos"]] for row in rows]
    worst = float(np.abs(np.array(values) - ours).max())
    expect(worst < 1e-5, f"probabilities differ by {worst}")
    return f"loads and answers with tensorflow and tensorflow_text alone; differs from predict by at most {worst:.0e}"


@trial(
    "tensorflow/serving/issues/1292",
    "Several texts of different lengths in one request",
    "any number of texts, any lengths",
)
def several_texts_at_once(bench: Bench) -> str:
    """The batch dimension is free, and no text changes the others' answers."""
    import tensorflow as tf

    project = _export(bench)
    model = tf.saved_model.load(str(project.folder / "run" / "saved_model" / "1"))
    ask = model.signatures["serving_default"]
    together = ask(text=tf.constant(_TEXTS))["probabilities"].numpy()
    alone = np.concatenate([ask(text=tf.constant([text]))["probabilities"].numpy() for text in _TEXTS])
    expect(float(np.abs(together - alone).max()) < 1e-5, "a text's answer depends on the others")
    empty = ask(text=tf.constant([], tf.string))["probabilities"].numpy()
    expect(empty.shape == (0, 2), f"no text gives {empty.shape}")
    return "takes any number of texts of any lengths, none included; answers do not depend on the others"


@trial(
    "tensorflow/serving/issues/435",
    "A signature whose names have to be guessed",
    "the export prints a request that fits",
)
def names_of_the_signature(bench: Bench) -> str:
    """serving_default, text, label, probabilities."""
    project = bench.trained()
    said = project.accept("export", told="curl").out
    expect('{"text":' in said and "serving_default" in said, said)
    return "prints a server's command and a request with the signature's names"


@trial(
    "huggingface/setfit/issues/462",
    "Which number of the output is which class",
    "the labels are in the export, in the order of the probabilities",
)
def labels_in_the_export(bench: Bench) -> str:
    """assets/labels.txt, and names in the answer."""
    project = _export(bench)
    labels = (project.folder / "run" / "saved_model" / "1" / "assets" / "labels.txt").read_text().split()
    expect(labels == ["neg", "pos"], f"labels.txt holds {labels}")
    return "writes assets/labels.txt, and answers with the names too"


@trial(
    "tensorflow/tensorflow/issues/47301",
    "saved_model_cli show on a model with a tokeniser inside fails",
    "the signature can be looked at",
)
def looked_at_with_saved_model_cli(bench: Bench) -> str:
    """With TensorFlow's own command."""
    project = _export(bench)
    folder = str(project.folder / "run" / "saved_model" / "1")
    program = "from tensorflow.python.tools.saved_model_cli import main; main()"
    words = ["show", "--dir", folder, "--tag_set", "serve", "--signature_def", "serving_default"]
    result = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    expect(result.returncode == 0 and "inputs['text']" in result.stdout, (result.stdout + result.stderr)[-300:])
    return "shows the signature"


@trial(
    "tensorflow/serving/issues/1250",
    "A second export over the first, or a version that serving does not find",
    "refused, or a new version beside it",
)
def second_export(bench: Bench) -> str:
    """Nothing is replaced under a running server, and no stale model is taken for a new one."""
    project = bench.trained()
    served = f"export.folder={project.folder / 'served'}"
    project.accept("export", served)
    project.accept("export", served, told="already")
    project.accept("meta_tune", "runtime.overwrite=true", "train.learning_rate=0.002", "data.test_files=[]")
    said = project.refuse("export", served, words=("version",))
    project.accept("export", served, "export.version=2")
    versions = sorted(path.name for path in (project.folder / "served").iterdir() if path.is_dir())
    expect(versions == ["1", "2"], f"versions {versions}")
    return f"refused for another model: {said}; export.version=2 is put beside it"
