"""What is planned and done in an output folder, read without the libraries that training takes.

`bench status` and the jobs of a cluster need the names of things, at once: importing torch takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.filesystem import read_json, read_sealed

COMPILED_VERSION = 2
"""How a compiled encoder trains: raise it when that gives other numbers. It is in the keys of such stages alone."""
STAGE_NAMES = frozenset({"model", "reference", "dataset", "encoder"})
"""Fields of a planned stage that name things: they do not decide its weights."""


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


def stage_folder_name(stage: dict[str, Any]) -> str:
    """The name of a stage's folder, from its plan as JSON."""
    return file_name(f"{stage['model']}-{stage['data']}-s{stage['seed']}-{stage_key(stage)}")


def stage_key(stage: dict[str, Any]) -> str:
    """16 hex digits of everything that decides the weights of a stage."""
    return digest(stage_content(stage, STAGE_NAMES))


def stage_content(stage: dict[str, Any], without: Set[str]) -> dict[str, Any]:
    """The fields of a stage's plan but some. What came after the first release is left out where it is not used.

    So a plan that does without keeps its key.
    """
    content = {name: value for name, value in stage.items() if name not in without}
    content["training"] = dict(content["training"])
    later = ("patience", "freeze_encoder", "tokens_per_batch", "compile")
    for fields, names in ((content, ("teacher", "signal")), (content["training"], later)):
        for name in names:
            if fields.get(name, "not asked for") in (None, False):
                del fields[name]
    if content["training"].get("compile"):
        content["training"]["compile"] = COMPILED_VERSION
    return content


def digest(value: Any) -> str:
    """16 hex digits of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def file_name(text: str) -> str:
    """`text` as the name of a file anywhere."""
    return re.sub(r"[^A-Za-z0-9_.+=-]+", "_", text).strip("_")
