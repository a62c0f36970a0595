"""EasyMFT: meta fine-tuning of BERT over several text domains.

EasyMFT is built on tf_keras (Keras 2), whose layers do not mix with those of Keras 3. Importing this package makes sure
that `tf.keras` is tf_keras too; where the process already uses Keras 3 as `tf.keras`, it says so.
"""

import os
import sys
import types
import warnings

__version__ = "0.1.0"


def _keras_in_use() -> str:
    """The name of the module behind `tf.keras`; "" while TensorFlow has not loaded one."""
    keras = vars(sys.modules.get("tensorflow", types)).get("keras")
    if keras is None or type(keras).__name__ == "KerasLazyLoader":  # to touch it would load it
        return ""
    return keras.__name__


if os.environ.setdefault("TF_USE_LEGACY_KERAS", "1") != "1" or _keras_in_use().startswith("keras."):
    warnings.warn(
        "Keras 3 is this process's tf.keras, but EasyMFT's models are tf_keras models, and the two do not mix. "
        "Import easymft before tensorflow, or set TF_USE_LEGACY_KERAS=1.",
        stacklevel=2,
    )
