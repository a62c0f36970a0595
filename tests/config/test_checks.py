import pytest

from easymft.config.checks import check_mode, find_conflicts
from easymft.config.presets import resolve_presets
from easymft.config.schema import ExperimentConfig
from easymft.errors import ConfigError

FULL = {
    "output_folder": "runs/x",
    "data": {
        "train_files": ["a.tsv"],
        "test_files": ["t.tsv"],
        "columns": {"label": "label", "domain": "domain"},
    },
    "model": {"weights": "all-minilm-l6-v2"},
    "prediction": {"input_files": ["p.tsv"]},
}
SHAPE = {"vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2, "num_layers": 6}
RANDOM = {"initialization": "random", "vocabulary_file": "v.txt", "encoder": SHAPE}
NO_DOMAIN = {"columns": {"label": "label"}}


def make(**sections):
    return resolve_presets(ExperimentConfig.model_validate({**FULL, **sections}))


def columns(**names):
    return {"data": {"columns": names}}


def test_nothing_wrong():
    assert find_conflicts(make()) == []
    assert find_conflicts(make(model=RANDOM, mft={"layers": [0, -1], "domain_loss_weight": 0})) == []
    assert find_conflicts(make(mft={"layers": [1], "domain_loss_weight": 0.0, "weighting": "none"})) == []
    assert find_conflicts(make(application="text_matching", data={"columns": {"text_pair": "b", "id": "text"}})) == []
    assert find_conflicts(make(data={"header": False, "columns": {"text": 1, "label": 0}})) == []
    assert find_conflicts(make(data={"column_names": ["text", "y"], "columns": {"label": "y"}})) == []
    assert find_conflicts(make(data={"format": "jsonl", "header": False})) == []
    assert find_conflicts(make(train={"domains": ["a"]}, data={"domains": ["a"], "columns": {"domain": "d"}})) == []


@pytest.mark.parametrize(
    ("sections", "messages"),
    [
        ({"application": "text_matching"}, ["text_pair: expected a column, since"]),
        (columns(text_pair="b"), ["text_pair: expected null, since application is text_classification"]),
        (columns(label="text"), ["columns.label: expected a column other than that of text, got"]),
        ({"data": {"header": False}}, ["columns.text: expected a column number, since the files have no header"]),
        ({"data": {"column_names": ["texts"]}}, ['data.column_names (did you mean "texts"?), got "text"']),
        ({"data": {"column_names": ["a"], "columns": {"text": 1}}}, ["columns.text: expected a number below 1"]),
        ({"data": {"column_names": ["text", "text"]}}, ['column_names: expected each name once ("text" is repeated)']),
        ({"data": {"train_files": ["a", "b", "a"]}}, ['train_files: expected each file once ("a" is repeated)']),
        ({"data": {"dev_files": [""]}}, ["dev_files: expected names of files or globs, none of them empty"]),
        ({"data": {"labels": ["a"]}}, ["data.labels: expected at least 2 names, or null"]),
        ({"data": {"labels": ["a", ""]}}, ["data.labels: expected names, none of them empty"]),
        ({"data": {"domains": ["a"]}}, ["data.domains: expected null where data.columns.domain is null"]),
        ({"model": {"weights": ""}}, ["model.weights: expected a name or folder"]),
        ({"model": {"weights": "w", "encoder": SHAPE}}, ["model.encoder: expected null unless"]),
        (
            {"model": {"initialization": "random"}},
            ["model.encoder: expected the encoder's shape", "model.vocabulary_file: expected a vocab.txt"],
        ),
        ({"model": {**RANDOM, "head": "transfer"}}, ['model.head: expected "fresh", since the encoder is random']),
        ({"model": {"weights": "w", "dropout": 1}}, ["model.dropout: expected a number below 1, got 1.0"]),
        (
            {"model": {**RANDOM, "encoder": {**SHAPE, "num_attention_heads": 3, "max_position_embeddings": 64}}},
            ["hidden_size: expected a multiple of num_attention_heads (3), got 8", "at least data.max_sequence_length"],
        ),
        ({"mft": {"layers": []}}, ["mft.layers: expected at least one layer"]),
        ({"mft": {"layers": [2, 2]}}, ["mft.layers: expected each layer once (2 is repeated)"]),
        ({"model": RANDOM, "mft": {"layers": [6]}}, ["expected layers from -6 to 5 (6 is outside)"]),
        ({"model": RANDOM, "mft": {"layers": [5, -1]}}, ["expected each layer once (5 is also -1)"]),
        ({"train": {"domains": []}}, ['train.domains: expected at least one domain, "all" or "union"']),
        ({"train": {"domains": ["a", "a"]}}, ['train.domains: expected each domain once ("a" is repeated)']),
        (
            {"train": {"domains": ["boks"]}, "data": {"domains": ["books"], "columns": {"domain": "d"}}},
            ['("boks" is none; did you mean "books"?), got ["boks"]'],
        ),
        ({"train": {"domains": ["a"]}, "data": NO_DOMAIN}, ['train.domains: expected "all" where']),
        ({"train": {"beta_2": 1}}, ["train.beta_2: expected a number below 1"]),
        (
            {"train": {"accumulation_steps": 9, "global_batch_size": 8, "clip_repeated_rows": "separate"}},
            ["accumulation_steps: expected at most train.global_batch_size (8), got 9", "preset easytransfer"],
        ),
        (
            {"train": {"accumulation_steps": 2}, "runtime": {"jit_compile": True}},
            ["accumulation_steps: expected 1 where runtime.jit_compile is on"],
        ),
        ({"prediction": {"output_file": "p.txt"}}, ["output_file: expected a file name that ends in .csv, .tsv,"]),
    ],
)
def test_conflicts(sections, messages):
    found = [str(problem) for problem in find_conflicts(make(**sections))]
    assert len(found) == len(messages), found
    for line, message in zip(found, messages, strict=True):
        assert message in line


MODES = ["validate", "typicality", "meta_tune", "finetune", "evaluate", "predict", "export", "convert"]


@pytest.mark.parametrize("mode", MODES)
def test_full_config_does_for_every_mode(mode):
    check_mode(make(), mode)


@pytest.mark.parametrize(
    ("mode", "sections", "paths"),
    [
        ("validate", {"data": {}, "prediction": {}}, ["data.train_files"]),
        ("typicality", {"data": {}}, ["data.train_files", "data.columns.label", "data.columns.domain"]),
        ("meta_tune", {"data": {}}, ["data.train_files", "data.columns.label", "data.columns.domain"]),
        ("meta_tune", {"train": {"early_stopping_patience": 1}}, ["data.dev_files"]),
        ("meta_tune", {"train": {"domains": ["books"]}}, ["train.domains"]),
        ("meta_tune", {"mft": {"layer_pooling": "all_positions"}}, ["mft.layer_pooling"]),
        ("finetune", {"data": {}}, ["data.train_files", "data.columns.label"]),
        ("evaluate", {"data": {}}, ["data.test_files", "data.columns.label"]),
        ("predict", {"prediction": {}, "model": {}}, ["prediction.input_files"]),
        ("finetune", {"model": {}}, ["model.weights"]),
        ("convert", {"model": {}}, ["model.weights"]),
        ("convert", {"model": {**RANDOM, "weights": "w"}}, ["model.initialization"]),
    ],
)
def test_what_a_mode_lacks(mode, sections, paths):
    with pytest.raises(ConfigError) as info:
        check_mode(make(**sections), mode)
    lines = str(info.value).splitlines()
    assert [line.split(":")[0] for line in lines] == paths
    assert all(", got " in line for line in lines)


def test_modes_that_need_less():
    pooled = {"layer_pooling": "all_positions", "domain_loss_weight": 0.0}
    check_mode(make(mft=pooled), "meta_tune")  # no layer is pooled
    check_mode(make(mft=pooled | {"domain_loss_weight": 1.0}), "finetune")
    check_mode(make(data=NO_DOMAIN | {"train_files": ["a"]}), "finetune")
    check_mode(make(data={}), "predict")
    check_mode(make(data={}, prediction={}), "export")


def test_unknown_mode():
    with pytest.raises(ConfigError, match='unknown mode "metatune"; did you mean "meta_tune"?'):
        check_mode(make(), "metatune")
