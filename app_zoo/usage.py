"""The texts of `easymft --help` and `easymft --mode MODE --help`."""

import platform
import textwrap
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from app_zoo.registry import MODES
from easymft import __version__

_WIDTH = 79  # of a terminal, less the cursor's place

_GENERAL = """\
EasyMFT: meta fine-tuning of BERT over several text domains.

usage: easymft --mode MODE --config FILE.json [--set section.key=value ...]
       (--mode may be left out: easymft MODE ...)

modes:
{modes}

options:
{options}

examples:
  easymft validate  --config my.json
  easymft meta_tune --config my.json --set train.epochs=3
  easymft predict   --config my.json --set 'prediction.input_files=["new.tsv"]'

Exit code: 0 done, 2 a mistake in the config, the data or the command (one line
each on stderr), 130 interrupted (training goes on where it stopped when the
same command is given again).
"""

_OPTIONS = {
    "--config FILE": "the JSON config; --sample writes some to begin with, and a schema that helps editors",
    "--set section.key=value": "replaces a setting of the file; repeatable; the value is JSON or a plain string",
    "--dry_run": "load everything, run one batch (experiment: count the jobs), stop",
    "--dump_config": "print the whole config with its presets resolved, and stop",
    "--sample FOLDER": "write a small data set, configs for it and the schema to FOLDER, and stop",
    "--version": "versions of EasyMFT, Python and TensorFlow",
    "--help": "this text; with --mode, what that mode needs, reads and writes",
}

_MODE = """\
{help}

{parts}

example:
  {example}

All settings with their meaning: schema.json, which --sample writes.
All modes and options: easymft --help.
"""

_TRAINED = "output_folder=runs/my_finetune"


class _ModeText(NamedTuple):
    needs: str
    sections: str
    settings: str
    writes: str
    example: str


_MODE_TEXTS: dict[str, _ModeText] = {
    "validate": _ModeText(
        "output_folder, files in data.train_files, dev_files or test_files",
        "data, model (its vocabulary)",
        "data.columns, format, header, quoting, labels, domains, bad_rows, max_sequence_length",
        "a report on the screen and output_folder/validation.json; with data.bad_rows skip, skipped_rows_all.tsv there",
        "easymft --mode validate --config my.json --set data.bad_rows=skip",
    ),
    "typicality": _ModeText(
        "output_folder, data.train_files, data.columns.label and .domain, model.weights",
        "data, model, mft.preset, mft.typicality, runtime",
        "mft.typicality.alpha, embedding, out_of_domain, center, whiten, rescale_to_mean_1, decimals",
        "output_folder: scored.tsv (or .csv ..., as the input), prototypes.npz, typicality.md and .png, tensorboard/",
        "easymft --mode typicality --config my.json --set output_folder=runs/scores",
    ),
    "meta_tune": _ModeText(
        "output_folder, data.train_files, data.columns.label and .domain, model.weights",
        "data, model, mft, baseline, train, evaluation, runtime",
        "mft.preset, weighting, domain_loss_weight; train.epochs, learning_rate, global_batch_size, monitor",
        "output_folder: best/, last/ (Hugging Face folders), metrics.json, tensorboard/; typicality/ where computed",
        "easymft --mode meta_tune --config my.json --set output_folder=runs/my_mft",
    ),
    "finetune": _ModeText(
        "output_folder, data.train_files, data.columns.label, model.weights (or the folder of a meta_tune run)",
        "data, model, mft (its preset), train, evaluation, runtime",
        'train.domains ("all", "union" or a list), epochs, learning_rate; model.head (auto, fresh or transfer)',
        "output_folder/<domain>: best/, last/, tuned/ (best before averaging), tensorboard/; metrics.json by domain",
        "easymft --mode finetune --config my.json --set model.weights=runs/my_mft \\\n"
        f"          --set {_TRAINED}",
    ),
    "evaluate": _ModeText(
        "output_folder (that of a finished run), data.test_files, data.columns.label",
        "data, evaluation, runtime",
        "evaluation.batch_size, metrics_file",
        "evaluation.metrics_file, by default output_folder/evaluation.json; a table on the screen",
        f"easymft --mode evaluate --config my.json --set {_TRAINED}",
    ),
    "predict": _ModeText(
        "output_folder (that of a finished run), prediction.input_files; no labels",
        "data (columns and format), prediction, runtime",
        "prediction.output_file (.csv, .tsv, .jsonl, .parquet or .xlsx), batch_size, chunk_size",
        "prediction.output_file, by default output_folder/predictions.tsv (or .csv ..., as the input): all rows "
        "in order, your own columns, the label, its probabilities; with data.bad_rows skip a bad row's problem",
        f"easymft --mode predict --config my.json --set {_TRAINED} \\\n"
        "          --set 'prediction.input_files=[\"new.tsv\"]'",
    ),
    "export": _ModeText(
        "output_folder (that of a finished run)",
        "export",
        "export.folder, version, embeddings_signature",
        "export.folder/[<domain>/]<version>, by default output_folder/saved_model: SavedModels with their label maps",
        f"easymft --mode export --config my.json --set {_TRAINED}",
    ),
    "experiment": _ModeText(
        "output_folder, data.train_files, dev_files and test_files, columns.label and .domain, model.weights",
        "data, model, mft, train, experiment, runtime",
        "experiment.methods, variants, seeds, learning_rates, setting, shares, examples_per_class, joint_epochs",
        "output_folder: cells/ (a file for each result), failures/, logs/, summary/ (tables, pictures, index.html)",
        "easymft --mode experiment --config my.json --set output_folder=runs/tests",
    ),
    "convert": _ModeText(
        "output_folder, model.weights",
        "model, convert",
        "convert.format (huggingface, tf1, tf2), folder; model.weights_format where auto is wrong",
        "convert.folder, by default output_folder/converted; the largest difference on a probe batch",
        "easymft --mode convert --config my.json --set convert.format=tf1 \\\n"
        "          --set output_folder=runs/my_bert",
    ),
}


def render_help(mode: str | None) -> str:
    """Returns the help of `mode` (a key of `MODES`), or the general one for None, for a terminal of 80 columns."""
    if mode is None:
        return _GENERAL.format(
            modes=_listed({name: entry.help for name, entry in MODES.items()}, "  "), options=_listed(_OPTIONS, "  ")
        )
    parts = _MODE_TEXTS[mode]._asdict()
    example = parts.pop("example")
    return _MODE.format(
        help=_filled(f"easymft --mode {mode}: {MODES[mode].help}.", ""), parts=_listed(parts, ""), example=example
    )


def _listed(texts: dict[str, str], indent: str) -> str:
    """A paragraph for each text, its name before it."""
    width = max(map(len, texts)) + 2
    rest = " " * (len(indent) + width)
    return "\n".join(_filled(f"{indent}{name:{width}}{text}", rest) for name, text in texts.items())


def _filled(text: str, rest: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False)


def render_version() -> str:
    """Returns a line with the versions that a report of a problem should name."""
    try:
        tensorflow = version("tensorflow")  # read from its metadata: importing it takes seconds
    except PackageNotFoundError:
        tensorflow = "none installed"
    return f"easymft {__version__} (Python {platform.python_version()}, TensorFlow {tensorflow})\n"
