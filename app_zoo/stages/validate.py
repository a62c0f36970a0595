"""--mode validate: read every file once and report what is in it, before anything is trained."""

import json
from contextlib import nullcontext
from dataclasses import asdict

import numpy as np

from app_zoo.base import Application
from app_zoo.run_folder import check_writable
from easymft.data.validation import TokenCounter, validate_files
from easymft.data.validation_text import print_report
from easymft.files import replacing
from easymft.progress import plain_console

_NO_CUT = 1 << 20  # tokens; longer than any text


def run(app: Application) -> None:
    """Writes the report to validation.json and prints it."""
    count_tokens = _token_counter(app)
    target = app.folder.path / "validation.json"
    if not app.dry_run:
        check_writable("output_folder", app.folder.path)
    with app.skipped_rows("all") or nullcontext() as skipped_rows:
        report = validate_files(app.config.data, pair=app.pair, count_tokens=count_tokens, skipped_rows=skipped_rows)
    if not app.dry_run:  # before it is shown, as perhaps nobody reads on
        with replacing(target) as part:
            part.write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print_report(report, plain_console())
    if not app.dry_run:
        print(f"report: {target}", flush=True)


def _token_counter(app: Application) -> TokenCounter | None:
    """Counts tokens with the vocabulary of `model.weights`; without weights only words are counted."""
    model = app.config.model
    if model.weights is None and model.vocabulary_file is None:
        return None
    # Only here: without weights, validation does not wait for TensorFlow.
    from easymft.data.text_preprocessor import TextPreprocessor
    from easymft.model_zoo.opening import look_at_model

    vocabulary, config, source, notes = look_at_model(model)
    if config is not None:
        app.check_encoder(config, source)
    for note in notes:
        print(f"note: {note}", flush=True)
    preprocessor = TextPreprocessor(vocabulary, _NO_CUT)

    def count(texts: list[str], pairs: list[str] | None) -> tuple[np.ndarray, np.ndarray]:
        ids, _ = preprocessor.tokenize(texts, pairs)
        unknown = ids.with_values(ids.values == vocabulary.ids["[UNK]"])
        return ids.row_lengths().numpy(), unknown.to_tensor(False).numpy().sum(1)

    return count
