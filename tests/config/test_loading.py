import json

import pytest

from easymft.config.loading import config_json_schema, dump_config, load_config
from easymft.config.presets import resolve_presets
from easymft.errors import ConfigError

SMALL = {
    "output_folder": "runs/x",
    "data": {"train_files": ["a.tsv"], "columns": {"label": "label", "domain": "domain"}},
    "model": {"weights": "all-minilm-l6-v2"},
}


@pytest.fixture
def write(tmp_path):
    def write_config(content, **sections):
        path = tmp_path / "config.json"
        if isinstance(content, dict):
            content = json.dumps({**content, **sections})
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_config


def errors_of(path, overrides=(), mode=None):
    with pytest.raises(ConfigError) as info:
        load_config(path, overrides, mode)
    return [line.removeprefix(f"{path}: ") for line in str(info.value).splitlines()]


def test_small_config_gets_its_presets(write):
    config = load_config(write(SMALL))
    assert config.mft.corruption == "false_domain"
    assert config.data.group_by_length is True
    config = load_config(write(SMALL, mft={"preset": "easytransfer", "corruption": "false_domain"}))
    assert config.mft.corruption == "false_domain"
    assert config.mft.typicality.decimals == 5
    assert config.data.group_by_length is False


def test_schema_key_and_byte_order_mark_are_allowed(write):
    text = json.dumps({"$schema": "schema.json", **SMALL})
    assert load_config(write(b"\xef\xbb\xbf" + text.encode())).output_folder == "runs/x"


@pytest.mark.parametrize("preset", ["paper", "easytransfer"])
def test_dump_loads_to_the_same(write, preset):
    config = load_config(write(SMALL, mft={"preset": preset}, about={"result": "0.91 ± 0.01"}))
    assert "±" in dump_config(config)
    again = load_config(write(dump_config(config)))
    assert again == config
    assert resolve_presets(again) == again


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("train.epochs=3", lambda c: c.train.epochs, 3),
        ("train.learning_rate=1", lambda c: c.train.learning_rate, 1.0),
        ("mft.layers=[2, -1]", lambda c: c.mft.layers, [2, -1]),
        ("train.clip_norm=null", lambda c: c.train.clip_norm, None),
        ("output_folder=runs/a=b", lambda c: c.output_folder, "runs/a=b"),
        ('model.weights="123"', lambda c: c.model.weights, "123"),
        ("data.strip_whitespace=true", lambda c: c.data.strip_whitespace, True),
    ],
)
def test_overrides(write, override, read, expected):
    value = read(load_config(write(SMALL), [override]))
    assert value == expected
    assert type(value) is type(expected)


def test_later_override_wins_and_makes_sections(write):
    path = write({"output_folder": "x", "model": {"initialization": "random", "vocabulary_file": "v"}})
    config = load_config(path, ["model.encoder.vocab_size=9", "model.encoder.vocab_size=8"])
    assert config.model.encoder.vocab_size == 8


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", '--set: train.epoch: unknown key, did you mean "epochs"? (its value: 3)'),
        ("trian.epochs=3", '--set: trian: unknown key, did you mean "train"? (its value: {"epochs": 3})'),
        ("epochs=3", '--set: epochs: unknown key, did you mean "train.epochs"? (its value: 3)'),
        ("train.epochs", '--set: expected section.key=value, got "train.epochs"'),
        ("train..epochs=1", '--set: expected section.key=value, got "train..epochs=1"'),
        ("output_folder.x=1", "--set: output_folder.x: output_folder holds no keys to set"),
        ("train.epochs=two", '--set: train.epochs: expected a whole number of at least 1, got "two"'),
        ("train.epochs=2.0", "--set: train.epochs: expected a whole number of at least 1, got 2.0"),
        ("train.epsilon=NaN", "--set: train.epsilon: expected a finite number, got nan"),
        ("train.learning_rate=1e999", "--set: train.learning_rate: expected a finite number, got inf"),
        ("train.learning_rate=true", "--set: train.learning_rate: expected a number above 0, got true"),
        ("data.strip_whitespace=yes", '--set: data.strip_whitespace: expected true or false, got "yes"'),
        ("model.dropout=1.5", "--set: model.dropout: expected a number of at least 0 and at most 1, or null, got 1.5"),
        (
            "data.train_files=a.tsv",
            '--set: data.train_files: expected a list of texts, got "a.tsv"; a list of one is ["a.tsv"]',
        ),
        ('data.labels=["a", 3]', "--set: data.labels[1]: expected a text, got 3"),
        ('train.domains=["a", 3]', "--set: train.domains[1]: expected a text, got 3"),
        ("mft.preset=papr", '--set: mft.preset: expected one of "paper", "easytransfer", "recommended", got "papr"'),
        ("train=3", "--set: train: expected an object {...}, got 3"),
    ],
)
def test_bad_overrides(write, override, message):
    assert errors_of(write(SMALL), [override]) == [message]


