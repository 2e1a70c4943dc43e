"""The folder of a run: its plan, its record, and while it lasts its status or its error.

It is read without torch and numpy: `bench status` is to answer at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.filesystem import read_json, read_sealed, write_json, write_sealed
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord, read_record
from bench.runs.status import RunStatus


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
        """Write the plan down, so that tables know what to expect before any of it is there.

        In the place of another: what has no part in the key, such as the file that the model is in, was that of then,
        and whoever carries the plan out reads it here.
        """
        if self.plan() != plan:
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
        return read_record(self.stored_record())

    def stored_record(self) -> Any:
        """The content of the record file, of whichever schema; None where there is none or the checksum is wrong."""
        return read_sealed(self.path / "record.json", "record")

    def is_done(self) -> bool:
        """Whether there is a record, and it is what was written."""
        return self.stored_record() is not None

    def has_record_file(self) -> bool:
        """Whether there is a file of that name, whatever is in it."""
        return (self.path / "record.json").exists()

    def has_damaged_record(self) -> bool:
        """Whether there is a record file that cannot be trusted."""
        return self.has_record_file() and self.record() is None

    def write_error(self, message: str, traceback: str) -> None:
        """Keep why the run failed."""
        write_json(self.path / "error.json", {"message": message, "traceback": traceback}, indent=1)

    def error(self) -> str | None:
        """Why the run failed, if it did."""
        stored = read_json(self.path / "error.json")
        message = stored.get("message") if isinstance(stored, dict) else None
        return None if message is None else str(message)

    def clear_error(self) -> None:
        """Forget why the run failed, before another try."""
        (self.path / "error.json").unlink(missing_ok=True)

    def write_status(self, status: RunStatus) -> None:
        """Keep where the run is, for displays; it is of no importance to the result."""
        write_json(self.path / "status.json", status.as_json())

    def status(self) -> RunStatus:
        """What `write_status` last wrote; a status that says nothing where there is none, or none that can be read."""
        return RunStatus.from_json(read_json(self.path / "status.json"))


def run_folders(out: Path) -> Iterator[RunFolder]:
    """Every run that was ever planned in `out`, by name."""
    for path in sorted((out / "runs").glob("*/run.json")):
        yield RunFolder(out, path.parent.name)


def announce(out: Path, plans: Iterable[RunPlan]) -> None:
    """Write all plans down before any is carried out."""
    for plan in plans:
        RunFolder.of(out, plan).announce(plan)
