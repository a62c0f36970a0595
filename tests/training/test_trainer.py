import json
import re

import numpy as np
import pytest
import tensorflow as tf

from easymft.config.schema import TrainConfig
from easymft.data.batching import BatchPlan
from easymft.errors import CheckpointError, DivergenceError
from easymft.training.optimizer import build_optimizer
from easymft.training.resume import ResumeState, random_generators, remove_state
from easymft.training.trainable import Trainable
from easymft.training.trainer import StepSequence, Trainer

ROWS = 22


class Killed(Exception):
    pass


@pytest.fixture
def run(make_finetuner, make_features, tmp_path):
    """Trains in a folder, as a new process would; returns the record and the weights."""
    rows = make_features(count=ROWS)

    def start(folder="run", seed=0, kill_after=None, evaluate=None, strategy=None, count=ROWS, dropout=0.1, **settings):
        progress = settings.pop("progress", False)
        inputs, spoil = settings.pop("inputs", ""), settings.pop("spoil", None)
        settings = {"epochs": 2, "global_batch_size": 6, "learning_rate": 1e-2, "checkpoint_every_steps": 1} | settings
        train = TrainConfig(optimizer="adamw", schedule="linear", **settings)
        plan = BatchPlan(np.full(count, 10), 6, seed=1, shuffle=True, group_by_length=False)
        steps = StepSequence(plan, train.epochs, train.max_steps)
        with (strategy or tf.distribute.get_strategy()).scope():
            network = make_finetuner(seed=seed, dropout=dropout)
            trainable = Trainable(network)
            trainable.compile(optimizer=build_optimizer(train, steps.total_steps))
        seen, saved = [], []

        def make_dataset(batches, first_step):
            seen.extend(batches)
            parts = [{name: tf.gather(value, batch) for name, value in rows.items()} for batch in batches]
            parts = [network.prepare(tf.constant(first_step + i), part) for i, part in enumerate(parts)]
            signature = {name: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for name, v in parts[0].items()}
            return tf.data.Dataset.from_generator(lambda: iter(parts), output_signature=signature)

        fit, save_state = trainable.fit, ResumeState.save

        def fit_and_spoil(*words, **options):
            history = fit(*words, **options)
            spoil(history.history, network.trainable_variables)
            return history

        def save_then_die(state, step, record):
            save_state(state, step, record)
            if step == kill_after:
                raise Killed

        trainer = Trainer(
            trainable,
            steps,
            make_dataset,
            train=train,
            folder=tmp_path / folder,
            evaluate=evaluate,
            save=saved.append,
            inputs=inputs,
            progress=progress,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ResumeState, "save", save_then_die)
            if spoil:
                patch.setattr(trainable, "fit", fit_and_spoil)
            try:
                record = trainer.fit()
            except Killed:
                record = None
        variables = network.trainable_variables
        copies = [[part.numpy() for part in getattr(v, "values", [v])] for v in variables]
        weights = [v.numpy() for v in variables]
        return {"record": record, "weights": weights, "copies": copies, "seen": seen, "saved": saved}

    return start


