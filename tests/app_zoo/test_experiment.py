"""--mode experiment on the small project: the plan, jobs in this process, what is skipped, what fails."""

import json
import os
import re
import subprocess
from typing import get_args

import numpy as np
import pytest
from filelock import FileLock, Timeout

from app_zoo.experiment import harness
from app_zoo.experiment import job as job_module
from app_zoo.experiment.job import run_job
from app_zoo.experiment.methods import METHODS, methods_of
from app_zoo.experiment.plan import Amount, plan_jobs
from app_zoo.stages import experiment as experiment_stage
from easymft.config.schema import ComparisonConfig, ExperimentConfig, MethodName
from easymft.evaluation.experiment_failures import read_failures
from easymft.evaluation.experiment_results import CellResult, ItemScores, Scores, read_cells, write_cell


def make_config(**experiment):
    return ExperimentConfig(output_folder="x", experiment=ComparisonConfig(**experiment))


def plan(rates=(1e-3,), seeds=(1,), domains=("a", "b", "c"), **experiment):
    config = make_config(**experiment)
    keys = [(method, config.experiment.setting, str(amount)) for method in methods_of(config.experiment)
            for amount in [*(Amount(share=share) for share in config.experiment.shares or [1.0])]]  # fmt: skip
    return plan_jobs(config, domains, seeds, dict.fromkeys(keys, rates))


def test_every_method_passes_as_often_over_its_examples():
    jobs = plan(methods=list(METHODS), joint_epochs=2, finetune_epochs=3)
    assert len(jobs) == len(METHODS)
    for job in jobs:
        epochs = [stage.settings["train.epochs"] for stage in (job.joint, job.final) if stage is not None]
        assert sum(epochs) == 5, job
        assert epochs in ([5], [2, 3])


def test_methods_share_a_joint_stage_only_where_it_is_the_same():
    jobs = {job.method: job for job in plan(methods=list(METHODS))}
    names = {method: job.joint.name for method, job in jobs.items() if job.joint}
    assert names.pop("two_stage_averaged") == names["two_stage"] and names.pop("recommended") == names["mft_full"]
    assert len(set(names.values())) == len(names)  # mix has more epochs than two_stage's first stage
    again = plan(methods=["two_stage"], shares=[0.1, 0.5], setting="all_then_few")
    assert again[0].joint == again[1].joint and again[0].final != again[1].final
    assert again[0].joint.settings == jobs["two_stage"].joint.settings


@pytest.mark.parametrize(
    ("setting", "in_joint", "in_final"),
    [("all_then_few", False, True), ("few_both", True, True), ("unseen_target", False, True)],
)
def test_where_labels_are_few(setting, in_joint, in_final):
    jobs = plan(methods=["mft_full"], shares=[0.05], setting=setting)
    assert [job.domains for job in jobs] == (
        [("a",), ("b",), ("c",)] if setting == "unseen_target" else [("a", "b", "c")]
    )
    for job in jobs:
        assert ("data.subset.share" in job.joint.settings, "data.subset.share" in job.final.settings) == (
            in_joint,
            in_final,
        )
        # The dev rows of both stages are of the same seed, where these are few.
        assert job.joint.settings["data.subset.seed"] == job.final.settings["data.subset.seed"] == 1
        excluded = job.joint.settings.get("data.subset.exclude_domains", [])
        assert excluded == (list(job.domains) if setting == "unseen_target" else [])
        assert str(job.amount) == "5%" and job.keys()[0]["amount"] == "5%"


