"""Telling trackers of runs, so that no run fails for it and nothing is told twice, however often a run is taken up.

What was told is marked in `OUT/tracking/told/RUN.json` before it is told: an update or an epoch that is computed again
after an interruption, to the same bits, is not told again. A process that is killed in between leaves a gap in a
tracker, which is filled from `log.jsonl` of the stage where the tracker can say what it has kept.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.data.documents import Document, Fact, Triple
from bench.filesystem import read_json, write_json
from bench.metrics.official import document_counts
from bench.runs.interrupt import Interrupted
from bench.runs.plan import RunPlan, StagePlan
from bench.runs.record import RunRecord
from bench.runs.stage_folder import LOG
from bench.tracking.choice import TRACKERS
from bench.tracking.interface import Axis, State, TrackedRun, Tracker, place

FOLDER = "tracking"
"""Of the output folder: what trackers keep in files, and what they were told."""


@dataclass
class Tracking:
    """The trackers of one process.

    out: the output folder.   names: of the trackers.   One that has raised is left out from then on.
    """

    out: Path
    names: Sequence[str] = ()
    _active: dict[str, Tracker] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)
    _told: dict[str, Any] = field(default_factory=dict)
    _run: TrackedRun | None = None

    @contextmanager
    def run(self, plan: RunPlan) -> Iterator[None]:
        """Tell of a run, which is carried out within the block, however it ends."""
        if not self.names:
            yield
            return
        self._begin(tracked(self.out, plan))
        state: State = "failed"
        try:
            yield
            state = "finished"
        except Interrupted:
            state = "interrupted"
            raise
        finally:
            for name, tracker in list(self._active.items()):
                self._try(name, partial(tracker.end, state))
            self._active.clear()

    @property
    def listens(self) -> bool:
        """Whether anybody is to be told anything."""
        return bool(self._active)

    def scores(self, record: RunRecord) -> None:
        """Tell of what a finished run has scored."""
        values = {
            f"{split}/{name}": value
            for split, scored in record.splits.items()
            for name, value in scored.scores.model_dump().items()
        }
        self.tell("", "run", [(0, values)])

    def tell(self, stage: str, axis: Axis, rows: Iterable[tuple[int, Mapping[str, float | None]]]) -> None:
        """Tell of the rows (where on the axis, numbers by name) that lie past what was told before."""
        finite = [(at, {k: float(v) for k, v in row.items() if v is not None and math.isfinite(v)}) for at, row in rows]
        on, new = place(stage, axis), {}
        for name in self._active:
            told = self._told.get(name, {}).get(on, -1)
            new[name] = [(at, values) for at, values in finite if at > told]
        new = {name: rows_of for name, rows_of in new.items() if rows_of}
        for name, rows_of in new.items():
            self._told.setdefault(name, {})[on] = rows_of[-1][0]
        if new and self._mark():
            for name, rows_of in new.items():
                self._try(name, partial(self._active[name].scalars, stage, axis, rows_of))

    def _begin(self, run: TrackedRun) -> None:
        self._run = run
        stored = read_json(self._marks)
        self._told = stored if _is_marks(stored) else {}
        for name in self.names:
            if name not in self._failed:  # one whose server is out of reach may take a minute and a half to say so
                self._try(name, partial(self._start, name, run))

    def _start(self, name: str, run: TrackedRun) -> None:
        choice = TRACKERS[name]
        tracker: Tracker = getattr(import_module(choice.module), choice.cls)()
        tracker.begin(run)
        if (kept := tracker.kept()) is not None:
            self._told[name] = dict(kept)
        self._active[name] = tracker

    @property
    def _marks(self) -> Path:
        assert self._run is not None
        return self.out / FOLDER / "told" / f"{self._run.name}.json"

    def _mark(self) -> bool:
        """Write down what was told. Where that cannot be, nothing is told: it would be told twice some day."""
        try:
            write_json(self._marks, self._told)
        except OSError as error:
            for name in list(self._active):
                self._leave_out(name, error)
            return False
        return True

    def _try(self, name: str, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception as error:  # whatever somebody else's program raises
            self._leave_out(name, error)

    def _leave_out(self, name: str, error: Exception) -> None:
        self._active.pop(name, None)
        self._failed.add(name)
        said = " ".join(str(error).split()) or type(error).__name__
        print(f"bench: {name}: {said}; runs go on without it", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class StageTracking:
    """Tells the trackers of a process of one stage of its run.

    name: of the stage, unlike those of the run's other stages.   folder: of the stage, where its log is.
    facts: gives the training facts that Ign F1 leaves out, None for a benchmark without it.
    """

    tracking: Tracking
    name: str
    folder: Path
    facts: Callable[[], Collection[Fact] | None]

    def catch_up(self, dev_f1: Sequence[float]) -> None:
        """Tell of what is in the log and was not told: of before tracking, or of a stage that another run trained.

        dev_f1: after each epoch so far.
        """
        if not self.tracking.listens:
            return
        self.updates(_lines(self.folder / LOG))
        self.tracking.tell(
            self.name, "epoch", [(epoch, self._named({"dev_f1": f1})) for epoch, f1 in enumerate(dev_f1, 1)]
        )

    def updates(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Tell of updates, as the log has them: loss and its parts, learning rates, norm of the gradient."""
        rows = ((line["step"], {k: v for k, v in line.items() if k not in ("step", "epoch")}) for line in lines)
        self.tracking.tell(self.name, "step", [(step, self._named(values)) for step, values in rows])

    def epoch(self, epoch: int, triples: Sequence[Triple], documents: Sequence[Document]) -> None:
        """Tell of an epoch (from 1), from what was predicted of the documents that it is selected on."""
        if not self.tracking.listens:
            return
        facts = self.facts()
        total = document_counts(triples, documents, facts or ()).total
        scores: dict[str, float] = {"dev_f1": total.f1, "dev_precision": total.precision, "dev_recall": total.recall}
        if facts is not None:
            scores["dev_ign_f1"] = total.ign_f1
        self.tracking.tell(self.name, "epoch", [(epoch, self._named(scores))])

    def _named(self, values: Mapping[str, float]) -> dict[str, float]:
        return {f"{self.name}/{name}": value for name, value in values.items()}


