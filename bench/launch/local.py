"""Where runs are carried out: in this process (`inline`) or in processes of this machine (`local`).

Either way the state is in the output folder: `bench status` and another `bench run` see it, and whatever stops is
taken up again by running the same command.
"""

from __future__ import annotations

import math
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, get_args

import torch

from bench.cores import Cores, find_cores
from bench.errors import BenchError, UsageError, plural
from bench.execution.executor import Executor
from bench.execution.mps import sharing_gpus
from bench.launch.display import RunDisplay
from bench.nn.devices import QUIET, visible_gpus
from bench.runs.interrupt import Interrupt, handling_signals
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, kept_from_newer
from bench.runs.status import RunStatus
from bench.tracking.choice import VARIABLE
from bench.training.team import PATIENCE_SECONDS

Launcher = Literal["inline", "local"]
LAUNCHERS: tuple[Launcher, ...] = get_args(Launcher)


def launch(
    plans: Sequence[RunPlan],
    out: Path,
    launcher: Launcher,
    jobs: int | None,
    display: RunDisplay,
    checkpoint_seconds: float,
    gpus_per_run: int = 1,
    wait_for_locks: float | None = None,
    track: Sequence[str] = (),
    runs_per_gpu: int = 1,
) -> list[RunFolder]:
    """Carry out `plans`; returns the folders of those that failed. Raises `Interrupted` after a signal.

    Those of a newer version of the program are left as they are, and have not failed.

    jobs, gpus_per_run, runs_per_gpu: as for `divide`; None in this process takes one run at a time.
    wait_for_locks: at most so many seconds for runs that other commands are at, which then are among those returned;
    None for as long as it takes.   track: the trackers that are told of the runs.
    """
    left = [plan for plan in plans if not RunFolder.of(out, plan).verdict().is_closed]
    if not left:
        return []
    for plan in left:
        RunFolder.of(out, plan).clear_cancellation()
    cores = find_cores()
    jobs, threads = divide(cores, len(left), 1 if launcher == "inline" else jobs, gpus_per_run, runs_per_gpu)
    with handling_signals() as interrupt, display:
        if not torch.cuda.is_available():
            display.say(_in_words(cores, jobs * gpus_per_run, threads))
        if launcher == "inline":
            torch.set_num_threads(threads)
            executor = Executor(
                out, interrupt, display.update, checkpoint_seconds, wait_for_locks=wait_for_locks, track=track
            )
            executor.execute(left)
        else:
            sharing = sharing_gpus(display.say) if runs_per_gpu > 1 else nullcontext[dict[str, str]]({})
            with sharing as shared:
                environment = {**shared, VARIABLE: ",".join(track)}
                _run_locally(
                    left,
                    out,
                    jobs,
                    gpus_per_run,
                    threads,
                    display,
                    interrupt,
                    checkpoint_seconds,
                    wait_for_locks,
                    environment,
                )
    undone = [plan for plan in left if RunFolder.of(out, plan).record() is None and not kept_from_newer(out, plan)]
    return [RunFolder.of(out, plan) for plan in undone]


