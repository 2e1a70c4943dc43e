"""The folder of a stage: where its files are, and whether it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.filesystem import DamagedFileError, load_state, read_sealed
from bench.runs.plan import StagePlan

SELECTED = "selected.safetensors"


def stage_folder(out: Path, plan: StagePlan) -> Path:
    """Where a stage's log, checkpoints and selected model are."""
    return out / "stages" / plan.folder


def stage_result(folder: Path) -> dict[str, Any] | None:
    """What a finished stage left (history of dev F1, chosen epoch), or None if it is not finished or is damaged.

    That the model is there is seen, not that it is intact (`selected_is_intact`): planning must not read it.
    """
    result: dict[str, Any] | None = read_sealed(folder / "result.json", "result")
    if result is None or not (folder / SELECTED).exists():
        return None
    try:
        state = load_state(folder / SELECTED)
    except DamagedFileError:
        return None
    return result if state["tensors_sha256"] == result["selected_sha256"] else None
