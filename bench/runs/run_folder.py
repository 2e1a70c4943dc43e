"""The folder of a run: its plan, its record, and while it lasts its status or its error.

It is read without torch and numpy: `bench status` is to answer at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.errors import NewerVersionError
from bench.filesystem import (
    DamagedFileError,
    checked,
    read_json,
    read_sealed,
    write_atomically,
    write_checked,
    write_json,
    write_sealed,
)
from bench.runs.names import made_anew
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord, read_record
from bench.runs.stage_folder import newer_stage, stage_folder
from bench.runs.status import RunStatus
from bench.runs.verdict import Verdict, check_record
from bench.runs.versions import read_as, schema_of

PLAN = "run.json"
RECORD = "record.json"
CANCELLED = "cancelled.json"
"""That somebody has cancelled a run that was no job: when."""
ERROR_TEXT = "error.txt"
"""The traceback of a run that failed, to be read."""
WRITTEN = (PLAN, RECORD, "status.json", "error.json", ERROR_TEXT, "provenance.json")
"""Files by which a folder is known as that of a run, should its plan be gone."""
PLAN_SCHEMA = 1
"""The `schema_version` of `run.json`, which says it only from the next one on."""
PLAN_IS_LOST = "what was planned is lost: the `bench run` that planned it writes it again, `bench remove` removes it"
"""What is said of a run whose plan is damaged."""


def predictions_path(run: Path, split: str) -> Path:
    """Where the predictions of a split are in a run's folder, its checksum beside it."""
    return run / f"predictions-{split}.json"


