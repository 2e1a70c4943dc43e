"""A process of several that carry out planned runs.

`python -m bench.launch.worker OUT THREADS SECONDS WAIT RANK SIZE PORT RUN...`

SECONDS: at least so long between checkpoints. WAIT: at most so many seconds for runs that other commands are at (inf).
SIZE processes, of which RANK 0 leads, train each stage together; with 1 no PORT is used. BENCH_TRACK in the environment
names the trackers that are told of the runs. It stops, as at a signal, when its standard input ends: that is the end of
the process that started it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.data.documents import no_cycle_search


def main(arguments: list[str]) -> int:
    """Exit status 0 when all runs have a record, 1 when one failed or was stopped, 2 for one without plan, or LOST."""
    with no_cycle_search():
        import torch

        from bench.execution.executor import Executor
        from bench.runs.interrupt import Interrupted, handling_signals, stop_at_end_of_input
        from bench.runs.run_folder import RunFolder
        from bench.tracking.choice import asked_trackers
        from bench.training.team import LOST, PeerLostError, joined

    out, threads = Path(arguments[0]), int(arguments[1])
    checkpoint_seconds, wait_for_locks = map(float, arguments[2:4])
    (rank, size, port), names = map(int, arguments[4:7]), arguments[7:]
    torch.set_num_threads(threads)
    plans = []
    for name in names:
        plan = RunFolder(out, name).plan()
        if plan is None:
            print(f"bench: {out / 'runs' / name}: no readable plan", file=sys.stderr)
            return 2
        plans.append(plan)
    with handling_signals() as interrupt:
        stop_at_end_of_input(interrupt)
        try:
            with joined(rank, size, port) as team:
                executor = Executor(
                    out,
                    interrupt,
                    lambda folder, status: None,
                    checkpoint_seconds,
                    team,
                    wait_for_locks,
                    os.getppid(),
                    asked_trackers(),
                )
                if team and rank:
                    team.follow(executor.help_with)
                    return 0
                return 1 if executor.execute(plans) else 0
        except Interrupted:
            return 1
        except PeerLostError as lost:
            print(f"bench: {lost}", file=sys.stderr, flush=True)
            return LOST


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
