"""Running a trained network over a data set, on one device or many, batch by batch."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from easymft.modeling.fast_ops import local_kernels
from easymft.threads import map_ahead

Batch = tuple[np.ndarray, dict[str, np.ndarray]]

IN_FLIGHT = 2  # batches: what one does on a single thread, and fetching its results, takes place beside the other's


class BatchInference:
    """Compiles a network's forward pass once and streams batches through it.

    Args:
        network: features -> outputs.
        outputs: The names of the outputs to fetch.
        strategy: The one under which the network was made.
    """

    def __init__(self, network: tf_keras.Model, outputs: Sequence[str], strategy: tf.distribute.Strategy):
        self._strategy = strategy

        def forward(features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
            def on_replica(part: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
                results = network(part, training=False)
                return (part["index"], *(results[name] for name in outputs))

            return strategy.run(on_replica, args=(features,))

        self._forward = tf.function(forward, autograph=False)  # which takes time, and nothing needs it
        self._names = tuple(outputs)

    def __call__(self, dataset: tf.data.Dataset) -> Iterator[Batch]:
        """Yields (index [n] int64, {output name: [n, ...]}) for each batch, in order; `index` names its rows.

        Args:
            dataset: Batches of features with "index".
        """
        distributed = self._strategy.experimental_distribute_dataset(dataset)
        # Traced for batches of any size and length, where TensorFlow would trace some of them on their own.
        with local_kernels():
            forward = self._forward.get_concrete_function(distributed.element_spec)
        # A GPU's memory holds more where it is one batch's, and the gain was measured on a CPU.
        workers = 1 if tf.config.list_physical_devices("GPU") else IN_FLIGHT
        yield from map_ahead(functools.partial(self._run, forward), distributed, workers)

    def _run(self, forward: Callable[[Any], tuple], features: Any) -> Batch:
        replicas = [self._strategy.experimental_local_results(part) for part in forward(features)]
        index, *results = (np.concatenate([part.numpy() for part in parts]) for parts in replicas)
        return index, dict(zip(self._names, results, strict=True))
