"""Running jobs: claims, failures, models that go."""

import contextlib
import os
import signal
import sys
import time

import pytest

from app_zoo.experiment import harness
from app_zoo.experiment import job as job_module
from app_zoo.experiment.plan import Stage
from app_zoo.run_folder import RunFolder
from easymft.errors import DivergenceError, JobError
from easymft.evaluation.experiment.failures import read_failures
from easymft.files import remove_folder

LONGER = {"longer": {"method": "two_stage", "finetune_epochs": 4}}  # the same joint stage, another fine-tuning


def test_models_go_once_no_job_needs_them(tmp_path, monkeypatch, fake, plan):
    jobs = plan(methods=["two_stage", "two_stage_averaged", "mix"], variants=LONGER)
    runs = tmp_path / "runs"

    def run(folder, job):
        found.append({folder.name for folder in runs.iterdir() if folder.is_dir()})
        return fake(folder, job)

    found = []
    monkeypatch.setattr(harness, "run_process", run)
    harness.Harness(tmp_path, keep_models=False).run(jobs)
    joint, final = jobs[0].joint.name, jobs[0].final.name
    assert found == [set(), {joint, final}, {joint}, {joint}]
    assert not [entry for entry in runs.iterdir() if entry.is_dir()]
    # Whoever was killed after the cells were written left them; who is measuring them holds the lock.
    (runs / jobs[0].final.name / "best").mkdir(parents=True)
    (runs / jobs[3].final.name / "best").mkdir(parents=True)
    with jobs[3].final.lock(tmp_path):
        harness.Harness(tmp_path, keep_models=False).run(jobs)
    assert [entry.name for entry in runs.iterdir() if entry.is_dir()] == [jobs[3].final.name]


def test_a_model_stays_as_long_as_another_process_begins_with_it(tmp_path, fake, plan):
    """That process has methods of its own, which this one knows nothing of."""
    mine, theirs = plan(methods=["two_stage"], variants=LONGER)
    joint = tmp_path / "runs" / mine.joint.name
    with theirs.final.lock(tmp_path):
        harness.Harness(tmp_path, keep_models=False).run([mine])
    assert joint.is_dir() and not (tmp_path / "runs" / mine.final.name).exists()
    harness.Harness(tmp_path, keep_models=False).run([mine])
    assert not joint.exists()


def test_the_first_stage_is_held_until_the_second_is(tmp_path, monkeypatch, plan):
    """Else its model could be removed in between."""
    events = []

    @contextlib.contextmanager
    def lock(stage, experiment):
        events.append(f"lock {stage.mode}")
        yield
        events.append(f"release {stage.mode}")

    monkeypatch.setattr(Stage, "lock", lock)
    monkeypatch.setattr(job_module, "train", lambda folder, stage: events.append(f"train {stage.mode}"))
    monkeypatch.setattr(job_module, "_measure", lambda app, job: events.append("measure") or [])
    for method in ("two_stage", "mix"):
        with pytest.raises(ValueError, match="zip"):  # as there are no scores to write
            job_module.run_job(tmp_path, plan(methods=[method])[0])
    first = ["lock meta_tune", "train meta_tune", "lock finetune", "release meta_tune", "train finetune", "measure"]
    assert events == [*first, "release finetune", "lock meta_tune", "train meta_tune", "measure", "release meta_tune"]


def test_a_model_is_removed_as_a_whole(tmp_path, monkeypatch):
    """Who is killed while removing one must not leave what looks finished."""
    target = tmp_path / "model"
    (target / "best").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("easymft.files.shutil.rmtree", lambda folder, ignore_errors: None)  # killed before it was done
        remove_folder(target)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".part.") and left.name.endswith(".model")
    remove_folder(target)
    assert left.exists()  # of a process that lives
    monkeypatch.setattr("easymft.files._STARTED", time.time_ns())  # as in one that began after it
    remove_folder(target)
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_did_after_all_has_not_failed(tmp_path, monkeypatch, fake, plan):
    (job,) = plan(methods=["single"])
    fake.broken = {("single", 1)}
    mine = harness.Harness(tmp_path, keep_models=False)
    mine.run([job])
    assert mine.failed == [job]
    fake.broken.clear()
    harness.Harness(tmp_path, keep_models=False).run([job])
    assert mine.failed == []


def test_a_failed_job_that_another_process_tries_is_waited_for(tmp_path, monkeypatch, fake, plan):
    """Else the rate would be chosen, and the table made, without it."""
    failing, other = plan(methods=["single", "mix"])
    mine = harness.Harness(tmp_path, keep_models=True)
    owner = mine._lock(failing)

    def run(folder, job):
        if job == failing:
            raise JobError("out of memory")
        owner.acquire()  # meanwhile another process begins with what failed here
        fake(folder, job)

    def end_elsewhere(seconds):
        fake(tmp_path, failing)
        owner.release()

    monkeypatch.setattr(harness, "run_process", run)
    monkeypatch.setattr(harness.time, "sleep", end_elsewhere)
    mine.run([failing, other])
    assert mine.failed == []


def test_a_claimed_job_is_left_to_its_owner(tmp_path, monkeypatch, plan):
    job = plan(methods=["single"])[0]
    mine, ran = harness.Harness(tmp_path, keep_models=True), []
    monkeypatch.setattr(harness, "run_process", lambda folder, job: ran.append(job))
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: owner.release())
    owner = mine._lock(job)
    owner.acquire()
    mine.run([job])  # waits until the owner gives up
    assert ran == [job] and not owner.is_locked


