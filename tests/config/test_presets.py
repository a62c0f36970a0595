import pytest

from easymft.config.presets import PRESET_FIELDS, resolve_presets
from easymft.config.schema import ExperimentConfig, MFTConfig, TrainConfig


def resolve(preset, **train):
    sections = {"mft": MFTConfig(preset=preset), "train": TrainConfig(**train)}
    return resolve_presets(ExperimentConfig(output_folder="x", **sections))


def value(config, path):
    for part in path.split("."):
        config = getattr(config, part)
    return config


def test_recommended_is_the_paper_with_averaged_domains():
    paper, recommended = resolve("paper"), resolve("recommended")
    differences = {path for path in PRESET_FIELDS if value(paper, path) != value(recommended, path)}
    assert differences == {"train.average_domains"}
    assert (paper.train.average_domains, recommended.train.average_domains) == (0.0, 0.5)


@pytest.mark.parametrize("preset", ["paper", "easytransfer", "recommended"])
def test_what_is_given_stays(preset):
    assert resolve(preset, average_domains=0.25).train.average_domains == 0.25
