"""--mode experiment on the small project: the plan, jobs in this process, what is skipped, what fails."""

import json
import subprocess

import pytest

from app_zoo.experiment import harness
from app_zoo.experiment.job import run_job
from app_zoo.experiment.methods import METHODS
from app_zoo.experiment.plan import Amount, plan_jobs
from easymft.config.schema import ComparisonConfig, ExperimentConfig
from easymft.errors import EasyMFTError
from easymft.evaluation.experiment_failures import read_failures
from easymft.evaluation.experiment_results import read_cells


def make_config(**experiment):
    return ExperimentConfig(output_folder="x", experiment=ComparisonConfig(**experiment))


def plan(rates=(1e-3,), seeds=(1,), domains=("a", "b", "c"), **experiment):
    config = make_config(**experiment)
    keys = [(method, config.experiment.setting, str(amount)) for method in config.experiment.methods
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
        excluded = job.joint.settings.get("data.subset.exclude_domains", [])
        assert excluded == (list(job.domains) if setting == "unseen_target" else [])
        assert str(job.amount) == "5%" and job.keys()[0]["amount"] == "5%"


def test_a_subset_is_of_the_seed():
    first, second = (
        job.final.settings for job in plan(methods=["single"], shares=[0.1], setting="few_both", seeds=(1, 2))
    )
    assert (first["data.subset.seed"], second["data.subset.seed"]) == (1, 2)


@pytest.fixture
def here(monkeypatch):
    """Jobs run in this process; the list of those that were run."""
    done = []

    def run(folder, job):
        done.append(job)
        try:
            run_job(folder, job)
        except EasyMFTError as error:
            return str(error)
        return ""

    monkeypatch.setattr(harness, "run_process", run)
    return done


def set_small(project, **experiment):
    small = {"seeds": [1, 2], "learning_rates": [1e-3, 3e-3], "joint_epochs": 1, "finetune_epochs": 1}
    project.set("experiment", small | experiment)


def test_from_config_to_summary_and_again(project, here):
    set_small(project, methods=["mix", "two_stage"])
    out = project.succeed("experiment")
    assert [(job.method, job.seed) for job in here] == [("mix", 1)] * 2 + [("two_stage", 1)] * 2 + [
        ("mix", 2),
        ("two_stage", 2),
    ]
    cells = read_cells(project.folder / "run")
    assert len(cells) == 6 * 3 and {cell.domain for cell in cells} == {"book", "dvd", "phone"}
    assert all(cell.test.examples == 6 for cell in cells)
    dev = dict.fromkeys((("mix", 1e-3), ("mix", 3e-3), ("two_stage", 1e-3), ("two_stage", 3e-3)), 0.0)
    for cell in cells:
        if cell.seed == 1:
            dev[cell.method, cell.learning_rate] += cell.dev.accuracy
    best = {method: max((1e-3, 3e-3), key=lambda rate: dev[method, rate]) for method in ("mix", "two_stage")}
    assert {job.method: job.learning_rate for job in here[4:]} == best
    assert "summary" in out and (project.folder / "run/summary/index.html").stat().st_size > 1000
    assert "two\\_stage" in (project.folder / "run/summary/table.md").read_text()
    assert not list((project.folder / "run/runs").glob("*/best"))  # models are gone

    before = project.snapshot("run/cells")
    del here[:]
    assert "jobs are done already" in project.succeed("experiment")
    assert here == [] and project.snapshot("run/cells") == before
    set_small(project, methods=["mix", "two_stage"], seeds=[1, 2, 3])
    project.succeed("experiment")
    assert [job.seed for job in here] == [3, 3]
    set_small(project, methods=["mix"], finetune_epochs=2)
    assert "experiment.finetune_epochs" in project.fail("experiment")


def test_cells_are_what_the_modes_give(project, here):
    """The same stages by hand: the cell's accuracy is evaluate's."""
    set_small(project, methods=["mft_full"], seeds=[1], learning_rates=[1e-3], keep_models=True)
    project.succeed("experiment")
    folder = project.folder
    common = ["runtime.seed=1", "train.learning_rate=0.001", "train.epochs=1", "experiment={}"]
    project.succeed("meta_tune", *common, f"output_folder={folder}/hand")
    project.succeed("finetune", *common, f"model.weights={folder}/hand", f"output_folder={folder}/tuned")
    found = json.loads((folder / "tuned/metrics.json").read_text())
    for cell in read_cells(folder / "run"):
        for split, scores in (("dev", cell.dev), ("test", cell.test)):
            expected = found[split]["by_domain"][cell.domain]
            assert scores.accuracy == expected["accuracy"] and scores.loss == pytest.approx(expected["loss"], rel=1e-5)
    assert list((folder / "run/runs").glob("finetune_*/book/best"))


@pytest.mark.filterwarnings("ignore:with 2 domains")
def test_unseen_target_and_heads(project, here):
    methods = ["single", "mix", "mft_full", "adversarial"]
    set_small(
        project,
        methods=methods,
        seeds=[1],
        learning_rates=[1e-3],
        setting="unseen_target",
        shares=[0.5],
        domains=["dvd"],
    )
    project.succeed("experiment")
    cells = {cell.method: cell for cell in read_cells(project.folder / "run")}
    assert set(cells) == set(methods) and {cell.domain for cell in cells.values()} == {"dvd"}
    set_small(project, methods=["mtl"], seeds=[1], learning_rates=[1e-3])
    project.set("output_folder", str(project.folder / "heads"))
    project.succeed("experiment")
    assert len(read_cells(project.folder / "heads")) == 3


def test_failures_are_recorded_and_the_rest_goes_on(project, monkeypatch):
    set_small(project, methods=["mix", "single"], learning_rates=[1e-3])
    real, broken = run_job, {"mix"}

    def run(folder, job):
        if job.method in broken and job.seed == 2:
            return "exit code 9: it broke"
        real(folder, job)
        return ""

    monkeypatch.setattr(harness, "run_process", run)
    result = project.run("experiment")
    assert result.code != 0 and "1 jobs failed, first mix, 100%, seed 2" in result.err, result
    assert len(read_failures(project.folder / "run")) == 3 and len(read_cells(project.folder / "run")) == 9
    broken.clear()
    project.succeed("experiment")
    assert read_failures(project.folder / "run") == [] and len(read_cells(project.folder / "run")) == 12


def test_a_claimed_job_is_left_to_its_owner(tmp_path, monkeypatch):
    job = plan(methods=["single"])[0]
    mine, ran = harness.Harness(tmp_path, keep_models=True), []
    monkeypatch.setattr(harness, "run_process", lambda folder, job: ran.append(job) or "")
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: owner.release())
    owner = mine._lock(job)
    owner.acquire()
    mine.run([job])  # waits until the owner gives up
    assert ran == [job] and not owner.is_locked


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
    assert "experiment.methods" in project.fail("experiment")
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
