"""What a name or path in model.weights stands for."""

import json
import shutil

import pytest

from easymft.errors import CheckpointError
from easymft.model_zoo import locate as module
from easymft.model_zoo.locate import locate_weights


def failure(weights, weights_format="auto") -> str:
    with pytest.raises(CheckpointError) as error:
        locate_weights(str(weights), weights_format)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def fetched(monkeypatch, tiny):
    """Names that were fetched; nothing leaves the machine."""
    names = []
    monkeypatch.setattr(module, "fetch_from_hub", lambda name: names.append(name) or tiny)
    monkeypatch.setattr(module, "fetch_short_name", lambda name, folder: (names.append(name) or tiny, "the cache"))
    return names


def make_checkpoint(folder, name="bert_model.ckpt"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.index").write_bytes(b"")
    return folder / name


def test_huggingface_folder(tiny):
    for kind in ("auto", "huggingface"):
        assert locate_weights(str(tiny), kind).source == f"Hugging Face folder {tiny}"
    message = failure(tiny, "tf1")
    assert message == f"{tiny}: is a Hugging Face folder {tiny}; expected weights_format tf1"


def test_run_folder_means_its_best(tiny, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny, run / "best")
    (run / "config.json").write_text("{}")
    for kind in ("auto", "run"):
        location = locate_weights(str(run), kind)
        assert location.folder == run / "best" and location.source.startswith("run ")
    assert "expected weights_format run" in failure(run / "best", "run")


def test_run_with_a_model_for_each_domain(tiny, tmp_path):
    for domain in ("books", "dvd"):
        shutil.copytree(tiny, tmp_path / "run" / domain / "best")
    (tmp_path / "run" / "config.json").write_text("{}")
    assert "a run with a model for each domain; name one of books, dvd in it" in failure(tmp_path / "run")
    assert locate_weights(str(tmp_path / "run" / "dvd")).folder == tmp_path / "run" / "dvd" / "best"


def test_an_interrupted_save_is_put_back(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "run" / ".best.old")
    assert locate_weights(str(tmp_path / "run")).folder == tmp_path / "run" / "best"


def test_checkpoints_by_folder_prefix_and_index(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "is_object_checkpoint", lambda checkpoint: False)
    prefix = make_checkpoint(tmp_path / "one")
    for weights in (prefix, prefix.parent, f"{prefix}.index"):
        location = locate_weights(str(weights))
        assert (location.format, location.checkpoint, location.folder) == ("tf1", str(prefix), prefix.parent)
    make_checkpoint(tmp_path / "one", "other.ckpt")
    assert f"holds several checkpoints; name one of {prefix}, {tmp_path / 'one' / 'other.ckpt'}" in failure(
        prefix.parent
    )
    (tmp_path / "one" / "checkpoint").write_text('model_checkpoint_path: "other.ckpt"\n')
    assert locate_weights(str(prefix.parent)).checkpoint == str(tmp_path / "one" / "other.ckpt")


def test_files_of_a_location(monkeypatch, tiny, tmp_path):
    """Of a checkpoint its own parts, not those of another beside it."""
    monkeypatch.setattr(module, "is_object_checkpoint", lambda checkpoint: False)
    prefix = make_checkpoint(tmp_path / "one")
    make_checkpoint(tmp_path / "one", "bert_model.ckpt-9")
    for name in ("bert_config.json", "vocab.txt", "events.out"):
        (tmp_path / "one" / name).write_text("")
    names = [file.name for file in locate_weights(str(prefix)).files]
    assert "bert_model.ckpt.index" in names and {"bert_config.json", "vocab.txt"} < set(names)
    assert not [name for name in names if name == "events.out" or "-9" in name]
    assert locate_weights(str(tiny)).files == sorted(tiny.iterdir())


def test_folders_without_weights(tmp_path):
    (tmp_path / "empty").mkdir()
    assert failure(tmp_path / "empty").startswith(f"{tmp_path / 'empty'}: no weights here; found nothing")
    (tmp_path / "empty" / "bert_config.json").write_text("{}")
    assert "holds bert_config.json but no TF checkpoint" in failure(tmp_path / "empty")
    assert "is a file; expected a folder" in failure(tmp_path / "empty" / "bert_config.json")


def test_folders_and_files_of_other_formats_are_named(tmp_path):
    cases = {
        "pytorch_model.bin": "(PyTorch's format; EasyMFT reads no pickles, which can run any code); convert it once",
        "tf_model.h5": "(Keras' format); convert it once",
        "flax_model.msgpack": "(Flax's format); convert it once",
        "saved_model.pb": "(a SavedModel, as TF-Hub has them); take the same model's checkpoint",
        "model.onnx": "(ONNX, a graph for inference); take the model that it was exported from",
        "bert.Q4.gguf": "(GGUF, quantised for llama.cpp); take the model that it was made from",
        "adapter_config.json": "(an adapter (LoRA or its like), which is no model without the weights it was made for)",
        "bert.tar.gz": "(an archive); unpack it, and name the folder in it",
    }
    for number, (name, what) in enumerate(cases.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(b"")
        assert failure(folder).startswith(f"{folder}: holds no weights that EasyMFT reads, but {name} {what}")
        if name != "adapter_config.json":
            expected = f"{folder / name}: is a file; expected a folder, but this is {name} {what}"
            assert failure(folder / name).startswith(expected)
    (tmp_path / "8" / "onnx").mkdir(parents=True)
    (tmp_path / "8" / "onnx" / "model.onnx").write_bytes(b"")
    assert "but onnx/model.onnx (ONNX" in failure(tmp_path / "8")


def test_a_file_in_the_place_of_its_folder(tiny, tmp_path):
    assert locate_weights(str(tiny / "model.safetensors")).folder == tiny
    assert failure(tiny / "config.json").endswith(f"expected a folder or the prefix of a TF checkpoint, such as {tiny}")
    shutil.copyfile(tiny / "model.safetensors", tmp_path / "bert.safetensors")
    assert failure(tmp_path / "bert.safetensors").endswith(
        f"such as {tmp_path}, with bert.safetensors renamed to model.safetensors"
    )


def test_a_folder_of_folders_with_weights(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "models" / "bert")
    make_checkpoint(tmp_path / "models" / "google")
    expected = f"holds no weights itself; name one of {tmp_path / 'models' / 'bert'}, {tmp_path / 'models' / 'google'}"
    assert failure(tmp_path / "models").endswith(expected)


def test_sentence_transformers_folders(tiny, tmp_path):
    """Old ones keep the BERT in a folder of its own; the newer ones in the folder itself."""
    module = {"idx": 0, "path": "0_BERT", "type": "sentence_transformers.models.BERT"}
    folder = tmp_path / "old"
    shutil.copytree(tiny, folder / "0_BERT")
    assert locate_weights(str(folder)).folder == folder / "0_BERT"
    (folder / "config.json").write_text('{"__version__": "0.2.0"}')
    (folder / "modules.json").write_text(json.dumps([module]))
    assert locate_weights(str(folder)).source == f"Hugging Face folder {folder / '0_BERT'}"
    for change, message in (
        ({"type": "sentence_transformers.models.WordEmbeddings"}, "the first module is of type sentence_transformers"),
        ({"path": "../old/0_BERT"}, "the first module is in '../old/0_BERT'; expected a folder beside this file"),
        ({"path": "1_BERT"}, "the first module is in '1_BERT'"),
    ):
        (folder / "modules.json").write_text(json.dumps([module | change]))
        assert message in failure(folder)
    (folder / "modules.json").write_text("{}")
    assert "modules.json: no list of modules with type and path" in failure(folder)
    new = shutil.copytree(tiny, tmp_path / "new")
    (new / "modules.json").write_text(json.dumps([module | {"path": ""}]))
    assert locate_weights(str(new)).folder == new


def test_a_finished_run_whose_model_is_gone(tmp_path):
    (tmp_path / "best").mkdir()
    (tmp_path / "run.json").write_text('{"mode": "meta_tune", "finished": true}')
    assert failure(tmp_path) == (
        f"{tmp_path / 'best' / 'config.json'}: is missing, but the run of --mode meta_tune has finished; put back a "
        f"copy of {tmp_path / 'best'}, or train anew in another folder"
    )


def test_runs_without_a_model(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    first = "if it is the output folder of a run, run that first (--mode meta_tune or finetune)"
    assert failure(run) == f"{run}: no weights here; found nothing; {first}"
    assert first in failure(run / "my_meta_tune") and first in failure("runs/my_meta_tune")
    (run / "run.json").write_text('{"mode": "meta_tune", "finished": false}')
    expected = (
        f"{run}: a run of --mode meta_tune that has saved no model yet; let it end first (the same command goes on)"
    )
    assert failure(run) == expected
    (run / "run.json").write_text('{"mode": "typicality", "finished": true}')
    assert "a run of --mode typicality, which leaves no model there" in failure(run)


def test_paths_of_another_system_and_addresses():
    assert "; folders are divided by / here: models/bert" in failure("models\\bert")
    assert "without the address" in failure("https://huggingface.co/bert-base-uncased")


def test_missing_folder_names_near_ones(tmp_path, fetched):
    (tmp_path / "bert_small").mkdir()
    message = failure(tmp_path / "bert_smal")
    assert message.startswith(
        f"{tmp_path / 'bert_smal'}: no such folder or checkpoint (near: '{tmp_path / 'bert_small'}')"
    )
    assert "all-minilm-l6-v2" in message
    assert f"near: '{tmp_path / 'bert_small'}'" in failure(tmp_path / "bert_smal" / "best", "huggingface")
    assert fetched == []


def test_names(tmp_path, monkeypatch, fetched, tiny):
    monkeypatch.chdir(tmp_path)
    assert locate_weights("all-minilm-l6-v2").source.startswith("all-minilm-l6-v2 from the cache, ")
    assert locate_weights("someone/tiny").source == f"Hugging Face model someone/tiny, folder {tiny}"
    assert locate_weights("bert-base-uncased").folder == tiny
    assert fetched == ["all-minilm-l6-v2", "someone/tiny", "bert-base-uncased"]


def test_mistyped_names(tmp_path, monkeypatch, fetched):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minilm").mkdir()
    for name in (
        "all-MiniLM-L6v2",
        "all-minilm",
        "all_minilm_l6_v2",
        "ALL-MINILM-L6-V2",
        "MiniLM",
        "sentence-transformers/all-minilm-l6-v2",
        "sentence-transformers/all-minilm",
    ):
        expected = f"{name}: no such folder or checkpoint in {tmp_path}"
        message = failure(name)
        assert message.startswith(expected) and message.endswith("; did you mean the short name all-minilm-l6-v2?")
    assert fetched == []
    others = ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L12-v2", "Xenova/all-minilm"]
    for name in others:
        locate_weights(name)
    assert fetched == others

    def away(name):
        raise CheckpointError(f"{name}: the hub is away")

    monkeypatch.setattr(module, "fetch_from_hub", away)
    expected = f"minlm: the hub is away; no such folder in {tmp_path} either (near: 'minilm')"
    assert failure("minlm") == expected


def test_a_mistyped_path_is_no_name_of_the_hub(tmp_path, monkeypatch, fetched):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    message = failure("runs/amazon")
    assert message.startswith(f"runs/amazon: no such folder or checkpoint in {tmp_path}")
    assert "; if it is the output folder of a run, run that first (--mode meta_tune or finetune); " in message
    assert 'set model.weights_format to "name"' in message
    assert fetched == []
    locate_weights("runs/amazon", "name")
    assert fetched == ["runs/amazon"]