def test_a_variant_is_a_method_with_settings_and_epochs_of_its_own():
    variants = {
        "strong": {"settings": {"mft.domain_loss_weight": 1.0}},
        "short": {"method": "two_stage", "joint_epochs": 1, "finetune_epochs": 4},
        "theirs": {"method": "mix", "settings": {"mft.preset": "easytransfer"}},
        "averaged": {"finetune_settings": {"train.average_domains": 1.0}},
    }
    jobs = {job.method: job for job in plan(methods=["mft_full"], variants=variants, joint_epochs=2, finetune_epochs=3)}
    assert list(jobs) == ["mft_full", *variants]
    full, strong, short, theirs, averaged = jobs.values()
    assert averaged.joint == full.joint
    assert averaged.final.settings == full.final.settings | {"train.average_domains": 1.0, "train.domains": "all"}
    changed = {"mft.domain_loss_weight": 1.0}
    assert strong.joint.settings == full.joint.settings | changed
    assert strong.final.settings == full.final.settings | changed | {"model.weights": strong.joint.name}
    assert strong.joint.name != full.joint.name
    assert short.joint.settings["train.epochs"] == 1 and short.final.settings["train.epochs"] == 4
    assert short.joint.settings["mft.weighting"] == "none"
    assert theirs.final is None and theirs.joint.settings["train.epochs"] == 5
    # What the experiment's own preset has chosen gives way.
    assert theirs.joint.settings["mft.corruption"] is None and theirs.joint.settings["mft.weighting"] == "none"


def test_a_method_says_whether_domains_are_averaged_whatever_the_preset():
    variants = {
        "quarter": {"method": "two_stage", "settings": {"train.average_domains": 0.25}},
        "theirs": {"method": "two_stage", "settings": {"mft.preset": "recommended"}},
        "strong": {"method": "recommended", "settings": {"mft.domain_loss_weight": 1.0}},
    }
    apart, averaged = ["single", "two_stage", "mft_full"], ["two_stage_averaged", "recommended", "strong"]
    jobs = plan(methods=apart + averaged[:2], variants=variants)
    shares = {job.method: job.final.settings["train.average_domains"] for job in jobs}
    # None is the preset's own choice.
    expected = dict.fromkeys(apart, 0.0) | dict.fromkeys(averaged, 0.5) | {"quarter": 0.25, "theirs": None}
    assert shares == expected
    assert set(get_args(MethodName)) == set(METHODS)


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
        ({"x": {"method": "mft"}}, "experiment.variants.x.method: expected one of"),
        ({"x": {"settings": {"runtime": {"deterministic": True}}}}, "one by one, such as runtime.deterministic"),
        ({"x": {"finetune_settings": {"mft.preset": "paper"}}}, "expected no mft.preset, which is of all stages"),
        ({"x": {"method": "mix", "finetune_settings": {"model.head": "fresh"}}}, "none, as mix has no fine-tuning"),
    ],
)
def test_a_variant_that_is_none_is_said_before_anything_is_trained(project, variants, message):
    set_small(project, variants=variants)
    before = project.snapshot()
    assert message in project.fail("experiment")
    assert set(project.snapshot()) - set(before) <= {"config.json"}  # the test's own


def test_an_average_is_of_all_domains_whichever_are_tested():
    jobs = plan(methods=["two_stage", "two_stage_averaged"], domains=["a"])
    assert [job.final.settings["train.domains"] for job in jobs] == [["a"], "all"]
    assert [job.domains for job in jobs] == [("a",), ("a",)]


def test_an_unseen_target_joins_the_domains_that_are_excluded_anyway():
    config = make_config(methods=["two_stage"], setting="unseen_target")
    config.data.subset.exclude_domains = ["b"]
    (job,) = plan_jobs(config, ["a"], [1], {("two_stage", "unseen_target", "100%"): [1e-3]})
    assert job.joint.settings["data.subset.exclude_domains"] == ["b", "a"]


def test_a_subset_is_of_the_seed():
    first, second = (
        job.final.settings for job in plan(methods=["single"], shares=[0.1], setting="few_both", seeds=(1, 2))
    )
    assert (first["data.subset.seed"], second["data.subset.seed"]) == (1, 2)


def set_small(project, **experiment):
    small = {"seeds": [1, 2], "learning_rates": [1e-3, 3e-3], "joint_epochs": 1, "finetune_epochs": 1}
    project.set("experiment", small | experiment)


