"""What TensorBoard shows beside the training curves: histograms, texts and the embedding projector."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector

from easymft.evaluation.markdown import escape_markdown
from easymft.evaluation.typicality_files import render_summaries
from easymft.evaluation.typicality_report import ScoredText, Text, TypicalityReport, shorten_text
from easymft.files import replacing

_CHUNK = 1_000_000  # scores handed to a histogram at most


def write_typicality_histograms(
    writer: tf.summary.SummaryWriter,
    typicality: np.ndarray,
    domain_ids: np.ndarray,
    domains: Sequence[str],
    step: int = 0,
) -> None:
    """Writes the distribution of typicality [N] for each domain, and over all.

    A domain of more than a million examples is shown by every n-th of them.
    """
    with writer.as_default(step=step):
        tf.summary.histogram("typicality/all", _thin(typicality))
        for index, name in enumerate(domains):
            scores = typicality[np.asarray(domain_ids) == index]
            if name and len(scores):
                tf.summary.histogram(f"typicality/{'all (domain)' if name == 'all' else name}", _thin(scores))
    writer.flush()


def write_typicality_texts(writer: tf.summary.SummaryWriter, report: TypicalityReport, step: int = 0) -> None:
    """Writes the report's table and its lowest and highest texts as Markdown."""
    with writer.as_default(step=step):
        tf.summary.text("typicality/summary", render_summaries(report))
        for kind, texts in (("lowest", report.lowest), ("highest", report.highest)):
            for label, found in texts.items():
                if found:
                    tf.summary.text(f"typicality_{kind}/{label or 'all_classes'}", _render_list(found))
    writer.flush()


def _render_list(texts: Sequence[ScoredText]) -> str:
    """A line for each text: TensorBoard breaks the words of a table's narrow columns."""
    lines = []
    for found in texts:
        names = " · ".join(escape_markdown(name) for name in (found.domain, found.label) if name)
        lines.append(f"- **{found.typicality:.4f}** {names} (example {found.row:,}): {escape_markdown(found.text)}")
    return "\n".join(lines) + "\n"


def write_projector(
    folder: str | Path,
    *,
    labels: Sequence[str],
    domains: Sequence[str],
    prototypes: np.ndarray,
    counts: np.ndarray,
    embeddings: np.ndarray,
    label_ids: np.ndarray,
    domain_ids: np.ndarray,
    typicality: np.ndarray,
    texts: Sequence[Text],
) -> None:
    """Writes prototypes and a sample of texts for TensorBoard's embedding projector.

    Args:
        folder: TensorBoard's log folder; gets projector_config.pbtxt and projector/*.tsv.
        labels: The M classes.
        domains: The K domains.
        prototypes: [K, M, d]; those of empty cells are left out.
        counts: Examples of each cell, [K, M].
        embeddings: A sample of texts, in the prototypes' space, [S, d].
        label_ids: [S].
        domain_ids: [S].
        typicality: [S].
        texts: S texts, or (text, second text).

    Raises:
        ValueError: The shapes do not fit.
    """
    cells = [*prototypes.shape[:2], embeddings.shape[1]]
    sizes = {len(embeddings), len(label_ids), len(domain_ids), len(typicality), len(texts)}
    if cells != [len(domains), len(labels), prototypes.shape[2]] or len(sizes) != 1:
        raise ValueError(f"prototypes and sample do not fit. Received: {prototypes.shape}, {embeddings.shape}, {sizes}")
    kept = list(zip(*np.nonzero(counts), strict=True))
    rows = [("prototype", domains[k], labels[m], f"{counts[k, m]} examples", "") for k, m in kept]
    sample = zip(domain_ids, label_ids, texts, typicality, strict=True)
    rows += [("text", domains[k], labels[m], shorten_text(text), f"{score:.4f}") for k, m, text, score in sample]
    vectors = np.concatenate([np.asarray(prototypes[counts > 0]), np.asarray(embeddings)])
    _write_tsv(Path(folder) / "projector" / "vectors.tsv", [[f"{value:.6g}" for value in row] for row in vectors])
    header = ("kind", "domain", "class", "text", "typicality")
    _write_tsv(Path(folder) / "projector" / "metadata.tsv", [header, *rows])
    config = projector.ProjectorConfig()
    config.embeddings.add(
        tensor_name="typicality", tensor_path="projector/vectors.tsv", metadata_path="projector/metadata.tsv"
    )
    projector.visualize_embeddings(str(folder), config)


def _write_tsv(file: Path, rows: Sequence[Sequence[str]]) -> None:
    with replacing(file) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            # A tab or line break in a cell, also the kinds that only Unicode knows, would shift the columns.
            stream.write("\t".join(" ".join(cell.split()) for cell in row) + "\n")


def _thin(scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores[:: -(-len(scores) // _CHUNK)])
