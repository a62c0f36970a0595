"""--mode finetune on the small project: what the head reads, averaged domains, runs left unmeasured."""

import json

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the operations of the SavedModel
from safetensors.numpy import load_file

from easymft.model_zoo.averaging import write_interpolated


def test_a_head_on_the_token_mean(trained, tmp_path):
    """It stays on it through every mode, and is not taken for one on the pooled [CLS]."""

    def run(mode, folder, *settings):
        words = (f"output_folder={tmp_path}/{folder}", f"model.weights={trained.folder}/tiny", "train.domains=union")
        return trained.succeed(mode, *words, *settings)

    run("meta_tune", "mft", "model.pooling=token_mean", "train.epochs=1")
    weights = f"model.weights={tmp_path}/mft"
    out = run("finetune", "tuned", weights, "model.pooling=token_mean", "train.epochs=1")
    assert ": taken over" in out
    (tmp_path / "new.tsv").write_text("text\tdomain\tlabel\nfine\tdvd\tneg\nodd\tdvd\tnew\n")
    for name in ("mft", "mft/best"):  # the folder of a run and the model in it are the same weights
        words = (f"model.weights={tmp_path}/{name}", "model.pooling=token_mean", "train.max_steps=1")
        files = (f'data.train_files=["{tmp_path}/new.tsv"]', "data.dev_files=[]", "data.test_files=[]")
        out = run("finetune", f"{name}_new", *words, *files)
        assert "note: the classes are neg, new; those of" in out
    saved = json.loads((tmp_path / "tuned/best/config.json").read_text())
    assert saved["easymft_pooling"] == "token_mean" and saved["architectures"] == ["BertModel"]
    inputs = f'prediction.input_files=["{trained.folder}/test.tsv"]'
    run("predict", "tuned", inputs, f"prediction.output_file={tmp_path}/predictions.jsonl")
    run("export", "tuned", f"export.folder={tmp_path}/saved_model")
    predictions = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    texts = [line.split("\t")[0] for line in (trained.folder / "test.tsv").read_text().splitlines()[1:]]
    answer = tf.saved_model.load(str(tmp_path / "saved_model/1")).signatures["serving_default"](tf.constant(texts))
    expected = [[row["probability_neg"], row["probability_pos"]] for row in predictions]
    np.testing.assert_allclose(answer["probabilities"], expected, atol=2e-5)

    out = run("finetune", "other", weights, "train.max_steps=1", "data.test_files=[]")
    assert "not taken over, as it reads token_mean, this run's pooled" in out
    message = trained.fail("finetune", f"output_folder={tmp_path}/never", weights, "model.head=transfer")
    assert message.endswith("reads token_mean, received pooled")
    assert not (tmp_path / "never").exists()


def test_domains_are_averaged(trained, tmp_path, monkeypatch):
    """The best weights move towards the mean, also where the run was interrupted on the way."""

    def finetune(name, share):
        words = (f"model.weights={trained.folder}/mft", "train.epochs=1", f"train.average_domains={share}")
        return trained.run("finetune", *words, f"output_folder={tmp_path}/{name}").code

    def weights(run, kind):
        return [load_file(tmp_path / run / domain / kind / "model.safetensors") for domain in domains]

    assert finetune("apart", 0.0) == finetune("half", 0.5) == 0
    domains = sorted(folder.name for folder in (tmp_path / "apart").iterdir() if (folder / "best").is_dir())
    assert len(domains) == 3 and not (tmp_path / "apart" / domains[0] / "tuned").exists()
    apart, tuned, half = weights("apart", "best"), weights("half", "tuned"), weights("half", "best")
    for name in apart[0]:
        mean = np.mean([one[name] for one in apart], axis=0)
        for before, kept, after in zip(apart, tuned, half, strict=True):
            np.testing.assert_array_equal(kept[name], before[name])
            np.testing.assert_allclose(after[name], 0.5 * before[name] + 0.5 * mean, atol=1e-6)
    assert max(np.abs(half[0][name] - apart[0][name]).max() for name in apart[0]) > 1e-4
    metrics = [json.loads((tmp_path / run / "metrics.json").read_text())["dev"] for run in ("apart", "half")]
    assert metrics[0]["overall"]["loss"] != metrics[1]["overall"]["loss"]

    def die(folder, *arguments):
        if folder.parent.name == domains[1]:
            raise KeyboardInterrupt
        write_interpolated(folder, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr("easymft.model_zoo.averaging.write_interpolated", die)
        assert finetune("again", 0.5) != 0
    assert not (tmp_path / "again" / domains[1] / "best").exists()
    assert finetune("again", 0.5) == 0
    for one, other in zip(weights("again", "best"), half, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_a_run_may_be_left_unmeasured(trained, tmp_path):
    words = ("train.domains=union", "train.max_steps=1", f"output_folder={tmp_path}/run")
    unmeasured = "evaluation.after_training=false"
    for said in ("", "already finished"):
        out = trained.succeed("finetune", f"model.weights={trained.folder}/mft", *words, unmeasured)
        assert said in out
        assert not (tmp_path / "run/metrics.json").exists() and (tmp_path / "run/best").is_dir()
    trained.succeed("finetune", f"model.weights={trained.folder}/mft", *words)
    assert (tmp_path / "run/metrics.json").exists()


def test_one_model_is_not_averaged(trained, tmp_path):
    words = ("train.domains=union", "train.max_steps=1", "train.average_domains=0.5", "data.test_files=[]")
    out = trained.succeed("finetune", f"model.weights={trained.folder}/mft", *words, f"output_folder={tmp_path}/run")
    assert "train.average_domains: one model, so there is nothing to average" in out
