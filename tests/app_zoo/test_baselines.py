"""The baselines and the subsets as a user runs them."""

import json
import shlex

import pytest
from safetensors.numpy import load_file

from easymft.checksums import read_object


def metrics_of(project, folder="run"):
    return json.loads((project.folder / folder / "metrics.json").read_text())


def test_adversarial_training_leaves_one_model(project):
    out = project.succeed("meta_tune", "baseline.method=adversarial")
    assert "typicality" not in out and not (project.folder / "run/typicality").exists()
    assert metrics_of(project)["test"]["overall"]["count"] == 18
    tensors = load_file(project.folder / "run/best/model.safetensors")
    assert not [name for name in tensors if name.startswith("mft.")]
    project.succeed("predict")
    assert len(project.read_rows("run/predictions.tsv")) == 18


def test_multi_task_training_leaves_a_model_for_each_domain(project):
    project.succeed("meta_tune", "baseline.method=multi_task", "train.epochs=2")
    models = {name: load_file(project.folder / f"run/{name}/best/model.safetensors") for name in ("book", "dvd")}
    differing = [name for name, value in models["book"].items() if (value != models["dvd"][name]).any()]
    assert sorted(differing) == ["classifier.bias", "classifier.weight"]
    found = metrics_of(project)
    assert set(found["dev"]["by_domain"]) == {"book", "dvd", "phone"}
    # What was measured while training, of the best epoch, is what the saved models give.
    record = read_object(project.folder / "run/run.json")
    best = max(epoch["metrics"]["accuracy"] for epoch in record["training"]["history"])
    assert found["dev"]["overall"]["accuracy"] == best
    project.succeed("predict")
    assert len(project.read_rows("run/predictions.tsv")) == 18


def test_permuted_typicality_is_the_same_scores_elsewhere(project):
    for on in ("false", "true"):
        project.succeed("meta_tune", f"mft.typicality.permute={on}", f"output_folder={project.folder}/{on}")
    reports = [(project.folder / f"{on}/typicality/typicality.md").read_text() for on in ("false", "true")]
    assert reports[0] == reports[1]
    weights = [load_file(project.folder / f"{on}/best/model.safetensors") for on in ("false", "true")]
    assert any((value != weights[1][name]).any() for name, value in weights[0].items())


@pytest.mark.filterwarnings("ignore:with 2 domains")
def test_excluded_domain_is_unseen_and_can_be_fine_tuned_on_a_share(project):
    project.succeed("meta_tune", 'data.subset={"exclude_domains": ["dvd"]}')
    assert set(metrics_of(project)["test"]["by_domain"]) == {"book", "dvd", "phone"}  # dvd as an unseen one
    overview = (project.folder / "run/typicality/typicality.md").read_text()
    assert "dvd" not in overview and "phone" in overview
    maps = read_object(project.folder / "run/maps.json")
    assert "dvd" not in json.dumps(maps)
    folder = project.folder
    out = project.succeed(
        "finetune",
        f"model.weights={folder}/run",
        f"output_folder={folder}/tuned",
        'train.domains=["dvd"]',
        'data.subset={"examples_per_class": 4}',
    )
    assert "taken over" in out
    assert metrics_of(project, "tuned")["test"]["by_domain"]["dvd"]["count"] == 6


def test_the_share_is_what_is_trained_on(project):
    project.set("train.global_batch_size", 4)
    steps = {}
    for share in (0.5, 1.0):
        folder = project.folder / str(share)
        project.succeed("finetune", f"data.subset.share={share}", "train.domains=union", f"output_folder={folder}")
        steps[share] = read_object(folder / "training.json")["history"][-1]["step"]
    assert steps == {0.5: 6, 1.0: 12}


def test_scored_file_of_a_subset_holds_the_rows_that_were_scored(project):
    subset = 'data.subset={"share": 0.5, "exclude_domains": ["phone"]}'
    with open(project.folder / "train.tsv", "a") as stream:
        stream.write("\tbook\tpos\n")
    said = project.succeed("typicality", subset, "data.bad_rows=skip")
    assert len(project.read_rows("run/skipped_rows_train.tsv")) == 1
    rows, scored = project.read_rows("train.tsv"), project.read_rows("run/scored.tsv")
    assert len(scored) == 16 and all(score.pop("typicality") for score in scored)
    places = [rows.index(row) for row in scored]
    assert places == sorted(places) and {row["domain"] for row in scored} == {"book", "dvd"}
    # What it says is to be set trains on just these rows.
    said = next(line for line in said.splitlines() if line.startswith("  --set "))
    words = shlex.split(said.replace("@", str(project.folder)))
    tuned = f"output_folder={project.folder / 'tuned'}"
    project.succeed("meta_tune", subset, *words[1::2], tuned, "train.global_batch_size=4", "mft.domain_loss_weight=0")
    assert read_object(project.folder / "tuned/run.json")["training"]["history"][-1]["step"] == 4


def test_a_domain_that_is_left_out_is_none_of_dev_but_of_test(project):
    """Its dev rows may be too few for the number that training takes of each."""
    rows = project.read_rows("dev.tsv")
    few = [row for row in rows if row["domain"] != "book"] + [row for row in rows if row["domain"] == "book"][:1]
    project.write_rows("dev.tsv", [list(row.values()) for row in few])
    subset = 'data.subset={"dev_examples_per_class": 2, "exclude_domains": ["book"]}'
    project.succeed("meta_tune", subset, "mft.domain_loss_weight=0", "train.epochs=1")
    found = metrics_of(project)
    assert set(found["dev"]["by_domain"]) == {"dvd", "phone"}
    assert set(found["test"]["by_domain"]) == {"book", "dvd", "phone"}


def test_mistakes(project):
    unknown = project.fail("meta_tune", 'data.subset.exclude_domains=["vhs"]')
    assert unknown == "data.subset.exclude_domains: unknown domain 'vhs', expected some of book, dvd, phone"
    both = project.fail("meta_tune", 'data.subset={"share": 0.5, "examples_per_class": 2}')
    assert "data.subset.share" in both and "examples_per_class" in both
    other = project.fail("finetune", "baseline.method=multi_task")
    assert 'baseline.method: expected "none" for --mode finetune' in other
    assert "mft.typicality.permute" in project.fail("meta_tune", "mft.typicality.permute=true", "mft.weighting=none")
    two = project.fail("meta_tune", 'data.subset.exclude_domains=["dvd", "book"]', "baseline.method=adversarial")
    assert two.startswith("baseline.method: adversarial needs at least 2 domains")
    twice = project.fail("meta_tune", 'data.subset.exclude_domains=["dvd", "dvd"]')
    assert "each domain once" in twice
    many = project.fail("finetune", "data.subset.examples_per_class=9")
    assert "expected at most 8, the rows of class 'neg' in domain 'book', got 9" in many
    assert not (project.folder / "run/run.json").exists()
