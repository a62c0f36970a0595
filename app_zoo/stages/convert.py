"""--mode convert: write weights in another checkpoint format."""

from pathlib import Path

from app_zoo.base import Application
from easymft.model_zoo.convert import convert


def run(app: Application) -> None:
    """Converts `model.weights` and says how far the hidden states of the result differ on a probe batch."""
    settings = app.config.convert
    default = app.work_folder / "converted"
    folder = default if app.dry_run else Path(settings.folder or default)
    difference = convert(app.config.model, settings, folder, app.config.runtime.seed)
    print(f"{folder}: {settings.format}; largest difference of hidden states on a probe batch: {difference:.3g}", flush=True)
