import tensorflow as tf

from easymft.config.schema import RuntimeConfig
from easymft.training.strategy import configure_runtime


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
