"""`bench cancel`: take runs out of the queue, or stop them."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.chosen_runs import RunsArgument
from bench.cli.options import DEFAULT_OUT, OutOption


def cancel(
    runs: RunsArgument = None,
    out: OutOption = DEFAULT_OUT,
    everything: Annotated[bool, typer.Option("--all", help="Every run of the folder.")] = False,
) -> None:
    """Stop runs at their next step; what they have done so far stays, and `bench retry` or `bench run` goes on."""
    import os
    import platform
    import signal

    from bench.cli.chosen_runs import chosen
    from bench.errors import UsageError, plural
    from bench.launch.status import run_views
    from bench.runs.run_folder import RunFolder
    from bench.slurm.cancel import cancel_jobs

    if bool(runs) == everything:
        raise UsageError("which runs? Name them (bench status shows them), or --all")
    views = run_views(out)
    wanted = chosen(views, [view.run for view in views] if everything else runs or [], out)
    cancelled = cancel_jobs(out, {view.run for view in wanted})
    stopped, elsewhere = set(), []
    for view in wanted:
        if view.state in ("running", "waiting", "interrupted") and not view.job:
            RunFolder(out, view.run).note_cancellation()  # or another process of the command takes it over
        if view.state == "running" and not view.job:
            status = RunFolder(out, view.run).status()
            if status.pid is None or status.host != platform.node():
                elsewhere.append(f"{view.run} on {status.host or '?'}")
            elif status.pid not in stopped:
                os.kill(status.pid, signal.SIGTERM)
                stopped.add(status.pid)
    here = f", stopped {plural(len(stopped), 'process', 'processes')} here" if stopped else ""
    jobs = plural(len({job.id for job in cancelled}), "job")
    # Of a job that several runs share, one may be cancelled alone.
    parts = f"{plural(len(cancelled), 'run')} in " if any(job.member is not None for job in cancelled) else ""
    print(f"cancelled {parts}{jobs}{here}")
    if elsewhere:
        raise UsageError("processes of another machine are to be stopped there:\n  " + "\n  ".join(elsewhere))
