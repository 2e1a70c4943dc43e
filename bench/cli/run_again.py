"""What `bench run --again RUN` does: throw away what is damaged or unwanted of a run, and make it anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.cli.chosen_runs import chosen
from bench.cli.console import make_console
from bench.cli.discarding import print_discarded
from bench.cli.launching import Launching, start
from bench.data.catalog.dataset import open_dataset
from bench.errors import UsageError
from bench.execution.context import Context
from bench.execution.inputs import check_unchanged
from bench.inference.trust import Trust
from bench.launch.discard import check_idle, damaged_and_results, discard, held
from bench.launch.status import observe
from bench.runs.interrupt import Interrupt
from bench.runs.names import IMPORTS, NO_ENCODER
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, announce, kept_from_newer


def run_again(names: Sequence[str], out: Path, how: Launching, dry_run: bool, trust: Trust) -> None:
    """Make runs anew, after saying what of them is thrown away. dry_run: say it, and no more.

    trust: whose code their models may be.
    What is intact of their stages is used again. Raises UsageError, before anything is thrown away, where a run is
    under way, cannot be made any more (its data or code have changed), or was made by a newer version; and what
    `bench.cli.launching.start` raises.
    """
    observed = observe(out)
    views = chosen(observed.runs, names, out)
    check_idle(observed, views)
    folders = [RunFolder(out, view.run) for view in views]
    plans = [trust.trusted(_plan(folder), folder.path) for folder in folders]
    context = Context(out, Interrupt(), lambda folder, status: None)
    for plan in plans:
        _check_can_be_made(plan, context)
    console = make_console()
    discarded = list({one.path: one for plan in plans for one in damaged_and_results(out, plan)}.values())
    with held([*(RunFolder.of(out, plan).path for plan in plans), *(one.folder for one in discarded)]):
        console.print(
            "this would be thrown away:" if dry_run else "thrown away:" if discarded else "nothing is thrown away"
        )
        print_discarded(console, discarded, out)
        if dry_run:
            return
        discard(discarded)
    announce(out, plans)
    start(plans, out, how, console)


def _check_can_be_made(plan: RunPlan, context: Context) -> None:
    """Raise UsageError where data, encoder or code of a run are not what it was planned with any more."""
    try:
        if plan.stages[-1].is_counted:
            check_unchanged(plan, open_dataset(plan.dataset), NO_ENCODER)
        else:
            inputs = context.inputs(plan)
            check_unchanged(plan, inputs.dataset, inputs.source.fingerprint)
    except UsageError as error:
        raise UsageError(f"{plan.folder} cannot be made anew, and is left as it is: {error}") from error


def _plan(folder: RunFolder) -> RunPlan:
    """The plan of a run that may be made anew. Raises UsageError."""
    found = folder.verdict()
    if found.plan is None and found.damage:
        raise UsageError(
            f"{folder.path} is {found.why}: what was planned is lost. The `bench run` that planned it writes it again, "
            f"`bench remove {folder.name}` removes it"
        )
    newer = found.newer or (found.plan and kept_from_newer(folder.path.parent.parent, found.plan))
    if found.plan is None or newer:
        raise UsageError(
            f"{folder.path} was made by a newer version of docre-bench ({newer}): that version makes it anew. "
            f"`bench remove {folder.name}` removes it"
        )
    if found.plan.origin != "trained":
        raise UsageError(f"{folder.path}: it was imported: {IMPORTS[found.plan.origin]} makes it anew")
    if found.plan.folder != folder.name:
        raise UsageError(
            f"{folder.path} is a copy, by another name, of {found.plan.folder}: that is what would be made anew"
        )
    return found.plan
