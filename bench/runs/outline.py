"""What is planned and done in an output folder, read without the libraries that training takes.

`bench status` and the jobs of a cluster need the names of things, at once: importing torch takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.filesystem import read_json, read_sealed
from bench.runs.keys import stage_folder_name


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
    for path in sorted((out / "runs").glob("*/run.json")):
        name = path.parent.name
        try:
            yield _outline(name, read_json(path))
        except (KeyError, TypeError):
            yield name


def outline_of(out: Path, run: str) -> RunOutline | None:
    """The outline of one run, or None where its plan is unreadable."""
    try:
        return _outline(run, read_json(out / "runs" / run / "run.json"))
    except (KeyError, TypeError):
        return None


def _outline(name: str, plan: dict[str, Any]) -> RunOutline:
    stages = tuple(StageOutline(stage_folder_name(stage), stage["data"]) for stage in plan["stages"])
    cell = {field: plan[field] for field in ("model", "variant", "dataset", "setting", "encoder", "seed")}
    return RunOutline(folder=name, stages=stages, **cell)


def run_is_done(out: Path, run: str) -> bool:
    """Whether a run has a record, and it is what was written."""
    return read_sealed(out / "runs" / run / "record.json", "record") is not None


def stage_is_done(out: Path, stage: str) -> bool:
    """Whether a stage has left its result and a model. Whoever reads the model finds out whether it is intact."""
    folder = out / "stages" / stage
    return (folder / "selected.safetensors").exists() and read_sealed(folder / "result.json", "result") is not None
