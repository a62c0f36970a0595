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


def test_training_does_not_wait_for_what_its_evaluation_needs():
    """Nor for Keras 3, which TensorFlow loads unless easymft comes first, as in the command."""
    code = """
import sys, app_zoo.main, app_zoo.stages.meta_tune
print([name for name in ("keras.src", "sklearn", "scipy.stats", "matplotlib") if name in sys.modules])
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"
