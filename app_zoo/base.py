"""`Application`: what all applications share, from a config to running one of its modes."""

from __future__ import annotations

import importlib
import tempfile
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app_zoo.registry import MODES
from app_zoo.run_folder import RunFolder
from app_zoo.run_record import check_scored
from easymft.config.schema import ExperimentConfig, ModelConfig
from easymft.data.bad_rows import SkippedRows
from easymft.data.labels import LabelMap, infer_maps
from easymft.data.sources import digest_files, expand_files
from easymft.errors import CheckpointError, ConfigError
from easymft.model_zoo.folders import check_folder
from easymft.model_zoo.locate import is_on_disk, locate_weights
from easymft.model_zoo.registry import SHORT_NAMES
from easymft.modeling.encoder_config import EncoderConfig

if TYPE_CHECKING:
    from easymft.model_zoo.pretrained import PretrainedModel


_FILES = {"all": "all files"}  # of a list's name; of others "the train files"


@dataclass(frozen=True)
class Maps:
    """The classes and domains of a run, in the order of their numbers."""

    labels: LabelMap
    domains: LabelMap


class Application:
    """One application (which columns, which head) under one config.

    A subclass says whether its inputs are pairs. TensorFlow is imported by the modes that need it, not here.

    Args:
        config: Presets resolved, checked for the mode that will be run.
    """

    pair: bool = False

    def __init__(self, config: ExperimentConfig):
        self.config = config
        self.folder = RunFolder(config.output_folder)
        self.dry_run = False
        self._skipped_rows: dict[str, SkippedRows] = {}

    def run(self, mode: str, dry_run: bool = False) -> None:
        """Runs a mode.

        Args:
            mode: A name in `app_zoo.registry.MODES`, which is also the module in `app_zoo.stages`.
            dry_run: Load everything, run one batch, leave nothing behind.

        Raises:
            EasyMFTError: The user has something to mend.
        """
        stage = importlib.import_module(f"app_zoo.stages.{MODES[mode].stage}")
        self.dry_run = dry_run
        if not dry_run:
            try:
                stage.run(self)
                self._tell_skipped()
            finally:
                self.folder.release()
            return
        with tempfile.TemporaryDirectory(prefix="easymft-dry-run-") as scratch:
            self.scratch = Path(scratch)
            stage.run(self)
            self._tell_skipped()
        print(f"dry run of --mode {mode}: {MODES[mode].dry_run}", flush=True)

    @property
    def work_folder(self) -> Path:
        """Where the run writes: its output folder, or a scratch folder of a dry run."""
        return self.scratch if self.dry_run else self.folder.path

    @property
    def cache_folder(self) -> Path:
        """Where token ids are cached."""
        configured = self.config.data.cache_folder
        return Path(configured) if configured and not self.dry_run else self.work_folder / "cache"

    @cached_property
    def strategy(self):
        """The tf.distribute strategy of the run; making it also sets seeds."""
        from easymft.training.strategy import configure_runtime

        return configure_runtime(self.config.runtime)

    @property
    def precision(self) -> str:
        """What `runtime.precision` means on this machine."""
        from easymft.training.strategy import resolve_precision

        return resolve_precision(self.config.runtime.precision)

    def load_encoder(self, model: ModelConfig) -> PretrainedModel:
        """Loads weights under the run's strategy, to compute as the run does.

        Raises:
            CheckpointError: The weights cannot be had.
        """
        from easymft.model_zoo.pretrained import load_pretrained
        from easymft.training.strategy import COMPUTE_DTYPES

        with self.strategy.scope():
            return load_pretrained(
                model,
                seed=self.config.runtime.seed,
                compute_dtype=COMPUTE_DTYPES[self.precision],
                # Who averages over all positions needs padded ones, and XLA needs shapes that do not hang on values.
                pack_tokens=self.config.mft.layer_pooling != "all_positions" and not self.config.runtime.jit_compile,
            )

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Digests of what a training or scoring run is made from: train and dev files, weights and vocabulary.

        Of weights of the Hugging Face hub it is the revision, which the hub may change under the same name.

        Raises:
            CheckpointError: `model.weights` is not there, or is a run that is not finished.
            DataError: A data file is not there.
        """
        data, model = self.config.data, self.config.model
        given = {"data.train_files": data.train_files, "data.dev_files": data.dev_files}
        files = {setting: expand_files(patterns) for setting, patterns in given.items() if patterns}
        for file in files.get("data.train_files", ()):
            check_scored(Path(file))
        hub = {}
        if model.weights is not None and is_on_disk(model.weights, model.weights_format):
            _check_finished(Path(model.weights))
            location = locate_weights(model.weights, model.weights_format)
            check_folder(location.folder)
            files["model.weights"] = [str(file) for file in location.files]
        elif model.weights is not None and model.weights not in SHORT_NAMES:  # those are checked by their digest
            hub["model.weights"] = f"revision {locate_weights(model.weights, model.weights_format).folder.name}"
        if model.vocabulary_file is not None:
            files["model.vocabulary_file"] = [model.vocabulary_file]
        return {setting: digest_files(paths) for setting, paths in files.items()} | hub

    def check_encoder(self, encoder: EncoderConfig, source: str) -> None:
        """Checks that an encoder has a position for each token of the config's sequences; says what it does to pairs.

        Raises:
            ConfigError: It has fewer.
        """
        length, positions = self.config.data.max_sequence_length, encoder.max_position_embeddings
        if length > positions:
            raise ConfigError(
                f"data.max_sequence_length: expected at most {positions}, the positions of {source}, got {length}"
            )
        if self.pair and encoder.type_vocab_size == 1:
            warnings.warn(
                f"{source}: knows one type of token (type_vocab_size 1), so both texts of a pair are of type 0, and "
                "[SEP] alone tells them apart",
                stacklevel=2,
            )

    def skipped_rows(self, split: str) -> SkippedRows | None:
        """Where `bad_rows: skip` lists what was skipped of the train, dev, test or input files, or of all of them.

        Who reads the same files again gets a new list, which takes the place of the one before.
        """
        if self.config.data.bad_rows == "stop":
            return None
        self._skipped_rows[split] = SkippedRows(self.work_folder / f"skipped_rows_{split}.tsv")
        return self._skipped_rows[split]

    def _tell_skipped(self) -> None:
        """Says how many rows were skipped, as the last word of a mode; of files without a bad row nothing."""
        for split, rows in self._skipped_rows.items():
            if rows.count and rows.kept:  # else it was not read to the end
                place = "" if self.dry_run else f", listed in {rows.path}"
                total = f"{rows.count:,} of {rows.count + rows.kept:,}"
                print(f"skipped rows: {total} in {_FILES.get(split, f'the {split} files')}{place}", flush=True)

    def infer_maps(self) -> Maps:
        """Classes and domains, as configured or as they occur in the train files; one pass over them.

        Raises:
            ConfigError: One of `data.subset.exclude_domains` is not among the domains. Files with typicality may have
                been scored without it.
        """
        labels, domains = infer_maps(self.config.data, pair=self.pair)
        excluded = self.config.data.subset.exclude_domains
        for name in excluded:
            if name not in domains and self.config.data.columns.typicality is None:
                raise ConfigError(
                    f"data.subset.exclude_domains: unknown domain {name!r}, expected some of {', '.join(domains)}"
                )
        return Maps(labels, LabelMap(tuple(name for name in domains if name not in excluded)))


def _check_finished(weights: Path) -> None:
    """Refuses a run, or a domain's part of one, that is still being trained or was interrupted."""
    if not (weights / "best").is_dir():
        return
    unfinished = [run for run in (RunFolder(weights), RunFolder(weights.parent)) if run.is_unfinished]
    if unfinished:
        raise CheckpointError(
            f"model.weights: the run in {unfinished[0].path} is not finished; let it end, or name {weights / 'best'} "
            "to take the best weights so far"
        )
