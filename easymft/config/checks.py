"""Checks that concern several settings at once, and what each mode needs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from easymft.config.expectations import PathParts, format_path, format_value, nearest
from easymft.config.presets import DOMAIN_LOSS_WEIGHT, WEIGHTING, preset_value
from easymft.config.schema import ExperimentConfig, MethodName
from easymft.config.text_files import find_text_file_problems
from easymft.errors import ConfigError


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config.

    Attributes:
        path: Where, as parts; () is the config as a whole.
        message: What was expected and what was found.
        depends_on: Other paths the judgement rests on; where one of them is itself wrong, the problem is not reported.
    """

    path: PathParts
    message: str
    depends_on: tuple[PathParts, ...] = ()

    def __str__(self) -> str:
        """Returns one line: the path and the message."""
        return f"{format_path(self.path)}: {self.message}"


def find_conflicts(config: ExperimentConfig) -> list[Problem]:
    """Returns everything in `config` (presets resolved) that cannot go together, whatever the mode."""
    checks = (_check_columns, _check_files, _check_names, _check_subset)
    checks += (_check_model, _check_mft, _check_train, _check_outputs, _check_experiment)
    return [problem for check in checks for problem in check(config)]


def find_mode_problems(config: ExperimentConfig, mode: str) -> list[Problem]:
    """Returns what `config` lacks for `mode`.

    Raises:
        ConfigError: The mode is unknown.
    """
    if mode not in _MODE_NEEDS:
        raise ConfigError(f"unknown mode {format_value(mode)}; {nearest(mode, list(_MODE_NEEDS))}")
    problems = [
        _problem(config, path, f"{expected} for --mode {mode}{_OTHER_WAY.get((mode, path), '')}")
        for path, expected in _MODE_NEEDS[mode]
        if _value(config, path) in (None, [])
    ]
    if mode == "validate" and not any(
        (config.data.train_files, config.data.dev_files, config.data.test_files)
    ):
        problems.append(
            _problem(config, "data.train_files", "files here, in dev_files or in test_files for --mode validate")
        )
    if mode in _MODES_THAT_LOAD_WEIGHTS and config.model.initialization == "weights" and config.model.weights is None:
        expected = 'a name or folder (or model.initialization "random")'
        problems.append(_problem(config, "model.weights", f"{expected} for --mode {mode}", "model.initialization"))
    if mode != "meta_tune" and config.baseline.method != "none":
        problems.append(_problem(config, "baseline.method", f'"none" for --mode {mode}'))
    if mode == "meta_tune" and isinstance(config.train.domains, list):
        why = '"all" for --mode meta_tune, where data.subset.exclude_domains leaves domains out'
        problems.append(_problem(config, "train.domains", why))
    corrupts = mode == "meta_tune" and config.baseline.method == "none" and config.mft.domain_loss_weight
    if corrupts and config.mft.layer_pooling == "all_positions" and config.data.padding == "longest":
        why = '"real_tokens" where data.padding is "longest", as a mean over padding would depend on the batch'
        problems.append(_problem(config, "mft.layer_pooling", why, "data.padding"))
    if mode == "convert" and config.model.initialization == "random":
        problems.append(_problem(config, "model.initialization", f'"weights" for --mode {mode}'))
    if mode in ("meta_tune", "finetune") and config.train.early_stopping_patience and not config.data.dev_files:
        problems.append(
            _problem(config, "data.dev_files", "at least one file for early stopping", "train.early_stopping_patience")
        )
    if mode == "experiment":
        problems += _find_experiment_problems(config)
    return problems


_NOT_AS_OFTEN = "null: methods of one stage and of two would not pass as often over their examples"


def _find_experiment_problems(config: ExperimentConfig) -> Iterator[Problem]:
    """Settings under which methods would not be what their names say, or amounts not what the table says."""
    expected = {
        "data.columns.typicality": (None, "null: each job scores the rows that it may know the labels of"),
        "data.subset.share": (None, "null: experiment.shares decides"),
        "data.subset.examples_per_class": (None, "null: experiment.examples_per_class decides"),
        "mft.typicality.permute": (False, "false: the methods decide"),
        "train.max_steps": (None, _NOT_AS_OFTEN),
        "train.early_stopping_patience": (None, _NOT_AS_OFTEN),
    }
    for path, (value, text) in expected.items():
        if _value(config, path) != value:
            yield _problem(config, path, f"{text}, for --mode experiment")
    for path, without in ((WEIGHTING, "none"), (DOMAIN_LOSS_WEIGHT, 0.0)):
        if _value(config, path) == without != preset_value(config.mft.preset, path):
            yield _problem(config, path, "null for --mode experiment, or a value that is in use: the methods decide")
    few = config.experiment
    if few.setting in ("all_then_few", "few_both") and not few.shares and not few.examples_per_class:
        yield _problem(config, "experiment.setting", '"full", or an amount in experiment.shares or .examples_per_class')


