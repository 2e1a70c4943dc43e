"""Training one stage, resumable at every update and the same to the bit however often it was interrupted.

Nothing random is carried along: the order of an epoch is a function of (seed, stage, epoch) and the dropout of a step
of (seed, stage, step). So weights, AdamW's moments and the step count are the whole state.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from bench.data.batching import Batch, Update
from bench.data.documents import Document
from bench.data.features.feature_file import FeatureFile
from bench.errors import BenchError
from bench.filesystem import DamagedFileError, load_state
from bench.inference.batches import batches
from bench.inference.document_model import DocumentModel
from bench.inference.predict import predict
from bench.inference.reader import Reader, reading
from bench.inference.signals import SignalFile
from bench.interface import Training
from bench.metrics.official import document_counts
from bench.nn.devices import set_seed
from bench.nn.encoder_source import EncoderSource
from bench.nn.weights import load_tensors, save_tensors
from bench.runs.interrupt import Interrupt, Interrupted
from bench.runs.plan import StagePlan, step_seed
from bench.runs.stage_folder import ENTITY_TYPES, LOG, SELECTED, StageResult
from bench.tracking.tracking import StageTracking
from bench.training.checkpoint import Checkpoints
from bench.training.log import StepLog
from bench.training.optimizer import make_optimizer, set_learning_rates
from bench.training.repeatable import Repeatable
from bench.training.schedule import Schedule
from bench.training.team import Alone, Group

CHECKPOINT_SHARE = 0.01
"""Checkpoints are spaced so that writing them takes at most about this share of the time."""


@dataclass(frozen=True)
class StageData:
    """What a stage reads: features to train on, features and documents to select on, its teacher's signals."""

    train: FeatureFile
    select: FeatureFile
    select_documents: tuple[Document, ...]
    signals: SignalFile | None = None


@dataclass(frozen=True)
class Progress:
    """How far training is: `step` of `steps`, in `epoch` of `epochs`, the best dev F1 (percent) so far."""

    step: int
    steps: int
    epoch: int
    epochs: int
    best: float | None
    doing: str = "training"


@dataclass
class TrainingState:
    """What a checkpoint holds besides weights and moments: updates done, dev F1 after each epoch, the best epoch."""

    step: int = 0
    history: list[float] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def best(self) -> float | None:
        """The highest dev F1 (percent) so far."""
        return self.history[self.best_epoch - 1] if self.history else None


@dataclass(frozen=True)
class Surroundings:
    """What a stage is trained in, of which no result depends (but to rounding, on the device and the group).

    group: the processes that train it.   checkpoint_seconds: at least so long between two checkpoints.
    on_progress: is given how far training is, after every update.   tracking: tells trackers of it.
    """

    device: torch.device
    interrupt: Interrupt
    group: Group = field(default_factory=Alone)
    checkpoint_seconds: float = 60.0
    on_progress: Callable[[Progress], None] = lambda progress: None
    tracking: StageTracking | None = None