class RunFolder:
    """The folder of one run: `run.json` (the plan), `record.json` (written last), `status.json`.

    Of one that failed also `error.json` and `error.txt`, the traceback.
    """

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
        and whoever carries the plan out reads it here. One stays if it is of a newer version, or if there is a record
        that was made by it.
        """
        found = self.verdict()
        if not found.is_closed and found.plan != plan:
            write_checked(self.path / PLAN, plan.model_dump(mode="json"))

    def plan(self) -> RunPlan | None:
        """The run's plan, or None where the file is damaged or of a newer version."""
        try:
            return self._plan()
        except (DamagedFileError, NewerVersionError):
            return None

    def write_record(self, record: RunRecord) -> None:
        """Write the record with a checksum of it, atomically."""
        write_sealed(self.path / RECORD, "record", record.model_dump(mode="json"))

    def record(self) -> RunRecord | None:
        """The record, or None where there is none or it cannot be used (`verdict` says why)."""
        return self.verdict().record

    def verdict(self) -> Verdict:
        """The plan and the record, or what is wrong with them."""
        try:
            plan = self._plan()
        except NewerVersionError as error:
            return Verdict(newer=f"{PLAN}: {error}")
        except DamagedFileError as error:
            return Verdict(damage=f"{PLAN}: {error}")
        try:
            record = self._record()
            if record is not None:
                check_record(record, plan)
        except NewerVersionError as error:
            return Verdict(plan, newer=f"{RECORD}: {error}")
        except DamagedFileError as error:
            return Verdict(plan, damage=f"{RECORD}: {error}")
        return Verdict(plan, record)

    def _plan(self) -> RunPlan:
        """The plan. Raises DamagedFileError, NewerVersionError."""
        path = self.path / PLAN
        stored = read_json(path)
        if not isinstance(stored, dict):
            raise DamagedFileError("not what was written" if path.exists() else "missing")
        schema_of(stored, PLAN_SCHEMA)  # first: a newer version may check it otherwise
        content = checked(stored)
        if content is None:
            raise DamagedFileError("not what was written (checksum)")
        return read_as(RunPlan, content, sealed=False)

    def _record(self) -> RunRecord | None:
        """The record as it was written; None where there is no file. Raises DamagedFileError, NewerVersionError."""
        content = read_sealed(self.path / RECORD, "record")
        if content is None:
            if (self.path / RECORD).exists():
                raise DamagedFileError("not what was written (checksum)")
            return None
        return read_record(content)

    def write_error(self, message: str, traceback: str) -> None:
        """Keep why the run failed, for displays and, with the traceback, for whoever looks for the reason."""
        write_json(self.path / "error.json", {"message": message, "traceback": traceback}, indent=1)
        text = f"{traceback.rstrip()}\n\n{message}\n".lstrip()
        write_atomically(self.path / ERROR_TEXT, text.encode("utf-8", "backslashreplace"))

    def error(self) -> str | None:
        """Why the run failed, if it did."""
        stored = read_json(self.path / "error.json")
        message = stored.get("message") if isinstance(stored, dict) else None
        return None if message is None else str(message)

    def error_text(self) -> str:
        """Why the run failed, if it did, with the traceback where it was kept: lines; empty where there is nothing."""
        try:
            return (self.path / ERROR_TEXT).read_text("utf-8", "replace")
        except OSError:
            message = self.error()
            return f"{message}\n" if message else ""

    def clear_error(self) -> None:
        """Forget why the run failed, or that it was cancelled, before another try."""
        for name in ("error.json", ERROR_TEXT):
            (self.path / name).unlink(missing_ok=True)
        self.clear_cancellation()

    def note_cancellation(self) -> None:
        """Keep that somebody wants processes that are under way to leave the run alone, until it is tried again."""
        write_json(self.path / CANCELLED, {"time": time.time()})

    def clear_cancellation(self) -> None:
        """Forget that the run was cancelled: a command is to carry it out."""
        (self.path / CANCELLED).unlink(missing_ok=True)

    def is_cancelled(self, since: float = 0.0) -> bool:
        """Whether that was asked and the run not tried again, at `since` (seconds since 1970) or later."""
        stored = read_json(self.path / CANCELLED)
        asked = stored.get("time") if isinstance(stored, dict) else None
        return isinstance(asked, (int, float)) and asked >= since

    def write_status(self, status: RunStatus) -> None:
        """Keep where the run is, for displays; it is of no importance to the result."""
        write_json(self.path / "status.json", status.as_json())

    def status(self) -> RunStatus:
        """What `write_status` last wrote; a status that says nothing where there is none, or none that can be read."""
        return RunStatus.from_json(read_json(self.path / "status.json"))


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, be it damaged."""
    return any((folder / name).exists() for name in WRITTEN)


def run_folders(out: Path) -> Iterator[RunFolder]:
    """Every run that was ever planned in `out`, by name: also one whose plan is gone, which is damaged."""
    for path in sorted((out / "runs").glob("*/")):
        if is_run(path):
            yield RunFolder(out, path.name)


def kept_from_newer(out: Path, plan: RunPlan) -> str:
    """What of a planned run, or of its stages, only a newer version of the program can read, in words.

    Such a run is not carried out: it would be made over what that version has made. Empty for any other run.
    """
    found = RunFolder.of(out, plan).verdict()
    if found.record is not None or found.newer:
        return found.newer
    return next((why for stage in plan.stages if (why := newer_stage(stage_folder(out, stage)))), "")


def not_finished(folder: RunFolder) -> str:
    """Why a run has no record that can be used, and what to do about that: a part of a sentence."""
    found, out = folder.verdict(), folder.path.parent.parent
    if found.damage:
        return f"{found.why}; {made_anew(out, folder.name, found.plan.origin) if found.plan else PLAN_IS_LOST}"
    if found.plan and found.plan.origin != "trained":
        return f"its import was not finished; {made_anew(out, folder.name, found.plan.origin)}"
    return found.why or f"`bench status --out {out}` says where it stands"


def announce(out: Path, plans: Iterable[RunPlan]) -> None:
    """Write all plans down before any is carried out."""
    for plan in plans:
        RunFolder.of(out, plan).announce(plan)
