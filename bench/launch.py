"""Where runs are carried out: in this process (`inline`) or in processes of this machine (`local`).

Either way the state is in the output folder: `bench status` and another `bench run` see it, and whatever stops is
taken up again by running the same command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

import torch

from bench.display import RunDisplay
from bench.errors import BenchError
from bench.execute import Bench
from bench.plan import RunPlan
from bench.records import RunFolder
from bench.training.interrupt import Interrupt, Interrupted, handling_signals

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
            _run_locally(plans, out, jobs or default_jobs(len(plans)), display, interrupt, checkpoint_seconds)
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
    workers = [_start_worker(i, jobs, folders, out, checkpoint_seconds) for i in range(jobs)]
    told = False
    while any(worker.poll() is None for worker in workers):
        if interrupt.requested and not told:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            told = True
        for folder in folders:
            display.update(folder, folder.status())
        display.wait()
    for folder in folders:
        display.update(folder, folder.status())
    if interrupt.requested:
        raise Interrupted(interrupt.requested.name)
    # 1 is a worker with failed runs, which their folders tell of; anything else is a worker that died.
    died = [f"process {w.pid}: {_how_it_ended(w.returncode)}" for w in workers if w.returncode not in (0, 1)]
    if died:
        raise BenchError(
            f"{len(died)} of {jobs} worker processes ended early ({'; '.join(died)}). "
            "Run the same command again to go on from the last checkpoints"
        )


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
    # In a session of its own, so that Ctrl-C reaches only this process, which then asks the workers to stop.
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _how_it_ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def failures(folders: Iterable[RunFolder]) -> str:
    """One line for each run that has no record, with its error."""
    return "\n".join(f"  {folder.name}: {folder.error() or 'not finished'}" for folder in folders)
