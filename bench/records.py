"""The record of a run: what it was, what it scored, everything later tables and tests are made from.

A record holds nothing that differs between two executions of the same run (no times, no machine): those are in
`provenance.json` beside it. So an interrupted and an uninterrupted run can be compared byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.filesystem import read_json, read_sealed, write_json, write_sealed
from bench.plan import RunPlan
from bench.recipe import Setting


class StageRecord(BaseModel):
    """One stage as it went: dev F1 (percent) after each epoch, which epoch was kept, what the data were."""

    model_config = ConfigDict(extra="forbid")

    key: str
    data: str
    dev_f1: list[float]
    selected_epoch: int
    documents: int
    mentions_cut: int


class Scores(BaseModel):
    """Percent, unrounded. `ign_f1` is None for a benchmark without it, `ign_f1_distant` also without distant data."""

    model_config = ConfigDict(extra="forbid")

    f1: float
    ign_f1: float | None
    ign_f1_distant: float | None = None
    precision: float
    recall: float


class DocumentCounts(BaseModel):
    """Per document, in the order of `titles`: what the statistics resample."""

    model_config = ConfigDict(extra="forbid")

    titles: list[str]
    correct: list[int]
    predicted: list[int]
    gold: list[int]
    correct_in_facts: list[int]


class EvidenceScores(BaseModel):
    """Of (triple, evidence sentence), in percent, unrounded."""

    model_config = ConfigDict(extra="forbid")

    f1: float
    precision: float
    recall: float


class SplitRecord(BaseModel):
    """The evaluation on one split. slices: protocol ("strict", "released") -> slice -> scores.

    gold_outside: labelled triples on pairs that are no candidates, counted as missed (0 in records from before it).
    """

    model_config = ConfigDict(extra="forbid")

    scores: Scores
    macro_f1: float
    slices: dict[str, dict[str, Scores]]
    relations: dict[str, tuple[int, int, int]]
    documents: DocumentCounts
    mentions_cut: int
    gold_outside: int = 0
    evidence: EvidenceScores | None = None


class RunRecord(BaseModel):
    """A finished run. `schema_version` rises when fields change meaning; old records stay readable.

    decision: what the model chose on dev to decide by (thresholds), by name.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    key: str
    configuration: str
    model: str
    variant: str
    dataset: str
    setting: Setting
    encoder: str
    seed: int
    facts: dict[str, str]
    stages: list[StageRecord]
    splits: dict[str, SplitRecord]
    decision: dict[str, float] = {}

    @property
    def headline(self) -> str:
        """The number to show where there is room for one: `test F1 48.21`, of dev where test has no labels."""
        split = "test" if "test" in self.splits else "dev"
        return f"{split} F1 {self.splits[split].scores.f1:.2f}"


class RunFolder:
    """The folder of one run: `run.json` (the plan), `record.json` (written last), `status.json`, `error.json`."""

    def __init__(self, out: Path, name: str) -> None:
        self.path = out / "runs" / name
        self.name = name

    @classmethod
    def of(cls, out: Path, plan: RunPlan) -> RunFolder:
        """The folder of a planned run."""
        return cls(out, plan.folder)

    def announce(self, plan: RunPlan) -> None:
        """Write the plan down, so that tables know what to expect before any of it is there."""
        if self.plan() is None:
            write_json(self.path / "run.json", plan.model_dump(mode="json"))

    def plan(self) -> RunPlan | None:
        """The run's plan, or None where the file is damaged or of another version."""
        try:
            return RunPlan.model_validate(read_json(self.path / "run.json"))
        except ValidationError:
            return None

    def write_record(self, record: RunRecord) -> None:
        """Write the record with a checksum of it, atomically."""
        write_sealed(self.path / "record.json", "record", record.model_dump(mode="json"))

    def record(self) -> RunRecord | None:
        """The record, or None where there is none or it is not what was written."""
        try:
            return RunRecord.model_validate(read_sealed(self.path / "record.json", "record"))
        except ValidationError:
            return None

    def has_damaged_record(self) -> bool:
        """Whether there is a record file that cannot be trusted."""
        return (self.path / "record.json").exists() and self.record() is None

    def write_error(self, message: str, traceback: str) -> None:
        """Keep why the run failed."""
        write_json(self.path / "error.json", {"message": message, "traceback": traceback}, indent=1)

    def error(self) -> str | None:
        """Why the run failed, if it did."""
        stored = read_json(self.path / "error.json")
        return str(stored.get("message")) if isinstance(stored, dict) else None

    def clear_error(self) -> None:
        """Before another try."""
        (self.path / "error.json").unlink(missing_ok=True)

    def write_status(self, status: dict[str, Any]) -> None:
        """Where the run is, for displays; of no importance to its result."""
        write_json(self.path / "status.json", status)

    def status(self) -> dict[str, Any]:
        """What `write_status` last wrote."""
        stored = read_json(self.path / "status.json")
        return stored if isinstance(stored, dict) else {}


def run_folders(out: Path) -> Iterator[RunFolder]:
    """Every run that was ever planned in `out`, by name."""
    for path in sorted((out / "runs").glob("*/run.json")):
        yield RunFolder(out, path.parent.name)


def announce(out: Path, plans: Iterable[RunPlan]) -> None:
    """Write all plans down before any is carried out."""
    for plan in plans:
        RunFolder.of(out, plan).announce(plan)