def check_mode(config: ExperimentConfig, mode: str) -> None:
    """Checks that `config` holds what `mode` needs.

    Raises:
        ConfigError: Something is missing, or the mode is unknown; one line for each problem.
    """
    problems = find_mode_problems(config, mode)
    if problems:
        raise ConfigError("\n".join(map(str, problems)))


_TRAIN = ("data.train_files", "at least one file")
_LABEL = ("data.columns.label", "a column")
_DOMAIN = ("data.columns.domain", "a column")
_WEIGHTS = ("model.weights", "weights")
_MODE_NEEDS: dict[str, tuple[tuple[str, str], ...]] = {
    "validate": (),
    "typicality": (_TRAIN, _LABEL, _DOMAIN),
    "meta_tune": (_TRAIN, _LABEL, _DOMAIN),
    "finetune": (_TRAIN, _LABEL),
    # These three work on the run in output_folder, whose weights are its own.
    "evaluate": (("data.test_files", "at least one file"), _LABEL),
    "predict": (("prediction.input_files", "at least one file"),),
    "export": (),
    "convert": (_WEIGHTS,),
    "experiment": (
        _TRAIN,
        ("data.dev_files", "at least one file"),
        ("data.test_files", "at least one file"),
        _LABEL,
        _DOMAIN,
    ),
}
# What a user may want instead, where a setting is missing.
_OTHER_WAY = {
    ("meta_tune", "data.columns.domain"): " (without domains use --mode finetune)",
}
_MODES_THAT_LOAD_WEIGHTS = ("typicality", "meta_tune", "finetune", "experiment")


