"""`bench run --dry-run`: what experiments take, stage by stage, and what of it is there already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.cli.gpu_hours import GpuHours
from bench.errors import plural
from bench.execution.estimate import Estimate, in_time
from bench.experiment.config import Experiment
from bench.runs.plan import RunPlan, StagePlan, describe
from bench.runs.recipe import Training
from bench.runs.run_folder import RunFolder, kept_from_newer
from bench.runs.stage_folder import stage_folder, stage_is_trained


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a cell, its seeds together. number: of the training; the same stage elsewhere has the same number.

    shared: it is another cell's too, above.   before: number of the training it starts from or is taught by.
    done, begun: how many seeds are.   keys: of the stage, seed by seed.
    """

    number: int
    shared: bool
    plan: StagePlan
    before: int | None
    done: int
    begun: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedCell:
    """What is trained and evaluated for one cell. done: how many of its runs have their record.

    newer: how many a newer version of the program has made, or a stage of them: they are left as they are.
    """

    plans: tuple[RunPlan, ...]
    stages: tuple[PlannedStage, ...]
    done: int
    newer: int = 0


def planned_cells(plans: Iterable[RunPlan], out: Path, numbers: dict[str, int]) -> list[PlannedCell]:
    """The cells of an experiment. numbers: of the trainings so far, by the key of the stage; it is added to."""
    cells: dict[tuple[str, ...], list[RunPlan]] = defaultdict(list)
    for plan in plans:
        cells[plan.setting, plan.model, plan.variant, plan.configuration].append(plan)
    return [_cell(tuple(runs), out, numbers) for runs in cells.values()]


def _cell(runs: tuple[RunPlan, ...], out: Path, numbers: dict[str, int]) -> PlannedCell:
    recorded = [RunFolder.of(out, run).record() is not None for run in runs]
    stages = []
    for seeds in zip(*(run.stages for run in runs), strict=True):
        first, *_ = seeds
        shared = first.key in numbers
        number = numbers.setdefault(first.key, 1 + max(numbers.values(), default=0))
        numbers.update((stage.key, number) for stage in seeds if stage.key not in numbers)
        folders = [stage_folder(out, stage) for stage in seeds]
        # Of what is counted nothing is kept but the record.
        done = recorded if first.is_counted else [stage_is_trained(folder) for folder in folders]
        begun = sum(folder.exists() and not finished for folder, finished in zip(folders, done, strict=True))
        before = numbers[first.after or first.teacher] if first.after or first.teacher else None
        stages.append(PlannedStage(number, shared, first, before, sum(done), begun, tuple(s.key for s in seeds)))
    newer = sum(bool(kept_from_newer(out, run)) for run in runs)
    return PlannedCell(runs, tuple(stages), sum(recorded), newer)


@dataclass(frozen=True)
class Costs:
    """An estimate, and whose pace it is: `where` says it in words.

    gpu_hours: what it is in time of GPUs that several runs share; None where none do.
    """

    estimate: Estimate
    where: str
    gpu_hours: GpuHours | None = None

    def of(self, keys: Sequence[str]) -> float | None:
        """Seconds left of some stages; None if the pace of one is not known."""
        known = [self.estimate.stages[key] for key in keys if key in self.estimate.stages]
        return sum(known) if len(known) == len(keys) else None

    def lines(self) -> list[str]:
        """What the whole plan costs, in sentences for the user."""
        estimate = self.estimate
        said = [
            f"left to do: {in_time(estimate.total)} of one process ({self.where}), "
            f"{in_time(estimate.evaluations)} of it for evaluating the finished models"
        ]
        if self.gpu_hours:
            said.append(self.gpu_hours.line())
        if estimate.saved:
            said.append(f"sharing stages between runs saves {in_time(estimate.saved)}")
        if estimate.unknown:
            said.append(f"not in these figures: {plural(estimate.unknown, 'stage')} whose pace is not known")
        return said

    def as_json(self) -> dict[str, Any]:
        """What the whole plan costs, in seconds, for a script."""
        estimate = self.estimate
        sums = {"total": estimate.total, "evaluations": estimate.evaluations, "saved_by_sharing": estimate.saved}
        shared = {"gpu_seconds": self.gpu_hours.as_json()} if self.gpu_hours else {}
        return {"where": self.where, **sums, "stages_not_known": estimate.unknown, **shared}


Planned = Sequence[tuple[Experiment, Sequence[RunPlan]]]
"""Each experiment with its runs, without those that are another experiment's before it."""


def print_outline(
    console: Console, planned: Planned, out: Path, missing: Sequence[str], costs: Costs | None = None
) -> None:
    """Print a table for each experiment, a line for each stage, and the sums.

    missing: what has to be fetched before any of it can be run, and how.   costs: None where nobody asked for them.
    """
    numbers: dict[str, int] = {}
    done = newer = 0
    for i, (experiment, plans) in enumerate(planned, start=1):
        number = f"{i}. " if len(planned) > 1 else ""
        cells = planned_cells(plans, out, numbers)
        done += sum(cell.done for cell in cells)
        newer += sum(cell.newer for cell in cells)
        common = _in_all(cells)
        changes = f", all with {', '.join(common)}" if common else ""
        name = f"{number}{experiment.dataset}, {experiment.encoder}, {_seeds(experiment.seeds)}{changes}"
        console.print(name, soft_wrap=True)
        console.print(_table(cells, common, costs) if cells else "the same runs as above", "")
    runs = [plan for _, plans in planned for plan in plans]
    already = "1 run already has its record" if done == 1 else f"{done} runs already have their record"
    console.print(f"{describe(runs)}; {already} in {out}", soft_wrap=True)
    if newer:
        console.print(f"left as a newer version of docre-bench has made it: {plural(newer, 'run')}", soft_wrap=True)
    if costs:
        console.print(*costs.lines(), sep="\n", soft_wrap=True)
    if missing:
        console.print("\nbefore any of it can be run:", *missing, sep="\n", soft_wrap=True)


