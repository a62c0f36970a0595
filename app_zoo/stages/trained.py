"""Loading what a training run left behind: its config, maps, and one classifier or one for each domain."""

from dataclasses import dataclass
from pathlib import Path

from app_zoo.base import Application, Maps
from app_zoo.run_folder import part_folder
from app_zoo.stages.fitting import build_classifier, transfer_head
from easymft.config.schema import ExperimentConfig, ModelConfig
from easymft.data.labels import load_maps
from easymft.data.text_preprocessor import TextPreprocessor
from easymft.errors import ConfigError
from easymft.model_zoo.folders import check_folder, restore_folder
from easymft.model_zoo.pretrained import refill
from easymft.model_zoo.tokenizer_files import read_vocabulary
from easymft.modeling.classifier import TextClassifier
from easymft.training.inference import BatchInference

# What decides how a text becomes token ids is the run's. A config that works on the run may repeat the first three, but
# not change them; the others may come from a preset, which says nothing about the run.
_FROM_THE_RUN = ("max_sequence_length", "labels", "domains", "truncation_tie", "padding")
_MAY_BE_REPEATED = _FROM_THE_RUN[:3]


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run.

    Attributes:
        folder: Its folder.
        config: The config to work with: the caller's files and columns, the run's model and tokens.
        maps: Its classes and domains.
        parts: Its models: names of domains, or "" for the only one.
    """

    folder: Path
    config: ExperimentConfig
    maps: Maps
    parts: list[str]

    def model_folder(self, part: str) -> Path:
        """Where the best weights of one of `parts` stand."""
        return part_folder(self.folder, part) / "best"

    def check_domain_column(self) -> None:
        """Raises ConfigError where there are several models and no column says which one a row is for."""
        if self.parts != [""] and self.config.data.columns.domain is None:
            raise ConfigError(
                f"data.columns.domain: the run in {self.folder} has a model for each domain "
                f"({', '.join(self.parts)}), expected a column that says which one to use"
            )


def open_run(app: Application) -> TrainedRun:
    """The run in the app's output folder; from here on the app uses its token settings.

    Raises:
        ConfigError: There is none, or the config contradicts it.
    """
    saved = app.folder.read_config()
    config = app.config
    if config.application != saved.application:
        raise ConfigError(
            f"application: {app.folder.path} is a run of {saved.application}, received {config.application}"
        )
    maps = Maps(*load_maps(app.folder.path / "maps.json"))
    saved.data.labels = list(maps.labels.names)  # known, even where the run's config left them to the train files
    for name in _FROM_THE_RUN:
        ours, theirs = getattr(config.data, name), getattr(saved.data, name)
        given = name in _MAY_BE_REPEATED and name in config.data.model_fields_set
        if given and ours is not None and theirs is not None and ours != theirs:
            raise ConfigError(f"data.{name}: the run in {app.folder.path} has {theirs!r}, received {ours!r}")
        setattr(config.data, name, theirs)
    config.model = saved.model
    app.strategy  # noqa: B018  What comes next starts TensorFlow, which then splits no CPU any more.
    run = TrainedRun(app.folder.path, config, maps, app.folder.status()["models"])
    for part in run.parts:
        restore_folder(run.model_folder(part))
        check_folder(run.model_folder(part))
    return run


class PartClassifier:
    """The best classifiers of a run's parts, one after the other, as one network that is filled for each.

    Args:
        app: The application.
        run: Whose parts they are.
    """

    def __init__(self, app: Application, run: TrainedRun):
        self._app, self._run = app, run
        self._part: str | None = None

    def __call__(self, part: str) -> TextClassifier:
        """A part's classifier; good until another part is asked for."""
        if self._part is None:
            settings = ModelConfig(weights=str(self._run.model_folder(part)), weights_format="huggingface")
            self._pretrained = self._app.load_encoder(settings)
            self._classifier = build_classifier(self._app, self._pretrained, self._run.maps, "transfer")
        elif part != self._part:
            self._pretrained = refill(self._pretrained, self._run.model_folder(part))
            transfer_head(self._classifier, self._pretrained, self._run.maps)
        self._part = part
        return self._classifier


class PartInference:
    """The logits of a run's parts, one after the other, by one network that is traced once.

    Args:
        app: The application.
        run: Whose parts they are.
    """

    def __init__(self, app: Application, run: TrainedRun):
        self._app = app
        self._classifiers = PartClassifier(app, run)
        self._inference: BatchInference | None = None

    def __call__(self, part: str) -> BatchInference:
        """A part's "logits"; good until another part is asked for."""
        classifier = self._classifiers(part)
        if self._inference is None:
            self._inference = BatchInference(classifier, ["logits"], self._app.strategy)
        return self._inference


def load_preprocessor(run: TrainedRun) -> TextPreprocessor:
    """The run's way from texts to token ids; one for all its parts."""
    data = run.config.data
    vocabulary = read_vocabulary(run.model_folder(run.parts[0]), None, None)
    return TextPreprocessor(vocabulary, data.max_sequence_length, data.truncation_tie)
