"""Trials of weights: of other models, damaged, without tokeniser, not on the machine."""

import json
from collections.abc import Callable

import numpy as np
from safetensors.numpy import load_file, save_file

from compatibility.project import Project, accepted, expect, make_rows, refused
from compatibility.trial import Bench, trial

_VOCABULARY, _TENSORS, _CONFIG = "vocab.txt", "model.safetensors", "config.json"
_EMBEDDINGS = "embeddings.word_embeddings.weight"
_NOWHERE = "http://127.0.0.1:9"  # where nothing listens


def _change_config(project: Project, **values: object) -> None:
    path = project.weights / _CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _change_tensors(project: Project, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    path = project.weights / _TENSORS
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@trial("huggingface/transformers/issues/16773", "RoBERTa's folder as a BERT", "refused with its model_type")
def weights_of_another_model(bench: Bench) -> str:
    """Elsewhere the encoder starts at random, with a warning."""
    project = bench.project()
    _change_config(project, model_type="roberta", architectures=["RobertaModel"])
    return "refused: " + project.refuse("meta_tune", words=("roberta", "bert"))


@trial(
    "huggingface/transformers/issues/12232",
    "A checkpoint that lacks tensors, which are then made at random with a warning",
    "refused with their names",
)
def tensors_that_are_missing(bench: Bench) -> str:
    """Never random unless asked for."""
    project = bench.project()
    name = "encoder.layer.0.output.dense.weight"
    _change_tensors(project, lambda tensors: tensors.pop(name))
    return "refused: " + project.refuse("meta_tune", words=(name,))


@trial(
    "huggingface/transformers/issues/8793",
    "A BERT without its pooler, as masked-language-model training leaves it",
    "a new one where it is read, which is told; none is needed with model.pooling: token_mean",
)
def weights_without_pooler(bench: Bench) -> str:
    """Elsewhere at random, and results vary."""
    project = bench.project()

    def drop(tensors: dict[str, np.ndarray]) -> None:
        for name in [name for name in tensors if name.startswith("pooler.")]:
            del tensors[name]

    _change_tensors(project, drop)
    said = project.accept("meta_tune").err
    expect("holds no pooler; a new one, of random values" in said, f"not told: {said}")
    mean = project.accept("meta_tune", "model.pooling=token_mean", f"output_folder={project.folder / 'mean'}")
    expect("pooler" not in mean.err, mean.err)
    return "trains a new one, and says so; with model.pooling: token_mean none is needed"


@trial("lyogavin/airllm/issues/137", "A download of weights that was cut short", "refused with the file")
def download_cut_short(bench: Bench) -> str:
    """The tensors' file and the vocabulary."""
    project = bench.project()
    path = project.weights / _TENSORS
    path.write_bytes(path.read_bytes()[:-1000])
    return "refused: " + project.refuse("meta_tune", words=(_TENSORS, "cut short"))


@trial(
    "codefuse-ai/MFTCoder/issues/20",
    "Weights that are the pointer of Git LFS in place of the file",
    "refused with the file; a word of Git LFS helps",
)
def pointer_in_place_of_weights(bench: Bench) -> str:
    """As after a clone without git-lfs."""
    project = bench.project()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 90868376\n"
    (project.weights / _TENSORS).write_text(pointer)
    return "refused: " + project.refuse("meta_tune", words=(_TENSORS, "LFS"))


@trial(
    "huggingface/transformers/issues/12763",
    "A vocabulary with more tokens than the weights have embeddings",
    "refused with both numbers",
)
def vocabulary_that_is_too_long(bench: Bench) -> str:
    """Elsewhere an index out of range in the middle of training."""
    project = bench.project()
    with (project.weights / _VOCABULARY).open("a") as file:
        file.write("customtoken\nothertoken\n")
    return "refused: " + project.refuse("meta_tune", words=("171", "169"))


@trial(
    "huggingface/transformers/issues/4875",
    "Fewer tokens in the vocabulary than embeddings (padded to a round number)",
    "used: the further embeddings are idle",
)
def embeddings_that_are_padded(bench: Bench) -> str:
    """As resize_token_embeddings with pad_to_multiple_of leaves them."""
    project = bench.project()

    def pad(tensors: dict[str, np.ndarray]) -> None:
        tensors[_EMBEDDINGS] = np.concatenate([tensors[_EMBEDDINGS], np.zeros([7, 32], np.float32)])

    _change_tensors(project, pad)
    _change_config(project, vocab_size=176)
    result = accepted(project.run("meta_tune"))
    return "trains; the further embeddings are idle" + (f" ({result.told})" if result.err else "")


@trial(
    "huggingface/transformers/issues/29230",
    "Embeddings that were resized while the config still says the old number",
    "refused with both numbers",
)
def embeddings_that_were_resized(bench: Bench) -> str:
    """config.json and tensors contradict each other."""
    project = bench.project()

    def grow(tensors: dict[str, np.ndarray]) -> None:
        tensors[_EMBEDDINGS] = np.concatenate([tensors[_EMBEDDINGS], np.zeros([3, 32], np.float32)])

    _change_tensors(project, grow)
    return "refused: " + project.refuse("meta_tune", words=("172", "169"))


@trial(
    "huggingface/transformers/issues/2020",
    "A vocabulary in which tokens stand twice",
    "refused with the token, or told",
)
def tokens_that_stand_twice(bench: Bench) -> str:
    """The second number can never occur."""
    project = bench.project()
    path = project.weights / _VOCABULARY
    path.write_text(path.read_text().replace("\nbook\n", "\ngood\n"))
    result = project.run("meta_tune")
    if result.code == 0:
        expect("good" in result.err, "trains without a word")
        return f"trains, and says: {result.told}"
    return "refused: " + refused(result, ("good",))


@trial(
    "huggingface/transformers/issues/30920",
    "A folder with pytorch_model.bin alone",
    "refused, with the way to make safetensors of it",
)
def pickled_weights(bench: Bench) -> str:
    """Pickles run code."""
    project = bench.project()
    (project.weights / _TENSORS).rename(project.weights / "pytorch_model.bin")
    return "refused: " + project.refuse("meta_tune", words=("pytorch_model.bin", "safetensors"))


@trial(
    "huggingface/transformers/issues/10379",
    "HF_HUB_OFFLINE with a model that was never fetched",
    "refused at once, in one line that says so",
)
def offline_without_the_model(bench: Bench) -> str:
    """In a process with a cache of its own."""
    project = bench.project()
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(project.folder / "hub")}
    started = project.start("meta_tune", "model.weights=owner/model", environment=environment)
    return "refused: " + refused(project.wait(started, 60), ("owner/model",))


