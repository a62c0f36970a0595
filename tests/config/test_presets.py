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


def test_recommended_is_ordinary_training_with_averaged_domains():
    paper, recommended = resolve("paper"), resolve("recommended")
    differences = {path for path in PRESET_FIELDS if value(paper, path) != value(recommended, path)}
    assert differences == {"train.average_domains", "mft.weighting", "mft.domain_loss_weight"}
    assert (paper.mft.domain_loss_weight, recommended.mft.domain_loss_weight) == (0.1, 0.0)
    assert (paper.mft.weighting, recommended.mft.weighting) == ("typicality", "none")
    assert (paper.train.average_domains, recommended.train.average_domains) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("sections", "weighting"),
    [
        ({}, "none"),
        ({"mft": {"weighting": "typicality"}}, "typicality"),
        ({"data": {"columns": {"typicality": "t"}}}, "typicality"),
        ({"mft": {"typicality": {"alpha": 0.7}}}, "typicality"),
        ({"mft": {"typicality": {"embedding": "pooled"}}}, "typicality"),
        ({"mft": {"typicality": {"embedding": None, "batch_size": 8, "center": False}}}, "none"),
        ({"mft": {"typicality": {"alpha": 0.7}, "weighting": "none"}}, "none"),
    ],
)
def test_recommended_weighs_by_typicality_where_the_config_speaks_of_it(sections, weighting):
    config = ExperimentConfig.model_validate({"output_folder": "x"} | sections)
    resolved = resolve_presets(config)
    assert resolved.mft.weighting == resolve_presets(resolved).mft.weighting == weighting


@pytest.mark.parametrize(
    ("mft", "expected"),
    [
        ({}, 0.0),
        ({"domain_loss_weight": 2.0}, 2.0),
        ({"layers": [0]}, 0.1),
        ({"corruption": "shuffle"}, 0.1),
        ({"layers": [0], "domain_loss_weight": 0.0}, 0.0),
        ({"weighting": "typicality"}, 0.0),
        ({"preset": "paper"}, 0.1),
    ],
)
def test_recommended_corrupts_domains_where_the_config_speaks_of_it(mft, expected):
    resolved = resolve_presets(ExperimentConfig.model_validate({"output_folder": "x", "mft": mft}))
    assert resolved.mft.domain_loss_weight == resolve_presets(resolved).mft.domain_loss_weight == expected


@pytest.mark.parametrize("preset", ["paper", "easytransfer", "recommended"])
def test_what_is_given_stays(preset):
    assert resolve(preset, average_domains=0.25).train.average_domains == 0.25
