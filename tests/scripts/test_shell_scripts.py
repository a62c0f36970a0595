import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["scripts/environment.sh", "scripts/quickstart.sh", "scripts/test.sh", ".ci/run"]
# Stands in for every Python and for the easymft command: tells its version, makes a "virtual environment" with itself
# in it, leaves the files that a mode leaves, and writes down what it is asked to do.
FAKE_PROGRAM = """#!/bin/bash
echo "$*" >>"$LOG"
case "$*" in
  --version) echo "Python $VERSION.0" ;;
  -c*version_info*) echo "$VERSION" ;;
  "-c import ensurepip") [ -z "${NO_ENSUREPIP:-}" ] ;;
  "-m venv "*) mkdir -p "${!#}/bin" && cp "$0" "${!#}/bin/python" && cp "$0" "${!#}/bin/easymft" ;;
  "-m pip install"*) [ -z "${BREAK_INSTALL:-}" ] ;;
  "--mode meta_tune"*) mkdir -p runs/sample/meta_tune/best && echo >runs/sample/meta_tune/best/model.safetensors ;;
  "--mode finetune"*finetune.json*) mkdir -p runs/sample/finetune && echo >runs/sample/finetune/metrics.json ;;
  "--mode finetune"*) [ -z "${BREAK_MFT:-}" ] || { echo "what went wrong"; exit 2; }
    mkdir -p runs/sample/finetune_from_mft && echo >runs/sample/finetune_from_mft/metrics.json ;;
  "--mode export"*) mkdir -p runs/sample/saved_model/1 && echo >runs/sample/saved_model/1/saved_model.pb ;;
  scripts/predict_saved_model.py*) printf '"%s"\\n  -> positive' "$3" ;;
esac
"""
PROGRAMS = ("bash", "cat", "cksum", "cp", "dirname", "env", "grep", "mkdir", "rm", "tail", "tee")


@pytest.fixture
def checkout(tmp_path):
    """A checkout in a folder with a space in its name, where every Python is FAKE_PROGRAM."""
    root = tmp_path / "a checkout"
    (root / "scripts").mkdir(parents=True)
    for name in ("environment.sh", "quickstart.sh"):
        shutil.copy(ROOT / "scripts" / name, root / "scripts")
    shutil.copytree(ROOT / "configs" / "sample", root / "configs" / "sample")
    (root / "setup.py").write_text("setup()\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3.12", "python3.11", "python3", "python"):
        (programs / name).write_text(FAKE_PROGRAM)
        (programs / name).chmod(0o755)
    for name in PROGRAMS:
        (programs / name).symlink_to(shutil.which(name))
    return root


def start(checkout, command, **variables):
    """Runs a bash command from outside the checkout; returns the process and what FAKE_PROGRAM was asked, by line."""
    log = checkout.parent / "log"
    log.unlink(missing_ok=True)
    known = {"PATH": str(checkout.parent / "bin"), "HOME": str(checkout.parent), "LOG": str(log), "VERSION": "3.11"}
    result = subprocess.run(
        ["bash", "-c", command], env=known | variables, cwd=checkout.parent, capture_output=True, text=True, check=False
    )
    return result, log.read_text().splitlines() if log.exists() else []


def run(checkout, command, **variables):
    """Runs a command after sourcing environment.sh; returns the process and the installs."""
    command = f'set -euo pipefail; source "{checkout}/scripts/environment.sh"; {command}'
    result, asked = start(checkout, command, **variables)
    return result, [line for line in asked if line.startswith("-m venv") or "install" in line.split()]


