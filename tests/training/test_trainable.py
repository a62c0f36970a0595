import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easymft.config.schema import TrainConfig
from easymft.training.optimizer import build_optimizer
from easymft.training.trainable import Trainable, sum_repeated_rows

TRAIN = TrainConfig(optimizer="adamw", schedule="linear", learning_rate=1e-2)


class KeepLogs(tf_keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(dict(logs))


def run_steps(make_network, batches, strategy=None, **options):
    """Trains a new network; returns its logs by step and its weights."""
    with (strategy or tf.distribute.get_strategy()).scope():
        network = make_network()
        trainable = Trainable(network, **options)
        trainable.compile(optimizer=build_optimizer(TRAIN, 10))
    if hasattr(network, "prepare"):
        batches = [network.prepare(tf.constant(step), batch) for step, batch in enumerate(batches)]
    signature = {name: tf.TensorSpec([None, *value.shape[1:]], value.dtype) for name, value in batches[0].items()}
    # Copies, as TensorFlow takes them without copying, and computes in their memory.
    copies = ({name: np.array(value) for name, value in batch.items()} for batch in batches)
    dataset = tf.data.Dataset.from_generator(lambda: copies, output_signature=signature)
    logs = KeepLogs()
    trainable.fit(dataset, steps_per_epoch=len(batches), verbose=0, callbacks=[logs])
    return logs.steps, {v.name: v.numpy() for v in network.trainable_variables}


def test_weights_of_one_and_lambda_zero_is_mix_to_the_bit(make_classifier, make_finetuner, make_features):
    batches = [make_features(seed=seed) | {"typicality": tf.ones([8])} for seed in range(4)]
    _, mix = run_steps(lambda: make_classifier(dropout=0.1), batches)
    _, full = run_steps(lambda: make_finetuner(domain_loss_weight=0.0, dropout=0.1), batches)
    assert mix.keys() == full.keys()
    for name, value in mix.items():
        np.testing.assert_array_equal(value, full[name], err_msg=name)
    _, other = run_steps(lambda: make_finetuner(domain_loss_weight=0.1, dropout=0.1), batches)
    assert any((value != other[name]).any() for name, value in mix.items())


def test_two_replicas_equal_one(make_finetuner, make_features, two_replicas):
    """Batches of 7 split unevenly, weights of 0 differ in number between the halves, 1 row leaves a replica without."""
    batches = []
    for seed, count in enumerate((7, 7, 1)):
        features = make_features(count=count, seed=seed)
        zeroed = tf.constant(([0.0] * 3 + [1.0] * 4)[-count:])
        batches.append(features | {"typicality": features["typicality"] * zeroed})
    results = [
        run_steps(lambda: make_finetuner(normalization="nonzero_weights"), batches, strategy)
        for strategy in (None, two_replicas)
    ]
    for one_step, two_steps in zip(results[0][0], results[1][0], strict=True):
        assert one_step.keys() == two_steps.keys()
        for name, value in one_step.items():
            assert two_steps[name] == pytest.approx(value, rel=1e-4), name
    for name, value in results[0][1].items():
        np.testing.assert_allclose(value, results[1][1][name], atol=2e-5, err_msg=name)


@pytest.mark.parametrize("replicas", [1, 2])
def test_parts_of_a_batch_make_the_same_update(make_finetuner, make_features, two_replicas, replicas):
    """7 rows in 3 parts, and 1 row, which leaves parts without any; with 2 replicas each has parts of its own."""
    batches = [make_features(count=count, seed=seed) for seed, count in enumerate((7, 7, 1))]
    batches[0]["typicality"] *= tf.constant([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    strategy = two_replicas if replicas == 2 else None
    results = [
        run_steps(lambda: make_finetuner(normalization="nonzero_weights"), batches, strategy, accumulation_steps=steps)
        for steps in (1, 3)
    ]
    for whole, parts in zip(results[0][0], results[1][0], strict=True):
        assert parts == pytest.approx(whole, rel=1e-4)
    for name, value in results[0][1].items():
        np.testing.assert_allclose(value, results[1][1][name], atol=2e-5, err_msg=name)


def test_parts_of_a_batch_drop_differently_and_scale_their_loss(make_classifier, make_features):
    one = make_features(count=1)
    features = {name: tf.concat([value] * 4, 0) for name, value in one.items()}
    trainable = Trainable(make_classifier(dropout=0.5, compute_dtype="float16"), accumulation_steps=4)
    trainable.compile(optimizer=tf_keras.mixed_precision.LossScaleOptimizer(build_optimizer(TRAIN, 10)))
    alone = Trainable(make_classifier(compute_dtype="float16"), accumulation_steps=4)
    alone.compile(optimizer=tf_keras.mixed_precision.LossScaleOptimizer(build_optimizer(TRAIN, 10)))
    plain = Trainable(make_classifier())
    plain.compile(optimizer=build_optimizer(TRAIN, 10))
    expected = plain.train_step(features)
    for name, value in alone.train_step(features).items():
        assert float(value) == pytest.approx(float(expected[name]), rel=2e-2), name
    drawn = []
    draw_seed = trainable.network.encoder._draw_seed
    trainable.network.encoder._draw_seed = lambda: drawn.append(draw_seed()) or drawn[-1]
    trainable.train_step(features)
    assert len({tuple(seed.numpy().tolist()) for seed in drawn}) == 4


def test_clipping_bounds_the_update(make_classifier, make_features):
    """Adam hides the gradient's scale, so the norm is read where plain SGD applies it."""
    classifier = make_classifier()
    trainable = Trainable(classifier, clip_norm=0.01)
    trainable.compile(optimizer=tf_keras.optimizers.SGD(1.0))
    before = [v.numpy() for v in classifier.trainable_variables]
    logs = trainable.train_step(make_features())
    moved = np.sqrt(
        sum(((v.numpy() - b) ** 2).sum() for v, b in zip(classifier.trainable_variables, before, strict=True))
    )
    assert float(logs["gradient_norm"]) > 0.1
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_published_code_counts_repeated_rows_one_by_one():
    gradient = tf.IndexedSlices(tf.constant([[3.0], [4.0], [5.0]]), tf.constant([2, 2, 0]), tf.constant([4, 1]))
    summed = sum_repeated_rows(gradient)
    np.testing.assert_array_equal(tf.convert_to_tensor(summed), tf.convert_to_tensor(gradient))
    assert float(tf.linalg.global_norm([summed])) == pytest.approx(np.sqrt(49 + 25))
    assert float(tf.linalg.global_norm([gradient])) == pytest.approx(np.sqrt(9 + 16 + 25))


def test_both_clippings_in_a_step(make_classifier, make_features):
    features = make_features()
    features["input_word_ids"] = features["input_word_ids"] // 25  # ids 0 and 1, so rows repeat
    norms = {}
    for kind in ("summed", "separate"):
        trainable = Trainable(make_classifier(), None, kind)
        trainable.compile(optimizer=tf_keras.optimizers.SGD(0.0))
        norms[kind] = float(trainable.train_step(features)["gradient_norm"])
    classifier = make_classifier()
    with tf.GradientTape() as tape:
        outputs = classifier(features, training=True)
        loss = classifier.compute_losses(features, outputs, classifier.counts(features))["loss"]
    dense = [tf.convert_to_tensor(g) for g in tape.gradient(loss, classifier.trainable_variables)]
    assert norms["summed"] == pytest.approx(float(tf.linalg.global_norm(dense)), rel=1e-5)
    assert norms["separate"] != pytest.approx(norms["summed"], rel=1e-3)


def test_a_compiled_step_is_the_same_step(make_classifier, make_features):
    """Also where repeated rows are summed, whose number XLA cannot know."""
    losses = []
    for jit_compile in (False, True):
        trainable = Trainable(make_classifier())
        trainable.compile(optimizer=build_optimizer(TRAIN, 10), jit_compile=jit_compile)
        logs = KeepLogs()
        dataset = tf.data.Dataset.from_tensors(make_features()).repeat(2)
        trainable.fit(dataset, steps_per_epoch=2, verbose=0, callbacks=[logs])
        losses.append([step["loss"] for step in logs.steps])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[0][0] != losses[0][1]


def test_half_precision_scales_its_loss(make_classifier, make_features):
    trainable = Trainable(make_classifier(compute_dtype="float16"))
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(build_optimizer(TRAIN, 10))
    trainable.compile(optimizer=optimizer)
    half = trainable.train_step(make_features())
    whole = Trainable(make_classifier())
    whole.compile(optimizer=build_optimizer(TRAIN, 10))
    full = whole.train_step(make_features())
    for name, value in full.items():  # the norm too is of the unscaled gradients
        assert float(half[name]) == pytest.approx(float(value), rel=2e-2), name
