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


def test_recommended_is_the_paper_with_averaged_domains_and_rows_that_weigh_alike():
    paper, recommended = resolve("paper"), resolve("recommended")
    differences = {path for path in PRESET_FIELDS if value(paper, path) != value(recommended, path)}
    assert differences == {"train.average_domains", "mft.weighting"}
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
        ({"mft": {"typicality": {"embedding": None}}}, "none"),
        ({"mft": {"typicality": {"alpha": 0.7}, "weighting": "none"}}, "none"),
    ],
)
def test_recommended_weighs_by_typicality_where_the_config_speaks_of_it(sections, weighting):
    config = ExperimentConfig.model_validate({"output_folder": "x"} | sections)
    resolved = resolve_presets(config)
    assert resolved.mft.weighting == resolve_presets(resolved).mft.weighting == weighting


@pytest.mark.parametrize("preset", ["paper", "easytransfer", "recommended"])
def test_what_is_given_stays(preset):
    assert resolve(preset, average_domains=0.25).train.average_domains == 0.25