def _value(config: ExperimentConfig, path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _problem(config: ExperimentConfig, path: str, expected: str, *depends_on: str) -> Problem:
    message = f"expected {expected}, got {format_value(_value(config, path))}"
    return Problem(tuple(path.split(".")), message, tuple(tuple(other.split(".")) for other in depends_on))


def _duplicates(values: Sequence[Any]) -> list[Any]:
    return sorted({value for value in values if values.count(value) > 1})


def _check_columns(config: ExperimentConfig) -> Iterator[Problem]:
    pair = "data.columns.text_pair"
    columns = config.data.columns
    if config.application == "text_matching" and columns.text_pair is None:
        yield _problem(config, pair, "a column, since application is text_matching", "application")
    if config.application == "text_classification" and columns.text_pair is not None:
        yield _problem(config, pair, "null, since application is text_classification, not text_matching", "application")
    taken: dict[Any, str] = {}
    for name, column in columns.model_dump().items():
        if column is None or name == "id":
            continue
        if column in taken:
            others = f"data.columns.{taken[column]}"
            yield _problem(config, f"data.columns.{name}", f"a column other than that of {taken[column]}", others)
        taken.setdefault(column, name)
        yield from _check_column_name(config, name, column)


def _check_column_name(config: ExperimentConfig, name: str, column: str | int) -> Iterator[Problem]:
    data, path = config.data, f"data.columns.{name}"
    if data.format in ("jsonl", "parquet"):
        return
    if data.column_names is None:
        if data.header is False and isinstance(column, str):
            expected = "a column number, since the files have no header and data.column_names is null"
            yield _problem(config, path, expected, "data.header", "data.column_names", "data.format")
    elif isinstance(column, str) and column not in data.column_names:
        hint = nearest(column, data.column_names)
        yield _problem(config, path, f"a name in data.column_names ({hint})", "data.column_names", "data.format")
    elif isinstance(column, int) and column >= len(data.column_names):
        expected = f"a number below {len(data.column_names)}, the count of data.column_names"
        yield _problem(config, path, expected, "data.column_names", "data.format")


def _check_files(config: ExperimentConfig) -> Iterator[Problem]:
    for path in ("data.train_files", "data.dev_files", "data.test_files", "prediction.input_files"):
        files = _value(config, path)
        for file in _duplicates(files):
            yield _problem(config, path, f"each file once ({format_value(file)} is repeated)")
        if "" in files:
            yield _problem(config, path, "names of files or globs, none of them empty")
    for path, expected in find_text_file_problems(config.data):
        yield _problem(config, path, expected)


def _check_names(config: ExperimentConfig) -> Iterator[Problem]:
    for path, least in (("data.labels", 2), ("data.domains", 1), ("data.column_names", 1)):
        names = _value(config, path)
        if names is None:
            continue
        if len(names) < least:
            yield _problem(config, path, f"at least {least} names, or null")
        for name in _duplicates(names):
            yield _problem(config, path, f"each name once ({format_value(name)} is repeated)")
        if "" in names:
            yield _problem(config, path, "names, none of them empty")
    if config.data.domains and config.data.columns.domain is None:
        yield _problem(config, "data.domains", "null where data.columns.domain is null", "data.columns.domain")


def _check_model(config: ExperimentConfig) -> Iterator[Problem]:
    model = config.model
    if model.initialization == "weights":
        if model.weights == "":
            yield _problem(config, "model.weights", "a name or folder", "model.initialization")
        if model.encoder is not None:
            expected = 'null unless model.initialization is "random"; the weights decide the shape'
            yield Problem(("model", "encoder"), f"expected {expected}", (("model", "initialization"),))
    elif not model.weights:
        for name, expected in (("encoder", "the encoder's shape"), ("vocabulary_file", "a vocab.txt")):
            if getattr(model, name) is None:
                why = f"{expected}, since the encoder is random and model.weights is null"
                yield _problem(config, f"model.{name}", why, "model.initialization", "model.weights")
    if model.initialization == "random" and model.head == "transfer":
        yield _problem(config, "model.head", '"fresh", since the encoder is random', "model.initialization")
    for name in ("dropout", "attention_dropout", "head_dropout"):
        if (getattr(model, name) or 0.0) >= 1.0:
            yield _problem(config, f"model.{name}", "a number below 1")
    if model.encoder is not None:
        yield from _check_encoder(config)


def _check_encoder(config: ExperimentConfig) -> Iterator[Problem]:
    shape = config.model.encoder
    if shape is None:
        return
    if shape.hidden_size % shape.num_attention_heads:
        expected = f"a multiple of num_attention_heads ({shape.num_attention_heads})"
        yield _problem(config, "model.encoder.hidden_size", expected, "model.encoder.num_attention_heads")
    if shape.max_position_embeddings < config.data.max_sequence_length:
        expected = f"at least data.max_sequence_length ({config.data.max_sequence_length})"
        yield _problem(config, "model.encoder.max_position_embeddings", expected, "data.max_sequence_length")


def _check_subset(config: ExperimentConfig) -> Iterator[Problem]:
    subset = config.data.subset
    if subset.share is not None and subset.examples_per_class is not None:
        yield _problem(config, "data.subset.share", "null where data.subset.examples_per_class is given")
    for name in _duplicates(subset.exclude_domains):
        yield _problem(config, "data.subset.exclude_domains", f"each domain once ({format_value(name)} is repeated)")
    if subset.exclude_domains and config.data.columns.domain is None:
        yield _problem(config, "data.subset.exclude_domains", "no domain where data.columns.domain is null")


_DECIDED_BY_EXPERIMENT = (
    "output_folder",
    "data.train_files",
    "data.dev_files",
    "data.test_files",
    "model.weights",
    "train.domains",
    "train.epochs",
    "train.learning_rate",
    "train.max_steps",
    "train.early_stopping_patience",
    "runtime.seed",
)


def _check_experiment(config: ExperimentConfig) -> Iterator[Problem]:
    experiment = config.experiment
    for name in ("methods", "seeds", "learning_rates", "shares", "examples_per_class", "domains", "selection_seeds"):
        for value in _duplicates(getattr(experiment, name) or []):
            yield _problem(config, f"experiment.{name}", f"each value once ({format_value(value)} is repeated)")
    for seed in experiment.selection_seeds or []:
        if seed not in experiment.seeds:
            yield _problem(config, "experiment.selection_seeds", f"some of experiment.seeds ({seed} is none of them)")
    few = experiment.shares + experiment.examples_per_class
    if experiment.setting == "full" and few:
        path = "experiment.shares" if experiment.shares else "experiment.examples_per_class"
        yield _problem(config, path, 'none where experiment.setting is "full"', "experiment.setting")
    used = experiment.methods + [variant.method for variant in experiment.variants.values()]
    if experiment.setting == "unseen_target" and "mtl" in used:
        yield _problem(config, "experiment.methods", "no mtl where the target is unseen: it has no head for it")
    for name, variant in experiment.variants.items():
        if name in get_args(MethodName):
            message = "expected a name that is no method's, to tell the two apart"
            yield Problem(("experiment", "variants", name), message)
        if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.]*", name):
            message = "expected a name of letters, digits, _ and ., as files will have it"
            yield Problem(("experiment", "variants", name), message)
        where = ("experiment", "variants", name, "finetune_settings")
        if variant.finetune_settings and variant.method in ("mix", "mtl", "adversarial"):
            yield Problem(where, f"expected none, as {variant.method} has no fine-tuning")
        if "mft.preset" in variant.finetune_settings:
            yield Problem(where, "expected no mft.preset, which is of all stages; name it in settings")
        for path, value in (variant.settings | variant.finetune_settings).items():
            where = ("experiment", "variants", name, "settings")
            if isinstance(value, dict):
                yield Problem(where, f"expected settings one by one, such as {path}.{next(iter(value), '...')}")
            if path in _DECIDED_BY_EXPERIMENT or path.startswith(("experiment", "data.subset")):
                yield Problem(where, f"expected settings that the experiment does not decide, got {path!r}")


