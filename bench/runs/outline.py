"""What is planned in an output folder, by name, read without the libraries that training takes.

`bench status` and the jobs of a cluster need the names of things, at once: importing torch takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.runs.names import Origin
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, run_folders


@dataclass(frozen=True)
class StageOutline:
    """A stage: its folder under `stages/`, and the data it trains on."""

    folder: str
    data: str


@dataclass(frozen=True)
class RunOutline:
    """A run: its folder under `runs/`, its cell and seed, and the stages that lead to it, first to last."""

    folder: str
    model: str
    variant: str
    dataset: str
    setting: str
    encoder: str
    seed: int
    stages: tuple[StageOutline, ...]
    origin: Origin = "trained"


def outlines(out: Path) -> Iterator[RunOutline | str]:
    """Every run that was ever planned in `out`, by name; of one whose plan is unreadable, the name alone."""
    for folder in run_folders(out):
        yield outline_of(out, folder.name) or folder.name


def outline_of(out: Path, run: str) -> RunOutline | None:
    """The outline of one run, or None where its plan is damaged or of a newer version."""
    plan = RunFolder(out, run).plan()
    return None if plan is None else replace(outline(plan), folder=run)


def outline(plan: RunPlan) -> RunOutline:
    """The outline of a planned run."""
    # Of stages without weights nothing is kept: the last one stands for all.
    stages = tuple(StageOutline(s.folder, s.data) for s in plan.stages if not s.is_counted or s is plan.last)
    return RunOutline(
        plan.folder, plan.model, plan.variant, plan.dataset, plan.setting, plan.encoder, plan.seed, stages, plan.origin
    )  # fmt: skip
