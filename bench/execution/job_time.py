"""Where the time of a SLURM job goes: into its start, which every job has anew, or into what it is for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench.execution.provenance import slurm_job
from bench.processes import age
from bench.runs.executions import STARTED


class JobTime:
    """The time of one run after another in this process, each from the end of the one before; the first from its start.

    Time spent on what a job is not charged with is set aside: waiting for another process, and what is computed once
    for all runs and kept.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._job = slurm_job().get("job")
        self._began = time.monotonic() - _seconds_so_far(environment)
        self._aside = 0.0
        self._start_up: float | None = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the time that this block takes out."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._aside += time.monotonic() - began

    def training_has_begun(self) -> None:
        """The first step of a run is done; says nothing of those after it."""
        if self._start_up is None:
            self._start_up = self._seconds()

    def told(self) -> dict[str, Any]:
        """For the provenance of the run: its job, the seconds that took so far, and those until its first step.

        Nothing outside of a job, and nothing before the first step: a run that only evaluates has none.
        """
        if self._job is None or self._start_up is None:
            return {}
        seconds = {"start_up": round(self._start_up, 1), "seconds": round(self._seconds(), 1)}
        return {"job": {"id": self._job, **seconds}}

    def next_run(self) -> None:
        """A run has ended: the time of the next one begins."""
        self._began, self._aside, self._start_up = time.monotonic(), 0.0, None

    def _seconds(self) -> float:
        return time.monotonic() - self._began - self._aside


def _seconds_so_far(environment: Mapping[str, str]) -> float:
    """For how long this job has been running, or as far as that is not said this process."""
    try:
        of_job = time.time() - float(environment.get(STARTED, ""))
    except ValueError:
        of_job = 0.0
    return max(age(), of_job)
