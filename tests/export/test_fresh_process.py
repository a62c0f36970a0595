"""A process that knows TensorFlow and tensorflow-text, and nothing of this project, serves what predict would say."""

import json
import os
import subprocess
import sys

import numpy as np
import tensorflow as tf

from .conftest import LABELS

SERVER = """
import json, sys
import tensorflow as tf
import tensorflow_text

signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
answer = signature(**{name: tf.constant(values) for name, values in json.loads(sys.argv[2]).items()})
foreign = [name for name in sys.modules if name.split(".")[0] in ("easymft", "app_zoo", "official", "tf_keras")]
json.dump({"foreign": foreign, "label": [label.decode() for label in answer["label"].numpy()],
           "probabilities": answer["probabilities"].numpy().tolist()}, sys.stdout)
"""
TEXTS = ["A really good book!", "", "Żółć, 東京 ☕", "bad " * 50]


def serve(folder, cwd, **inputs):
    command = [sys.executable, "-c", SERVER, str(folder), json.dumps(inputs)]
    plain = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=plain)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_single(tmp_path, exported_single, single_model):
    answer = serve(exported_single.path, tmp_path, text=TEXTS)
    logits = single_model.classifier(single_model.preprocessor(tf.constant(TEXTS)))["logits"]
    expected = tf.nn.softmax(logits).numpy()
    assert answer["foreign"] == []
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["label"] == [LABELS[place] for place in expected.argmax(1)]
