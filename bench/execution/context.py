"""What an executor and its stages share: where results go, who listens, what to compute on, what was read already."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from bench.data.catalog.dataset import open_dataset
from bench.data.features.feature_file import FeatureFile
from bench.execution.inputs import Inputs
from bench.execution.job_time import JobTime
from bench.execution.provenance import Execution, say_if_elsewhere, slurm_job, threads_as_begun
from bench.inference.encodings import encoded, in_bytes
from bench.inference.load import load_system
from bench.inference.reader import Reader
from bench.locks import Waiting
from bench.nn.devices import this_device
from bench.nn.encoder_source import find_encoder
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan, StagePlan
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import precision_of, stage_folder
from bench.runs.status import RunStatus
from bench.tracking.tracking import Tracking
from bench.training.team import Team

POLL_SECONDS = 0.3
"""At most this often a run says how far it is, or looks whether another process is done."""

Listener = Callable[[RunFolder, RunStatus], None]
"""Is given a run and its newest status."""


@dataclass
class Context:
    """What all runs of one process share.

    out: the output folder.   team: the processes that train with this one, if it does not train alone.
    checkpoint_seconds: at least so long between two checkpoints of a stage.   wait_for_locks: at most so many seconds
    for what another process is at; None for as long as it takes.   siblings: the process whose workers share the runs.
    track: the trackers that are told of runs.   job_time: what the time of this process goes into.
    """

    out: Path
    interrupt: Interrupt
    listener: Listener
    checkpoint_seconds: float = 60.0
    team: Team | None = None
    wait_for_locks: float | None = None
    siblings: int | None = None
    track: Sequence[str] = ()
    device: torch.device = field(default_factory=this_device)
    job_time: JobTime = field(default_factory=JobTime)
    _inputs: dict[tuple[str, str, int, bool], Inputs] = field(default_factory=dict)
    _without_status: set[str] = field(default_factory=set)
    _accounted: list[Execution] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tracking = Tracking(self.out, self.track)

    @property
    def waiting(self) -> Waiting:
        """How to wait for what another process is making."""
        return Waiting(self.interrupt.check, self.wait_for_locks, self.siblings, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        """Wait for what another process is at, which is no time of this job."""
        with self.job_time.aside():
            time.sleep(seconds)

    def report(self, run: RunFolder, **fields: Any) -> None:
        """Write down where a run is, and let the listener know. fields: of `RunStatus`, but who says it and when.

        A status that cannot be written fails no run: it is said once, and the run goes on.
        """
        status = RunStatus(time=time.time(), pid=os.getpid(), host=platform.node(), **slurm_job(), **fields)
        try:
            run.write_status(status)
        except OSError as error:
            if run.name not in self._without_status:
                self._without_status.add(run.name)
                print(
                    f"bench: {error.filename}: {error.strerror}; the run goes on without", file=sys.stderr, flush=True
                )
        for execution in self._accounted:
            execution.at_work = True
            execution.write_if_due(self.checkpoint_seconds)
        self.listener(run, status)

    def progress(self, run: RunFolder, stage: str, doing: str) -> Callable[[int, int], None]:
        """What says of a run how many of how many documents are done, and how many seconds are left; now and then."""
        began = said = time.monotonic()

        def on_progress(done: int, of: int) -> None:
            nonlocal said
            now = time.monotonic()
            if done < of and now - said < POLL_SECONDS:
                return
            said = now
            left = (now - began) / done * (of - done) if done else None
            self.report(run, state="running", stage=stage, doing=doing, step=done, steps=of, eta=left)

        return on_progress

    @contextmanager
    def accounted(self, folder: Path) -> Iterator[None]:
        """Account for what is done within the block in `provenance.json` of `folder`, however it ends.

        Until then it is written down every `checkpoint_seconds`, so that of an execution that is killed no more is
        missing than of its training. One that ends before it has reported anything, since another process is at the
        work, is none. What goes on has the threads that it began with, and says if the device is another one.
        """
        say_if_elsewhere(folder, self.device)
        with threads_as_begun(folder, self.device):
            # Of what is done within a run, the run tells.
            job = dict if self._accounted else self.job_time.told
            execution = Execution(folder, self.device, self.team.size if self.team else 1, job)
            self._accounted.append(execution)
            try:
                yield
            except BaseException as error:
                try:
                    execution.write_if_due(0.0)
                except OSError as unwritten:  # a full disk, say, which may be what it ended of
                    error.add_note(f"{execution.path} was not written: {unwritten}")
                raise
            else:
                execution.write()
            finally:
                self._accounted.remove(execution)
                if execution.at_work and not self._accounted:
                    self.job_time.next_run()

    def inputs(self, plan: RunPlan) -> Inputs:
        """The documents, features and encoder of a run; those of runs that share them are read once."""
        key = _shared_by(plan)
        if key not in self._inputs:
            dataset = open_dataset(plan.dataset)
            source = find_encoder(plan.encoder, dataset.documents("train"), weights=plan.imported is None)
            self._inputs[key] = Inputs(dataset, source, plan.stages[0].max_length, self.waiting)
        return self._inputs[key]

    def keep_inputs(self, plans: Sequence[RunPlan]) -> None:
        """Let go of what none of these runs is carried out with."""
        for key in [key for key in self._inputs if all(_shared_by(plan) != key for plan in plans)]:
            del self._inputs[key]

    def reader(self, stage: StagePlan, inputs: Inputs) -> Reader:
        """The selected model of a finished stage, ready to read documents. Raises `DamagedFileError`."""
        system = load_system(self.out, stage, inputs.source, self.device)
        settled = stage.in_precision(precision_of(stage_folder(self.out, stage)))
        return Reader(system, settled, inputs.source, self.device, self.interrupt)

    def encoded(self, features: FeatureFile, reader: Reader, run: RunFolder | None, stage: str) -> FeatureFile:
        """`features` as `reader` reads them: with what its encoder gives of them, where that is frozen and kept.

        run, stage: whose status says how far it is; run is None in a process that only helps with it.
        """

        def on_progress(done: int, size: int) -> None:
            doing = f"encoding once and for all: {in_bytes(size)}"
            if run is not None:
                self.report(run, state="running", stage=stage, step=done, steps=len(features), doing=doing)

        with self.job_time.aside():  # for all runs, and seldom
            return encoded(features, reader, on_progress, waiting=replace(self.waiting, sleep=time.sleep))


def _shared_by(plan: RunPlan) -> tuple[str, str, int, bool]:
    """What runs have in common that are carried out with the same inputs: data set, encoder (and weights), length."""
    return plan.dataset, plan.encoder, plan.stages[0].max_length, plan.imported is None
