"""What an experiment refuses before anything is trained."""

import re
from collections import Counter

import pytest


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"mix": {}}, "variants.mix: expected a name that is no method's"),
        ({"x": {"settings": {"runtime.seed": 3}}}, "settings that the experiment does not decide, got 'runtime.seed'"),
        ({"x": {"settings": {"data.subset.share": 0.5}}}, "does not decide, got 'data.subset.share'"),
        ({"a b": {}}, "variants.a b: expected a name of letters, digits, _ and ."),
        ({"x": {"settings": {"mft.alfa": 0.5}}}, "experiment.variants.x: mft.alfa: unknown key"),
        ({"x": {"settings": {"mft.typicality.alpha": 2}}}, "experiment.variants.x: mft.typicality.alpha: expected"),
        ({"x": {"finetune_settings": {"train.epochs": 9}}}, "does not decide, got 'train.epochs'"),
        ({"x": {"finetune_settings": {"train.average_domains": 9}}}, "train.average_domains: expected"),
        ({"x": {"settings": {"train.max_steps": 5}}}, "does not decide, got 'train.max_steps'"),
        (
            {"x": {"method": "two_stage", "settings": {"baseline.method": "adversarial"}}},
            'experiment.variants.x: baseline.method: expected "none" for --mode finetune',
        ),
        ({"x": {"method": "mft"}}, "experiment.variants.x.method: expected one of"),
        ({"x": {"settings": {"runtime": {"deterministic": True}}}}, "one by one, such as runtime.deterministic"),
        ({"x": {"finetune_settings": {"mft.preset": "paper"}}}, "expected no mft.preset, which is of all stages"),
        ({"x": {"method": "mix", "finetune_settings": {"model.head": "fresh"}}}, "none, as mix has no fine-tuning"),
    ],
)
def test_a_variant_that_is_none_is_said_before_anything_is_trained(project, fake, variants, message):
    project.set_experiment(variants=variants)
    before = project.snapshot()
    assert message in project.fail("experiment")
    assert set(project.snapshot()) - set(before) <= {"config.json"}  # the test's own


def test_mistakes(project):
    project.set_experiment(methods=["mix"], domains=["vhs"])
    assert project.fail("experiment").startswith("experiment.domains: unknown domain 'vhs', expected some of book, dvd")
    project.set_experiment(methods=["mtl"], setting="unseen_target", shares=[0.1])
    assert "no mtl where the target is unseen" in project.fail("experiment")
    project.set_experiment(methods=["mix"], shares=[0.1])
    assert "experiment.shares" in project.fail("experiment")
    project.set_experiment(methods=["mix", "mix"])
    assert "each value once" in project.fail("experiment")
    project.set_experiment(methods=["mix"], selection_seeds=[7])
    assert "some of experiment.seeds (7 is none of them)" in project.fail("experiment")
    for empty in ({"domains": []}, {"selection_seeds": []}):
        project.set_experiment(methods=["mix"], **empty)
        assert f"experiment.{next(iter(empty))}: " in project.fail("experiment")
    project.set_experiment(methods=["mix"], setting="few_both")
    assert 'experiment.setting: expected "full", or an amount' in project.fail("experiment")
    project.set_experiment(methods=["mx"])
    assert "experiment.methods" in project.fail("experiment")
    assert not (project.folder / "run").exists()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data.columns.typicality", "score", "data.columns.typicality: expected null"),
        ("data.subset.share", 0.5, "data.subset.share: expected null: experiment.shares decides"),
        ("data.subset.examples_per_class", 3, "data.subset.examples_per_class: expected null"),
        ("mft.weighting", "none", "mft.weighting: expected null for --mode experiment"),
        ("mft.typicality.permute", True, "mft.typicality.permute: expected false"),
        ("mft.domain_loss_weight", 0, "mft.domain_loss_weight: expected null for --mode experiment"),
        ("train.max_steps", 5, "train.max_steps: expected null"),
        ("train.early_stopping_patience", 2, "train.early_stopping_patience: expected null"),
    ],
)
def test_settings_that_would_make_methods_other_than_their_names(project, fake, path, value, message):
    project.set_experiment(methods=["mix"])
    project.set("mft", {"preset": "paper"})
    project.set(path, value)
    assert message in project.fail("experiment")
    assert fake.done == [] and not (project.folder / "run").exists()


