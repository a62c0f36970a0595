"""--mode experiment on the small project: what is run, what is skipped, what fails."""

import json

import numpy as np
import pytest
from filelock import FileLock, Timeout

from app_zoo.experiment import harness
from app_zoo.experiment.job import run_job
from app_zoo.run_folder import RunFolder
from app_zoo.stages import experiment as experiment_stage
from easymft.checksums import read_object
from easymft.evaluation.experiment.failures import read_failures
from easymft.evaluation.experiment.results import read_cells


def test_rates_are_chosen_on_dev_and_finished_cells_skipped(project, fake):
    project.set_experiment(methods=["mix", "two_stage"])
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
    project.set_experiment(methods=["mix", "two_stage"], seeds=[1, 2, 3], keep_models=True)
    project.succeed("experiment")
    assert fake.done == [("mix", 3, 1e-3), ("two_stage", 3, 3e-3)]
    assert len(list((project.folder / "run/runs").glob("*/best"))) == 3
    project.set_experiment(methods=["mix"], finetune_epochs=2)
    assert "experiment.finetune_epochs" in project.fail("experiment")


def test_failures_are_recorded_and_the_rest_goes_on(project, fake):
    project.set_experiment(methods=["mix", "single"], learning_rates=[1e-3])
    fake.broken = {("mix", 2)}
    result = project.run("experiment")
    assert result.code != 0 and "1 jobs failed, first mix, 100%, seed 2" in result.err, result
    assert len(read_failures(project.folder / "run")) == 3 and len(read_cells(project.folder / "run")) == 9
    assert read_failures(project.folder / "run")[0].error == "exit code 9: it broke"
    fake.broken.clear()
    project.succeed("experiment")
    assert read_failures(project.folder / "run") == [] and len(read_cells(project.folder / "run")) == 12


def test_a_method_whose_candidate_fails_is_not_run_further(project, fake):
    project.set_experiment(methods=["mix", "single"])
    fake.broken = {("single", 1)}
    result = project.run("experiment")
    assert "single, 100%: a candidate failed" in result.out and result.code != 0
    assert ("single", 2, 1e-3) not in fake.done and ("mix", 2, 1e-3) in fake.done


def test_where_every_candidate_fails_that_is_said(project, fake):
    project.set_experiment(methods=["mix"])
    fake.broken = {("mix", 1)}
    result = project.run("experiment")
    assert result.code == 2 and "2 jobs failed, first mix, 100%, seed 1" in result.err, result
    assert not (project.folder / "run/summary").exists()


def test_the_table_has_the_rate_that_the_experiment_chose(project, fake):
    """Although the folder has cells of a better one."""
    project.set_experiment(methods=["two_stage"], seeds=[1])
    project.succeed("experiment")
    project.set_experiment(methods=["two_stage"], seeds=[1, 2], learning_rates=[1e-3])
    assert "learning rate of two_stage, 100%: 0.001" in project.succeed("experiment")
    rows = (project.folder / "run/summary/table.csv").read_text().splitlines()
    assert len(rows) == 2 and ",0.001," in rows[1]


def test_processes_that_share_a_cache_embed_once(project, monkeypatch):
    def embed(embedder, tokens, file, **options):
        (lock,) = file.parents[1].glob("embeddings-*.lock")
        with pytest.raises(Timeout):
            FileLock(lock, timeout=0).acquire()
        np.save(file, np.ones([tokens.num_examples, 4], np.float32))
        found.append(file)
        return np.load(file)

    found = []
    monkeypatch.setattr("app_zoo.stages.typicality.embed_dataset", embed)
    for name in ("one", "two"):
        folder = project.folder
        project.succeed("typicality", f"output_folder={folder}/{name}", f"data.cache_folder={folder}/cache")
    assert [file.parents[1] for file in found] == [project.folder / "cache"]


