"""Devices, precision and randomness of a run."""

import tensorflow as tf
import tf_keras

from easymft.config.schema import RuntimeConfig
from easymft.errors import ConfigError


def configure_runtime(runtime: RuntimeConfig) -> tf.distribute.Strategy:
    """Sets seeds, determinism and precision for this process, and builds the strategy; to be called once, first.

    Returns:
        A strategy for one device, or one that mirrors the model on several.

    Raises:
        ConfigError: `logical_cpus` differs from what TensorFlow was already started with.
    """
    _split_cpu(runtime.logical_cpus)
    tf_keras.utils.set_random_seed(runtime.seed)
    # Dropout then draws from tf.random.Generator variables, whose state can be kept: a resumed run equals a whole one.
    tf_keras.backend.experimental.enable_tf_random_generator()
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()
    tf_keras.mixed_precision.set_global_policy(
        runtime.precision if runtime.precision.startswith("mixed_") else "float32"
    )
    return _build_strategy(runtime)


def _split_cpu(logical_cpus: int | None) -> None:
    if logical_cpus is None:
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * logical_cpus)
    except RuntimeError as error:
        found = len(tf.config.list_logical_devices("CPU"))
        if found != logical_cpus:
            raise ConfigError(
                f"runtime.logical_cpus: TensorFlow already runs with {found} logical CPUs, received {logical_cpus}"
            ) from error


def _build_strategy(runtime: RuntimeConfig) -> tf.distribute.Strategy:
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    mirrored = runtime.strategy == "mirrored" or (runtime.strategy == "auto" and len(gpus) > 1)
    if mirrored:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.OneDeviceStrategy(devices[0].name)
