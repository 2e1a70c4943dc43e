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
    from bench.errors import UsageError
    from bench.filesystem import read_json
    from bench.launch.status import run_states
    from bench.slurm.cancel import cancel_jobs

    if bool(runs) == everything:
        raise UsageError("which runs? Name them (bench status shows them), or --all")
    states = run_states(out)
    wanted = chosen(states, [state.run for state in states] if everything else runs or [], out)
    cancelled = cancel_jobs(out, {state.run for state in wanted})
    stopped, elsewhere = set(), []
    for state in wanted:
        if state.state == "running" and not state.job:
            status = read_json(out / "runs" / state.run / "status.json") or {}
            if status.get("host") != platform.node():
                elsewhere.append(f"{state.run} on {status.get('host', '?')}")
            elif status["pid"] not in stopped:
                os.kill(status["pid"], signal.SIGTERM)
                stopped.add(status["pid"])
    print(f"cancelled {len(cancelled)} jobs" + (f", stopped {len(stopped)} processes here" if stopped else ""))
    if elsewhere:
        raise UsageError("processes of another machine are to be stopped there:\n  " + "\n  ".join(elsewhere))