def test_cells_are_what_the_modes_give(project):
    """Jobs in processes of their own, and the same stages by hand: the cells' accuracies are evaluate's."""
    shares = {"mft_full": 0.0, "mft_full_averaged": 0.5}
    project.set_experiment(methods=list(shares), seeds=[1], learning_rates=[1e-3], keep_models=True)
    project.succeed("experiment")
    folder = project.folder
    common = ["runtime.seed=1", "train.learning_rate=0.001", "train.epochs=1", "experiment={}"]
    project.succeed("meta_tune", *common, f"output_folder={folder}/hand")
    found = {}
    for method, share in shares.items():
        words = (f"model.weights={folder}/hand", f"output_folder={folder}/{method}", f"train.average_domains={share}")
        project.succeed("finetune", *common, *words)
        found[method] = json.loads((folder / method / "metrics.json").read_text())
    cells = read_cells(folder / "run")
    assert len({(cell.domain, cell.test.loss) for cell in cells}) == 6
    for cell in cells:
        for split, scores in (("dev", cell.dev), ("test", cell.test)):
            expected = found[cell.method][split]["by_domain"][cell.domain]
            assert scores.accuracy == expected["accuracy"] and scores.loss == pytest.approx(expected["loss"], rel=1e-5)
    # The domains of both were fine-tuned once.
    [final] = [file for file in (folder / "run/runs").glob("finetune_*") if file.is_dir()]
    assert {file.name for file in final.iterdir() if file.is_dir()} == {"book", "dvd", "phone"}


@pytest.mark.filterwarnings("ignore:with 2 domains")
def test_unseen_target_and_heads(project, monkeypatch):
    monkeypatch.setattr(harness, "run_process", run_job)
    few = {"setting": "unseen_target", "shares": [0.5], "domains": ["dvd"]}
    project.set_experiment(methods=["mix", "mft_full"], seeds=[1], learning_rates=[1e-3], **few)
    project.succeed("experiment")
    cells = read_cells(project.folder / "run")
    found = [(cell.method, cell.domain, cell.amount) for cell in cells]
    assert found == [("mft_full", "dvd", "50%"), ("mix", "dvd", "50%")]
    project.set_experiment(methods=["mtl"], seeds=[1], learning_rates=[1e-3])
    project.set("output_folder", str(project.folder / "heads"))
    project.succeed("experiment")
    assert [cell.domain for cell in read_cells(project.folder / "heads")] == ["book", "dvd", "phone"]


def test_dry_run_counts(project):
    project.set_experiment(methods=["mix", "single"])
    out = project.succeed("experiment", dry_run=True)
    assert "6 jobs, 4 of them to choose learning rates" in out and not (project.folder / "run").exists()


def test_what_an_experiment_decides_is_said(project, fake):
    project.set_experiment(methods=["mix"], seeds=[1], learning_rates=[1e-3])
    out = project.succeed("experiment")
    assert "note: train.epochs, train.learning_rate: not followed; experiment.* and the methods decide" in out
    project.set("train", {"global_batch_size": 8})
    assert "note:" not in project.succeed("experiment", f"output_folder={project.folder}/plain")
    words = ("train.average_domains=0.25", "runtime.seed=3", f"output_folder={project.folder}/other")
    assert "note: runtime.seed, train.average_domains: not followed" in project.succeed("experiment", *words)


def test_the_cells_are_of_one_test_file(project, fake):
    project.set_experiment(methods=["mix"], seeds=[1], learning_rates=[1e-3])
    project.succeed("experiment")
    project.set("data.test_files", [str(project.folder / "dev.tsv")])
    assert "holds another run (data.test_files: " in project.fail("experiment")


def test_the_cells_are_of_one_content_of_the_test_file(project, fake):
    project.set_experiment(methods=["mix"], seeds=[1], learning_rates=[1e-3])
    project.succeed("experiment")
    project.change("test.tsv", 3, lambda row: row.replace(b" ", b"  ", 1))
    assert "data.test_files" in project.fail("experiment")


def test_a_summary_is_written_by_one_process_at_a_time(project, fake, monkeypatch):
    def write(folder, *decided):
        with pytest.raises(Timeout):
            FileLock(folder / "locks" / "folder.lock", timeout=0).acquire()
        return "page"

    monkeypatch.setattr(experiment_stage, "write_summary", write)
    project.set_experiment(methods=["mix"], seeds=[1], learning_rates=[1e-3])
    assert "summary: page" in project.succeed("experiment")


