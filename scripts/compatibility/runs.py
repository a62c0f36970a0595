"""Trials of runs that are interrupted, killed, started twice, or started again with other settings."""

import resource
import shutil
import signal
import time
from subprocess import Popen

from compatibility.project import Project, accepted, expect, refused
from compatibility.trial import Bench, trial

_LONG = ("train.epochs=30", "train.checkpoint_every_steps=20", "data.test_files=[]", "data.dev_files=[]")


def _start_long(project: Project, states: int = 1) -> Popen:
    """Starts a run and waits until it has saved so many states."""
    started = project.start("meta_tune", *_LONG)
    for _ in range(2400):
        if len(list((project.folder / "run").glob("resume/*.index"))) >= states or started.poll() is not None:
            break
        time.sleep(0.05)
    expect(started.poll() is None, f"the run ended before it could be stopped: {started.poll()}")
    return started


def _killed(bench: Bench) -> Project:
    """A project whose run was killed when it had saved two states: made once for all trials, then put back."""
    project = Project(bench.shared / "killed")
    run, kept = project.folder / "run", project.folder / "kept"
    if not kept.exists():
        started = _start_long(project, states=2)
        time.sleep(0.5)  # so that the second is whole
        started.kill()
        started.communicate()
        shutil.copytree(run, kept)
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(kept, run)
    return project


@trial(
    "NVIDIA-NeMo/Automodel/issues/405",
    "SIGTERM from a scheduler in the middle of training",
    "the state is saved, the same command goes on",
)
def stopped_by_a_scheduler(bench: Bench) -> str:
    """As SLURM's scancel sends it."""
    project = bench.project()
    started = _start_long(project)
    started.send_signal(signal.SIGTERM)
    result = project.wait(started, 60)
    newest = max(int(path.stem.rsplit("-", 1)[1]) for path in (project.folder / "run" / "resume").glob("*.index"))
    told = result.told
    again = accepted(project.run("meta_tune", *_LONG))
    expect("traceback" not in told.lower(), told)
    expect(bool(told), f"exit {result.code} without a word (state of step {newest} is kept)")
    expect("resum" in again.out or "goes on" in again.out or str(newest) in again.out, f"said: {again.out[:300]}")
    return f"exit {result.code}: {told}; the same command goes on from step {newest}"


