"""Where runs are carried out: in this process (`inline`) or in processes of this machine (`local`).

Either way the state is in the output folder: `bench status` and another `bench run` see it, and whatever stops is
taken up again by running the same command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

import torch

from bench.display import RunDisplay
from bench.errors import BenchError
from bench.execute import Bench
from bench.plan import RunPlan
from bench.records import RunFolder
from bench.training.interrupt import Interrupt, handling_signals

Launcher = Literal["inline", "local"]
LAUNCHERS: tuple[Launcher, ...] = get_args(Launcher)


def launch(
    plans: Sequence[RunPlan],
    out: Path,
    launcher: Launcher,
    jobs: int | None,
    display: RunDisplay,
    checkpoint_seconds: float,
) -> list[RunFolder]:
    """Carry out `plans`; the folders of those that failed. Raises `Interrupted` after a signal.

    jobs: processes of the local launcher; by default one per GPU, or without a GPU one per core.
    """
    with handling_signals() as interrupt, display:
        if launcher == "inline":
            bench = Bench(out, interrupt, display.update, checkpoint_seconds)
            bench.execute(plans)
        else:
            jobs = min(jobs or default_jobs(len(plans)), len(plans))
            _run_locally(plans, out, jobs, display, interrupt, checkpoint_seconds)
    return [folder for folder in (RunFolder.of(out, plan) for plan in plans) if folder.record() is None]


def default_jobs(runs: int) -> int:
    """One process per GPU; without one, one per core."""
    return max(1, min(runs, torch.cuda.device_count() or os.cpu_count() or 1))


def _run_locally(
    plans: Sequence[RunPlan],
    out: Path,
    jobs: int,
    display: RunDisplay,
    interrupt: Interrupt,
    checkpoint_seconds: float,
) -> None:
    folders = [RunFolder.of(out, plan) for plan in plans]
    began = time.time()
    workers = [_start_worker(i, jobs, folders, out, checkpoint_seconds) for i in range(jobs)]
    try:
        told = False
        while any(worker.poll() is None for worker in workers):
            if interrupt.requested and not told:
                _stop(workers)
                told = True
            _show(folders, display, began)
            display.wait()
        _show(folders, display, began)
    finally:
        _stop(workers)
    interrupt.check()
    # 1 is a worker with failed runs, which their folders tell of; anything else is a worker that died.
    died = [f"process {w.pid}: {_how_it_ended(w.returncode)}" for w in workers if w.returncode not in (0, 1)]
    if died:
        message = f"{len(died)} of {jobs} worker processes ended early ({'; '.join(died)})"
        if any(folder.record() is None and folder.error() is None for folder in folders):
            raise BenchError(f"{message}. Run the same command again to go on from the last checkpoints")
        display.say(f"{message}; the others did its work")


def _show(folders: Sequence[RunFolder], display: RunDisplay, began: float) -> None:
    """The newest status of each run; what an earlier command left in its folder is no news."""
    for folder in folders:
        status = folder.status()
        if status.get("time", 0) >= began:
            display.update(folder, status)


def _stop(workers: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ask them to stop at their next step. One that is not asked, because this process is killed, sees its end."""
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)


def _start_worker(
    index: int, jobs: int, folders: Sequence[RunFolder], out: Path, checkpoint_seconds: float
) -> subprocess.Popen[bytes]:
    gpus = torch.cuda.device_count()
    environment = dict(os.environ)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = str(index % gpus)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # Each worker begins at another run; the locks see to it that none is done twice.
    names = [f.name for f in (*folders[index:], *folders[:index])]
    command = [sys.executable, "-m", "bench.worker", str(out), str(threads), str(checkpoint_seconds), *names]
    # In a session of its own, so that Ctrl-C reaches only this process, which then asks the workers to stop. Nothing
    # is written to the pipe: it ends when this process does, whatever ends it.
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)


def _how_it_ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