class StageTrainer:
    """Trains `system`, with the weights that the stage `plan` begins with, and keeps what becomes of it in `folder`."""

    def __init__(
        self,
        plan: StagePlan,
        system: DocumentModel,
        source: EncoderSource,
        data: StageData,
        folder: Path,
        surroundings: Surroundings,
    ) -> None:
        self.plan, self.source, self.data, self.folder = plan, source, data, folder
        self.surroundings, self.group, self.device = surroundings, surroundings.group, surroundings.device
        self.training = plan.training
        self.system = system.to(self.device)
        if self.training.compile and self.system.encoder is not None:
            self.system.encoder.compile_model(graphs=graphs_fit(self.device, self.group, self.training))
        self.optimizer = make_optimizer(self.system, self.training, plan.freeze)
        self.losses = self.group.losses(self.system, self.training.precision)
        self.checkpoints = Checkpoints(folder / "checkpoints")
        self.schedule = Schedule(data.train.lengths, self.training, seed=plan.order_seed * 1009 + plan.position)
        self.steps = self.schedule.steps

    def run(self) -> TrainingState:
        """Train to the end, or until interrupted (raises `Interrupted` with a checkpoint on disk)."""
        surroundings = self.surroundings
        state = TrainingState(**self.group.broadcast(lambda: vars(self._resume())))
        log = self._log(state) if self.group.leads else None
        if not self.group.leads:
            self._catch_up(state)
        saved_at, save_cost = time.monotonic(), 0.0

        def save() -> None:
            nonlocal saved_at, save_cost
            if log is None:
                return
            began = time.monotonic()
            log.flush()
            self.checkpoints.save(state.step, self.system, self.optimizer, vars(state))
            saved_at, save_cost = time.monotonic(), time.monotonic() - began

        def evaluate() -> tuple[list[float], int]:
            kernels.do(self._evaluate, state)
            return state.history, state.best_epoch

        loader: Iterator[list[Batch]] = iter(())
        loading = -1
        with Repeatable(self.folder.name) as kernels, self._compiled():
            while True:
                epoch, position = self.schedule.at(state.step)
                if position == 0 and epoch > len(state.history):
                    try:
                        state.history, state.best_epoch = self.group.broadcast(evaluate)
                    except Interrupted:
                        save()
                        raise
                if epoch == self.training.epochs or (position == 0 and self._out_of_patience(state)):
                    break
                if epoch != loading:
                    loader, loading = self._load(epoch, position), epoch
                kernels.do(self._update, state, next(loader), log, renew=self._renew_losses)
                self._report(state)
                due = time.monotonic() - saved_at > max(surroundings.checkpoint_seconds, save_cost / CHECKPOINT_SHARE)
                stop = self.group.stop_asked(surroundings.interrupt)
                if stop or due:
                    save()
                if stop:
                    raise Interrupted(stop.name)
        if log is not None:
            log.flush()
        return state

    def _log(self, state: TrainingState) -> StepLog:
        path, tracking = self.folder / LOG, self.surroundings.tracking
        if tracking is None:
            return StepLog(path, state.step)
        log = StepLog(path, state.step, tracking.updates)
        tracking.catch_up(state.history)
        return log

    @contextmanager
    def _compiled(self) -> Iterator[None]:
        """What torch.compile makes, and the memory of its CUDA graphs, would outlive the stage: let go of it after."""
        try:
            yield
        finally:
            if self.training.compile:
                torch.compiler.reset()

    def _resume(self) -> TrainingState:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not selected_is_intact(self.folder) and self.checkpoints.drop(lambda state: bool(state["history"])):
            print(f"{self.folder.name}: the best model so far is damaged; going back to before it", flush=True)
        stored = self.checkpoints.load(self.system, self.optimizer)
        for message in self.checkpoints.damaged:
            print(f"damaged checkpoint, using the one before it: {message}", flush=True)
        if stored is None:
            return TrainingState()
        return TrainingState(stored["step"], stored["history"], stored["best_epoch"])

    def _catch_up(self, state: TrainingState) -> None:
        """In a process that follows: take what the leader has gone back to."""
        stored = self.checkpoints.load(self.system, self.optimizer) if state.step else None
        if (stored["step"] if stored else 0) != state.step:
            raise BenchError(f"{self.checkpoints.folder}: no intact checkpoint of step {state.step} here")

    def _load(self, epoch: int, position: int) -> Iterator[list[Batch]]:
        """The batches of each update of an epoch, from the one at `position` on."""
        updates = self.schedule.updates(epoch)[position:]
        order = [rows for update in updates for rows in update]
        relations, pad_id, types = len(self.plan.relations), self.source.pad_id, self.system.entity_types
        loaded = batches(self.data.train, order, relations, pad_id, self.device, self.data.signals, types)
        for update in updates:
            yield list(islice(loaded, len(update)))

    def _renew_losses(self) -> None:
        """DDP takes no other step after one that an error has ended in its backward pass. All processes come here."""
        del self.losses
        gc.collect()  # with the hooks that the old one has on the parameters
        self.losses = self.group.losses(self.system, self.training.precision)

    def _update(self, state: TrainingState, loaded: list[Batch], log: StepLog | None) -> None:
        set_seed(self.device, step_seed(self.plan.dropout_seed, self.plan.position, state.step))
        self.system.train()
        self.optimizer.zero_grad(set_to_none=True)
        rates = set_learning_rates(self.optimizer, state.step, self.steps, self.training.warmup)
        update = Update(state.step, self.steps)
        totals: dict[str, torch.Tensor] = {}
        for batch in loaded:
            if not len(batch.labels):
                continue  # no document with two entities: nothing to learn, and a mean over nothing is not a number
            parts = self.losses(replace(batch, update=update))
            loss = torch.stack(list(parts.values())).sum() / len(loaded)
            loss.backward()
            for name, part in parts.items():
                totals[name] = totals.get(name, 0.0) + part.detach() / len(loaded)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        # Without a limit the norm is still measured: a NaN in it must not go unnoticed.
        norm = nn.utils.clip_grad_norm_(parameters, self.training.clip or float("inf")).to(self.device)
        self.optimizer.step()
        if log is not None:
            log.add({"step": state.step, "epoch": self.schedule.at(state.step)[0] + 1, **rates}, totals, norm)
        state.step += 1

    def _evaluate(self, state: TrainingState) -> None:
        """Dev F1 after an epoch; the weights are kept if it is the best yet (or if the last is to be kept)."""
        self._report(state, "evaluating")
        if not all(torch.isfinite(p).all() for p in self.system.parameters()):
            self.checkpoints.drop()  # nothing good comes of going on from them
            raise BenchError(
                f"training diverged: weights are not finite after epoch {len(state.history) + 1}. "
                "Lower the learning rates (--set encoder_lr=... --set head_lr=...) or set clip"
            )
        documents = self.data.select_documents
        reader = Reader(self.system, self.plan, self.source, self.device, self.surroundings.interrupt)
        with reading(f"{self.training.select_on} after epoch {len(state.history) + 1}"):
            predicted = predict(reader, self.data.select, tune=self.system.model.tunes_decisions)
        rows = predicted.rows([d.title for d in documents], self.plan.relations)
        triples = [row.triple for row in rows]
        f1 = document_counts(triples, documents).total.f1
        state.history.append(f1)
        last = self.training.select == "last"
        if last or f1 > max(state.history[:-1], default=-1.0):
            state.best_epoch = len(state.history)
            chosen = {"epoch": state.best_epoch, "dev_f1": f1, ENTITY_TYPES: self.system.entity_types}
            save_tensors(self.folder / SELECTED, self.system.state_dict(), chosen)
        self._report(state)
        if self.surroundings.tracking is not None:
            self.surroundings.tracking.epoch(len(state.history), triples, documents)

    def _out_of_patience(self, state: TrainingState) -> bool:
        patience = self.training.patience
        return patience is not None and len(state.history) - state.best_epoch >= patience

    def _report(self, state: TrainingState, doing: str = "training") -> None:
        epoch = min(self.schedule.at(state.step)[0] + 1, self.training.epochs)
        self.surroundings.on_progress(Progress(state.step, self.steps, epoch, self.training.epochs, state.best, doing))


def graphs_fit(device: torch.device, group: Group, training: Training) -> bool:
    """Whether a compiled encoder can be recorded as CUDA graphs.

    The gradients of a pass are gone with the next, so there may be one pass an update; and a graph is recorded for each
    shape, so shapes must come again, as they do with batches of so many documents but not of so many word pieces.
    """
    once = isinstance(group, Alone) and training.accumulate == 1
    return device.type == "cuda" and once and training.tokens_per_batch is None


def selected_is_intact(folder: Path) -> bool:
    """Whether the selected model of a stage is what was written; reads all of it."""
    try:
        load_tensors(folder / SELECTED)
    except DamagedFileError:
        return False
    return True


def finish_stage(plan: StagePlan, folder: Path, state: TrainingState, data: StageData) -> None:
    """Write the result of a trained stage, `result.json`: what makes it count as done."""
    StageResult(
        key=plan.key,
        dev_f1=state.history,
        selected_epoch=state.best_epoch,
        selected_sha256=load_state(folder / SELECTED)["tensors_sha256"],
        documents=len(data.train),
        mentions_cut=data.train.mentions_cut,
    ).write(folder)
