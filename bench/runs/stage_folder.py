"""The folder of a stage: where its files are, and whether it is done. It is read without torch and pydantic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.filesystem import DamagedFileError, load_state, read_sealed

if TYPE_CHECKING:
    from bench.runs.outline import StageOutline
    from bench.runs.plan import StagePlan

SELECTED = "selected.safetensors"
"""The model of the epoch that was selected."""
ENCODER = "encoder"
"""The folder of the tokenizer and configuration that the model reads documents with."""
RESULT = "result.json"
"""What a finished stage left, written last."""


def stage_folder(out: Path, stage: StagePlan | StageOutline | str) -> Path:
    """Where a stage's log, checkpoints and selected model are. stage: its plan, its outline, or the folder's name."""
    return out / "stages" / (stage if isinstance(stage, str) else stage.folder)


def stage_is_done(folder: Path) -> bool:
    """Whether a stage has left its result and a model. Whoever reads the model finds out whether it is intact."""
    return (folder / SELECTED).exists() and read_sealed(folder / RESULT, "result") is not None


def stage_result(folder: Path) -> dict[str, Any] | None:
    """What a finished stage left (history of dev F1, chosen epoch), or None if it is not finished or is damaged.

    More is looked at than in `stage_is_done`: the model's description must be the one that the result was written for.
    That the model itself is intact is not seen (`selected_is_intact`): planning must not read it.
    """
    result: dict[str, Any] | None = read_sealed(folder / RESULT, "result")
    if result is None or not (folder / SELECTED).exists():
        return None
    try:
        state = load_state(folder / SELECTED)
    except DamagedFileError:
        return None
    return result if state["tensors_sha256"] == result["selected_sha256"] else None
