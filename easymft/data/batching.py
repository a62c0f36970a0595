"""Which examples form which batch, and the tf.data pipeline that feeds them to a network."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from easymft.data.token_dataset import TokenDataset
from easymft.errors import DataError

_POOL_BATCHES = 50
_LENGTH_MULTIPLE = 8
PREFETCHED_BATCHES = 8
_ORDER, _BATCH_ORDER, _DOMAIN_ORDER = 0, 1, 2  # Kinds of random numbers.


class BatchPlan:
    """A pure function of seed and epoch: the examples of each global batch.

    Either every epoch holds each example once, in ceil(N / B) batches of which the last may be smaller. Or, with
    `continuous_epochs`, the epochs form one stream that is cut into int(N * epochs / B) + 1 batches of exactly B
    (docs/methods.md 1.4, EasyTransfer); a batch then belongs to the epoch of its first example.

    Attributes:
        steps_per_epoch: ceil(N / B), the batches of an epoch; of a stream, the most that an epoch has.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        global_batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        group_by_length: bool,
        continuous_epochs: int | None = None,
    ):
        """Checks the sizes; the batches are made when asked for.

        Args:
            lengths: [N] integers, the examples' tokens.
            global_batch_size: B, over all replicas.
            seed: At least 0.
            shuffle: Draw the order anew in every epoch, rather than that of the files.
            group_by_length: Sort within pools of 50 batches by length (and with `shuffle`, shuffle the batches).
            continuous_epochs: Epochs of one stream; None: each epoch for itself.

        Raises:
            DataError: There are no rows, or for a stream fewer than B.
            ValueError: `global_batch_size` or `continuous_epochs` is below 1.
        """
        if global_batch_size < 1:
            raise ValueError(f"global_batch_size must be at least 1. Received: {global_batch_size}")
        if continuous_epochs is not None and continuous_epochs < 1:
            raise ValueError(f"continuous_epochs must be at least 1. Received: {continuous_epochs}")
        rows, size = len(lengths), global_batch_size
        if rows == 0:
            raise DataError("There are no rows (0) to make batches of, expected at least one.")
        if continuous_epochs is not None and rows < size:
            raise DataError(
                f"fewer rows ({rows}) than one batch ({size}): expected at least as many with "
                "train.epoch_batches continuous; lower train.global_batch_size or use per_epoch."
            )
        self._lengths = np.asarray(lengths)
        self._size = size
        self._seed = seed
        self._shuffle = shuffle
        self._group_by_length = group_by_length
        self._continuous_epochs = continuous_epochs
        self.steps_per_epoch = -(-rows // size)
        if continuous_epochs is not None:
            self.steps_per_epoch = max(self.steps_in_epoch(epoch) for epoch in range(continuous_epochs))

    def total_steps(self, epochs: int) -> int:
        """Returns the batches of the first `epochs` epochs; of a stream, int(N * epochs / B) + 1 for all of them.

        Raises:
            ValueError: A stream has fewer epochs.
        """
        if self._continuous_epochs is None:
            return epochs * self.steps_per_epoch
        return self._first_step(epochs)

    def steps_in_epoch(self, epoch: int) -> int:
        """Returns the number of batches of an epoch, counted from 0."""
        if self._continuous_epochs is None:
            return self.steps_per_epoch
        return self._first_step(epoch + 1) - self._first_step(epoch)

    def _first_step(self, epoch: int) -> int:
        """Returns the number of the stream's first batch that begins in `epoch`."""
        rows, epochs = len(self._lengths), self._continuous_epochs
        if epochs is None or not 0 <= epoch <= epochs:
            raise ValueError(f"epoch must be from 0 to {epochs}. Received: {epoch}")
        if epoch == epochs:
            return rows * epochs // self._size + 1
        return -(-rows * epoch // self._size)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Returns the batches of an epoch, counted from 0: arrays of int64 places in `lengths`.

        Raises:
            ValueError: A stream has fewer epochs.
        """
        rows, size = len(self._lengths), self._size
        if self._continuous_epochs is None:
            examples = self._order(epoch)
        else:
            start, stop = self._first_step(epoch) * size, self._first_step(epoch + 1) * size
            stream = np.concatenate([self._order(number) for number in range(epoch, -(-stop // rows))])
            examples = stream[start - epoch * rows : stop - epoch * rows]
        # The remainder is taken before sorting, so that no kind of length is always in the small batch.
        whole = len(examples) // size * size
        full = examples[:whole].reshape(-1, size)
        if self._group_by_length:
            full = self._grouped(full, epoch)
        return [*full, examples[whole:]] if whole < len(examples) else list(full)

    def _generator(self, epoch: int, kind: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, epoch, kind])

    def _order(self, epoch: int) -> np.ndarray:
        if not self._shuffle:
            return np.arange(len(self._lengths))
        return self._generator(epoch, _ORDER).permutation(len(self._lengths))

    def _grouped(self, batches: np.ndarray, epoch: int) -> np.ndarray:
        pools = [batches[first : first + _POOL_BATCHES] for first in range(0, len(batches), _POOL_BATCHES)]
        for number, pool in enumerate(pools):
            flat = pool.reshape(-1)
            pools[number] = flat[np.argsort(self._lengths[flat], kind="stable")].reshape(pool.shape)
        grouped = np.concatenate(pools) if pools else batches
        return self._generator(epoch, _BATCH_ORDER).permutation(grouped) if self._shuffle else grouped


class OneDomainBatchPlan:
    """A pure function of seed and epoch: batches that hold one domain each, every example once an epoch.

    So a domain has batches in proportion to its size; the order of the batches is random.

    Attributes:
        steps_per_epoch: Batches of an epoch.
    """

    def __init__(
        self, lengths: np.ndarray, domain_ids: np.ndarray, global_batch_size: int, *, seed: int, group_by_length: bool
    ):
        """Makes a plan for each domain.

        Args:
            lengths: [N] integers, the examples' tokens.
            domain_ids: [N] integers.
            global_batch_size: B; the last batch of a domain may be smaller.
            seed: At least 0.
            group_by_length: See `BatchPlan`.

        Raises:
            DataError: There are no rows.
        """
        if not len(lengths):
            raise DataError("There are no rows (0) to make batches of, expected at least one.")
        self._seed = seed
        self._rows = [np.flatnonzero(domain_ids == domain) for domain in np.unique(domain_ids)]
        self._plans = [
            BatchPlan(lengths[rows], global_batch_size, seed=seed, shuffle=True, group_by_length=group_by_length)
            for rows in self._rows
        ]
        self.steps_per_epoch = sum(plan.steps_per_epoch for plan in self._plans)

    def total_steps(self, epochs: int) -> int:
        """Returns the batches of the first `epochs` epochs."""
        return epochs * self.steps_per_epoch

    def steps_in_epoch(self, epoch: int) -> int:
        """Returns the number of batches of an epoch, counted from 0: of each the same."""
        return self.steps_per_epoch

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Returns the batches of an epoch, counted from 0: arrays of int64 places in `lengths`."""
        parts = zip(self._rows, self._plans, strict=True)
        batches = [rows[batch] for rows, plan in parts for batch in plan.batches(epoch)]
        order = np.random.default_rng([self._seed, epoch, _DOMAIN_ORDER]).permutation(len(batches))
        return [batches[number] for number in order]


def make_dataset(tokens: TokenDataset, batches: Sequence[np.ndarray], *, padded_length: int | None) -> tf.data.Dataset:
    """Returns a dataset of the given batches, in their order.

    Args:
        tokens: The examples.
        batches: Arrays [b] of examples' places in `tokens`; any part of a plan's list, to go on in an epoch's midst.
        padded_length: L for all batches. None: each batch's longest row rounded up to a multiple of 8, at most
            `tokens.max_sequence_length`.

    Returns:
        A dataset of feature dicts: `input_word_ids`, `input_mask`, `input_type_ids` [b, L] int32; `label`, `domain` [b]
        int32; `weight` [b] float32; `index` [b] int64, the places in `tokens`.
    """

    def generate() -> Iterator[dict[str, np.ndarray]]:
        for batch in batches:
            length = padded_length
            if length is None:
                longest = int(tokens.lengths[batch].max())
                length = min(-(-longest // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE, tokens.max_sequence_length)
            yield {**tokens.features(batch, length), "index": np.array(batch, np.int64)}  # a copy: TF may write in it

    matrix, vector = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
    signature = {
        **dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), matrix),
        **dict.fromkeys(("label", "domain"), vector),
        "weight": tf.TensorSpec([None], tf.float32),
        "index": tf.TensorSpec([None], tf.int64),
    }
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return with_options(dataset).prefetch(PREFETCHED_BATCHES)


def with_options(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Sets what every dataset here needs; to be called on a source, as options reach all that is built on it."""
    options = tf.data.Options()
    # tf.data's tuning thread now and then misses its end, and the process hangs as the iterator is deleted.
    options.autotune.enabled = False
    # The generator has no files to share out among workers; a strategy splits each global batch over its replicas.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)