@trial(
    "tensorflow/tensorboard/issues/4055",
    "A run that goes on after a kill: curves that overlap or jump back",
    "TensorBoard shows every step once",
)
def curves_of_a_resumed_run(bench: Bench) -> str:
    """Steps between the last state and the kill are made again; what TensorBoard's own reader makes of it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    project = _killed(bench)
    accepted(project.run("meta_tune", *_LONG))
    events = EventAccumulator(str(project.folder / "run" / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    steps = [event.step for event in events.Tensors("train/learning_rate")]
    expect(steps == sorted(set(steps)) and len(steps) > 50, f"{len(steps)} points at {len(set(steps))} steps")
    return f"TensorBoard shows each of the {len(steps)} steps once"


@trial(
    "huggingface/huggingface_hub/issues/2543",
    "A lock that is left behind by a process that was killed",
    "it holds no longer: the same command goes on",
)
def lock_of_a_killed_process(bench: Bench) -> str:
    """Elsewhere the next one waits for ever."""
    project = _killed(bench)
    expect((project.folder / "run" / ".lock").exists(), "there is no lock file to be left behind")
    again = project.wait(project.start("meta_tune", *_LONG), 120)
    accepted(again)
    return "goes on at once, from the last saved state"


@trial(
    "meta-pytorch/torchtune/issues/481",
    "Two processes that train into the same folder",
    "the second is refused",
)
def two_runs_in_a_folder(bench: Bench) -> str:
    """While the first goes on."""
    project = bench.project()
    first = _start_long(project)
    second = project.wait(project.start("meta_tune", *_LONG), 60)
    first.kill()
    first.communicate()
    return "refused: " + refused(second, ("output_folder",))


@trial(
    "huggingface/transformers/pull/43718",
    "An interrupted run goes on with another batch size: wrong number of steps",
    "refused with both sizes",
)
def resume_with_other_batches(bench: Bench) -> str:
    """Also with other epochs."""
    project = _killed(bench)
    project.refuse("meta_tune", *_LONG, "train.epochs=31", words=("epochs", "30", "31"))
    said = project.refuse("meta_tune", *_LONG, "train.global_batch_size=4", words=("global_batch_size", "8", "4"))
    return f"refused: {said}"


@trial(
    "vllm-project/speculators/pull/739",
    "The newest saved state was cut short by a crash",
    "the state before it is used",
)
def newest_state_cut_short(bench: Bench) -> str:
    """Cut, empty, or gone."""
    for cut in (1000, 0, None):
        project = _killed(bench)
        folder = project.folder / "run" / "resume"
        newest = max(folder.glob("*.data-*"), key=lambda path: int(path.name.split("-")[1].split(".")[0]))
        newest.unlink() if cut is None else newest.write_bytes(newest.read_bytes()[:cut])
        said = accepted(project.run("meta_tune", *_LONG), "resuming after step").out
    return "goes on from the state before it: " + next(line for line in said.splitlines() if "resuming" in line)


@trial(
    "huggingface/transformers/pull/40790",
    "All saved states are damaged, or the list of them is",
    "one line says what to do",
)
def all_states_damaged(bench: Bench) -> str:
    """The list of states is the file `checkpoint`."""
    project = _killed(bench)
    for path in (project.folder / "run" / "resume").glob("*.data-*"):
        path.write_bytes(path.read_bytes()[:100])
    said = project.refuse("meta_tune", *_LONG, words=("resume", "remove"))
    project = _killed(bench)
    (project.folder / "run" / "resume" / "checkpoint").write_text("")
    result = project.run("meta_tune", *_LONG)
    expect(result.code == 0 or bool(refused(result, ("resume",))), result.told)
    return f"refused: {said}"


@trial(
    "facebookresearch/metaseq/issues/53",
    "Files of no bytes among those of a run, after the disk was full",
    "one line names the file",
)
def record_without_bytes(bench: Bench) -> str:
    """The run's record, its config and its classes; at prediction, and when the same training is started again."""
    for name in ("run.json", "config.json", "maps.json"):
        project = bench.trained(name)
        (project.folder / "run" / name).write_text("")
        said = project.refuse("predict", words=(name,))
        if name == "run.json":
            project.refuse("meta_tune", words=(name,))
    return f"refused: {said}"


@trial(
    "LibreYOLO/libreyolo/issues/833",
    "A second training with other settings into the folder of the first",
    "refused; the first is kept",
)
def folder_of_another_run(bench: Bench) -> str:
    """Nothing is overwritten unless asked for."""
    project = bench.project()
    project.accept("meta_tune", "data.test_files=[]")
    weights = project.folder / "run" / "best" / "model.safetensors"
    before = weights.read_bytes()
    said = project.refuse(
        "meta_tune", "data.test_files=[]", "train.learning_rate=0.002", words=("learning_rate", "overwrite")
    )
    expect(weights.read_bytes() == before, "the weights of the first run changed")
    project.accept("meta_tune", "data.test_files=[]", "train.learning_rate=0.002", "runtime.overwrite=true")
    expect((project.folder / "run.old" / "best" / "model.safetensors").read_bytes() == before, "the first run is gone")
    return f"refused: {said}"


@trial(
    "bghira/SimpleTuner/issues/2353",
    "No room left while the model is written",
    "one line; nothing half-written; after making room the same command goes on",
)
def no_room_for_the_model(bench: Bench) -> str:
    """By a limit on the size of files."""
    project = bench.project()
    limit = 60_000  # bytes: more than logs and configs, less than the tensors

    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    started = project.start("meta_tune", "data.test_files=[]", preexec_fn=set_limit)
    result = project.wait(started, 120)
    said = refused(result)
    broken = [path for path in (project.folder / "run").rglob("model.safetensors") if path.stat().st_size <= limit]
    expect(not broken, f"half-written: {broken}")
    project.accept("meta_tune", "data.test_files=[]")
    return f"stops: {said}; the same command goes on afterwards"