@trial(
    "huggingface/huggingface_hub/issues/1508",
    "No network, and a model that is not in the cache",
    "refused in one line within a minute",
)
def no_network(bench: Bench) -> str:
    """An address at which nothing listens."""
    project = bench.project()
    environment = {"HF_ENDPOINT": _NOWHERE, "HF_HOME": str(project.folder / "hub"), "HF_HUB_OFFLINE": "0"}
    started = project.start("meta_tune", "model.weights=owner/model", environment=environment)
    return "refused: " + refused(project.wait(started, 90), ("owner/model", "cannot be fetched"))


@trial(
    "huggingface/transformers/issues/125",
    "More tokens a row than the encoder has positions",
    "refused with both numbers",
)
def more_tokens_than_positions(bench: Bench) -> str:
    """Elsewhere an index error of the device."""
    project = bench.project()
    said = project.refuse("meta_tune", "data.max_sequence_length=512", words=("512", "128"))
    return f"refused: {said}"


@trial(
    "huggingface/transformers/issues/14218",
    "Weights with a classifier of 2 classes, data with 3",
    "a new head, told; refused with model.head: transfer",
)
def classifier_of_other_classes(bench: Bench) -> str:
    """Elsewhere a mismatch of sizes."""
    project = bench.trained()
    rows = [
        [text, domain, "mixed" if number % 5 == 0 else label]
        for number, (text, domain, label) in enumerate(make_rows(60))
    ]
    project.train_on(project.write_rows("three.tsv", rows))
    project.set("model.weights", str(project.folder / "run"))
    said = project.refuse("meta_tune", "model.head=transfer", f"output_folder={project.folder / 'a'}", words=("mixed",))
    result = accepted(project.run("meta_tune", f"output_folder={project.folder / 'b'}"))
    expect("head" in (result.out + result.err).lower(), f"a new head without a word of it: {result.out[:300]}")
    return f"trains a new head and says so; with model.head: transfer refused: {said}"
