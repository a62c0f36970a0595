"""Writing weights of any source in another format, with a check that nothing changed."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from easymft.config.schema import ConvertConfig, ModelConfig
from easymft.errors import CheckpointError
from easymft.model_zoo.bert_files import write_config, write_google_config
from easymft.model_zoo.checkpoints import CHECKPOINT_NAME
from easymft.model_zoo.folders import replace_folder
from easymft.model_zoo.huggingface import write_extra, write_huggingface
from easymft.model_zoo.pretrained import SAVED_FILES, PretrainedModel, load_pretrained
from easymft.model_zoo.tf1 import write_tf1
from easymft.model_zoo.tf2 import write_tf2
from easymft.model_zoo.tokenizer_files import write_vocabulary
from easymft.model_zoo.weight_map import Format

LARGEST_DIFFERENCE = 1e-4
_CONVERTED_FILES = (*SAVED_FILES, "bert_config.json", f"{CHECKPOINT_NAME}.*")
_PROBE_ROWS, _PROBE_LENGTH = 4, 24


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What `convert` did.

    Attributes:
        source: What was read.
        folder: The folder that was written.
        format: Its format.
        largest_difference: Of all layers' hidden states and the pooled output, over the probe batch's real tokens.
        ignored: Tensors of the source that were left out.
    """

    source: str
    folder: Path
    format: Format
    largest_difference: float
    ignored: list[str]

    def __str__(self) -> str:
        """Returns the conversion in a few lines, for the user."""
        ignored = f"\nleft out: {', '.join(self.ignored)}" if self.ignored else ""
        return (
            f"{self.source}\n-> {self.format} in {self.folder}{ignored}\n"
            f"largest difference of hidden states on a probe batch: {self.largest_difference:.3g}"
        )


def convert(model: ModelConfig, convert: ConvertConfig, output_folder: str | Path, seed: int) -> Conversion:
    """Loads `model` and writes it as `convert` says; the result is loaded again and compared before it takes its place.

    Args:
        model: The source.
        convert: The format and folder to write.
        output_folder: Where the folder `converted` goes if `convert` names none.
        seed: Of the probe batch, and of a random source.

    Returns:
        What was written where, and how far its hidden states are from the source's.

    Raises:
        CheckpointError: The source cannot be loaded, the folder cannot be written, or the result differs.
        ConfigError: `model` names no source.
    """
    target = Path(convert.folder) if convert.folder is not None else Path(output_folder) / "converted"
    if model.weights is not None and target.exists():
        source = Path(model.weights).resolve()
        if target.resolve() in (source, source.parent) or target.name in ("best", "last", "tuned"):
            raise CheckpointError(
                f"{target}: is the source itself, or named as a run's own model; expected another folder to write to"
            )
    source_model = load_pretrained(model, seed=seed)
    if convert.format == "tf2" and not source_model.has_pooler:
        raise CheckpointError(
            f"convert.format: {source_model.source} has no pooler, which a tf2 checkpoint must have; expected "
            "huggingface or tf1"
        )
    with replace_folder(target, known_files=_CONVERTED_FILES) as new:
        _write(new, source_model, convert.format)
        # The source's dropout and lower-casing are written too; here they only keep the two models alike.
        again = ModelConfig(weights=str(new), weights_format=convert.format)
        difference = largest_difference(source_model, load_pretrained(again, seed=seed), seed)
        if not difference <= LARGEST_DIFFERENCE:
            raise CheckpointError(
                f"{target}: hidden states of the result differ by {difference:.3g} from the source's; expected at most "
                f"{LARGEST_DIFFERENCE:g}; nothing was written"
            )
    return Conversion(source_model.source, target, convert.format, difference, source_model.ignored)


def largest_difference(first: PretrainedModel, second: PretrainedModel, seed: int) -> float:
    """Returns the largest difference of two models' hidden states and pooled outputs on random tokens.

    Args:
        first: A model; without a pooler of its own, its pooled outputs say nothing and are left out.
        second: One with as many layers, of the same width and vocabulary.
        seed: Of the tokens. The rows are of different lengths, padded, and the second half of each is of type 1.
    """
    features = probe_batch(
        first.config.vocab_size, first.config.type_vocab_size, first.config.max_position_embeddings, seed
    )
    mask = features["input_mask"][:, :, None].astype(bool)
    outputs = [model.encoder(features, training=False) for model in (first, second)]
    differences = []
    if first.has_pooler:
        differences.append(np.abs(_difference(outputs, lambda output: output["pooled_output"])).max())
    for i in range(first.config.num_layers):
        layer = _difference(outputs, lambda output, i=i: output["encoder_outputs"][i])
        differences.append(np.abs(np.where(mask, layer, 0.0)).max())
    return float(np.max(differences))


def probe_batch(vocab_size: int, type_vocab_size: int, max_length: int, seed: int) -> dict[str, np.ndarray]:
    """Makes a batch of random tokens: input_word_ids, input_mask and input_type_ids, int32 [4, at most 24]."""
    generator = np.random.default_rng(seed)
    length = min(_PROBE_LENGTH, max_length)
    shape = (_PROBE_ROWS, length)
    lengths = np.linspace(length, max(1, length // 3), _PROBE_ROWS).astype(int)
    mask = (np.arange(length) < lengths[:, None]).astype(np.int32)
    types = np.broadcast_to(np.arange(length) >= length // 2, shape).astype(np.int32) * (type_vocab_size > 1)
    ids = generator.integers(0, vocab_size, shape, dtype=np.int32)
    return {"input_word_ids": ids * mask, "input_mask": mask, "input_type_ids": types.astype(np.int32) * mask}


def _difference(outputs: list[dict[str, Any]], select: Any) -> np.ndarray:
    """First minus second output, as float32."""
    first, second = (np.asarray(select(output), np.float32) for output in outputs)
    return first - second


def _write(folder: Path, model: PretrainedModel, target_format: Format) -> None:
    """Writes a model's files of one format into an existing folder."""
    write_config(folder, model.config, model.labels, classifier=model.head is not None, pooling=model.pooling)
    write_vocabulary(folder, model.vocabulary, model.config.max_position_embeddings)
    if model.extra:
        write_extra(folder, model.extra)
    if target_format == "huggingface":
        write_huggingface(folder, model.encoder, model.config.num_layers, model.head, model.has_pooler)
        return
    write_google_config(folder, model.config)
    if target_format == "tf1":
        write_tf1(folder, model.encoder, model.config.num_layers, model.head, model.has_pooler)
    else:
        write_tf2(folder, model.encoder, model.head)
