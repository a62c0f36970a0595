"""Devices, precision and randomness of a run."""

import functools
import os
from pathlib import Path

import tensorflow as tf
import tf_keras

from easymft.config.schema import RuntimeConfig
from easymft.errors import ConfigError


def configure_runtime(runtime: RuntimeConfig) -> tf.distribute.Strategy:
    """Sets seeds and determinism for this process, and builds the strategy; to be called once, first.

    Returns:
        A strategy for one device, or one that mirrors the model on several.

    Raises:
        ConfigError: `logical_cpus` differs from what TensorFlow was already started with.
    """
    _split_cpu(runtime.logical_cpus)
    tf_keras.utils.set_random_seed(runtime.seed)
    # Dropout then draws from tf.random.Generator variables, whose state can be kept: a resumed run equals a whole one.
    tf_keras.backend.experimental.enable_tf_random_generator()
    keep_arithmetic()
    # On GPUs TensorFlow rounds the inputs of float32 products to TF32 by default; who asks for float32 means it.
    tf.config.experimental.enable_tensor_float_32_execution(resolve_precision(runtime.precision) != "float32")
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()
    return _build_strategy(runtime)


def keep_arithmetic() -> None:
    """Keeps TensorFlow from reordering products and sums, which it does otherwise in each graph.

    Then a step's numbers do not depend on what else is in its graph: equal networks in different wrappers stay equal to
    the bit. It costs no time that could be measured.
    """
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


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
        if runtime.jit_compile and not gpus and len(devices) > 1:
            raise ConfigError("runtime.jit_compile: expected false with runtime.strategy mirrored on CPUs, got true")
        return mirrored_strategy(*(device.name for device in devices))
    return tf.distribute.OneDeviceStrategy(devices[0].name)


@functools.cache
def mirrored_strategy(*devices: str) -> tf.distribute.MirroredStrategy:
    """Mirrors the model on these devices; the same strategy for the same devices, as long as the process runs.

    TensorFlow numbers a strategy's collective operations from 1 on, and keeps their shapes for the process. Those of a
    second strategy are taken for the first's, whose shapes differ, and every later one is refused.
    """
    return tf.distribute.MirroredStrategy(list(devices))


def describe_devices(strategy: tf.distribute.Strategy, precision: str) -> str:
    """What a run computes on, for people: "computing on 2 GPUs, precision mixed_bfloat16".

    What TensorFlow calls one CPU is all of the machine's cores that the process may use.
    """
    count, kind = strategy.num_replicas_in_sync, strategy.extended.worker_devices[0].split(":")[-2]
    devices = f"{count} {kind}{'s' * (count > 1)}"
    if kind == "CPU":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        plural = "s" * (cores > 1)
        devices = f"{cores} core{plural}" if count == 1 else f"{count} logical CPUs of {cores} core{plural}"
    return f"computing on {devices}, precision {precision}"


COMPUTE_DTYPES = {"float32": "float32", "mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86 and, the last, Arm


def resolve_precision(precision: str) -> str:
    """Decides what `auto` means on this machine: a key of `COMPUTE_DTYPES`."""
    if precision != "auto":
        return precision
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "mixed_bfloat16" if _BFLOAT16_FLAGS & _cpu_flags() else "float32"
    capability = min(tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus)
    if capability >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= (7, 0) else "float32"


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system than Linux
        return set()
    found = (line for line in lines if line.lower().startswith(("flags", "features")))
    return set(next(found, "").partition(":")[2].split())