class Fake:
    """In place of processes: cells at once; mix is best with the smaller rate, all others with the larger."""

    def __init__(self):
        self.done, self.broken = [], set()

    def __call__(self, folder, job):
        self.done.append((job.method, job.seed, job.learning_rate))
        if (job.method, job.seed) in self.broken:
            return "exit code 9: it broke"
        for stage in filter(None, (job.joint, job.final)):
            (folder / "runs" / stage.name / "best").mkdir(parents=True, exist_ok=True)
        right = 3 if (job.method == "mix") == (job.learning_rate < 2e-3) else 1
        for key in job.keys():
            dev = Scores(right / 4, right / 4, 0.5, 4)
            test = ItemScores(1 - right / 4, 0.5, 0.5, 4, "0" * right + "1" * (4 - right))
            write_cell(folder, CellResult(**key, dev=dev, test=test, seconds=1.0))
        return ""


@pytest.fixture
def fake(monkeypatch):
    fake = Fake()
    monkeypatch.setattr(harness, "run_process", fake)
    return fake


def test_rates_are_chosen_on_dev_and_finished_cells_skipped(project, fake):
    set_small(project, methods=["mix", "two_stage"])
    out = project.succeed("experiment")
    assert fake.done[:4] == [("mix", 1, 1e-3), ("mix", 1, 3e-3), ("two_stage", 1, 1e-3), ("two_stage", 1, 3e-3)]
    assert fake.done[4:] == [("mix", 2, 1e-3), ("two_stage", 2, 3e-3)]  # although test says otherwise
    assert {cell.domain for cell in read_cells(project.folder / "run")} == {"book", "dvd", "phone"}
    assert "summary" in out and (project.folder / "run/summary/index.html").stat().st_size > 1000
    assert "two\\_stage" in (project.folder / "run/summary/table.md").read_text()
    assert not list((project.folder / "run/runs").glob("*[!k]"))  # but locks; models are gone

    before = project.snapshot("run/cells")
    del fake.done[:]
    assert "jobs are done already" in project.succeed("experiment")
    assert fake.done == [] and project.snapshot("run/cells") == before
    set_small(project, methods=["mix", "two_stage"], seeds=[1, 2, 3], keep_models=True)
    project.succeed("experiment")
    assert fake.done == [("mix", 3, 1e-3), ("two_stage", 3, 3e-3)]
    assert len(list((project.folder / "run/runs").glob("*/best"))) == 3
    set_small(project, methods=["mix"], finetune_epochs=2)
    assert "experiment.finetune_epochs" in project.fail("experiment")


def test_failures_are_recorded_and_the_rest_goes_on(project, fake):
    set_small(project, methods=["mix", "single"], learning_rates=[1e-3])
    fake.broken = {("mix", 2)}
    result = project.run("experiment")
    assert result.code != 0 and "1 jobs failed, first mix, 100%, seed 2" in result.err, result
    assert len(read_failures(project.folder / "run")) == 3 and len(read_cells(project.folder / "run")) == 9
    assert read_failures(project.folder / "run")[0].error == "exit code 9: it broke"
    fake.broken.clear()
    project.succeed("experiment")
    assert read_failures(project.folder / "run") == [] and len(read_cells(project.folder / "run")) == 12


def test_a_method_whose_candidate_fails_is_not_run_further(project, fake):
    set_small(project, methods=["mix", "single"])
    fake.broken = {("single", 1)}
    result = project.run("experiment")
    assert "single, 100%: a candidate failed" in result.out and result.code != 0
    assert ("single", 2, 1e-3) not in fake.done and ("mix", 2, 1e-3) in fake.done


def test_where_every_candidate_fails_that_is_said(project, fake):
    set_small(project, methods=["mix"])
    fake.broken = {("mix", 1)}
    result = project.run("experiment")
    assert result.code == 2 and "2 jobs failed, first mix, 100%, seed 1" in result.err, result
    assert not (project.folder / "run/summary").exists()


