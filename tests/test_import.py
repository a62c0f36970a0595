import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("code", "warns"),
    [
        ("import easymft, tensorflow as tf; assert tf.keras.Model.__module__.startswith('tf_keras')", False),
        ("import tensorflow as tf, easymft; assert tf.keras.Model.__module__.startswith('tf_keras')", False),
        ("import tensorflow as tf; tf.keras.Model; import easymft", True),
        ("import os; os.environ['TF_USE_LEGACY_KERAS'] = '0'; import easymft", True),
    ],
)
def test_says_so_where_keras_3_is_active(code, warns):
    # This process has set the variable for itself, and a child would inherit it.
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ("Keras 3 is this process's tf.keras" in done.stderr) == warns


def test_importing_does_not_import_tensorflow():
    code = "import sys, easymft, app_zoo.main; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
