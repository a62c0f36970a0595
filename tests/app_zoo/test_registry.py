import importlib.util
import re

import pytest

from app_zoo.registry import APPLICATIONS, MODES, resolve_application
from app_zoo.usage import render_help
from easymft.config.checks import check_mode, find_mode_problems
from easymft.config.schema import ExperimentConfig
from easymft.errors import ConfigError


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_application_resolves(name):
    application = resolve_application(name)
    assert application.__name__ == APPLICATIONS[name].split(":")[1]
    assert callable(application.run)


@pytest.mark.parametrize("mode", MODES.values())
def test_every_mode_resolves(mode):
    assert importlib.util.find_spec(f"app_zoo.stages.{mode.stage}")


def test_applications_are_those_of_the_schema():
    assert ExperimentConfig.model_json_schema()["properties"]["application"]["enum"] == list(APPLICATIONS)


def test_unknown_application():
    with pytest.raises(ConfigError, match='unknown application "text_macthing"; did you mean "text_matching"?'):
        resolve_application("text_macthing")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_help_and_checks(mode):
    assert MODES[mode].stage == mode
    text = render_help(mode)
    assert MODES[mode].help in " ".join(text.split())
    assert f"--mode {mode} --config" in text
    config = ExperimentConfig(output_folder="x")
    if mode == "export":  # which needs nothing but the run in output_folder
        check_mode(config, mode)
        return
    assert find_mode_problems(config, mode)
    with pytest.raises(ConfigError):
        check_mode(config, mode)


@pytest.mark.parametrize("mode", MODES)
def test_sections_in_the_help_exist(mode):
    line = next(line for line in render_help(mode).splitlines() if line.startswith("sections"))
    names = re.sub(r"^sections|\(.*?\)", "", line).split(",")
    for name in names:
        assert name.strip().split(".")[0] in ExperimentConfig.model_fields, line


def test_general_help_names_every_mode():
    text = render_help(None)
    for name, mode in MODES.items():
        assert f"\n  {name} " in text and mode.help in " ".join(text.split())