def test_what_is_measured_is_read_before_anything_is_trained(project, fake):
    project.set_experiment(methods=["mix"])
    rows = project.read_rows("test.tsv")
    project.change("test.tsv", 3, lambda row: re.sub(b"dvd|book|phone", b"vhs", row))
    assert "test.tsv: row 3, column 'domain': unknown domain 'vhs'" in project.fail("experiment")
    lines = ["\t".join(rows[0])] + ["\t".join(row.values()) for row in rows if row["domain"] != "dvd"]
    project.write("test.tsv", "\n".join(lines) + "\n")
    assert project.fail("experiment") == (
        "data.test_files: no row of domain 'dvd', expected at least one to measure on"
    )
    assert fake.done == [] and not (project.folder / "run/cells").exists()


@pytest.mark.parametrize(
    "experiment",
    [
        {"methods": ["mft_full_averaged"]},
        {"methods": ["two_stage_averaged"]},
        {"variants": {"x": {"method": "two_stage", "finetune_settings": {"train.average_domains": 0.5}}}},
        {"variants": {"x": {"settings": {"mft.preset": "recommended"}}}},
    ],
)
def test_where_the_target_is_unseen_nothing_is_averaged(project, fake, experiment):
    project.set_experiment(**{"methods": ["two_stage"], "setting": "unseen_target", "shares": [0.5]} | experiment)
    assert "expected a method without train.average_domains" in project.fail("experiment")
    assert fake.done == [] and not (project.folder / "run").exists()


@pytest.mark.parametrize("method", ["mft_full", "mft_dc", "adversarial"])
def test_methods_of_several_domains_need_them(project, fake, method):
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        rows = [row for row in project.read_rows(name) if row["domain"] != "dvd"]
        lines = ["\t".join(row) for row in (list(rows[0]), *(row.values() for row in rows))]
        project.write(name, "\n".join(lines) + "\n")
    few = {"setting": "unseen_target", "shares": [0.5], "seeds": [1], "learning_rates": [1e-3]}
    project.set_experiment(methods=["two_stage", method], **few)
    message = project.fail("experiment")
    assert message.startswith(f"experiment.methods.{method}: ") and "needs at least 2 domains" in message
    assert fake.done == [] and not (project.folder / "run").exists()
    project.set_experiment(methods=["two_stage", "mix", "mft_tw"], **few)
    project.succeed("experiment")


def test_the_first_stage_has_dev_rows_too(project, fake):
    rows = [list(row.values()) for row in project.read_rows("dev.tsv") if row["domain"] == "dvd"]
    project.write_rows("dev.tsv", rows)
    project.set_experiment(methods=["two_stage"], setting="unseen_target", domains=["dvd"])
    assert "rows of 'dvd' alone, expected some of the other domains too" in project.fail("experiment")
    message = project.fail("meta_tune", 'data.subset.exclude_domains=["dvd"]', "mft.domain_loss_weight=0")
    assert message == "data.dev_files: no row of a domain that is trained on (book, phone), expected at least one"
    assert fake.done == [] and not (project.folder / "run/run.json").exists()


def test_beside_the_target_there_is_another_domain(project, fake):
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        rows = [row for row in project.read_rows(name) if row["domain"] == "dvd"]
        project.write_rows(name, [list(row.values()) for row in rows])
    for method in ("mft_full", "two_stage"):
        project.set_experiment(methods=[method], setting="unseen_target")
        assert "no domain is left to train on" in project.fail("experiment")


def test_amounts_that_are_not_there_are_said_before_anything_is_trained(project, fake):
    cells = Counter((row["domain"], row["label"]) for row in project.read_rows("train.tsv"))
    number = min(cells.values())
    few = {"methods": ["mix"], "setting": "all_then_few"}
    project.set_experiment(**few, examples_per_class=[number, number + 1])
    assert f"experiment.examples_per_class: expected at most {number}, the rows of class" in project.fail("experiment")
    project.set_experiment(**few, examples_per_class=[number])
    project.set("data.subset.dev_examples_per_class", 10)
    message = project.fail("experiment")
    assert "data.subset.dev_examples_per_class: expected at most" in message and "of data.dev_files, got 10" in message
    assert fake.done == [] and not (project.folder / "run").exists()
    project.set("data.subset.dev_examples_per_class", 1)
    project.succeed("experiment")
