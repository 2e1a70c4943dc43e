"""What of an output folder belongs to a run alone, and throwing it away while nobody is at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError
from bench.inference.load import signal_folder
from bench.launch.status import Observation, RunView
from bench.locks import Lock, LockHeldError
from bench.nn.encoder_seal import is_intact
from bench.runs.plan import RunPlan, StagePlan
from bench.runs.run_folder import PLAN, RunFolder, run_folders
from bench.runs.stage_folder import ENCODER, RESULT, stage_folder, stage_result
from bench.runs.status import UNDER_WAY
from bench.training.trainer import selected_is_intact

LOCKS = ("lock", "lock.holder")
"""Files that are removed only when the lock is not held any more, if at all."""


@dataclass(frozen=True)
class Discarded:
    """What is thrown away: a file or a folder, and why.   folder: of the run or stage that it is of, or which it is."""

    path: Path
    why: str
    folder: Path

    @property
    def size(self) -> int:
        """In bytes."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.lstat().st_size for file in files if not file.is_dir())


def check_idle(observed: Observation, views: Iterable[RunView]) -> None:
    """Raise UsageError where a process or a job is at one of the runs, or may be."""
    if not observed.answered:
        raise UsageError(f"SLURM cannot be asked what is under way: {observed.trouble}")
    busy = [view for view in views if view.state in UNDER_WAY or (view.state == "waiting" and view.job)]
    if busy:
        listed = "\n".join(f"  {view.run}: {view.state}" for view in busy)
        raise UsageError(f"under way (`bench cancel RUN` stops a run, or gives its job up):\n{listed}")


@contextmanager
def held(folders: Iterable[Path]) -> Iterator[None]:
    """Hold the locks of runs and stages within the block. Raises UsageError where another process holds one."""
    with ExitStack() as stack:
        for folder in dict.fromkeys(folders):
            try:
                stack.enter_context(Lock(folder / "lock"))
            except LockHeldError as held_by:
                raise UsageError(f"{held_by}; nothing was thrown away") from None
        yield


def discard(discarded: Iterable[Discarded]) -> None:
    """Throw it all away, in this order, while it is `held`. Of a run or stage that goes as a whole the lock stays."""
    for one in discarded:
        if one.path == one.folder:
            _empty(one.folder)
        else:
            _remove(one.path)


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders of which nothing is left but the lock. One in which somebody has begun anew stays."""
    for folder in folders:
        left = list(folder.iterdir())
        if all(path.name in LOCKS for path in left):
            for path in left:
                path.unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()


def _empty(folder: Path) -> None:
    """Remove what is in the folder of a run or a stage but the lock.

    Should it be interrupted: a stage without its result is not done, and a run is listed until its plan goes, the last.
    """
    (folder / RESULT).unlink(missing_ok=True)
    for inside in sorted(folder.iterdir(), key=lambda inside: inside.name == PLAN):
        if inside.name not in LOCKS:
            _remove(inside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def alone(out: Path, names: Sequence[str]) -> tuple[list[Discarded], list[str]]:
    """All that is of some runs alone: their stages, signals for these, and last the runs; and what is kept, and why."""
    others = [folder for folder in run_folders(out) if folder.name not in names]
    plans = {folder.name: folder.plan() for folder in others}
    needed = {path for plan in plans.values() if plan is not None for path in _made_for(out, plan)}
    own = [plan for plan in (RunFolder(out, name).plan() for name in names) if plan is not None]
    made = [path for path in dict.fromkeys(path for plan in own for path in _made_for(out, plan)) if path.is_dir()]
    kept = [f"{path}: other runs need it" for path in made if path in needed]
    left = [path for path in made if path not in needed]
    if left and (unreadable := next((name for name, plan in plans.items() if plan is None), "")):
        kept += [f"{path}: {out / 'runs' / unreadable / PLAN} cannot be read, and may need it" for path in left]
        left = []
    if lost := [name for name in names if RunFolder(out, name).plan() is None]:
        kept.append(f"stages of {', '.join(lost)}: which those are cannot be read any more")
    folders = [(path, "no other run needs it") for path in left] + [(out / "runs" / name, "the run") for name in names]
    return [Discarded(path, why, path) for path, why in folders], kept


def _made_for(out: Path, plan: RunPlan) -> Iterator[Path]:
    """The folders of a run's stages, and of what their teachers said."""
    for stage in plan.stages:
        yield stage_folder(out, stage)
        if stage.signal:
            yield signal_folder(out, stage)


def damaged_and_results(out: Path, plan: RunPlan) -> list[Discarded]:
    """What of a run is thrown away for it to be made anew: the stages that are damaged, and all results of the run."""
    run = RunFolder.of(out, plan).path
    stages = [damaged for stage in plan.stages for damaged in _damaged(out, stage)]
    own = [path for path in sorted(run.iterdir()) if path.name not in (PLAN, *LOCKS)]
    return [*stages, *(Discarded(path, "made again", run) for path in own)]


def _damaged(out: Path, stage: StagePlan) -> Iterator[Discarded]:
    folder = stage_folder(out, stage)
    if not (folder / RESULT).exists():
        return  # not finished: training goes on from its checkpoint
    if stage_result(folder) is None or not selected_is_intact(folder):
        yield Discarded(folder, "its model is damaged: trained again", folder)
    elif (folder / ENCODER).exists() and not is_intact(folder / ENCODER):
        yield Discarded(folder / ENCODER, "damaged: written again", folder)
