"""What `provenance.json` of a run or a stage says of its executions, read without the libraries that training takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.filesystem import read_json

STARTED = "BENCH_JOB_STARTED"
"""Set by the batch script of a SLURM job: when it began, in seconds since 1970, before `setup` and a container."""


def provenance_path(folder: Path) -> Path:
    """The file in the folder of a run or a stage that says where and when it was computed."""
    return folder / "provenance.json"


def executions(folder: Path) -> list[dict[str, Any]]:
    """The executions that it tells of; the first versions wrote the last one alone, and nothing of it is needed."""
    stored = read_json(provenance_path(folder))
    told = stored.get("executions", [stored]) if isinstance(stored, dict) else []
    return [one for one in told if _is_execution(one)] if isinstance(told, list) else []


def _is_execution(one: Any) -> bool:
    seconds = one.get("seconds") if isinstance(one, dict) else None
    return is_seconds(seconds) and isinstance(one.get("started"), str)


def is_seconds(value: Any) -> bool:
    """Whether a value that was read is a time that something can have taken."""
    return isinstance(value, (int, float)) and 0 <= value < float("inf")