def test_the_table_has_the_rate_that_the_experiment_chose(project, fake):
    """Although the folder has cells of a better one."""
    set_small(project, methods=["two_stage"], seeds=[1])
    project.succeed("experiment")
    set_small(project, methods=["two_stage"], seeds=[1, 2], learning_rates=[1e-3])
    assert "learning rate of two_stage, 100%: 0.001" in project.succeed("experiment")
    rows = (project.folder / "run/summary/table.csv").read_text().splitlines()
    assert len(rows) == 2 and ",0.001," in rows[1]


def test_models_are_removed_as_a_whole(tmp_path, monkeypatch):
    """Who is killed while removing one must not leave what looks finished; nor does it matter who removed it."""
    job = plan(methods=["two_stage"])[0]
    target = tmp_path / "runs" / job.joint.name
    (target / "best").mkdir(parents=True)
    (target / "run.json").write_text("{}")
    mine = harness.Harness(tmp_path, keep_models=False)
    with monkeypatch.context() as patch:
        patch.setattr(harness.shutil, "rmtree", lambda folder, ignore_errors: None)  # killed before it was done
        mine._remove(job.joint)
    assert not target.exists()
    mine._remove(job.joint)
    (tmp_path / "runs" / job.joint.name).mkdir()
    mine._remove(job.joint)
    assert list((tmp_path / "runs").iterdir()) == []


def test_processes_that_share_a_cache_embed_once(project, monkeypatch):
    def embed(embedder, tokens, file, **options):
        with pytest.raises(Timeout):
            FileLock(file.with_suffix(".lock"), timeout=0).acquire()
        found.append(file)
        return np.ones([tokens.num_examples, 4], np.float32)

    found = []
    monkeypatch.setattr("app_zoo.stages.typicality.embed_dataset", embed)
    project.succeed("typicality")
    assert [file.parent for file in found] == [project.folder / "run/cache"]


def test_the_stage_before_was_trained_again(tmp_path):
    before, after = tmp_path / "joint", tmp_path / "final"
    changes = {"model.weights": str(before)}
    for folder, second in ((before, 10), (after, 20)):
        folder.mkdir()
        (folder / "run.json").write_text("{}")
        os.utime(folder / "run.json", (second, second))
    job_module._forget_other_weights(after, changes)
    assert after.is_dir()
    os.utime(before / "run.json", (30, 30))
    job_module._forget_other_weights(after, {})
    assert after.is_dir()
    job_module._forget_other_weights(after, changes)
    assert not after.exists() and before.is_dir()


def test_cells_are_what_the_modes_give(project):
    """A job in a process of its own, and the same stages by hand: the cell's accuracy is evaluate's."""
    set_small(project, methods=["mft_full"], seeds=[1], learning_rates=[1e-3], keep_models=True)
    project.succeed("experiment")
    folder = project.folder
    common = ["runtime.seed=1", "train.learning_rate=0.001", "train.epochs=1", "experiment={}"]
    common.append("train.average_domains=0")
    project.succeed("meta_tune", *common, f"output_folder={folder}/hand")
    project.succeed("finetune", *common, f"model.weights={folder}/hand", f"output_folder={folder}/tuned")
    found = json.loads((folder / "tuned/metrics.json").read_text())
    for cell in read_cells(folder / "run"):
        for split, scores in (("dev", cell.dev), ("test", cell.test)):
            expected = found[split]["by_domain"][cell.domain]
            assert scores.accuracy == expected["accuracy"] and scores.loss == pytest.approx(expected["loss"], rel=1e-5)
    assert list((folder / "run/runs").glob("finetune_*/book/best"))