@pytest.mark.parametrize("stage", ["joint", "final"])
@pytest.mark.parametrize("begun", [True, False])
def test_a_job_whose_next_stage_another_process_trains_comes_later(tmp_path, monkeypatch, plan, stage, begun):
    """Or will, as it has claimed a job with it. Else this process would wait for it with nothing to do."""
    jobs = plan(methods=["two_stage", "two_stage_averaged", "single"])
    claimed = harness.Harness(tmp_path, keep_models=False)._lock(jobs[0])
    lock, done = getattr(jobs[0], stage).lock(tmp_path) if begun else claimed, []
    assert getattr(jobs[0], stage) == getattr(jobs[1], stage)
    if stage == "final":
        joint = RunFolder(tmp_path / "runs" / jobs[0].joint.name)
        monkeypatch.setattr(RunFolder, "is_finished", property(lambda run: run.path == joint.path))

    monkeypatch.setattr(harness, "run_process", lambda folder, job: done.append(job.method))
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: lock.release())
    lock.acquire()
    harness.Harness(tmp_path, keep_models=False).run(jobs)
    assert done == ["single", "two_stage", "two_stage_averaged"]


def test_with_nothing_else_to_do_a_job_waits_in_its_own_process(tmp_path, monkeypatch, plan):
    """Which holds the stage before, so that nobody removes it meanwhile."""
    (job,) = plan(methods=["two_stage"])
    joint, done = tmp_path / "runs" / job.joint.name, []
    monkeypatch.setattr(RunFolder, "is_finished", property(lambda run: run.path == joint))
    monkeypatch.setattr(harness, "run_process", lambda folder, job: done.append(job.method))
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: pytest.fail("it only looked on"))
    with job.final.lock(tmp_path):
        harness.Harness(tmp_path, keep_models=True).run([job])
    assert done == ["two_stage"]


def test_a_process_that_dies_leaves_its_last_words(tmp_path, monkeypatch, plan):
    job = plan(methods=["single"])[0]

    code = "import os; print('loading', flush=True); print('segmentation fault', flush=True); os.kill(os.getpid(), 11)"
    monkeypatch.setattr(harness, "command", lambda folder, job: [sys.executable, "-c", code])
    with pytest.raises(JobError, match=r"^exit code -11: loading segmentation fault \(.*\.log\)$"):
        harness.run_process(tmp_path, job)


def test_an_interrupt_leaves_the_job_the_time_to_save_its_state(tmp_path, monkeypatch, plan):
    code = f"""
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.6)
    open({str(tmp_path / "state")!r}, "w").write("saved")
"""
    monkeypatch.setattr(harness, "command", lambda folder, job: [sys.executable, "-c", code])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            harness.run_process(tmp_path, plan(methods=["single"])[0])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "state").read_text() == "saved"


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


def test_a_job_whose_first_stage_another_process_is_about_to_train_comes_later(tmp_path, monkeypatch, plan):
    """Its program holds the job's lock, but has not come to the stage's yet."""
    jobs = plan(methods=["two_stage", "two_stage_averaged", "single"])
    mine, done = harness.Harness(tmp_path, keep_models=False), []
    monkeypatch.setattr(harness, "run_process", lambda folder, job: done.append(job.method))
    owner = mine._lock(jobs[0])
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: owner.release())
    owner.acquire()
    mine.run(jobs)
    assert done[0] == "single" and sorted(done[1:]) == ["two_stage", "two_stage_averaged"]


def test_jobs_are_numbered_over_all_that_will_be_run(tmp_path, monkeypatch, plan, capsys):
    first, second = plan(methods=["single", "mix"]), plan(methods=["single"], seeds=(2,))
    monkeypatch.setattr(harness, "run_process", lambda folder, job: None)
    mine = harness.Harness(tmp_path, keep_models=False, expected=3)
    mine.run(first)
    mine.run(second)
    numbers = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert numbers == ["[1/3]", "[2/3]", "[3/3]"]


def test_a_job_that_diverges_says_so_by_its_exit_code(tmp_path, monkeypatch, plan):
    (job,) = plan(methods=["single"])
    words, ran = harness.command(tmp_path, job)[-2:], []

    def diverge(folder, job):
        raise DivergenceError("not finite")

    def command(folder, job):
        ran.append(job)
        return [sys.executable, "-c", f"raise SystemExit({job_module.main(words)})"]

    monkeypatch.setattr(job_module, "run_job", diverge)
    monkeypatch.setattr(harness, "command", command)
    # It would diverge again: neither a second process nor a second run tries.
    for _ in range(2):
        mine = harness.Harness(tmp_path, keep_models=False)
        mine.run([job])
        assert mine.diverged == [job] == ran and mine.failed == []
    assert "training diverged" in read_failures(tmp_path)[0].error


def test_the_second_stage_begins_with_the_first_ones_weights(tmp_path, monkeypatch, plan):
    """Wherever those of the first come from: random ones, or a file of a given form."""
    made = []

    class App:
        def __init__(self, file, changes, mode):
            made.append((mode, changes))

        def run(self, mode):
            return None

    monkeypatch.setattr(job_module, "make_application", App)
    (job,) = plan(methods=["two_stage"])
    for stage in (job.joint, job.final):
        job_module.train(tmp_path, stage)
    for mode, changes in made:
        own = {name: value for name, value in changes.items() if name.startswith("model.")}
        weights = {"model.weights": str(tmp_path / "runs" / job.joint.name), "model.initialization": "weights"}
        assert own == ({} if mode == "meta_tune" else weights | {"model.weights_format": "auto", "model.encoder": None})
    assert [mode for mode, _ in made] == ["meta_tune", "meta_tune", "finetune", "finetune"]
