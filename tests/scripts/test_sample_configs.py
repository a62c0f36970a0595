from pathlib import Path

import pytest

from easymft.config.loading import load_config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs" / "sample").glob("*.json"))


def mode_of(config):
    return config.about.command.split("--mode ")[1].split()[0]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_config_loads_for_the_mode_of_its_command(file):
    config = load_config(str(file), [])
    assert config.about.command == f"easymft --mode {mode_of(config)} --config configs/sample/{file.name}"
    config = load_config(str(file), [], mode=mode_of(config))
    named = [*config.data.train_files, *config.data.dev_files, *config.data.test_files, *config.prediction.input_files]
    assert all((ROOT / name).is_file() for name in named)
    assert config.output_folder.startswith("runs/sample/")


def test_both_fine_tunings_differ_in_their_start_and_the_average_only():
    names = ("finetune", "finetune_from_mft")
    plain, from_mft = (load_config(str(ROOT / f"configs/sample/{name}.json"), []) for name in names)
    assert from_mft.model.weights == "runs/sample/meta_tune"
    assert (plain.train.average_domains, from_mft.train.average_domains) == (0.0, 0.5)
    plain.train.average_domains = 0.5
    assert plain.train == from_mft.train and plain.data == from_mft.data and plain.runtime == from_mft.runtime
