"""The costs that `bench run --dry-run --estimate` adds to a plan: by a profile's figures, or by steps taken here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from bench.cli.dry_run import Costs, Planned
from bench.cli.gpu_hours import gpu_hours_here, gpu_hours_of_jobs
from bench.cli.launching import Launching
from bench.cli.options import Launch
from bench.cli.stand_ins import AbsentDataset, StandIns
from bench.cores import find_cores
from bench.execution.estimate import PaceOf, estimate, given_pace
from bench.execution.probe import Pace, pace, probed_device
from bench.launch.local import divide
from bench.runs.plan import RunPlan, StagePlan
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder, stage_is_trained


def costs_of(
    planned: Planned,
    out: Path,
    stand_ins: StandIns,
    how: Launching,
    on_probe: Callable[[str], None],
) -> Costs:
    """What is left to do of `planned`, in seconds.

    how: a profile of it gives the pace of training, where it has figures; else steps are taken here, with the threads
    that a run would have now.   on_probe: is given, in words, what is going to be measured.
    """

    def is_done(run: RunPlan) -> bool:
        return RunFolder.of(out, run).verdict().is_closed

    profile = how.profile
    if profile is not None and profile.seconds_per_document:
        pace_of, where = given_pace(profile.seconds_per_document), f"figures of the profile {profile.name!r}"
    else:
        left = sum(not is_done(run) for _, plans in planned for run in plans)
        local = how.launcher is Launch.LOCAL
        # What shares a GPU on a cluster need not find one here.
        at_once, sharing = (left, how.runs_per_gpu) if local else (1, 1)
        torch.set_num_threads(divide(find_cores(), at_once, how.jobs, how.gpus_per_run, sharing)[1])
        pace_of, where = _probed(stand_ins, on_probe), f"probed here: {probed_device()}"
        if any(stage.training.compile for _, plans in planned for run in plans for stage in run.stages):
            where += ", without compile"

    def is_trained(stage: StagePlan) -> bool:
        return stage_is_trained(stage_folder(out, stage))

    runs = [(stand_ins.datasets[run.dataset], run) for _, plans in planned for run in plans]
    estimated = estimate(runs, pace_of, is_trained, is_done)
    gpu_hours = None
    if profile is not None:
        gpu_hours = gpu_hours_of_jobs(estimated, [run for _, run in runs], out, profile)
    elif how.runs_per_gpu > 1:
        gpu_hours = gpu_hours_here(estimated, how.runs_per_gpu, sum(not is_done(run) for _, run in runs))
    return Costs(estimated, where, gpu_hours)


def _probed(stand_ins: StandIns, on_probe: Callable[[str], None]) -> PaceOf:
    """The pace of stages by steps taken in this process; those that differ in their seed alone are probed once."""
    paces: dict[str, Pace] = {}

    def find(stage: StagePlan, teacher: StagePlan | None) -> Pace:
        alike = repr((_seedless(stage), _seedless(teacher) if teacher else None))
        if alike not in paces:
            dataset, source = stand_ins.datasets[stage.dataset], stand_ins.sources[stage.encoder_fingerprint]
            if isinstance(dataset, AbsentDataset):
                raise LookupError(stage.dataset)
            paces[alike] = pace(stage, teacher, dataset, source, on_probe)
        return paces[alike]

    return find


def _seedless(stage: StagePlan) -> StagePlan:
    return stage.model_copy(update={"seed": 0, "after": None, "teacher": None})