def divide(
    cores: Cores, runs: int, jobs: int | None = None, gpus_per_run: int = 1, runs_per_gpu: int = 1
) -> tuple[int, int]:
    """How many of `runs` are carried out at once, by `gpus_per_run` processes each, and the threads of each process.

    jobs: what the user says of the first; else there are `runs_per_gpu` for each GPU, or one for every `gpus_per_run`
    GPUs, or without a GPU free cores. Raises UsageError where GPUs are too few for one, or there is none to share.
    """
    gpus = torch.cuda.device_count()
    if gpus and gpus < gpus_per_run:
        raise UsageError(f"--gpus-per-run {gpus_per_run}: this machine has {gpus}")
    if not gpus and runs_per_gpu > 1:
        # Processes on cores would be something else: so many as are free, which is what happens without it.
        raise UsageError(f"--runs-per-gpu {runs_per_gpu}: no GPU is to be seen here; --jobs says how many runs at once")
    at_once = max(1, min(runs, jobs or (gpus * runs_per_gpu or cores.processes()) // gpus_per_run))
    return at_once, cores.threads(at_once * gpus_per_run)


def _in_words(cores: Cores, processes: int, threads: int) -> str:
    taken = f"{plural(processes, 'process', 'processes')} of {plural(threads, 'thread')}"
    return f"{cores}: {taken}{' (OMP_NUM_THREADS)' if cores.asked else ''}"


def _run_locally(
    plans: Sequence[RunPlan],
    out: Path,
    jobs: int,
    size: int,
    threads: int,
    display: RunDisplay,
    interrupt: Interrupt,
    checkpoint_seconds: float,
    wait_for_locks: float | None,
    environment: Mapping[str, str],
) -> None:
    folders = [RunFolder.of(out, plan) for plan in plans]
    began = time.time()
    teams = [
        WorkerTeam(i, size, threads, folders, out, checkpoint_seconds, wait_for_locks, environment) for i in range(jobs)
    ]
    try:
        stopping = False
        while True in [team.is_at_work(may_start=not stopping) for team in teams]:  # each is looked after
            if interrupt.requested and not stopping:
                _stop(worker for team in teams for worker in team.workers)
                stopping = True
            _show(folders, display, began)
            display.wait()
        _show(folders, display, began)
    finally:
        workers = [worker for team in teams for worker in team.workers]
        _stop(workers)
    interrupt.check()
    # 1 is a worker with failed runs, which their folders tell of; anything else is a worker that died.
    noted = {pid for team in teams for pid in team.noted_deaths}
    dead = [w for w in workers if w.returncode not in (0, 1) and w.pid not in noted]
    died = [f"process {w.pid}: {_how_it_ended(w.returncode)}" for w in dead]
    if died:
        of = plural(len(workers), "worker process", "worker processes")
        message = f"{len(died)} of {of} ended early ({'; '.join(died)})"
        if any(not folder.verdict().is_closed and folder.error() is None for folder in folders):
            raise BenchError(f"{message}. Run the same command again to go on from the last checkpoints")
        display.say(f"{message}; the others did its work")


class WorkerTeam:
    """Team `index` of several: `size` worker processes, of `threads` each, that train one run at a time together.

    environment: what they find in theirs besides.   noted_deaths: workers that died, as the folder of a run says.
    """

    def __init__(
        self,
        index: int,
        size: int,
        threads: int,
        folders: Sequence[RunFolder],
        out: Path,
        checkpoint_seconds: float,
        wait_for_locks: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.environment = environment or {}
        self.first, self.size, self.out = index * size, size, out
        self.began = time.time()
        self.noted_deaths: set[int] = set()
        seconds = [checkpoint_seconds, math.inf if wait_for_locks is None else wait_for_locks]
        self.settings = [str(threads), *map(str, seconds)]
        # Each team begins at another run; the locks see to it that none is done twice.
        self.folders = [*folders[index:], *folders[:index]]
        self._start()

    def _start(self) -> None:
        port = free_port() if self.size > 1 else 0
        names = [folder.name for folder in self.folders]
        self.workers = [
            _start_worker(
                self.first + rank,
                [str(self.out), *self.settings, str(rank), str(self.size), str(port), *names],
                self.environment,
            )
            for rank in range(self.size)
        ]
        self._broken_since: float | None = None

    def is_at_work(self, may_start: bool) -> bool:
        """Whether the team goes on; it is started anew where a failed run has ended it, and runs are left.

        Ends workers that wait for one that has died.
        """
        codes = [worker.poll() for worker in self.workers]
        if None in codes:
            self._end_if_broken(codes)
            return True
        if not may_start or not (self._note_death() if self.size == 1 else codes[0] == 1):
            return False
        left = [folder for folder in self.folders if not self._is_over(folder)]
        if not left or len(left) == len(self.folders):  # nothing came of it: nothing would of another
            return False
        self.folders = left
        self._start()
        return True

    def _note_death(self) -> bool:
        """Fail the run that the one worker died at, its folder saying of what; whether there is one."""
        (worker,) = self.workers
        if worker.returncode in (0, 1):
            return False
        for folder in self.folders:
            status = folder.status()
            if status.state == "running" and (status.pid, status.host) == (worker.pid, platform.node()):
                how = _how_it_ended(worker.returncode)
                message = f"its process ended without a word ({how}); `bench retry` goes on from the last checkpoint"
                folder.write_error(message, traceback="")
                folder.write_status(
                    RunStatus(state="failed", time=time.time(), pid=worker.pid, host=status.host, error=message)
                )
                self.noted_deaths.add(worker.pid)
                return True
        return False

    def _end_if_broken(self, codes: Sequence[int | None]) -> None:
        """Kill workers that wait for one that has died; they have had time to notice it by themselves."""
        if any(codes):
            self._broken_since = self._broken_since or time.monotonic()
            if time.monotonic() - self._broken_since > 3 * PATIENCE_SECONDS:
                for worker in self.workers:
                    worker.kill()

    def _is_over(self, folder: RunFolder) -> bool:
        status = folder.status()
        failed = status.state == "failed" and status.is_since(self.began)
        return failed or folder.is_cancelled(self.began) or folder.verdict().is_closed


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _show(folders: Sequence[RunFolder], display: RunDisplay, began: float) -> None:
    """Display the newest status of each run; what an earlier command left in its folder is no news."""
    for folder in folders:
        status = folder.status()
        if status.is_since(began):
            display.update(folder, status)


def _stop(workers: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ask workers to stop at their next step. One that is not asked, because this process is killed, sees its end."""
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)


def _start_worker(number: int, arguments: Sequence[str], given: Mapping[str, str]) -> subprocess.Popen[bytes]:
    gpus = torch.cuda.device_count()
    environment = {**os.environ, **QUIET, **given}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = visible_gpus(gpus, environment)[number % gpus]
    # In a session of its own, so that Ctrl-C reaches only this process, which then asks the workers to stop. Nothing
    # is written to the pipe: it ends when this process does, whatever ends it.
    return subprocess.Popen(
        [sys.executable, "-m", "bench.launch.worker", *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def _how_it_ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