def stage_name(plan: RunPlan, stage: StagePlan) -> str:
    """What a stage of a run is called beside the others: what it trains on, and its number where that is told twice."""
    alike = [other.key for other in plan.stages if other.data == stage.data]
    return stage.data if len(alike) == 1 else f"{stage.data}-{alike.index(stage.key) + 1}"


def tracked(out: Path, plan: RunPlan) -> TrackedRun:
    """A planned run as trackers know it."""
    config: dict[str, Any] = {
        "model": plan.model,
        "variant": plan.variant,
        "dataset": plan.dataset,
        "setting": plan.setting,
        "encoder": plan.encoder,
        "seed": plan.seed,
        "key": plan.key,
        "configuration": plan.configuration_name,
        "harness": plan.stages[-1].harness,
        "docre-bench": version("docre-bench"),
        "git": git_commit(),
    }
    for stage in plan.stages:
        name = stage_name(plan, stage)
        settings = dict(stage.hyperparameters)
        if not stage.is_counted:
            settings = {"max_length": stage.max_length, **stage.training.model_dump(mode="json"), **settings}
        if stage.loss is not None:
            settings |= {"loss": stage.loss.name, **stage.loss.hyperparameters}
        config |= {f"{name}.{key}": value for key, value in settings.items()}
    flat = {key: value if isinstance(value, str | int | float) else str(value) for key, value in config.items()}
    return TrackedRun(plan.folder, plan.key, plan.folder.rpartition("-s")[0], flat, out / FOLDER)


def git_commit() -> str:
    """The commit of the checkout that this program is, with a + where files differ; empty without a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; what is no line of one is passed over, as a resumed stage does."""
    try:
        raw = path.read_bytes()
    except OSError:
        return
    for line in raw.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict) and isinstance(content.get("step"), int):
            yield content


def _is_marks(stored: Any) -> bool:
    return isinstance(stored, dict) and all(
        isinstance(marks, dict) and all(isinstance(at, int) for at in marks.values()) for marks in stored.values()
    )
