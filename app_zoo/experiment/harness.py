"""Running the jobs of an experiment: skip what is done, record what fails, share the work with other processes."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from app_zoo.experiment.job import DIVERGED_CODE
from app_zoo.experiment.plan import Job
from app_zoo.run_folder import RunFolder
from easymft.errors import DivergenceError, JobError
from easymft.evaluation.experiment.failures import CellFailure, has_diverged, write_failure
from easymft.evaluation.experiment.results import Cell, key_name
from easymft.files import remove_folder

_POLL_SECONDS = 5.0
_ERROR_LINES = 3


class Harness:
    """The jobs of an experiment in a folder that several processes, on several machines, may share.

    A job is claimed by a lock on a file, which the operating system gives up when its owner dies.

    Args:
        folder: Of the experiment.
        keep_models: Leave the trained models there; else they go once their cells are written.
        expected: Number of jobs over all calls of `run`, as far as it is known, for what is shown.
    """

    def __init__(self, folder: Path, keep_models: bool, expected: int = 0):
        self._folder, self._keep_models, self.expected = folder, keep_models, expected
        self._seconds: list[float] = []
        self._failed: list[Job] = []
        self._seen: list[Job] = []

    @property
    def failed(self) -> list[Job]:
        """Jobs that ended in an error, and that no other process has done since."""
        return [job for job in self._failed if not self.is_done(job)]

    @property
    def diverged(self) -> list[Job]:
        """Jobs whose training ended in numbers that are not finite, here or elsewhere, now or in an earlier run."""
        return [job for job in self._seen if self._has_diverged(job)]

    def is_done(self, job: Job) -> bool:
        """Whether all its cells are there."""
        return all((self._folder / "cells" / f"{_name(key)}.json").is_file() for key in job.keys())

    def _is_settled(self, job: Job) -> bool:
        """Whether there is no use in running it."""
        return self.is_done(job) or self._has_diverged(job)

    def _has_diverged(self, job: Job) -> bool:
        return not self.is_done(job) and has_diverged(self._folder, Cell(**job.keys()[0]))

    def run(self, jobs: Sequence[Job]) -> None:
        """Sees to it that every job is done or has failed; waits for those that others are doing."""
        self._seen += jobs
        total = max(self.expected, len(self._seen))
        waiting = [job for job in jobs if not self._is_settled(job)]
        skipped = len(jobs) - len(waiting)
        if skipped:
            print(f"{skipped} of {len(jobs)} jobs are done already, or have diverged", flush=True)
        self._remove_models(jobs)  # whoever was killed left some
        while waiting:
            claimed = False
            for job in tuple(waiting):
                if self._is_begun_elsewhere(job, waiting):
                    continue  # another process trains what this job begins with; there may be others to do meanwhile
                try:
                    with self._lock(job):
                        if not self._is_settled(job):
                            claimed = True
                            number = len(self._seen) - len(waiting) + 1
                            self._run(job, f"[{number}/{total}]", total - number)
                            self._remove_models(jobs)
                except Timeout:
                    continue
                waiting.remove(job)
            if waiting and not claimed:
                time.sleep(_POLL_SECONDS)
        while any(is_held(self._lock(job)) for job in self.failed):
            time.sleep(_POLL_SECONDS)  # what failed here, another process is trying

    def _lock(self, job: Job) -> FileLock:
        file = self._folder / "locks" / f"{_name(job.keys()[0])}.lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(file, timeout=0)

    def _is_begun_elsewhere(self, job: Job, jobs: Sequence[Job]) -> bool:
        """Whether another process holds the stage that it has to train next, or another of `jobs` with the same."""
        stages = [stage for stage in (job.joint, job.final) if stage is not None]
        stage = next((stage for stage in stages if not RunFolder(self._folder / "runs" / stage.name).is_finished), None)
        if stage is None or (stage is job.final and len(jobs) == 1):
            return False  # with nothing else to do its process waits, and keeps what it begins with
        same = [self._lock(other) for other in jobs if other is not job and stage in (other.joint, other.final)]
        return any(is_held(lock) for lock in (stage.lock(self._folder, timeout=0.0), *same))

    def _run(self, job: Job, number: str, left: int) -> None:
        print(f"{number} {job}", flush=True)
        started = time.time()
        try:
            run_process(self._folder, job)
        except (DivergenceError, JobError) as error:
            diverged = isinstance(error, DivergenceError)
            if not diverged:
                self._failed.append(job)
            print(f"      failed: {error}", flush=True)
            for key in job.keys():
                write_failure(self._folder, CellFailure(**key, error=str(error), diverged=diverged))
            return
        for key in job.keys():
            (self._folder / "failures" / f"{_name(key)}.json").unlink(missing_ok=True)
        self._seconds.append(time.time() - started)
        minutes = left * sum(self._seconds) / len(self._seconds) / 60
        print(f"      {self._seconds[-1]:.0f} s, about {minutes:.0f} min left", flush=True)

    def _remove_models(self, jobs: Sequence[Job]) -> None:
        """Of the stages, which several jobs may share, that none of these needs any more, and no process uses."""
        if self._keep_models:
            return
        stages = [(job, stage) for job in jobs for stage in (job.joint, job.final) if stage is not None]
        needed = {stage.name for job, stage in stages if not self._is_settled(job)}
        for stage in {stage.name: stage for _, stage in stages if stage.name not in needed}.values():
            with contextlib.suppress(Timeout), stage.lock(self._folder, timeout=0.0):
                if not any(is_held(lock) for lock in stage.locks_after(self._folder)):
                    remove_folder(self._folder / "runs" / stage.name)


def is_held(lock: FileLock) -> bool:
    """Whether another process, or another lock object of this one, has the lock."""
    try:
        with lock:
            return False
    except Timeout:
        return True


def _name(key: dict[str, object]) -> str:
    return key_name(Cell(**key).key)


def command(folder: Path, job: Job) -> list[str]:
    """The words of the process that runs a job."""
    return [sys.executable, "-m", "app_zoo.experiment.job", str(folder), json.dumps(asdict(job))]


def run_process(folder: Path, job: Job) -> None:
    """Runs a job in a process of its own, whatever becomes of it.

    Raises:
        DivergenceError: Its training diverged.
        JobError: It ended in another error, with the end of what it said.
        KeyboardInterrupt: The user stopped this process; the job's had the time to save its state.
    """
    log = folder / "logs" / f"{_name(job.keys()[0])}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as stream:
        # In a session of its own, so that an interrupt at the keyboard is this process's to pass on.
        words, errors = command(folder, job), subprocess.STDOUT
        process = subprocess.Popen(words, stdout=stream, stderr=errors, start_new_session=True)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait()  # it saves its state
        except KeyboardInterrupt:
            process.kill()
        raise
    if code == DIVERGED_CODE:
        raise DivergenceError(f"training diverged ({log})")
    if code != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_ERROR_LINES:]
        raise JobError(f"exit code {code}: {' '.join(line.strip() for line in lines)} ({log})")
