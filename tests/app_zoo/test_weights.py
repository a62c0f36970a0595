"""What the command says of weights that people have, and what it does with them."""

import json
import warnings

import numpy as np
from safetensors.numpy import load_file, save_file

POOLED = "model.pooling=pooled"
NEW_POOLER = (
    "Hugging Face folder @/tiny: holds no pooler; a new one, of random values as the head is, will be trained; "
    "model.pooling token_mean needs none"
)


def change_weights(project, function, **fields):
    """Writes other tensors and fields of config.json into the project's weights."""
    folder = project.folder / "tiny"
    save_file(function(load_file(folder / "model.safetensors")), folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def run_told(project, *words, **options):
    """Runs the command where warnings are shown, as they are to a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = project.run(*words, **options)
    assert result.code == 0, result
    return result


def drop_pooler(tensors):
    return {name: value for name, value in tensors.items() if "pooler" not in name}


def test_weights_without_a_pooler(project, tmp_path):
    change_weights(project, lambda tensors: drop_pooler(tensors) | {"qa_outputs.weight": np.ones((2, 32), np.float32)})
    project.set("train.max_steps", 1)
    project.set("data.dev_files", [])
    project.set("data.test_files", [])
    project.set("train.domains", "union")
    heads = "note: Hugging Face folder @/tiny: heads of other tasks, which are not used: qa_outputs\n"
    result = run_told(project, "finetune", POOLED)
    assert result.err == f"easymft: warning: {NEW_POOLER}\n" and heads in result.out
    assert "bert.pooler.dense.weight" in load_file(project.folder / "run" / "best" / "model.safetensors")
    assert f"note: {NEW_POOLER}\n" in (out := project.succeed("validate", POOLED)) and heads in out

    words = ("model.pooling=token_mean", f"output_folder={tmp_path}/mean")
    assert heads in project.succeed("finetune", *words)
    assert "no pooler" not in project.succeed("validate", *words)
    saved = load_file(tmp_path / "mean" / "best" / "model.safetensors")
    assert not [name for name in saved if "pooler" in name] and "classifier.weight" in saved
    project.succeed("predict", *words, f"prediction.output_file={tmp_path}/predictions.tsv")
    words = (f"model.weights={tmp_path}/mean", f"output_folder={tmp_path}/on", "model.pooling=token_mean")
    assert ": taken over" in project.succeed("finetune", *words, dry_run=True)

    for mode in ("typicality", "meta_tune"):
        words = (f"output_folder={tmp_path}/never", "mft.typicality.embedding=pooled", "model.pooling=token_mean")
        result = project.run(mode, *words)
        assert result.err == (
            "easymft: error: mft.typicality.embedding: pooled reads the pooler, which Hugging Face folder @/tiny does "
            "not hold, expected token_mean\n"
        )
        assert result.code == 2 and not (tmp_path / "never").exists()


def test_spare_rows_go_through_all_modes(project):
    name = "embeddings.word_embeddings.weight"
    spare = np.full((7, 32), 5.0, np.float32)
    change_weights(project, lambda tensors: tensors | {name: np.concatenate([tensors[name], spare])}, vocab_size=176)
    project.set("train.max_steps", 1)
    project.set("train.weight_decay", 0.0)
    project.set("train.domains", "union")
    note = (
        "176 rows of word embeddings for 169 tokens of the vocabulary; the spare rows are kept, and no text reads them"
    )
    for mode in ("validate", "finetune"):
        assert f"note: Hugging Face folder @/tiny: {note}\n" in project.succeed(mode)
    saved = load_file(project.folder / "run" / "best" / "model.safetensors")
    np.testing.assert_array_equal(saved[f"bert.{name}"][169:], spare)
    for mode in ("evaluate", "predict", "export", "convert"):
        project.succeed(mode)


def test_pairs_with_one_type_of_token_are_told(project, tmp_path):
    pair_project = type(project)(tmp_path / "pairs", pair=True)
    name = "embeddings.token_type_embeddings.weight"
    change_weights(pair_project, lambda tensors: tensors | {name: tensors[name][:1]}, type_vocab_size=1)
    expected = (
        "easymft: warning: Hugging Face folder @/tiny: knows one type of token (type_vocab_size 1), so both texts of a "
        "pair are of type 0, and [SEP] alone tells them apart\n"
    )
    for mode in ("validate", "finetune"):
        assert run_told(pair_project, mode, dry_run=True).err == expected


def test_another_cache_folder_is_no_other_run(project):
    project.set("train.max_steps", 1)
    project.succeed("finetune", "evaluation.after_training=false")
    assert "already finished" in project.succeed(
        "finetune", "evaluation.after_training=false", f"model.cache_folder={project.folder}/elsewhere"
    )