@pytest.mark.filterwarnings("ignore:with 2 domains")
def test_unseen_target_and_heads(project, monkeypatch):
    monkeypatch.setattr(harness, "run_process", lambda folder, job: run_job(folder, job) or "")
    few = {"setting": "unseen_target", "shares": [0.5], "domains": ["dvd"]}
    set_small(project, methods=["mix", "mft_full"], seeds=[1], learning_rates=[1e-3], **few)
    project.succeed("experiment")
    cells = read_cells(project.folder / "run")
    found = [(cell.method, cell.domain, cell.amount) for cell in cells]
    assert found == [("mft_full", "dvd", "50%"), ("mix", "dvd", "50%")]
    set_small(project, methods=["mtl"], seeds=[1], learning_rates=[1e-3])
    project.set("output_folder", str(project.folder / "heads"))
    project.succeed("experiment")
    assert [cell.domain for cell in read_cells(project.folder / "heads")] == ["book", "dvd", "phone"]


def test_a_claimed_job_is_left_to_its_owner(tmp_path, monkeypatch):
    job = plan(methods=["single"])[0]
    mine, ran = harness.Harness(tmp_path, keep_models=True), []
    monkeypatch.setattr(harness, "run_process", lambda folder, job: ran.append(job) or "")
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: owner.release())
    owner = mine._lock(job)
    owner.acquire()
    mine.run([job])  # waits until the owner gives up
    assert ran == [job] and not owner.is_locked


def test_a_job_whose_first_stage_another_process_trains_comes_later(tmp_path, monkeypatch):
    """Else this process would wait for it with nothing to do."""
    jobs = plan(methods=["two_stage", "two_stage_averaged", "single"])
    assert jobs[0].joint == jobs[1].joint
    lock, done = jobs[0].joint.lock(tmp_path), []

    monkeypatch.setattr(harness, "run_process", lambda folder, job: done.append(job.method) or "")
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: lock.release())
    lock.acquire()
    harness.Harness(tmp_path, keep_models=False).run(jobs)
    assert done == ["single", "two_stage", "two_stage_averaged"]


def test_a_process_that_dies_leaves_its_last_words(tmp_path, monkeypatch):
    job = plan(methods=["single"])[0]

    def die(words, stdout, stderr):
        stdout.write("loading\nsegmentation fault\n")
        return subprocess.CompletedProcess(words, -11)

    monkeypatch.setattr(harness.subprocess, "run", die)
    error = harness.run_process(tmp_path, job)
    assert error.startswith("exit code -11: loading segmentation fault (") and error.endswith(".log)")


def test_mistakes(project):
    set_small(project, methods=["mix"], domains=["vhs"])
    assert project.fail("experiment").startswith("experiment.domains: unknown domain 'vhs', expected some of book, dvd")
    set_small(project, methods=["mtl"], setting="unseen_target", shares=[0.1])
    assert "no mtl where the target is unseen" in project.fail("experiment")
    set_small(project, methods=["recommended"], setting="unseen_target", shares=[0.1])
    assert "no recommended where the target is unseen" in project.fail("experiment")
    set_small(project, methods=["mix"], shares=[0.1])
    assert "experiment.shares" in project.fail("experiment")
    set_small(project, methods=["mix", "mix"])
    assert "each value once" in project.fail("experiment")
    set_small(project, methods=["mix"], selection_seeds=[7])
    assert "some of experiment.seeds (7 is none of them)" in project.fail("experiment")
    set_small(project, methods=["mx"])
    assert "experiment.methods" in project.fail("experiment")
    assert not (project.folder / "run").exists()


def test_dry_run_counts(project):
    set_small(project, methods=["mix", "single"])
    out = project.succeed("experiment", dry_run=True)
    assert "6 jobs, 4 of them to choose learning rates" in out and not (project.folder / "run").exists()


def test_what_an_experiment_decides_is_said(project, fake):
    set_small(project, methods=["mix"], seeds=[1], learning_rates=[1e-3])
    out = project.succeed("experiment")
    assert "note: train.epochs, train.learning_rate: not followed; experiment.* and the methods decide" in out
    project.set("train", {"global_batch_size": 8})
    assert "note:" not in project.succeed("experiment", f"output_folder={project.folder}/plain")
    words = ("train.average_domains=0.25", "runtime.seed=3", f"output_folder={project.folder}/other")
    assert "note: train.average_domains, runtime.seed: not followed" in project.succeed("experiment", *words)


