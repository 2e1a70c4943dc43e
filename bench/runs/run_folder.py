"""The folder of a run: its plan, its record, and while it lasts its status or its error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.filesystem import read_json, read_sealed, write_json, write_sealed
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord


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
