"""Whether the jobs of an output folder spend their time on starting, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from statistics import median
from typing import Any

from bench.errors import plural
from bench.runs.executions import executions, is_seconds
from bench.runs.run_folder import RunFolder

MUCH = 0.1
"""From this share of their time on it is told."""


def long_start_up(out: Path, runs: Collection[str], at_work: Collection[str] = ()) -> str:
    """That jobs took much of their time to start, in a sentence with what to do; "" where they did not.

    runs: folders of runs whose jobs are looked at.   at_work: those of them whose last execution has not ended.
    """
    jobs: list[dict[str, Any]] = []
    for run in runs:
        told = executions(RunFolder(out, run).path)
        jobs += [one["job"] for one in (told[:-1] if run in at_work else told) if _has_times(one.get("job"))]
    total = sum(job["seconds"] for job in jobs)
    share = sum(job["start_up"] for job in jobs) / total if total else 0.0
    if share <= MUCH:
        return ""
    usual = median(job["start_up"] for job in jobs)
    count = plural(len({str(job.get("id")) for job in jobs}), "job")
    return (
        f"{share:.0%} of the time of {count} went by before the first step of training ({usual:,.0f} s each, in the "
        "middle). Fewer, longer jobs: runs_per_gpu in the profile. Quicker ones: scratch in the profile, and Python, "
        "its libraries or the container on a faster file system"
    )


def _has_times(job: Any) -> bool:
    return isinstance(job, dict) and is_seconds(job.get("start_up")) and is_seconds(job.get("seconds"))