def outline_as_json(planned: Planned, out: Path, missing: Sequence[str], costs: Costs | None = None) -> dict[str, Any]:
    """What `print_outline` prints, for a script; stages that are shared have the same number of their training."""
    numbers: dict[str, int] = {}
    return {
        "experiments": [
            {
                "dataset": experiment.dataset,
                "encoder": experiment.encoder,
                "seeds": experiment.seeds,
                "cells": [_cell_as_json(cell, costs) for cell in planned_cells(plans, out, numbers)],
            }
            for experiment, plans in planned
        ],
        "missing": list(missing),
    } | ({"cost": costs.as_json()} if costs else {})


def _cell_as_json(cell: PlannedCell, costs: Costs | None) -> dict[str, Any]:
    plan = cell.plans[0]
    return {
        "model": plan.model,
        "variant": plan.variant,
        "setting": plan.setting,
        "configuration": plan.configuration_name,
        "runs": len(cell.plans),
        "done": cell.done,
        "newer": cell.newer,
        "stages": [
            {
                "training": stage.number,
                "data": stage.plan.data,
                "starts_from": stage.before if stage.plan.after else None,
                "taught_by": stage.before if stage.plan.teacher else None,
                "frozen": stage.plan.freeze,
                "optimisation": stage.plan.training.model_dump(mode="json"),
                "hyperparameters": stage.plan.hyperparameters,
                "done": stage.done,
                "begun": stage.begun,
            }
            | ({"loss": stage.plan.loss.model_dump(mode="json")} if stage.plan.loss else {})
            | ({"seconds": costs.of(stage.keys)} if costs else {})
            for stage in cell.stages
        ],
    }


def _in_all(cells: Sequence[PlannedCell]) -> list[str]:
    """The changes that all of several cells have: said once, they leave room for what tells the cells apart."""
    changes = [cell.plans[0].variant.split(",") for cell in cells]
    return [change for change in changes[0] if change and all(change in c for c in changes)] if len(cells) > 1 else []


def _table(cells: Iterable[PlannedCell], common: Sequence[str], costs: Costs | None) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Model", overflow="fold", max_width=30)
    table.add_column("Setting", no_wrap=True)
    table.add_column("#", justify="right", no_wrap=True)
    for name in ("Data", "Epochs", "Encoder lr", "Head lr"):
        table.add_column(name, no_wrap=True, justify="left" if name == "Data" else "right")
    table.add_column("Starts from", overflow="fold")
    table.add_column("State", no_wrap=True)
    if costs:
        table.add_column("Time", no_wrap=True, justify="right")
    for cell in cells:
        plan = cell.plans[0]
        changes = [change for change in plan.variant.split(",") if change and change not in common]
        name = plan.model + (f" ({', '.join(changes)})" if changes else "")
        for i, stage in enumerate(cell.stages):
            training = stage.plan.training
            table.add_row(
                "" if i else name,
                "" if i else plan.setting,
                str(stage.number),
                stage.plan.data,
                *(["", "", ""] if stage.plan.is_counted else _trained(training)),
                _start(stage),
                _state(cell, stage),
                *([_time(stage, costs)] if costs else []),
            )
    return table


def _trained(training: Training) -> list[str]:
    return [str(training.epochs), _rate(training.encoder_lr), _rate(training.head_lr)]


def _start(stage: PlannedStage) -> str:
    if stage.plan.is_counted:
        return "nothing" if stage.before is None else str(stage.before)
    if stage.plan.teacher:
        start = f"encoder; taught by {stage.before}"
    else:
        start = "encoder" if stage.before is None else str(stage.before)
    return start + (f"; frozen: {', '.join(stage.plan.freeze)}" if stage.plan.freeze else "")


def _time(stage: PlannedStage, costs: Costs) -> str:
    """What is left of the stage, all seeds together; nothing where it is counted above."""
    seconds = costs.of(stage.keys)
    if seconds is None:
        return "?"
    return in_time(seconds) if seconds and not stage.shared else ""


def _state(cell: PlannedCell, stage: PlannedStage) -> str:
    """How far a stage is, all seeds together; of the last stage also whether its model has been evaluated."""
    seeds = len(cell.plans)
    if stage is cell.stages[-1] and cell.done == seeds:
        return "done"
    if stage.shared:
        return "shared"
    if stage.done == seeds:
        return "trained" if stage is cell.stages[-1] else "done"
    parts = [f"{count} {what}" for count, what in ((stage.done, "done"), (stage.begun, "begun")) if count]
    return f"{', '.join(parts)} of {seeds}" if parts else "to do"


def _rate(value: float) -> str:
    """A learning rate as papers write it: 3e-5, where Python writes 3e-05."""
    mantissa, _, exponent = f"{value:e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}" if value else "0"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if tuple(seeds) == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"
