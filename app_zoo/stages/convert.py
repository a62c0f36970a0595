"""--mode convert: write weights in another checkpoint format."""

from app_zoo.base import Application
from easymft.model_zoo.convert import convert


def run(app: Application) -> None:
    """Converts `model.weights` and says how far the hidden states of the result differ on a probe batch."""
    settings = app.config.convert
    if app.dry_run:
        settings = settings.model_copy(update={"folder": None})  # into the scratch folder
    print(convert(app.config.model, settings, app.work_folder, app.config.runtime.seed), flush=True)
