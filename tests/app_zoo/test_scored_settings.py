"""What has to change in a config to train on the file that --mode typicality wrote."""

import csv
import json

import pytest

from app_zoo.stages.typicality import settings_for_training
from easymft.config.loading import load_config
from easymft.data.reading import OPTIONAL_OUTSIDE_TRAINING, read_examples
from easymft.data.table_form import same_form
from easymft.data.writing import TableWriter

NAMES = {"columns": {"text": "text", "domain": "domain", "label": "label"}}
NUMBERS = {"columns": {"text": 0, "domain": 1, "label": 2}}
NAMED = NAMES | {"column_names": ["text", "domain", "label"]}
ROWS = [["good", "a", "pos"], ["bad", "b", "neg"]]


@pytest.mark.parametrize("ending", ["tsv", "csv"])
@pytest.mark.parametrize("data", [NAMES, NUMBERS, NAMED, NAMES | {"format": True}], ids=str)
def test_scores_read_back_beside_dev_files_of_the_old_form(tmp_path, data, ending):
    if data.get("format"):
        data = data | {"format": ending}
    files = {name: str(tmp_path / f"{name}.{ending}") for name in ("train", "dev")}
    header = [] if data["columns"] == NUMBERS["columns"] or "column_names" in data else [["text", "domain", "label"]]
    for file in files.values():
        with open(file, "w", newline="") as stream:
            writer = csv.writer(stream, delimiter="\t" if ending == "tsv" else ",", lineterminator="\n")
            writer.writerows([*header, *ROWS])
    config_file = tmp_path / "config.json"
    data = data | {"train_files": [files["train"]], "dev_files": [files["dev"]]}
    model = {"weights": "some"}
    config_file.write_text(json.dumps({"output_folder": str(tmp_path / "run"), "data": data, "model": model}))
    given = load_config(str(config_file), ["data.subset.share=0.5"], mode="typicality").data
    form = same_form(tmp_path / "scored", given.train_files, given)
    with TableWriter(form) as writer:
        for batch in read_examples(given.train_files, given, pair=False):
            writer.write(batch.table, {"typicality": ["0.25", "0.75"]})
    changes = settings_for_training(given, form.path, width=4)
    words = [f"{name}={json.dumps(value)}" for name, value in changes.items()]
    changed = load_config(str(config_file), ["data.subset.share=0.5", *words], mode="meta_tune").data
    (scored,) = read_examples(changed.train_files, changed, pair=False)
    (dev,) = read_examples(changed.dev_files, changed, pair=False, optional_columns=OPTIONAL_OUTSIDE_TRAINING)
    assert list(scored.typicality) == [0.25, 0.75] and dev.typicality is None
    for batch in (scored, dev):
        assert [list(row) for row in zip(batch.text, batch.domain, batch.label, strict=True)] == ROWS
    assert changed.subset.share is None  # the file holds that share