@pytest.mark.parametrize("kill_after", [3, 4])
def test_a_killed_and_resumed_run_equals_an_unbroken_one(run, kill_after):
    """4 steps an epoch: killed in the midst of the first epoch, and between two."""
    whole = run("whole")
    assert run("killed", kill_after=kill_after)["record"] is None
    resumed = run("killed", seed=5)  # its own first weights and dropout masks would be others
    assert resumed["record"]["steps"] == whole["record"]["steps"] == 8
    assert len(resumed["seen"]) == 8 - kill_after
    for ours, theirs in zip(resumed["weights"], whole["weights"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [entry["step"] for entry in resumed["record"]["history"]] == [4, 8]


def test_a_user_who_stops_the_run_loses_nothing(run, tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("stopped", evaluate=stop, checkpoint_every_steps=100)
    record = run("stopped", evaluate=lambda: {"accuracy": 0.5})
    assert record["record"]["steps"] == 8
    assert len(record["seen"]) == 4
    assert (tmp_path / "stopped" / "resume").exists()  # until the run is noted to be finished
    remove_state(tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "resume").exists()


def test_best_is_saved_when_the_dev_metric_rises(run):
    values = iter([0.5, 0.7, 0.6, 0.7])
    result = run(epochs=4, evaluate=lambda: {"accuracy": next(values)})
    assert result["saved"] == ["best", "best", "last"]
    assert result["record"]["best"] == {"step": 8, "value": 0.7}


def test_a_lower_loss_is_better(run):
    values = iter([0.5, 0.7, 0.4])
    result = run(epochs=3, monitor="loss", evaluate=lambda: {"loss": next(values)})
    assert result["saved"] == ["best", "best", "last"]


def test_early_stopping(run):
    values = iter([0.5, 0.4, 0.5, 0.9])
    result = run(epochs=4, early_stopping_patience=2, evaluate=lambda: {"accuracy": next(values)})
    assert len(result["record"]["history"]) == 3


def test_a_model_that_is_not_finite_is_not_saved(run, tmp_path):
    """Nobody looks at its outputs where there are no dev files."""
    with pytest.raises(DivergenceError, match="weights are not finite after step 4: training has diverged"):
        run(spoil=lambda logs, weights: weights[0].assign(weights[0] * float("inf")))
    with pytest.raises(DivergenceError, match="the loss is nan at step 4: training has diverged"):
        run("rate", learning_rate=1e38, clip_norm=None)


def test_max_steps_stops_but_the_schedule_spans_all(run):
    result = run(max_steps=2)
    assert result["record"]["steps"] == 2 and len(result["seen"]) == 2


def test_every_row_is_read_once_an_epoch(run):
    result = run()
    for epoch in range(2):
        rows = np.concatenate(result["seen"][4 * epoch : 4 * epoch + 4])
        np.testing.assert_array_equal(np.sort(rows), np.arange(ROWS))


def test_continuous_epochs_have_the_published_number_of_steps():
    plan = BatchPlan(np.full(ROWS, 10), 6, seed=1, shuffle=True, group_by_length=False, continuous_epochs=3)
    steps = StepSequence(plan, 3)
    assert steps.total_steps == int(ROWS * 3 / 6) + 1
    starts = [0, *steps.epoch_ends[:-1]]
    batches = [b for start, end in zip(starts, steps.epoch_ends, strict=True) for b in steps.batches(start, end)]
    assert len(batches) == 12 and all(len(batch) == 6 for batch in batches)
    assert [len(b) for b in steps.batches(starts[1] + 1, steps.epoch_ends[1])] == [6] * (
        steps.epoch_ends[1] - starts[1] - 1
    )


def test_dropout_generators_are_found(make_classifier):
    classifier = make_classifier(dropout=0.1)
    # embeddings, head, and in each of 2 blocks: attention, its output, feed-forward inner and output
    assert len(random_generators(classifier)) >= 2 + 2 * 3


def damage(folder, pattern):
    files = list(folder.glob(pattern))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:50])


def test_a_damaged_state_falls_back_to_the_one_before(run, tmp_path, capsys):
    run("damaged", kill_after=3)
    damage(tmp_path / "damaged" / "resume", "ckpt-3.*")
    assert run("damaged")["record"]["steps"] == 8
    assert "going back to the state before it" in capsys.readouterr().out


def test_without_a_readable_state_the_run_stops(run, tmp_path):
    run("damaged", kill_after=3)
    damage(tmp_path / "damaged" / "resume", "ckpt-*.*")
    with pytest.raises(CheckpointError, match="interrupted run"):
        run("damaged")


def test_other_data_or_weights_are_not_resumed(run):
    run("changed", kill_after=2, inputs="data A")
    with pytest.raises(CheckpointError, match="are not those of the interrupted run"):
        run("changed", inputs="data B")
    assert run("changed", inputs="data A")["record"]["steps"] == 8


def test_two_replicas_train_as_one_and_stay_equal(run, two_replicas):
    """Through the trainer, whose state for resuming makes the optimizer's variables."""
    alone = run("alone", strategy=tf.distribute.OneDeviceStrategy("CPU:0"), epochs=1, dropout=0.0)
    two = run("two", strategy=two_replicas, epochs=1, dropout=0.0)
    for ours, theirs, copies in zip(alone["weights"], two["weights"], two["copies"], strict=True):
        assert len(copies) == 2
        np.testing.assert_array_equal(*copies)
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_two_replicas_with_unequal_shares_go_on_with_their_own_masks(run, two_replicas):
    """The last batch of an epoch is of 3 rows: after it one has drawn more numbers than the other."""
    settings = {"strategy": two_replicas, "count": 21}
    whole = run("whole", **settings)
    run("killed", kill_after=5, **settings)
    for ours, theirs in zip(run("killed", seed=5, **settings)["weights"], whole["weights"], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_loss_that_is_not_finite_is_told_where_the_weights_are(run):
    """As under loss scaling, whose optimizer skips such steps; here it learns nothing."""
    with pytest.raises(DivergenceError, match="the loss is nan at step 4: training has diverged"):
        run(spoil=lambda logs, weights: logs["loss"].append(float("nan")))


def test_the_record_is_json(run, tmp_path):
    run("json", kill_after=2)
    record = json.loads((tmp_path / "json" / "resume" / "record-2.json").read_text())
    assert record["history"] == [] and record["seconds"] > 0
    assert not list((tmp_path / "json" / "resume").glob("*.part"))


def test_each_epoch_is_told_in_a_line(run, capsys):
    values = iter([0.5, 0.75, 0.625])
    run(epochs=3, progress=True, evaluate=lambda: {"accuracy": next(values)})
    lines = [re.sub(r"\d+\.\d{4}|\d+\.\d s", "_", line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "epoch 1/3: loss _, dev accuracy 50.00% (best so far), _",
        "epoch 2/3: loss _, dev accuracy 75.00% (best so far), _",
        "epoch 3/3: loss _, dev accuracy 62.50%, _",
    ]
    run("other", epochs=1, progress=True)
    assert re.fullmatch(r"epoch 1/1: loss \d\.\d{4}, \d+\.\d s\n", capsys.readouterr().out)
