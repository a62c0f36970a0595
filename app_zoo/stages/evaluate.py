"""--mode evaluate: metrics of a finished run, by domain, on any labelled files."""

from pathlib import Path

import numpy as np

from app_zoo.base import Application, Maps
from app_zoo.inputs import load_tokens
from app_zoo.run_folder import check_writable
from app_zoo.stages.fitting import measure
from app_zoo.stages.trained import PartInference, TrainedRun, open_run
from easymft.data.bad_rows import SkippedRows
from easymft.data.label_map import LabelMap
from easymft.data.reading import OPTIONAL_OUTSIDE_TRAINING, read_examples
from easymft.data.token_dataset import TokenDataset
from easymft.data.vocabulary import Vocabulary
from easymft.errors import DataError
from easymft.evaluation.metrics import DomainMetrics
from easymft.evaluation.plots import draw_confusion_matrix, save_figure
from easymft.evaluation.reports import metrics_table, print_table, tell_never_predicted, write_metrics
from easymft.model_zoo.tokenizer_files import read_vocabulary
from easymft.training.resume import remove_state


def run(app: Application) -> None:
    """Evaluates the run in the output folder on `data.test_files`; writes evaluation.json and a confusion matrix."""
    trained = open_run(app)
    trained.check_domain_column()
    target = Path(app.config.evaluation.metrics_file or app.folder.path / "evaluation.json")
    check_writable("evaluation.metrics_file", target, file=True)
    evaluate_splits(app, trained, target, splits=("test",))


def tell_finished(app: Application) -> None:
    """Says that the training run in the output folder is finished; evaluates it if it was stopped before that."""
    app.folder.tidy(app.config)
    remove_state(app.folder.path)
    print(f"already finished: {app.folder.path}", flush=True)
    if not metrics_file(app).exists():
        evaluate_trained(app)


def evaluate_trained(app: Application) -> None:
    """Measures a finished training run, if the config says so."""
    if app.config.evaluation.after_training:
        evaluate_splits(app, open_run(app), metrics_file(app))


def metrics_file(app: Application) -> Path:
    """Where the metrics of a training run go."""
    return Path(app.config.evaluation.metrics_file or app.folder.path / "metrics.json")


def prepare_evaluation(app: Application, maps: Maps, parts: list[str], vocabulary: Vocabulary) -> None:
    """Checks and tokenises what a training run will be evaluated on, since hours later is too late to say it is bad.

    Args:
        app: The application.
        maps: Of the run.
        parts: Its models.
        vocabulary: Of its weights.

    Raises:
        ConfigError: The metrics cannot be written.
        DataError: The test files cannot be used.
    """
    if not app.config.evaluation.after_training:
        return
    check_writable("evaluation.metrics_file", metrics_file(app), file=True)
    if app.config.data.test_files:
        _load_split(app, "test", maps, parts, vocabulary)


def evaluate_splits(
    app: Application, run: TrainedRun, target: Path, splits: tuple[str, ...] = ("dev", "test")
) -> None:
    """Evaluates the run's best models on the config's dev and test files, those that are given.

    Writes {"dev": ..., "test": ...} to `target`, a confusion matrix beside it, and shows a table of each.
    """
    results, inference = {}, PartInference(app, run)
    for split in splits:
        files = getattr(app.config.data, f"{split}_files")
        if files:
            results[split] = _evaluate(app, run, split, inference)
            print_table(metrics_table(results[split], title=f"{app.folder.path}: {split} files"))
            line = tell_never_predicted(results[split], f"{split} files")
            if line:
                print(f"note: {line}", flush=True)
    if app.dry_run or not results:
        return
    write_metrics(target, results)
    last = list(results)[-1]
    overall = results[last]["overall"]["confusion_matrix"]
    figure = draw_confusion_matrix(overall, run.maps.labels.names, title=f"{last} files")
    save_figure(figure, target.with_name(f"{target.stem}_confusion_matrix.png"))
    print(f"metrics: {target}", flush=True)


def _evaluate(app: Application, run: TrainedRun, split: str, inference: PartInference) -> dict:
    vocabulary = read_vocabulary(run.model_folder(run.parts[0]), None, None)
    tokens, maps = _load_split(app, split, run.maps, run.parts, vocabulary)
    metrics = DomainMetrics(maps.labels.names, maps.domains.names)
    left_out = tokens.num_examples
    for part in run.parts:
        rows = np.arange(tokens.num_examples)
        if part:
            rows = np.flatnonzero(tokens.domain_ids == maps.domains.index(part))
        left_out -= len(rows)
        if not len(rows):
            continue
        rows = rows[: app.config.evaluation.batch_size] if app.dry_run else rows
        measure(app, inference(part), tokens, rows, metrics)
    if left_out == tokens.num_examples:
        raise DataError(
            f"data.{split}_files: no row is of a domain that the run in {app.folder.path} has a model for, "
            f"expected some of {', '.join(run.parts)}"
        )
    if left_out:
        print(f"{left_out} rows are of domains that this run has no model for; they are not evaluated", flush=True)
    return metrics.result()


def _load_split(
    app: Application, split: str, maps: Maps, parts: list[str], vocabulary: Vocabulary
) -> tuple[TokenDataset, Maps]:
    """Tokens, with maps that know all their domains: a single model is evaluated on those it was not trained on too."""
    if parts == [""] and app.config.data.columns.domain is None:
        maps = Maps(maps.labels, LabelMap(("",)))  # nothing to tell the rows apart by
    elif parts == [""]:
        maps = _with_new_domains(app, maps, split)
    return load_tokens(app, split, maps, vocabulary), maps


def _with_new_domains(app: Application, maps: Maps, split: str) -> Maps:
    """Those of the test files are the more to be measured where the training left them out; dev is as in training."""
    found: set[str] = set()
    # Skipped rows are listed when the same files are tokenised.
    for batch in read_examples(
        getattr(app.config.data, f"{split}_files"),
        app.config.data,
        pair=app.pair,
        optional_columns=OPTIONAL_OUTSIDE_TRAINING,
        skipped_rows=SkippedRows(None),
    ):
        found.update(batch.domain or [])
    left_out = app.config.data.subset.exclude_domains if split == "dev" else ()
    new = sorted(found.difference(maps.domains.names, left_out))
    return Maps(maps.labels, LabelMap((*maps.domains.names, *new)) if new else maps.domains)
