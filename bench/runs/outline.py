"""What is planned in an output folder, by name, read without the libraries that training takes.

`bench status` and the jobs of a cluster need the names of things, at once: importing torch takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.filesystem import read_json
from bench.runs.keys import stage_folder_name
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


def outlines(out: Path) -> Iterator[RunOutline | str]:
    """Every run that was ever planned in `out`, by name; of one whose plan is unreadable, the name alone."""
    for folder in run_folders(out):
        yield outline_of(out, folder.name) or folder.name


def outline_of(out: Path, run: str) -> RunOutline | None:
    """The outline of one run, or None where its plan is unreadable."""
    try:
        return _outline(run, read_json(RunFolder(out, run).path / "run.json"))
    except (KeyError, TypeError):
        return None


def _outline(name: str, plan: dict[str, Any]) -> RunOutline:
    stages = tuple(StageOutline(stage_folder_name(stage), stage["data"]) for stage in plan["stages"])
    cell = {field: plan[field] for field in ("model", "variant", "dataset", "setting", "encoder", "seed")}
    return RunOutline(folder=name, stages=stages, **cell)
