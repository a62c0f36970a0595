from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins import projector

from easymft.evaluation.tensorboard import (
    write_projector,
    write_typicality_histograms,
    write_typicality_texts,
)
from easymft.evaluation.typicality_report import build_typicality_report

LABELS, DOMAINS = ("NEG", "POS"), ("books", "dvd")


@pytest.fixture
def writer(tmp_path):
    return tf.summary.create_file_writer(str(tmp_path))


def written(folder: Path):
    """tag -> tensor of everything in the folder's event files."""
    values = {}
    for file in folder.glob("events*"):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                values[value.tag] = (event.step, tf.make_ndarray(value.tensor), value.metadata.plugin_data.plugin_name)
    return values


def test_typicality_histograms(writer, tmp_path):
    scores = np.array([0.5, 0.6, 0.7], np.float32)
    write_typicality_histograms(writer, scores, np.array([0, 0, 1]), [*DOMAINS, "empty"], step=4)
    values = written(tmp_path)
    assert set(values) == {"typicality/all", "typicality/books", "typicality/dvd"}
    step, buckets, plugin = values["typicality/books"]
    assert (step, plugin) == (4, "histograms")
    assert buckets[:, 2].sum() == 2
    assert buckets[0, 0] == pytest.approx(0.5) and buckets[-1, 1] == pytest.approx(0.6)


def test_a_domain_named_all_is_not_the_total(writer, tmp_path):
    write_typicality_histograms(writer, np.array([0.5, 0.6], np.float32), np.array([0, 1]), ["all", "books"])
    assert set(written(tmp_path)) == {"typicality/all", "typicality/all (domain)", "typicality/books"}


def test_texts(writer, tmp_path):
    report = build_typicality_report(
        np.array([0.5, 0.9]), np.array([0, 0]), np.array([0, 1]), LABELS, DOMAINS, ["low | text", "high text"]
    )
    write_typicality_texts(writer, report)
    values = written(tmp_path)
    assert set(values) == {
        "typicality/summary",
        "typicality_lowest/all_classes",
        "typicality_lowest/NEG",
        "typicality_highest/all_classes",
        "typicality_highest/NEG",
    }
    text = values["typicality_lowest/all_classes"][1].item().decode()
    assert text.index("low \\| text") < text.index("high text")
    assert text.startswith("- **0.5000** books · NEG (example ")


def sample(**changes):
    arguments = {
        "labels": LABELS,
        "domains": DOMAINS,
        "prototypes": np.arange(12, dtype=np.float64).reshape(2, 2, 3),
        "counts": np.array([[2, 1], [0, 3]]),
        "embeddings": np.array([[0.5, 0.25, -1.0]], np.float32),
        "label_ids": np.array([1]),
        "domain_ids": np.array([0]),
        "typicality": np.array([0.75]),
        "texts": ["tab\there\nand\u2028there"],
    }
    return {**arguments, **changes}


def test_projector(tmp_path):
    write_projector(tmp_path, **sample(domains=("books", "dvd\tnew")))
    config = projector.ProjectorConfig()
    text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), config)
    (embedding,) = config.embeddings
    vectors = np.loadtxt(tmp_path / embedding.tensor_path, delimiter="\t")
    assert vectors.tolist() == [[0, 1, 2], [3, 4, 5], [9, 10, 11], [0.5, 0.25, -1]]
    lines = (tmp_path / embedding.metadata_path).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    assert rows == [
        ["kind", "domain", "class", "text", "typicality"],
        ["prototype", "books", "NEG", "2 examples", ""],
        ["prototype", "books", "POS", "1 examples", ""],
        ["prototype", "dvd new", "POS", "3 examples", ""],
        ["text", "books", "POS", "tab here and there", "0.7500"],
    ]


def test_tensorboard_reads_the_projector(tmp_path):
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=0):
        tf.summary.scalar("x", 1.0)
    write_projector(tmp_path, **sample())
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    plugin = ProjectorPlugin(TBContext(logdir=str(tmp_path), multiplexer=multiplexer, data_provider=provider))
    plugin._update_configs()
    (config,) = plugin._configs.values()
    assert list(config.embeddings[0].tensor_shape) == [4, 3]


@pytest.mark.parametrize(
    "changes",
    [{"texts": []}, {"labels": ("one",)}, {"embeddings": np.zeros([1, 2])}, {"typicality": np.zeros(2)}],
)
def test_projector_refuses_what_does_not_fit(tmp_path, changes):
    with pytest.raises(ValueError, match="do not fit. Received:"):
        write_projector(tmp_path, **sample(**changes))
    assert not list(tmp_path.iterdir())
