"""Whether the jobs of an output folder spend their time on starting, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from statistics import median
from typing import Any, TypeGuard

from bench.errors import plural
from bench.runs.executions import executions, is_seconds
from bench.runs.run_folder import RunFolder

MUCH = 0.1
"""From this share of their time on it is told."""


def long_start_up(out: Path, runs: Collection[str], at_work: Collection[str] = ()) -> str:
    """That jobs took much of their time to start, in a sentence with what to do; "" where they did not.

    runs: folders of runs whose jobs are looked at.   at_work: those of them whose last execution has not ended.
    """
    times: list[tuple[float, float]] = []
    for run in runs:
        told = executions(RunFolder(out, run).path)
        jobs = (one.get("job") for one in (told[:-1] if run in at_work else told))
        times += [(job["start_up"], job["seconds"]) for job in jobs if _has_times(job)]
    total = sum(seconds for _, seconds in times)
    share = sum(start_up for start_up, _ in times) / total if total else 0.0
    if share <= MUCH:
        return ""
    usual = median(start_up for start_up, _ in times)
    return (
        f"{share:.0%} of the time of {plural(len(times), 'job')} went by before the first step of training (the middle "
        f"one took {usual:,.0f} s to start). Fewer, longer jobs: runs_per_gpu in the profile. Quicker ones: scratch in "
        "the profile, and Python, its libraries or the container on a faster file system"
    )


def _has_times(job: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(job, dict) and is_seconds(job.get("start_up")) and is_seconds(job.get("seconds"))
