"""Every shipped config is loaded and dry-run by the command it states; files that are not here are generated."""

import itertools
import json
import random
import shlex
import tempfile
from pathlib import Path

import numpy as np
import pytest

from app_zoo.main import main
from app_zoo.registry import MODES
from app_zoo.run_folder import RunFolder, part_folder
from easymft.config.loading import load_config
from easymft.config.schema import ExperimentConfig, ModelConfig
from easymft.data.columns import configured_columns, has_header
from easymft.data.labels import infer_maps, save_maps
from easymft.data.reading import read_examples
from easymft.model_zoo.pretrained import load_pretrained, save_pretrained
from easymft.model_zoo.registry import SHORT_NAMES

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.json") if path.name != "schema.json")
NAMES = [str(path.relative_to(ROOT)) for path in CONFIGS]
LABELS, DOMAINS = ["negative", "positive"], ["books", "dvd", "phones"]
WORDS = "the and is was it good bad great love hate book film phone work price really not never all one".split()


def command(config: ExperimentConfig) -> list[str]:
    """The words of the command that the config states, after `easymft`."""
    return shlex.split(config.about.command)[1:]


def write_examples(file: Path, config: ExperimentConfig) -> None:
    """40 rows with the config's columns."""
    data, draw = config.data, random.Random(0)
    assert file.suffix == ".tsv" and not data.quoting, f"{file}: teach this test to write such files"
    columns = configured_columns(data.columns)
    width = 1 + max((column for column in columns.values() if isinstance(column, int)), default=len(columns) - 1)
    names = data.column_names or [*columns, *(f"column_{at}" for at in range(len(columns), width))]
    names = [column for column in columns.values() if isinstance(column, str)] or names
    rows = []
    tested = config.experiment.domains or []
    domains = data.domains or [*tested, *DOMAINS][: max(len(DOMAINS), len(tested) + 1)]
    cells = itertools.cycle(itertools.product(domains, data.labels or LABELS))
    for number, (domain, label) in zip(range(40), cells, strict=False):
        given = {"domain": domain, "label": label, "id": str(number), "weight": "1.0", "typicality": "0.9"}
        row = ["-"] * max(width, len(names))
        for field, column in columns.items():
            at = names.index(column) if isinstance(column, str) else column
            row[at] = given.get(field) or " ".join(draw.choices(WORDS, k=draw.randint(3, 30)))
        rows.append(row)
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [names, *rows] if has_header(data) else rows
    file.write_text("".join("\t".join(line) + "\n" for line in lines))


def named_files(config: ExperimentConfig) -> list[str]:
    data = config.data
    return sorted({*data.train_files, *data.dev_files, *data.test_files, *config.prediction.input_files})


def write_missing_files(config: ExperimentConfig) -> None:
    for file in named_files(config):
        if not Path(file).exists():
            write_examples(Path(file), config)


def make_run(folder: Path, weights: Path, most_models: int) -> None:
    """What the shipped config whose output is `folder` would leave there, without training."""
    makers = [load_config(path) for path in CONFIGS if load_config(path).output_folder == str(folder)]
    makers = {command(config)[1]: config for config in makers}
    mode = next((mode for mode in ("meta_tune", "finetune") if mode in makers), None)
    assert mode, f"no shipped config makes {folder}"
    config = makers[mode]
    write_missing_files(config)
    labels, domains = infer_maps(config.data, pair=config.application == "text_matching")
    single = mode == "meta_tune" or config.train.domains == "union" or config.data.columns.domain is None
    parts = [""] if single else list(domains.names[:most_models])
    run = RunFolder(folder)
    run.claim(config, mode, {})
    save_maps(folder / "maps.json", labels, domains)
    pretrained = load_pretrained(ModelConfig(weights=str(weights)), seed=0)
    for part in parts:
        save_pretrained(
            part_folder(folder, part) / "best",
            encoder=pretrained.encoder,
            config=pretrained.config,
            vocabulary=pretrained.vocabulary,
            head=(np.eye(32, len(labels), dtype=np.float32), np.zeros(len(labels), np.float32)),
            labels=list(labels.names),
        )
    run.finish(models=parts)


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All files and folders but TensorFlow's own."""
    paths = [path for path in folder.rglob("*") if not path.name.startswith("__autograph")]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize("name", NAMES)
def test_states_the_command_that_runs_it(name):
    words = command(load_config(ROOT / name))
    assert words[0] == "--mode" and words[1] in MODES and words[2:4] == ["--config", name]
    assert load_config(ROOT / name, mode=words[1]).about.description


def test_there_are_configs_for_each_stage_of_both_applications():
    modes = {}
    for name in NAMES:
        modes.setdefault(Path(name).parent.name, set()).add(command(load_config(ROOT / name))[1])
    stages = {"typicality", "meta_tune", "finetune", "evaluate", "predict", "export"}
    assert stages <= modes["amazon"] and stages <= modes["mnli"]
    assert {"meta_tune", "finetune"} <= modes["sample"]


@pytest.mark.filterwarnings("ignore:.* are cut")  # the tests' vocabulary makes more pieces of the sample's words
@pytest.mark.parametrize("name", NAMES)
def test_dry_run(name, project, tmp_path, monkeypatch, capfd):
    work, weights = tmp_path / "work", project.folder / "tiny"
    work.mkdir()
    (work / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(work)
    config = load_config(name)
    write_missing_files(config)
    words = [*command(config), "--dry_run", "--set", "runtime.progress=false"]
    if config.model.weights in SHORT_NAMES:
        words += ["--set", f"model.weights={weights}"]
    elif config.model.weights is not None:
        make_run(Path(config.model.weights), weights, most_models=1)
    if words[1] in ("evaluate", "predict", "export"):
        make_run(Path(config.output_folder), weights, most_models=1 if words[1] == "export" else 9)
    amounts = {
        "data.subset.dev_examples_per_class": config.data.subset.dev_examples_per_class,
        "experiment.examples_per_class": config.experiment.examples_per_class,
    }
    for path, number in amounts.items():
        if number:  # the files written here hold fewer rows
            words += ["--set", f"{path}={'[1]' if isinstance(number, list) else 1}"]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    before = contents(tmp_path)
    code = main(words)
    said = capfd.readouterr()
    assert code == 0, said.err
    assert said.out.endswith(f"dry run of --mode {words[1]}: {MODES[words[1]].dry_run}\n")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", NAMES)
def test_its_files_have_its_columns(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = load_config(name)
    there = [file for file in named_files(config) if Path(file).exists()]
    if not there:
        pytest.skip(f"none of {named_files(config)} is here")
    for file in there:
        pair = config.application == "text_matching"
        batch = next(read_examples([file], config.data, pair=pair, need_label=False, chunk_size=50))
        assert len(batch.text) >= 49 and (not pair or all(batch.text_pair))


def test_schema_is_named_where_a_config_names_it():
    for path in CONFIGS:
        schema = json.loads(path.read_text()).get("$schema")
        assert schema is None or (path.parent / schema).resolve() == ROOT / "configs/schema.json", path