def test_all_errors_at_once_with_cross_checks(write):
    path = write(
        {
            "application": "text_matching",
            "data": {"max_sequence_length": "two", "strip_whitespace": "false", "labels": ["a", "a"]},
            "model": {"weights": "w", "encoder": {}},
            "train": {"epochs": 0},
            "extra": 1,
        }
    )
    assert errors_of(path, ["train.seed=1"], mode="predict") == [
        "output_folder: missing; expected a non-empty text",
        'data.strip_whitespace: expected true or false, got "false"',
        'data.max_sequence_length: expected a whole number of at least 4, got "two"',
        "model.encoder.vocab_size: missing; expected a whole number of at least 1",
        "train.epochs: expected a whole number of at least 1, got 0",
        '--set: train.seed: unknown key, did you mean "runtime.seed"? (its value: 1)',
        errors_of(write({**SMALL, "extra": 1}))[0],
        "data.columns.text_pair: expected a column, since application is text_matching, got null",
        'data.labels: expected each name once ("a" is repeated), got ["a", "a"]',
        "prediction.input_files: expected at least one file for --mode predict, got []",
    ]


def test_unknown_key_far_from_all_lists_the_known_ones(write):
    (line,) = errors_of(write(SMALL, runtime={"zzz": 1}))
    assert line.startswith("runtime.zzz: unknown key, known here: seed, strategy, ")


def test_repeated_keys(write):
    model = '{"weights": "a", "weights": "b", "weights": 3}'
    path = write(f'{{"output_folder": "a", "model": {model}, "output_folder": "b"}}')
    assert errors_of(path) == [
        'output_folder: the key stands here 2 times, with "a", "b"; expected it once',
        'model.weights: the key stands here 3 times, with "a", "b", 3; expected it once',
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1,\n "b" 2}', "line 2, column 6: not valid JSON: Expecting ':' delimiter"),
        ("", "line 1, column 1: not valid JSON: Expecting value"),
        ("[1]", "expected a JSON object {...}, got [1]"),
        (b'{"a": "\xff"}', "not UTF-8: byte 0xff at offset 7"),
    ],
)
def test_unreadable_file(write, content, message):
    assert errors_of(write(content)) == [message]


def test_deep_nesting_is_a_clear_error(write):
    (line,) = errors_of(write("[" * 100_000))
    assert line.startswith("not valid JSON: ")


def test_missing_file_and_folder(tmp_path):
    assert errors_of(tmp_path / "none.json") == ["no such config file"]
    (line,) = errors_of(tmp_path)
    assert line.startswith("cannot be read as a config file: ")


def test_long_values_are_shortened(write):
    (line,) = errors_of(write(SMALL, train={"epochs": "x" * 500}))
    assert line.endswith("x ...")
    assert len(line) < 180


def test_json_schema_knows_the_schema_key():
    schema = config_json_schema()
    assert schema["properties"]["$schema"]["type"] == "string"
    assert schema["additionalProperties"] is False


def test_without_a_home_folder_a_tilde_is_refused(write, monkeypatch):
    """Left as it is, a folder called ~ would be made."""

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    file = write({"output_folder": "~/run", "model": {"weights": "~nobody_here/bert"}})
    with pytest.raises(ConfigError) as error:
        load_config(file)
    expected = "there is no home folder to put in the place of {}; expected the path in full, got {}"
    assert str(error.value).splitlines() == [
        f"{file}: output_folder: {expected.format('~', chr(34) + '~/run' + chr(34))}",
        f"{file}: model.weights: {expected.format('~nobody_here', chr(34) + '~nobody_here/bert' + chr(34))}",
    ]


def test_what_is_written_may_stand_under_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "c.json"
    file.write_text('{"output_folder": "~/run", "data": {"cache_folder": "~/cache"}}')
    config = load_config(file)
    assert (config.output_folder, config.data.cache_folder) == (f"{tmp_path}/run", f"{tmp_path}/cache")


def test_white_space_in_a_key_is_shown(write):
    path = write(SMALL, train={"epochs ": 3})
    with pytest.raises(ConfigError, match='train."epochs ": unknown key, did you mean "epochs"'):
        load_config(path)