def test_variants_may_be_added_but_not_changed(project, fake):
    small = {"methods": ["two_stage"], "learning_rates": [1e-3]}
    project.set_experiment(**small)
    project.succeed("experiment")
    strong = {"strong": {"settings": {"mft.domain_loss_weight": 1.0}}}
    project.set_experiment(**small, variants=strong)
    fake.done.clear()
    project.succeed("experiment")
    assert {method for method, *_ in fake.done} == {"strong"}
    project.set_experiment(**small, variants={"strong": {"settings": {"mft.domain_loss_weight": 2.0}}})
    before = project.snapshot("run")
    assert 'experiment.variants.strong: @/run has results of that name with {"method": "mft_full", ' in project.fail(
        "experiment"
    )
    assert project.snapshot("run") == before
    project.set_experiment(**small, variants={"weak": {"settings": {"mft.domain_loss_weight": 0.01}}})
    project.succeed("experiment")  # strong is remembered
    project.set_experiment(**small, variants={"strong": {}})
    assert "experiment.variants.strong" in project.fail("experiment")


def test_jobs_follow_how_the_last_start_is_to_run(project, fake):
    project.set_experiment(methods=["mix"], seeds=[1], learning_rates=[1e-3])
    project.succeed("experiment")
    project.succeed("experiment", "evaluation.batch_size=7")
    assert json.loads((project.folder / "run/config.json").read_text())["evaluation"]["batch_size"] == 7


def test_an_experiment_is_overwritten_as_a_whole(project, fake):
    small = {"methods": ["two_stage"], "seeds": [1], "learning_rates": [1e-3]}
    strong = {"strong": {"settings": {"mft.domain_loss_weight": 1.0}}, "old": {}}
    project.set_experiment(**small, variants=strong)
    project.succeed("experiment")
    other = {"strong": {"settings": {"mft.domain_loss_weight": 2.0}}}
    project.set_experiment(**small, variants=other, joint_epochs=2)
    with FileLock(next((project.folder / "run/locks").glob("strong*"))):
        before = project.snapshot("run")
        assert "another process works on the experiment" in project.fail("experiment", "runtime.overwrite=true")
        assert project.snapshot("run") == before
    project.succeed("experiment", "runtime.overwrite=true")
    assert set(read_object(project.folder / "run/variants.json")) == {"strong"}
    assert {cell.method for cell in read_cells(project.folder / "run.old")} == {"two_stage", "strong", "old"}
    # The variants alone are no reason to begin anew, unless both settings say so.
    (project.folder / "run.old").rename(project.folder / "older")
    project.set_experiment(**small, variants=strong, joint_epochs=2)
    assert "start anew with runtime.overwrite true and" in project.fail("experiment", "runtime.overwrite=true")
    project.succeed("experiment", "runtime.overwrite=true", "runtime.resume=false")
    assert set(read_object(project.folder / "run/variants.json")) == {"strong", "old"}


def test_bad_rows_that_the_jobs_will_skip_are_listed(project, fake):
    project.set_experiment(methods=["mix"], seeds=[1], learning_rates=[1e-3])
    project.change("test.tsv", 3, lambda row: b"\tdvd\tpos")
    assert "test.tsv: row 3, column 'text'" in project.fail("experiment")
    project.succeed("experiment", "data.bad_rows=skip")
    (row,) = project.read_rows("run/skipped_rows_test.tsv")
    assert row["row"] == "3"


def test_a_rate_at_which_training_diverges_is_not_chosen(project, fake):
    project.set_experiment(methods=["mix", "single"], seeds=[1, 2, 3], selection_seeds=[1, 2])
    fake.diverged = {("single", 2, 3e-3)}  # of two that choose
    out = project.succeed("experiment")
    assert "single, 100%: training diverged at 0.003, which is not chosen" in out
    assert ("single", 3, 1e-3) in fake.done and ("single", 3, 3e-3) not in fake.done
    fake.diverged = {("single", 2, 3e-3), ("single", 1, 1e-3)}
    result = project.run("experiment", f"output_folder={project.folder}/all")
    assert "single, 100%: a candidate failed" in result.out and "2 jobs failed, first single" in result.err
    assert ("mix", 3, 1e-3) in fake.done


def test_of_two_experiments_that_begin_at_once_one_gets_the_folder(project, fake, monkeypatch):
    def check(app, maps, domains):
        config = app.config.model_copy(deep=True)
        config.experiment.joint_epochs = 2
        RunFolder(app.folder.path).claim(config, "experiment", app.inputs)

    monkeypatch.setattr(experiment_stage, "check_data", check)
    project.set_experiment(methods=["mix"])
    assert "experiment.joint_epochs" in project.fail("experiment")
    assert fake.done == []
