"""--mode evaluate: metrics of a finished run, by domain, on any labelled files."""

import numpy as np
from rich.console import Console

from app_zoo.base import Application, Maps
from app_zoo.inputs import EVALUATION_OPTIONAL, load_tokens
from app_zoo.stages.fitting import measure
from app_zoo.stages.trained import TrainedRun, load_classifier, open_run
from easymft.data.bad_rows import SkippedRows
from easymft.data.label_map import LabelMap
from easymft.data.reading import read_examples
from easymft.evaluation.metrics import DomainMetrics
from easymft.evaluation.plots import draw_confusion_matrix, save_figure
from easymft.evaluation.reports import metrics_table, print_table, write_metrics
from easymft.model_zoo.bert_files import read_vocabulary
from easymft.training.inference import BatchInference


def run(app: Application) -> None:
    """Evaluates the run in the output folder on `data.test_files`; writes metrics.json and a confusion matrix."""
    evaluate_splits(app, open_run(app), splits=("test",))


def evaluate_splits(app: Application, run: TrainedRun, splits: tuple[str, ...] = ("dev", "test")) -> None:
    """Evaluates the run's best models on the config's dev and test files, those that are given.

    Writes {"dev": ..., "test": ...} to metrics.json and shows a table of each.
    """
    results = {}
    for split in splits:
        files = getattr(app.config.data, f"{split}_files")
        if files:
            results[split] = _evaluate(app, run, split)
            print_table(metrics_table(results[split], title=f"{app.folder.path}: {split} files"))
    if app.dry_run or not results:
        return
    target = app.config.evaluation.metrics_file or app.folder.path / "metrics.json"
    write_metrics(target, results)
    last = list(results)[-1]
    overall = results[last]["overall"]["confusion_matrix"]
    figure = draw_confusion_matrix(overall, run.maps.labels.names, title=f"{last} files")
    save_figure(figure, app.folder.path / "confusion_matrix.png")
    Console().print(f"metrics: {target}", soft_wrap=True)


def _evaluate(app: Application, run: TrainedRun, split: str) -> dict:
    maps = _evaluation_maps(app, run, getattr(app.config.data, f"{split}_files"))
    tokens = load_tokens(app, split, maps, read_vocabulary(run.model_folder(run.parts[0]), None, None))
    metrics = DomainMetrics(maps.labels.names, maps.domains.names)
    left_out = tokens.num_examples
    for part in run.parts:
        rows = np.arange(tokens.num_examples)
        if part:
            rows = np.flatnonzero(tokens.domain_ids == maps.domains.index(part))
        left_out -= len(rows)
        if not len(rows):
            continue
        classifier, _ = load_classifier(app, run, part)
        inference = BatchInference(classifier, ["logits"], app.strategy)
        measure(app, inference, tokens, rows[: app.config.evaluation.batch_size] if app.dry_run else rows, metrics)
    if left_out:
        Console().print(f"{left_out} rows are of domains that this run has no model for; they are not evaluated")
    return metrics.result()


def _evaluation_maps(app: Application, run: TrainedRun, files: list[str]) -> Maps:
    """The run's maps; a single model may also be evaluated on domains that it was not trained on."""
    if run.parts != [""] or app.config.data.columns.domain is None:
        return run.maps
    found: set[str] = set()
    # Skipped rows are listed when the same files are tokenised.
    for batch in read_examples(
        files, app.config.data, pair=app.pair, optional_columns=EVALUATION_OPTIONAL, skipped_rows=SkippedRows(None)
    ):
        found.update(batch.domain or [])
    new = sorted(found.difference(run.maps.domains.names))
    return Maps(run.maps.labels, LabelMap((*run.maps.domains.names, *new)) if new else run.maps.domains)
