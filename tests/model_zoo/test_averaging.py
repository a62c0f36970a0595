import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from easymft.errors import CheckpointError
from easymft.model_zoo.averaging import average_weights, write_interpolated


@pytest.fixture
def folders(tmp_path):
    draw, made = np.random.default_rng(0), []
    for name in "abc":
        (tmp_path / name).mkdir()
        tensors = {"kernel": draw.normal(size=(3, 4)), "bias": draw.normal(size=4)}
        tensors = {key: value.astype(np.float32) for key, value in tensors.items()}
        save_file(tensors, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text(f'{{"name": "{name}"}}')
        made.append(tmp_path / name)
    return made


def read(folder):
    return load_file(folder / "model.safetensors")


def test_the_mean_of_models(folders):
    mean = average_weights(folders)
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(mean[name], sum(read(folder)[name] for folder in folders) / 3, atol=1e-6)
        assert mean[name].dtype == np.float32


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_model_on_the_way_to_others(folders, tmp_path, share):
    mean = average_weights(folders)
    for _ in range(2):  # the second time in place of the first
        write_interpolated(tmp_path / "new", folders[1], mean, share)
    for name, before in read(folders[1]).items():
        np.testing.assert_allclose(read(tmp_path / "new")[name], before + share * (mean[name] - before), atol=1e-6)
    assert (tmp_path / "new/config.json").read_text() == '{"name": "b"}'


def test_what_cannot_be_averaged(folders):
    save_file({"kernel": np.zeros((3, 4), np.float32)}, folders[2] / "model.safetensors")
    with pytest.raises(CheckpointError, match="c: other tensors than in .*a, expected models of the same shapes"):
        average_weights(folders)
    whole = (folders[1] / "model.safetensors").read_bytes()
    (folders[1] / "model.safetensors").write_bytes(whole[:-5])
    with pytest.raises(CheckpointError, match="model.safetensors: cannot be read"):
        average_weights(folders[:2])
    (folders[1] / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model.safetensors: cannot be read"):
        average_weights(folders[:2])
