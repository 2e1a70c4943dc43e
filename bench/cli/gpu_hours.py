"""What sharing GPUs saves of a plan: the GPU hours of several runs on each, beside those of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import plural
from bench.execution.estimate import Estimate, in_time
from bench.runs.outline import outline
from bench.runs.plan import RunPlan
from bench.slurm.outcomes import missing_tasks
from bench.slurm.profiles import Profile
from bench.slurm.tasks import arrays_of, resources_in


@dataclass(frozen=True)
class GpuHours:
    """What is left to do in seconds of GPUs: with a run on each (`alone`), and with up to `most` on each (`packed`).

    packed is as if no run took longer for the others on its GPU; so many seconds of it are `shared` by several runs.
    slowdown: how many times as long a run takes beside others; None where that is not known.   jobs: of SLURM; None on
    this machine.   of: what the seconds are of.
    """

    most: int
    alone: float
    packed: float
    shared: float
    slowdown: float | None = None
    jobs: int | None = None
    of: str = "GPU"

    @property
    def slowed(self) -> float:
        """The seconds of `packed`, with the slowdown that is known."""
        return self.packed + ((self.slowdown or 1.0) - 1.0) * self.shared

    def line(self) -> str:
        """In a sentence for the user, with what is assumed."""
        jobs = f" ({plural(self.jobs, 'job')})" if self.jobs is not None else ""
        if self.slowdown is not None:
            how = f"if a run takes {self.slowdown:g} times as long beside others (packed_slowdown of the profile)"
        else:
            how = "if no run takes longer for those beside it, which is not known here"
        said = f"with up to {self.most} runs on a GPU: {self.of} time {in_time(self.slowed)}{jobs} and not "
        said += f"{in_time(self.alone)}, {how}"
        if self.shared:
            most = 1 + (self.alone - self.packed) / self.shared
            said += f"; sharing pays unless a run takes more than {most:.1f} times as long beside others"
        return said

    def as_json(self) -> dict[str, Any]:
        """In seconds, for a script."""
        seconds = {"alone": self.alone, "packed": self.slowed}
        return seconds | {"runs_per_gpu": self.most, "packed_slowdown": self.slowdown, "jobs": self.jobs}


def gpu_hours_here(estimate: Estimate, runs_per_gpu: int, runs: int) -> GpuHours:
    """Of the local launcher, whose processes take one run after another: as if all were at work until the end."""
    packed = estimate.total / max(1, min(runs_per_gpu, runs))
    return GpuHours(runs_per_gpu, estimate.total, packed, packed)


def gpu_hours_of_jobs(estimate: Estimate, plans: Sequence[RunPlan], out: Path, profile: Profile) -> GpuHours | None:
    """Of the jobs that would be submitted if none were in the queue: each lasts as long as the longest of its runs.

    None where the profile has each run a GPU of its own.
    """
    kinds = [resources for _, resources in profile.kinds()]
    most = max(resources.runs_per_gpu for resources in kinds)
    if most == 1:
        return None
    runs = [outline(plan) for plan in plans]
    tasks = missing_tasks(out, runs)
    arrays = arrays_of(tasks, {}, profile.array_size, resources_in(profile, runs))
    training = {stage.folder: estimate.stages.get(stage.key, 0.0) for plan in plans for stage in plan.stages}
    jobs = [
        [training.get(t.stage or "", 0.0) + (estimate.evaluated.get(t.run, 0.0) if t.finishes else 0.0) for t in pack]
        for array in arrays
        for pack in array.tasks.values()
    ]
    return GpuHours(
        most=most,
        alone=sum(map(sum, jobs)),
        packed=sum(map(max, jobs)),
        shared=sum(max(job) for job in jobs if len(job) > 1),
        slowdown=profile.packed_slowdown,
        jobs=len(jobs),
        of="GPU" if any(resources.gpus for resources in kinds) else "job",
    )