def quickstart(checkout, **variables):
    """Runs quickstart.sh; returns the process and the keys of the stages that were run."""
    result, asked = start(checkout, f'bash "{checkout}/scripts/quickstart.sh"', **variables)
    keys = {
        "-m easymft.model_zoo.registry": "weights",
        "--mode meta_tune": "meta_tune",
        "--mode finetune --config configs/sample/finetune.json": "finetune",
        "--mode finetune --config configs/sample/finetune_from_mft.json": "finetune_from_mft",
        "--mode export": "export",
        "scripts/predict_saved_model.py": "predict",
        "scripts/quickstart_report.py": "report",
    }
    return result, [key for line in asked for start_of_line, key in keys.items() if line.startswith(start_of_line)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_syntax(script):
    subprocess.run(["bash", "-n", ROOT / script], check=True)
    text = (ROOT / script).read_text(encoding="utf-8")
    assert script.endswith("environment.sh") or "set -euo pipefail" in text


def test_environment_is_made_once(checkout):
    result, asked = run(checkout, "prepare_environment; echo $environment")
    assert result.returncode == 0, result.stderr
    made, installed = asked
    assert made == f"-m venv --upgrade-deps {checkout}/.venv"
    assert installed.startswith("-m pip install ") and installed.endswith(f"-e {checkout}")
    assert result.stdout.splitlines()[-1] == f"{checkout}/.venv"
    result, asked = run(checkout, "prepare_environment")
    assert (result.returncode, result.stdout, asked) == (0, "", [])


def test_environment_of_the_users_choice_with_the_extra(checkout, tmp_path):
    chosen = {"EASYMFT_VENV": str(tmp_path / "chosen")}
    _, asked = run(checkout, "prepare_environment test", **chosen)
    assert asked[0] == f"-m venv --upgrade-deps {tmp_path}/chosen" and asked[1].endswith(f"-e {checkout}[test]")
    assert run(checkout, "prepare_environment", **chosen)[1] == []  # the extra holds all that is needed without it
    assert run(checkout, "prepare_environment test", **chosen)[1] == []
    assert not (checkout / ".venv").exists()


def test_changed_requirements_are_installed(checkout):
    run(checkout, "prepare_environment")
    (checkout / "setup.py").write_text("setup(install_requires=[])\n")
    assert len(run(checkout, "prepare_environment")[1]) == 1
    assert run(checkout, "prepare_environment")[1] == []


def test_broken_off_install_is_repeated(checkout):
    result, _ = run(checkout, "prepare_environment", BREAK_INSTALL="1")
    assert result.returncode != 0
    assert [line[:14] for line in run(checkout, "prepare_environment")[1]] == ["-m pip install"]
    before = (checkout / "setup.py").read_text()
    (checkout / "setup.py").write_text("setup(install_requires=[])\n")
    run(checkout, "prepare_environment", BREAK_INSTALL="1")
    (checkout / "setup.py").write_text(before)  # what half of the new requirements left is not what this one asks for
    assert len(run(checkout, "prepare_environment")[1]) == 1


def test_environment_without_ensurepip_gets_pip_from_outside(checkout):
    result, asked = run(checkout, "prepare_environment", NO_ENSUREPIP="1")
    assert result.returncode == 0, result.stderr
    made, pip, installed = asked
    assert made == f"-m venv --without-pip {checkout}/.venv" and installed.startswith("-m pip install")
    assert pip == f"-m pip --python {checkout}/.venv/bin/python install -qq pip"


@pytest.mark.parametrize(
    ("missing", "found"),
    [((), "python3.11"), (("python3.11",), "python3.12"), (("python3.11", "python3.12"), "python3")],
)
def test_python_311_is_preferred(checkout, missing, found):
    for name in missing:
        (checkout.parent / "bin" / name).unlink()
    result, _ = run(checkout, "find_python")
    assert result.stdout == f"{checkout.parent}/bin/{found}\n"


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_pythons_that_are_taken(checkout, version):
    result, asked = run(checkout, "prepare_environment", VERSION=version)
    assert result.returncode == 0 and len(asked) == 2, result.stderr


@pytest.mark.parametrize("version", ["3.9", "3.14", "2.7", "3.1"])
def test_another_python_is_refused(checkout, version):
    result, asked = run(checkout, "prepare_environment", VERSION=version)
    assert result.returncode == 1 and asked == []
    needed = "error: Python 3.10 to 3.13 is needed and was not found"
    assert result.stderr.startswith(f"{needed} (python3.11: Python {version}.0; python3.12: Python {version}.0; ")
    assert "; python3.10: none; " in result.stderr and result.stderr.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_environment_of_another_python_is_refused(checkout):
    run(checkout, "prepare_environment")
    result, _ = run(checkout, "prepare_environment", VERSION="3.14")
    assert result.returncode == 1
    assert "is of Python 3.14.0, expected Python 3.10 to 3.13; remove it" in result.stderr


STAGES = ["weights", "meta_tune", "finetune", "finetune_from_mft", "export", "predict", "report"]


@pytest.fixture
def with_weights(checkout):
    """The checkout, and weights in the user's cache."""
    cache = checkout.parent / ".cache" / "easymft" / "all-minilm-l6-v2"
    cache.mkdir(parents=True)
    (cache / "model.safetensors").touch()
    return checkout


def test_quickstart_runs_each_stage_once(with_weights):
    result, stages = quickstart(with_weights)
    assert result.returncode == 0, result.stderr
    assert stages == STAGES
    assert "-> positive" in result.stdout and f"tensorboard --logdir {with_weights}/runs/sample" in result.stdout
    result, stages = quickstart(with_weights)
    assert stages == ["report"]
    assert result.stdout.count("done before, skipped") == 6


def test_quickstart_runs_what_a_change_concerns(with_weights):
    quickstart(with_weights)
    config = with_weights / "configs" / "sample" / "meta_tune.json"
    config.write_text(config.read_text() + "\n")
    assert quickstart(with_weights)[1] == ["meta_tune", "finetune_from_mft", "export", "report"]
    (with_weights / "runs" / "sample" / "finetune" / "metrics.json").unlink()
    assert quickstart(with_weights)[1] == ["finetune", "report"]


def test_quickstart_goes_on_after_a_failure(with_weights):
    result, stages = quickstart(with_weights, BREAK_MFT="1")
    assert result.returncode == 1 and stages == STAGES[:4]
    assert "what went wrong" in result.stderr and "Run this script again" in result.stderr
    assert quickstart(with_weights)[1] == STAGES[3:]


def test_ci_runs_the_tests_in_a_folder_that_it_removes(tmp_path):
    for folder in (".ci", "scripts"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "scripts" / "test.sh").write_text('mkdir "$EASYMFT_VENV"; echo "$EASYMFT_VENV $*"; exit 3\n')
    command = ["bash", str(tmp_path / ".ci" / "run"), "-k", "x"]
    result = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    environment, *arguments = result.stdout.split()
    assert result.returncode == 3 and arguments == ["-k", "x"]
    assert not Path(environment).parent.exists()
