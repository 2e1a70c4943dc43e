"""What `bench retry` does: find the runs that need another try, and launch them the way they were launched before."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.cli.chosen_runs import chosen
from bench.cli.console import make_console
from bench.cli.launching import LaunchOptions, launching, start
from bench.errors import BenchError, UsageError
from bench.inference.trust import Trust, remembered
from bench.launch.status import RunView, observe
from bench.runs.names import IMPORTS
from bench.runs.run_folder import RunFolder, announce, not_finished
from bench.runs.status import SETTLED
from bench.slurm.profiles import commands_of, load_profile
from bench.slurm.submissions import Submission, submission_path, submissions


def retry_runs(names: Sequence[str], out: Path, options: LaunchOptions, trust: Trust) -> None:
    """Try runs of `out` again, and print their table. names: which; without any, all that came to an end undone.

    trust: whose code their models may be. Raises UsageError, and BenchError for runs that failed again.
    """
    wanted = _wanted(names, out)
    folders = [RunFolder(out, view.run) for view in wanted]
    stored = [(folder, folder.plan()) for folder in folders]
    # Before any is begun: the processes and jobs that carry them out ask nobody.
    plans = [trust.trusted(plan, folder.path) for folder, plan in stored if plan and plan.origin == "trained"]
    for folder, plan in stored:
        if plan is None or plan.origin != "trained":
            why = f"it was imported: {IMPORTS[plan.origin]} makes it anew" if plan else not_finished(folder)
            print(f"bench: {folder.name} cannot be tried again: {why}", file=sys.stderr)
    if not plans:
        if stored:
            raise BenchError("none of these runs can be tried again")
        print("nothing to try again")
        return
    before = _submission_before(wanted, submissions(out))
    how = launching(options, before)
    if before and how.profile and not (options.profile or trust.everything):
        _check_setup(before, out)
    announce(out, plans)
    for folder in folders:
        if not folder.verdict().is_closed:
            folder.clear_error()
    start(plans, out, how, make_console())


def _wanted(names: Sequence[str], out: Path) -> list[RunView]:
    observed = observe(out)
    if not observed.answered:
        raise UsageError(f"SLURM cannot be asked what is under way: {observed.trouble}")
    if observed.trouble:
        print(f"bench: {observed.trouble}", file=sys.stderr)
    wanted = chosen(observed.runs, names, out) if names else observed.runs
    unknown = [view for view in wanted if view.state == "unknown"]
    if unknown:
        listed = "\n".join(f"  {view.run}: {view.detail}" for view in unknown)
        message = f"not tried again, since a job may still be at it; `bench cancel RUN` gives that job up:\n{listed}"
        if names:
            raise UsageError(message)
        print(message)
    return wanted if names else [v for v in wanted if v.state in SETTLED and v.state not in ("done", "newer")]


def _check_setup(before: Submission, out: Path) -> None:
    """Refuse shell commands that a results folder has in the profile of last time, but no profile of the user's has.

    Those that the user has had submitted before are taken again. Raises UsageError.
    """
    profile = before.profile
    commands = [line for line in commands_of(profile) if line not in remembered().commands]
    try:
        own = load_profile(profile.name)
    except UsageError:
        own = None
    known = {resources.shell for _, resources in own.kinds()} if own else set()
    if commands and not {resources.shell for _, resources in profile.kinds()} <= known:
        raise UsageError(
            "the jobs before were submitted with shell commands (setup, container, python) that no profile "
            f"{profile.name!r} here has: {commands[0]!r} in {submission_path(out, before.name)}\n"
            "Say which profile to use (--profile); or, if you trust whoever wrote the folder, run them: --trust-code"
        )


def _submission_before(wanted: Sequence[RunView], submitted: Sequence[Submission]) -> Submission | None:
    """The newest of `submitted` (oldest first) that any of the runs was in; None where they did not go to SLURM."""
    names = {view.run for view in wanted}
    return next((s for s in reversed(submitted) if names & {task.run for task in s.all_tasks}), None)