def test_the_cells_are_of_one_test_file(project, fake):
    set_small(project, methods=["mix"], seeds=[1], learning_rates=[1e-3])
    project.succeed("experiment")
    project.set("data.test_files", [str(project.folder / "dev.tsv")])
    assert "holds another run (data.test_files: " in project.fail("experiment")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data.columns.typicality", "score", "data.columns.typicality: expected null"),
        ("data.subset.share", 0.5, "data.subset.share: expected null: experiment.shares decides"),
        ("data.subset.examples_per_class", 3, "data.subset.examples_per_class: expected null"),
        ("mft.weighting", "none", 'mft.weighting: expected "typicality": the methods decide'),
        ("mft.typicality.permute", True, "mft.typicality.permute: expected false"),
        ("mft.domain_loss_weight", 0, "mft.domain_loss_weight: expected more than 0"),
        ("train.max_steps", 5, "train.max_steps: expected null"),
    ],
)
def test_settings_that_would_make_methods_other_than_their_names(project, fake, path, value, message):
    set_small(project, methods=["mix"])
    project.set(path, value)
    assert message in project.fail("experiment")
    assert fake.done == [] and not (project.folder / "run").exists()


def test_what_is_measured_is_read_before_anything_is_trained(project, fake):
    set_small(project, methods=["mix"])
    rows = project.read_rows("test.tsv")
    project.change("test.tsv", 3, lambda row: re.sub(b"dvd|book|phone", b"vhs", row))
    assert "test.tsv: row 3, column 'domain': unknown domain 'vhs'" in project.fail("experiment")
    lines = ["\t".join(rows[0])] + ["\t".join(row.values()) for row in rows if row["domain"] != "dvd"]
    project.write("test.tsv", "\n".join(lines) + "\n")
    assert project.fail("experiment") == (
        "data.test_files: no row of domain 'dvd', expected at least one to measure on"
    )
    assert fake.done == [] and not (project.folder / "run/cells").exists()


def test_the_cells_are_of_one_content_of_the_test_file(project, fake):
    set_small(project, methods=["mix"], seeds=[1], learning_rates=[1e-3])
    project.succeed("experiment")
    project.change("test.tsv", 3, lambda row: row.replace(b" ", b"  ", 1))
    assert "data.test_files" in project.fail("experiment")


def test_a_summary_is_written_by_one_process_at_a_time(project, fake, monkeypatch):
    def write(folder, *decided):
        with pytest.raises(Timeout):
            FileLock(folder / "locks" / "folder.lock", timeout=0).acquire()
        return "page"

    monkeypatch.setattr(experiment_stage, "write_summary", write)
    set_small(project, methods=["mix"], seeds=[1], learning_rates=[1e-3])
    assert "summary: page" in project.succeed("experiment")


def test_variants_may_be_added_but_not_changed(project, fake):
    small = {"methods": ["two_stage"], "learning_rates": [1e-3]}
    set_small(project, **small)
    project.succeed("experiment")
    strong = {"strong": {"settings": {"mft.domain_loss_weight": 1.0}}}
    set_small(project, **small, variants=strong)
    fake.done.clear()
    project.succeed("experiment")
    assert {method for method, *_ in fake.done} == {"strong"}
    set_small(project, **small, variants={"strong": {"settings": {"mft.domain_loss_weight": 2.0}}})
    before = project.snapshot("run")
    assert 'experiment.variants.strong: @/run has results of that name with {"method": "mft_full", ' in project.fail(
        "experiment"
    )
    assert project.snapshot("run") == before
    set_small(project, **small, variants={"weak": {"settings": {"mft.domain_loss_weight": 0.01}}})
    project.succeed("experiment")  # strong is remembered
    set_small(project, **small, variants={"strong": {}})
    assert "experiment.variants.strong" in project.fail("experiment")
