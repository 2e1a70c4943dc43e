"""`bench retry`: go on with runs that failed, were lost or cancelled, the way they were launched before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.chosen_runs import RunsArgument
from bench.cli.options import DEFAULT_OUT, GpusPerRunOption, JobsOption, Launch, OutOption, ProfileOption, WaitOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.launch.status import RunView
    from bench.slurm.submissions import Submission


def retry(
    runs: RunsArgument = None,
    out: OutOption = DEFAULT_OUT,
    failed: Annotated[
        bool, typer.Option("--failed", help="All that failed, were lost or cancelled, and what they block.")
    ] = False,
    launcher: Annotated[Launch | None, typer.Option(help="Default: as they were launched before.")] = None,
    profile: ProfileOption = None,
    jobs: JobsOption = None,
    gpus_per_run: GpusPerRunOption = 1,
    wait: WaitOption = False,
) -> None:
    """Try runs again. Finished stages and checkpoints are used; nothing is done twice."""
    from bench.cli.chosen_runs import chosen
    from bench.cli.console import make_console
    from bench.cli.launching import Launching, check_gpus_per_run, profile_for, start
    from bench.errors import UsageError
    from bench.launch.status import observe
    from bench.runs.run_folder import RunFolder
    from bench.runs.status import SETTLED
    from bench.slurm.submissions import submissions

    if bool(runs) == failed:
        raise UsageError("which runs? Name them (bench status shows them), or --failed for all that need it")
    observed = observe(out)
    if observed.trouble:
        raise UsageError(f"SLURM cannot be asked what is under way: {observed.trouble}")
    again = [view for view in observed.runs if view.state in SETTLED and view.state != "done"]
    wanted = again if failed else chosen(observed.runs, runs or [], out)
    folders = [RunFolder(out, view.run) for view in wanted]
    plans = [plan for plan in (folder.plan() for folder in folders) if plan is not None]
    if not plans:
        print("nothing to try again")
        return
    before = _launched_before(wanted, submissions(out))
    launcher = launcher or (Launch.SLURM if before or profile else Launch.LOCAL)
    found = (
        before.profile if before and launcher is Launch.SLURM and profile is None else profile_for(launcher, profile)
    )
    seconds = before.checkpoint_seconds if before else 60.0
    gpus_per_run = check_gpus_per_run(launcher, gpus_per_run)
    for folder in folders:
        folder.clear_error()
    start(plans, out, Launching(launcher, jobs, found, seconds, wait, gpus_per_run), make_console())


def _launched_before(wanted: Sequence[RunView], found: Sequence[Submission]) -> Submission | None:
    """The newest submission that any of the runs was in; None where they did not go to SLURM."""
    names = {view.run for view in wanted}
    return next((s for s in reversed(found) if names & {task.run for task in s.tasks.values()}), None)
