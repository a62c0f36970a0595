import os

import pytest
import tensorflow as tf

from easymft.config.schema import RuntimeConfig
from easymft.errors import ConfigError
from easymft.training.strategy import configure_runtime, describe_devices


def reduce_rows(strategy, rows):
    """Sums a tensor of so many rows over the replicas, in a graph of its own."""

    @tf.function
    def step():
        return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.ones([rows])))

    return strategy.experimental_local_results(step())[0].numpy().tolist()


def test_a_process_may_configure_its_runtime_again():
    """TensorFlow refuses the collective operations of a second mirrored strategy, as it knows their shapes already."""
    runtime = RuntimeConfig(strategy="mirrored", logical_cpus=2)
    found = []
    for rows in (3, 4, 5):
        strategy = configure_runtime(runtime)
        assert strategy.num_replicas_in_sync == 2
        found.append(reduce_rows(strategy, rows))
    assert found == [[2.0] * 3, [2.0] * 4, [2.0] * 5]


@pytest.mark.parametrize(("precision", "rounds"), [("float32", False), ("mixed_bfloat16", True)])
def test_float32_is_not_rounded_to_tf32(precision, rounds):
    configure_runtime(RuntimeConfig(precision=precision, strategy="one_device"))
    assert tf.config.experimental.tensor_float_32_execution_enabled() is rounds


def test_xla_on_several_cpus_is_refused():
    with pytest.raises(ConfigError, match="^runtime.jit_compile: expected false with runtime.strategy mirrored on"):
        configure_runtime(RuntimeConfig(strategy="mirrored", logical_cpus=2, jit_compile=True))


def test_what_a_run_computes_on(monkeypatch):
    strategy = configure_runtime(RuntimeConfig(strategy="mirrored", logical_cpus=2))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 5}, raising=False)
    assert describe_devices(strategy, "float32") == "computing on 2 logical CPUs of 3 cores, precision float32"
    one = configure_runtime(RuntimeConfig(strategy="one_device", logical_cpus=2))
    assert describe_devices(one, "mixed_bfloat16") == "computing on 3 cores, precision mixed_bfloat16"
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5})
    assert describe_devices(one, "float32") == "computing on 1 core, precision float32"
