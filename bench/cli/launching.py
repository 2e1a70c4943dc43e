"""Where `bench run` and `bench retry` carry runs out, and what they print of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.cli.options import Launch

if TYPE_CHECKING:
    from rich.console import Console

    from bench.locks import LockHeldError
    from bench.runs.outline import RunOutline
    from bench.runs.plan import RunPlan
    from bench.runs.run_folder import RunFolder
    from bench.slurm.profiles import Profile
    from bench.slurm.submissions import Submission

    Failure = tuple[str, str | LockHeldError]
    """The name of a run that is not done, and why."""


@dataclass(frozen=True)
class LaunchOptions:
    """What the user typed of how runs are to be carried out.

    launcher: None for the one of last time.   profile: a name or a path.   jobs: runs at once of the local launcher, of
    `gpus_per_run` processes each.   wait: stay until the jobs of SLURM are done.   wait_for_locks: at most so many
    seconds for runs that other commands are at; None for as long as it takes.   track: names of trackers; None for
    those of the environment, or of last time on SLURM.   runs_per_gpu: so many share a GPU; None for what the profile
    says, or else one.
    """

    launcher: Launch | None
    profile: str | None
    jobs: int | None
    gpus_per_run: int
    wait: bool
    checkpoint_seconds: float = 60.0
    wait_for_locks: float | None = None
    track: str | None = None
    runs_per_gpu: int | None = None


@dataclass(frozen=True)
class Launching:
    """How runs are to be carried out; the fields of `LaunchOptions`, with everything decided.

    profile: what a job asks SLURM for, runs_per_gpu included; None on this machine.
    """

    launcher: Launch
    profile: Profile | None
    jobs: int | None
    gpus_per_run: int
    wait: bool
    checkpoint_seconds: float
    wait_for_locks: float | None
    track: tuple[str, ...] = ()
    runs_per_gpu: int = 1


def launching(options: LaunchOptions, before: Submission | None = None) -> Launching:
    """How runs are to be carried out, where the options leave it open as they were `before`. Raises UsageError."""
    from bench.errors import UsageError

    launcher = options.launcher or (Launch.SLURM if before or options.profile else Launch.LOCAL)
    _check_gpus_per_run(launcher, options.gpus_per_run)
    _check_runs_per_gpu(launcher, options)
    if launcher is Launch.SLURM and options.wait_for_locks is not None:
        raise UsageError("--wait-for-locks is for --launcher local and inline; jobs of SLURM wait for each other")
    if before and launcher is Launch.SLURM and options.profile is None:
        profile: Profile | None = before.profile
    else:
        profile = _profile_for(launcher, options.profile)
    if profile and options.runs_per_gpu:
        profile = profile.with_runs_per_gpu(options.runs_per_gpu)
    seconds = before.checkpoint_seconds if before else options.checkpoint_seconds
    return Launching(
        launcher,
        profile,
        options.jobs,
        options.gpus_per_run,
        options.wait,
        seconds,
        options.wait_for_locks,
        _trackers(options.track, before if launcher is Launch.SLURM else None),
        options.runs_per_gpu or 1,
    )


def _trackers(asked: str | None, before: Submission | None) -> tuple[str, ...]:
    """The trackers that are told of runs. Raises UsageError, also where the package of one is not here."""
    from bench.tracking.choice import asked_trackers, check_installed, parse_trackers

    if asked is not None:
        names = parse_trackers(asked)
    elif before:
        names = tuple(before.track)
    else:
        names = asked_trackers()
    check_installed(names)
    return names


def _profile_for(launcher: Launch, name: str | None) -> Profile | None:
    """The profile that `--profile` names, which SLURM needs and the others do not take. Raises UsageError."""
    from bench.errors import UsageError
    from bench.slurm.profiles import load_profile

    if launcher is Launch.SLURM:
        if name is None:
            raise UsageError("--launcher slurm needs --profile: what a job asks this cluster for (see slurm/README.md)")
        return load_profile(name)
    if name is not None:
        raise UsageError(f"--profile is for --launcher slurm, not for {launcher.value}")
    return None


def _check_gpus_per_run(launcher: Launch, gpus_per_run: int) -> None:
    """Raise UsageError where the option is given to a launcher that does not take it: all but the local one."""
    from bench.errors import UsageError

    if gpus_per_run > 1 and launcher is not Launch.LOCAL:
        instead = "; on SLURM it is gpus_per_run in the profile" if launcher is Launch.SLURM else ""
        raise UsageError(f"--gpus-per-run is for --launcher local{instead}")


def _check_runs_per_gpu(launcher: Launch, options: LaunchOptions) -> None:
    """Raise UsageError where runs cannot share a GPU: all in one process, or each on several."""
    from bench.errors import UsageError

    if (options.runs_per_gpu or 1) == 1:
        return
    if launcher is Launch.INLINE:
        raise UsageError(
            "--runs-per-gpu is for --launcher local and slurm: inline is one process, for one run at a time"
        )
    if options.gpus_per_run > 1:
        raise UsageError(
            f"--runs-per-gpu {options.runs_per_gpu} and --gpus-per-run {options.gpus_per_run}: several runs share one "
            "GPU, or one run has several, not both"
        )


def start(plans: Sequence[RunPlan], out: Path, how: Launching, console: Console, done: int = 0) -> None:
    """Carry out `plans`, which are announced, and print their table; on SLURM only if asked to wait for it.

    done: how many of them were finished before. Raises BenchError for runs that failed, and after a signal; without
    those NewerVersionError, after all else, for runs that a newer version of the program has made: they are left alone.
    """
    from bench.analysis.aggregate import load_cells
    from bench.errors import BenchError, NewerVersionError, plural
    from bench.filesystem import explain_disk
    from bench.inference.trust import remember
    from bench.launch.start_up import long_start_up
    from bench.leftovers import remove_leftovers
    from bench.locks import LockHeldError
    from bench.report.write import print_tables, write_tables
    from bench.runs.run_folder import kept_from_newer
    from bench.slurm.profiles import commands_of

    used = [stage.reference for plan in plans for stage in plan.stages]
    used += [stage.loss.reference for plan in plans for stage in plan.stages if stage.loss]
    used += [plan.inference.reference for plan in plans if plan.inference]
    remember(used, commands_of(how.profile) if how.profile else ())
    if removed := remove_leftovers(out):
        console.print(removed, soft_wrap=True)
    kept = {plan.folder: why for plan in plans if (why := kept_from_newer(out, plan))}
    left = [plan for plan in plans if plan.folder not in kept]
    if kept:
        name, why = next(iter(kept.items()))
        more = f" and {plural(len(kept) - 1, 'more run')}" if len(kept) > 1 else ""
        console.print(f"left as a newer version of docre-bench has made it: {name} ({why}){more}", soft_wrap=True)
    carry_out = _here if how.profile is None else _on_slurm
    failed = carry_out(left, out, how, console, done) if left else []
    if failed is not None:
        cells = load_cells(out)
        print_tables(console, [c for c in cells if {p.key for p in c.plans} & {p.key for p in plans}])
        try:
            console.print(
                f"also in {write_tables(out, cells)}; any time again: bench table --out {out}", soft_wrap=True
            )
        except OSError as error:
            if not failed:
                raise
            console.print(f"tables not written: {explain_disk(error) or error}", soft_wrap=True)
        if how.profile and (note := long_start_up(out, [plan.folder for plan in plans])):
            console.print(note, soft_wrap=True)
    if failed:
        listed = "\n".join(f"  {run}: {why}" for run, why in failed)
        what = "are not done" if any(isinstance(why, LockHeldError) for _, why in failed) else "failed"
        raise BenchError(f"{len(failed)} of {plural(len(plans), 'run')} {what}:\n{listed}")
    if kept:
        raise NewerVersionError(
            f"{len(kept)} of {plural(len(plans), 'run')} not done, and not failed: a newer version of docre-bench has "
            "made them, and reads them. `bench remove` removes them, should nobody want them"
        )


def _here(plans: Sequence[RunPlan], out: Path, how: Launching, console: Console, done: int) -> list[Failure]:
    """Carry out `plans` on this machine; those that failed, or that another process is at."""
    from bench.errors import BenchError
    from bench.launch.display import RunDisplay
    from bench.launch.local import launch
    from bench.runs.interrupt import Interrupted

    where: Literal["inline", "local"] = "inline" if how.launcher is Launch.INLINE else "local"
    try:
        display = RunDisplay(plans, console, done)
        failed = launch(
            plans,
            out,
            where,
            how.jobs,
            display,
            how.checkpoint_seconds,
            how.gpus_per_run,
            how.wait_for_locks,
            how.track,
            how.runs_per_gpu,
        )
    except (Interrupted, KeyboardInterrupt) as interrupted:
        raise BenchError(
            f"stopped ({str(interrupted) or 'SIGINT'}). Run the same command again to go on where it stopped"
        ) from interrupted
    plan_of = {plan.folder: plan for plan in plans}
    return [(folder.name, _held(out, plan_of[folder.name]) or folder.error() or _undone(folder)) for folder in failed]


def _undone(folder: RunFolder) -> str:
    return "cancelled; `bench retry` goes on from the last checkpoint" if folder.is_cancelled() else "not finished"


def _held(out: Path, plan: RunPlan) -> LockHeldError | None:
    """That another process is at a run, or at a stage of it."""
    from bench.locks import held
    from bench.runs.run_folder import RunFolder
    from bench.runs.stage_folder import stage_folder

    folders = [RunFolder.of(out, plan).path, *(stage_folder(out, stage) for stage in plan.stages)]
    return next((found for folder in folders if (found := held(folder / "lock"))), None)


def _on_slurm(plans: Sequence[RunPlan], out: Path, how: Launching, console: Console, done: int) -> list[Failure] | None:
    """Submit `plans`; those that failed, or None if nobody wants to wait for that."""
    from bench.errors import BenchError
    from bench.runs.outline import outline_of

    assert how.profile is not None
    profile = how.profile
    runs = [run for run in (outline_of(out, plan.folder) for plan in plans) if run is not None]
    submit_runs(runs, out, profile, how.checkpoint_seconds, console, how.track)
    if not how.wait:
        return None
    from bench.launch.display import RunDisplay
    from bench.launch.wait import wait_for
    from bench.slurm.submit import submit

    try:
        views = wait_for(
            runs,
            out,
            RunDisplay(runs, console, done),
            lambda again: submit(again, out, profile, how.checkpoint_seconds, how.track),
        )
    except KeyboardInterrupt:
        raise BenchError(f"not waiting any more; the jobs go on. bench status --out {out}; bench cancel") from None
    return [(view.run, f"{view.state}: {view.detail}") for view in views if view.state != "done"]


def submit_runs(
    runs: Sequence[RunOutline],
    out: Path,
    profile: Profile,
    checkpoint_seconds: float,
    console: Console,
    track: Sequence[str] = (),
) -> None:
    """Submit what is missing of `runs` to SLURM, and say what was submitted."""
    from bench.errors import plural
    from bench.slurm.environment import overriding_variables
    from bench.slurm.submit import submit
    from bench.slurm.tasks import Array

    if ignored := [name for name in overriding_variables() if name.startswith("SBATCH_")]:
        console.print(
            f"{', '.join(ignored)} of the environment not used: what a job asks for is in the profile", soft_wrap=True
        )
    submitted = submit(runs, out, profile, checkpoint_seconds, track)
    for array in submitted.arrays:
        after = array.after.job if isinstance(array.after, Array) else array.after
        resources, most = array.resources, max(map(len, array.tasks.values()))
        console.print(
            f"  array {array.job}: {len(array.tasks)} x {array.section}"
            + (f" ({array.number_of_tasks} runs, up to {most} share one)" if most > 1 else "")
            + f", {resources.time} min, {resources.memory} MB, {resources.gpus * resources.processes} GPU"
            + (f", each after its task of {after}" if after else ""),
            soft_wrap=True,
        )
    jobs = sum(len(array.tasks) for array in submitted.arrays)
    before = f", {submitted.before} in the queue before" if submitted.before else ""
    if submitted.unknown:
        before += f", left out {submitted.unknown} of which SLURM does not say whether it still has them"
    console.print(
        f"submitted {plural(jobs, 'job')} with the profile {profile.name!r}{before}; bench status --out {out} shows "
        f"{'it' if jobs == 1 else 'them'}",
        soft_wrap=True,
    )
