"""What an installed EasyMFT holds: the wheel that pip makes of the source archive, as users get it."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import app_zoo
import easymft

ROOT = Path(__file__).parents[1]
FOLDERS = (".ci", "app_zoo", "configs", "docs", "easymft", "scripts", "tests")
FILES = ("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
WRITE = "from pathlib import Path; from app_zoo.sample import write_sample; print(write_sample(Path('mine')))"
SDIST = "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the source archive and the wheel; of a copy, as setuptools leaves its own files there."""
    folder = tmp_path_factory.mktemp("built")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / "source" / name, symlinks=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder / "source")
    run(sys.executable, "-c", SDIST, folder, cwd=folder / "source")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", "-q", *offline, next(folder.glob("*.tar.gz")), "-w", folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        yield wheel


def test_wheel_holds_the_modules_and_the_configs_alone(wheel):
    modules = {str(path.relative_to(ROOT)) for room in ("easymft", "app_zoo") for path in (ROOT / room).rglob("*.py")}
    configs = {f"easymft/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*") if path.is_file()}
    assert {"easymft/configs/schema.json", "easymft/configs/sample/train.tsv"} <= configs
    assert "easymft/configs/experiments/sample.json" in configs
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == modules | configs
    assert wheel.read("easymft/configs/schema.json") == (ROOT / "configs" / "schema.json").read_bytes()


def test_metadata(wheel):
    (metadata,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    facts = email.message_from_bytes(wheel.read(metadata))
    assert (facts["Name"], facts["Version"]) == ("easymft", easymft.__version__)
    assert facts["License"] == "Apache-2.0" and any(name.endswith("/LICENSE") for name in wheel.namelist())
    assert set(facts["Requires-Python"].split(",")) == {">=3.10", "<3.14"}
    assert facts["Description-Content-Type"] == "text/markdown"
    assert facts.get_payload(decode=True).decode().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    named = {match[1] for match in re.finditer(r"Python :: (3\.\d+)", str(facts))}
    assert named == {"3.10", "3.11", "3.12", "3.13"}


def test_installed_command_writes_a_sample_that_loads(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    user = tmp_path / "user"
    user.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def python(*words):
        return run(sys.executable, *words, cwd=user, env=environment)

    assert "easymft --mode meta_tune --config mine/meta_tune.json" in python("-c", WRITE)
    assert python("-c", "import easymft; print(easymft.__file__)").startswith(str(tmp_path / "site"))
    assert '"mine/train.tsv"' in python("-m", "easymft", "--dump_config", "--config", "mine/meta_tune.json")


def test_source_archive_holds_what_its_tests_and_scripts_need(built):
    needed = {path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()} | {ROOT / "LICENSE"}
    needed = {str(path.relative_to(ROOT)) for path in needed if path.suffix != ".pyc"}
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert {"scripts/test.sh", ".ci/run", "configs/schema.json", "tests/golden/tiny_bert/model.safetensors"} <= needed
    assert needed | set(FILES) <= held


def test_configs_are_in_one_place():
    assert (ROOT / "easymft" / "configs").resolve() == ROOT / "configs"


def test_top_level_package_says_whose_it_is():
    assert app_zoo.__doc__.startswith("EasyMFT's application zoo")
    assert "distribution `easymft`" in app_zoo.__doc__


def test_command_does_not_tell_what_a_library_thinks_of_an_old_python():
    code = """
import warnings, app_zoo.main
app_zoo.main._prepare_environment()
warnings.warn("You are using a non-supported Python version (3.10.13). Google will not post any", FutureWarning)
warnings.warn("told", FutureWarning)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "told" in done.stderr and "non-supported" not in done.stderr


def test_library_runs_as_a_module():
    assert run(sys.executable, "-m", "easymft", "--help", cwd=ROOT).startswith("EasyMFT: meta fine-tuning")
