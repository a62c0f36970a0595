import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["scripts/environment.sh", "scripts/quickstart.sh", "scripts/test.sh", ".ci/run"]
# Stands in for every Python: tells its version, makes a "virtual environment" with itself in it, and writes down what it is
# asked to do.
FAKE_PYTHON = """#!/bin/bash
echo "$@" >>"$LOG"
case "$*" in
  --version) echo "Python $VERSION.0" ;;
  -c*version_info*) echo "$VERSION" ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install"*) [ -z "${BREAK:-}" ] ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout in a folder with a space in its name, where every Python is FAKE_PYTHON."""
    root = tmp_path / "a checkout"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "environment.sh", root / "scripts")
    (root / "setup.py").write_text("setup()\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3.11", "python3", "python"):
        (programs / name).write_text(FAKE_PYTHON)
        (programs / name).chmod(0o755)
    for name in ("bash", "cat", "cksum", "cp", "dirname", "mkdir", "rm", "tee"):
        (programs / name).symlink_to(shutil.which(name))
    return root


def run(checkout, command, **variables):
    """Runs a command after sourcing environment.sh, from another folder; returns the process and what Python was asked."""
    log = checkout.parent / "log"
    log.unlink(missing_ok=True)
    variables = {"PATH": str(checkout.parent / "bin"), "LOG": str(log), "VERSION": "3.11"} | variables
    result = subprocess.run(
        ["bash", "-c", f'set -euo pipefail; source "{checkout}/scripts/environment.sh"; {command}'],
        env=variables, cwd=checkout.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    asked = log.read_text().splitlines() if log.exists() else []
    return result, [line for line in asked if line.startswith(("-m venv", "-m pip install"))]


@pytest.mark.parametrize("script", SCRIPTS)
def test_syntax(script):
    subprocess.run(["bash", "-n", ROOT / script], check=True)
    text = (ROOT / script).read_text(encoding="utf-8")
    assert script.endswith("environment.sh") or "set -euo pipefail" in text


def test_environment_is_made_once(checkout):
    result, asked = run(checkout, "prepare_environment; echo $environment")
    assert result.returncode == 0, result.stderr
    assert [line.split()[:3] for line in asked] == [["-m", "venv", str(checkout).split()[0]], ["-m", "pip", "install"]]
    assert asked[1].endswith(f"-e {checkout}")
    assert result.stdout.splitlines()[-1] == f"{checkout}/.venv"
    result, asked = run(checkout, "prepare_environment")
    assert (result.returncode, result.stdout, asked) == (0, "", [])


def test_environment_of_the_users_choice_with_the_extra(checkout, tmp_path):
    chosen = {"EASYMFT_VENV": str(tmp_path / "chosen")}
    _, asked = run(checkout, "prepare_environment test", **chosen)
    assert asked[0] == f"-m venv {tmp_path}/chosen" and asked[1].endswith(f"-e {checkout}[test]")
    assert run(checkout, "prepare_environment", **chosen)[1] == []  # the extra holds all that is needed without it
    assert run(checkout, "prepare_environment test", **chosen)[1] == []
    assert not (checkout / ".venv").exists()


def test_changed_requirements_are_installed(checkout):
    run(checkout, "prepare_environment")
    (checkout / "setup.py").write_text("setup(install_requires=[])\n")
    assert len(run(checkout, "prepare_environment")[1]) == 1
    assert run(checkout, "prepare_environment")[1] == []


def test_broken_off_install_is_repeated(checkout):
    result, _ = run(checkout, "prepare_environment", BREAK="1")
    assert result.returncode != 0
    assert [line[:14] for line in run(checkout, "prepare_environment")[1]] == ["-m pip install"]


def test_another_python_is_refused(checkout):
    result, asked = run(checkout, "prepare_environment", VERSION="3.12")
    assert result.returncode == 1 and asked == []
    assert result.stderr.startswith("error: Python 3.11 is needed and was not found (python3.11: Python 3.12.0;")
    assert result.stderr.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_environment_of_another_python_is_refused(checkout):
    run(checkout, "prepare_environment")
    result, _ = run(checkout, "prepare_environment", VERSION="3.12")
    assert result.returncode == 1
    assert "is of Python 3.12.0, expected Python 3.11" in result.stderr


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
