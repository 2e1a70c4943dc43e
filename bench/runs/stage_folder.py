"""The folder of a stage: where its files are, and whether it is done. It is read without torch and numpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, ConfigDict

from bench.errors import NewerVersionError
from bench.filesystem import DamagedFileError, load_state, read_sealed, write_sealed
from bench.runs.recipe import Precision
from bench.runs.record import Count, Percent
from bench.runs.versions import read_as, schema_of

if TYPE_CHECKING:
    from bench.runs.outline import StageOutline
    from bench.runs.plan import StagePlan

LOG = "log.jsonl"
"""What every update of its training came to."""
SELECTED = "selected.safetensors"
"""The model of the epoch that was selected."""
ENTITY_TYPES = "entity_types"
"""Under this it has, beside its weights, what the codes of entities' types stood for when it was trained."""
ENCODER = "encoder"
"""The folder of the tokenizer and configuration that the model reads documents with."""
RESULT = "result.json"
"""What a finished stage left, written last."""
PRECISION = "precision.json"
"""What a stage computes in, written when it begins."""
STAGE_SCHEMA = 1
"""The `schema_version` of `result.json`, which says it only from the next one on."""


def stage_folder(out: Path, stage: StagePlan | StageOutline | str) -> Path:
    """Where a stage's log, checkpoints and selected model are. stage: its plan, its outline, or the folder's name."""
    return out / "stages" / (stage if isinstance(stage, str) else stage.folder)


class StageResult(BaseModel):
    """What a finished stage left. dev_f1: after each epoch, percent.   selected_sha256: of the selected model."""

    model_config = ConfigDict(extra="forbid")

    key: str
    dev_f1: list[Percent]
    selected_epoch: Count
    selected_sha256: str
    documents: Count
    mentions_cut: Count

    def write(self, folder: Path) -> None:
        """Write it down with its checksum: what makes the stage count as done."""
        write_sealed(folder / RESULT, "result", self.model_dump(mode="json"))


def write_precision(folder: Path, precision: Precision) -> None:
    """Write down what a stage computes in, for as long as its folder is there: on whatever machine it goes on."""
    write_sealed(folder / PRECISION, "precision", precision)


def precision_of(folder: Path) -> Precision | None:
    """What a stage computes in; None where it has not begun, or was trained before that was written down."""
    found = read_sealed(folder / PRECISION, "precision")
    return found if found in get_args(Precision) else None


def stage_is_done(folder: Path) -> bool:
    """Whether nothing is left to do for a stage: it has its result and a model, or a newer version has left its own.

    Whoever reads the model finds out whether it is intact.
    """
    try:
        return (folder / SELECTED).exists() and _result(folder) is not None
    except NewerVersionError:
        return True


def stage_is_trained(folder: Path) -> bool:
    """The same, and that the model's description is the one that the result was written for."""
    try:
        return stage_result(folder) is not None
    except NewerVersionError:
        return True


def newer_stage(folder: Path) -> str:
    """What of a stage only a newer version of the program can read, in words; empty where there is no such thing."""
    try:
        _result(folder)
    except NewerVersionError as error:
        return str(error)
    return ""


def stage_result(folder: Path) -> StageResult | None:
    """What a finished stage left, or None if it is not finished or is damaged.

    More is looked at than in `stage_is_done`: the model's description must be the one that the result was written for.
    That the model itself is intact is not seen (`selected_is_intact`): planning must not read it.
    Raises NewerVersionError.
    """
    result = _result(folder)
    if result is None or not (folder / SELECTED).exists():
        return None
    try:
        state = load_state(folder / SELECTED)
    except DamagedFileError:
        return None
    return result if state["tensors_sha256"] == result.selected_sha256 else None


def _result(folder: Path) -> StageResult | None:
    """The result that is in the folder, None where there is none or it is damaged. Raises NewerVersionError."""
    content = read_sealed(folder / RESULT, "result")
    if not isinstance(content, dict):
        return None
    try:
        schema_of(content, STAGE_SCHEMA)
        result = read_as(StageResult, content, sealed=True)
    except NewerVersionError as error:
        raise NewerVersionError(f"stages/{folder.name}/{RESULT}: {error}") from None
    except DamagedFileError:
        return None
    return result if 1 <= result.selected_epoch <= len(result.dev_f1) else None