def _check_mft(config: ExperimentConfig) -> Iterator[Problem]:
    layers = config.mft.layers
    if config.mft.typicality.permute and config.mft.weighting == "none":
        yield _problem(config, "mft.typicality.permute", 'false where mft.weighting is "none"', "mft.weighting")
    if layers is None:
        return
    if not layers:
        yield _problem(config, "mft.layers", "at least one layer, or null (no corruption: mft.domain_loss_weight 0)")
    for layer in _duplicates(layers):
        yield _problem(config, "mft.layers", f"each layer once ({layer} is repeated)")
    if config.model.encoder is None:
        return
    count = config.model.encoder.num_layers
    for index in [layer for layer in layers if not -count <= layer < count]:
        expected = f"layers from {-count} to {count - 1} ({index} is outside)"
        yield _problem(config, "mft.layers", expected, "model.encoder.num_layers")
    for index in _duplicates([layer % count for layer in layers]) if not _duplicates(layers) else []:
        expected = f"each layer once ({index} is also {index - count})"
        yield _problem(config, "mft.layers", expected, "model.encoder.num_layers")


def _check_train(config: ExperimentConfig) -> Iterator[Problem]:
    train = config.train
    if isinstance(train.domains, list):
        if not train.domains:
            yield _problem(config, "train.domains", 'at least one domain, "all" or "union"')
        for name in _duplicates(train.domains):
            yield _problem(config, "train.domains", f"each domain once ({format_value(name)} is repeated)")
        if config.data.columns.domain is None:
            yield _problem(config, "train.domains", '"all" where data.columns.domain is null', "data.columns.domain")
        for name in train.domains:
            if config.data.domains and name not in config.data.domains:
                hint = f"{format_value(name)} is none; {nearest(name, config.data.domains)}"
                yield _problem(config, "train.domains", f"names in data.domains ({hint})", "data.domains")
    for name in ("beta_1", "beta_2"):
        if getattr(train, name) >= 1.0:
            yield _problem(config, f"train.{name}", "a number below 1")
    yield from _check_accumulation(config)


def _check_accumulation(config: ExperimentConfig) -> Iterator[Problem]:
    path, train = "train.accumulation_steps", config.train
    if train.accumulation_steps == 1:
        return
    if train.accumulation_steps > train.global_batch_size:
        expected = f"at most train.global_batch_size ({train.global_batch_size})"
        yield _problem(config, path, expected, "train.global_batch_size")
    if train.clip_repeated_rows == "separate":
        why = "1 where train.clip_repeated_rows (preset easytransfer) is separate, as the parts' rows are added up"
        yield _problem(config, path, why, "train.clip_repeated_rows", "mft.preset")
    if config.runtime.jit_compile:
        why = "1 where runtime.jit_compile is on, as XLA needs to know where a part begins"
        yield _problem(config, path, why, "runtime.jit_compile")


def _check_outputs(config: ExperimentConfig) -> Iterator[Problem]:
    file = config.prediction.output_file
    if file is not None and not file.lower().endswith((".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")):
        expected = "a file name that ends in .csv, .tsv, .jsonl, .parquet or .xlsx"
        yield _problem(config, "prediction.output_file", expected)
