"""--mode export: a SavedModel for TensorFlow Serving, one for each model of a finished run."""

from pathlib import Path

from app_zoo.base import Application
from app_zoo.inputs import padded_length
from app_zoo.run_folder import part_folder
from app_zoo.stages.trained import PartClassifier, TrainedRun, load_preprocessor, open_run
from easymft.export.saved_model import Export, describe, export_saved_model, is_same_export
from easymft.export.serving_commands import MODELS_FILE, curl_command, docker_command, models_config, name_models
from easymft.export.serving_model import ServingModel
from easymft.files import replacing
from easymft.names import cut_name


def run(app: Application) -> None:
    """Exports the run in the output folder and says how to serve it and ask it."""
    _use_serving_runtime(app)
    trained = open_run(app)
    settings = app.config.export
    folder = Path(settings.folder or app.folder.path / "saved_model")
    written_to = app.work_folder / "saved_model" if app.dry_run else folder
    preprocessor = load_preprocessor(trained)
    classifiers = PartClassifier(app, trained)
    for part in trained.parts:
        model = ServingModel(
            classifiers(part),
            preprocessor,
            labels=trained.maps.labels.names,
            pair=app.pair,
            padded_length=padded_length(app),
            embedding="token_mean" if settings.embeddings_signature else None,
            domain=part or None,
        )
        # A dry run says as well that the place is taken.
        is_same_export(part_folder(folder, part) / str(settings.version), describe(model))
        _report(export_saved_model(part_folder(written_to, part), settings.version, model))
    if not app.dry_run:
        _show_commands(app, trained, folder)


def _use_serving_runtime(app: Application) -> None:
    """A SavedModel computes in float32 and is written from one device, however the model was trained."""
    runtime = app.config.runtime
    if runtime.precision.startswith("mixed_"):
        print(f"runtime.precision {runtime.precision} is for training; the SavedModel computes in float32", flush=True)
    runtime.precision = "float32"
    runtime.strategy = "one_device"


def _report(export: Export) -> None:
    size = f"{export.path}: {export.num_bytes / 1e6:.1f} MB"
    if export.already_there:
        print(f"already exported: {size}", flush=True)
    else:
        difference = f"probabilities differ by at most {export.largest_difference:.1e}"
        print(f"SavedModel: {size}; loaded again in {export.load_seconds:.1f} s, {difference}", flush=True)


def _show_commands(app: Application, trained: TrainedRun, folder: Path) -> None:
    several = trained.parts != [""]
    (served,) = name_models([app.folder.path.resolve().name])
    models = name_models(trained.parts) if several else [served]
    if several:
        folders = [part_folder(Path(), part).name for part in trained.parts]
        with replacing(folder / MODELS_FILE) as part_file:
            text = models_config(f"/models/{served}", dict(zip(models, folders, strict=True)))
            part_file.write_text(text, encoding="utf-8")
        pairs = zip(trained.parts, models, strict=True)
        print(f"models: {', '.join(name if name == part else f'{cut_name(part)} as {name}' for part, name in pairs)}")
    print(f"serve:  {docker_command(folder, served, several=several)}")
    print(f"ask:    {curl_command(models[0], pair=app.pair)}")
    if app.config.export.embeddings_signature:
        print(f"embed:  {curl_command(models[0], pair=app.pair, signature='embeddings')}")
