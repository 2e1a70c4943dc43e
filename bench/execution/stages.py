"""One stage: the signals of its teacher, its data, its training, its result; and helping another process with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.errors import BenchError
from bench.execution.context import POLL_SECONDS, Context
from bench.execution.inputs import Inputs, check_unchanged
from bench.filesystem import write_json
from bench.inference.load import encoder_size, reads_words, signal_folder, task_of, untrained
from bench.inference.reader import Reader, reading
from bench.inference.signals import SignalFile, make_signals
from bench.leftovers import remove_leftovers_of
from bench.nn.encoder_seal import is_intact, seal
from bench.nn.precision import settled_precision
from bench.nn.weights import load_tensors
from bench.processes import give_back_memory
from bench.runs.plan import RunPlan, StagePlan
from bench.runs.recipe import Precision
from bench.runs.record import StageRecord
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import (
    ENCODER,
    ENTITY_TYPES,
    SELECTED,
    precision_of,
    stage_folder,
    stage_result,
    write_precision,
)
from bench.tracking.tracking import StageTracking, stage_name
from bench.training.checkpoint import Checkpoints
from bench.training.team import Alone, Group
from bench.training.trainer import (
    Progress,
    StageData,
    StageTrainer,
    Surroundings,
    finish_stage,
    selected_is_intact,
)


def complete_stage(context: Context, run: RunPlan, stage: StagePlan) -> StageRecord:
    """Train a stage of a run unless it has been: it may be another run's, too.

    Raises LockHeldError where another process is at it, NewerVersionError where a newer version was, and whatever
    training raises.
    """
    folder = stage_folder(context.out, stage)
    with context.interrupt.guarding(folder / "lock"):
        remove_leftovers_of(folder)
        if stage_result(folder) is None or not selected_is_intact(folder):
            with context.accounted(folder):
                _train(context, run, stage, folder)
            give_back_memory()  # evaluation takes a fraction of it
        elif not is_intact(folder / ENCODER):
            _save_encoder(context, run, folder)
        result = stage_result(folder)
        if result is None:
            raise BenchError(f"the model of {folder} could not be read back after training")
        _tracking(context, run, stage, folder).catch_up(result.dev_f1)
        Checkpoints(folder / "checkpoints").drop()
    return StageRecord(
        key=stage.key,
        data=stage.data,
        dev_f1=result.dev_f1,
        selected_epoch=result.selected_epoch,
        documents=result.documents,
        mentions_cut=result.mentions_cut,
        precision=precision_of(folder),
    )


def help_with_stage(context: Context, work: dict[str, Any]) -> Callable[[Group], object]:
    """In a process that does not lead its team: a stage the leader is at, ready to be trained (`Team.follow`).

    work: what the leader said of it: the names of the run and of the stage, the number of its threads, and what it
    computes in. Raises BenchError where they are not here.
    """
    torch.set_num_threads(work["threads"])
    run = RunFolder(context.out, work["run"]).plan()
    stage = next((stage for stage in run.stages if stage.key == work["stage"]), None) if run else None
    if run is None or stage is None:
        raise BenchError(f"{context.out / 'runs' / work['run']}: no readable plan with the stage {work['stage']}")
    inputs = context.inputs(run)
    check_unchanged(run, inputs.dataset, inputs.source.fingerprint)
    features = inputs.features(stage.train_split)
    signals = SignalFile(signal_folder(context.out, stage), features) if stage.signal else None
    data = inputs.stage_data(stage, signals)

    def train(group: Group) -> object:
        surroundings = Surroundings(context.device, context.interrupt, group)
        try:
            return _trainer(context, run, stage, work["precision"], data, surroundings).run()
        finally:
            give_back_memory()

    return train


def _train(context: Context, run: RunPlan, stage: StagePlan, folder: Path) -> None:
    run_folder, inputs = RunFolder.of(context.out, run), context.inputs(run)
    context.report(run_folder, state="running", stage=stage.data, doing="reading documents")
    teacher = run.stage_before(stage) if stage.signal else None
    signals = None
    if teacher:
        with context.job_time.aside():  # for all students of this teacher
            signals = _signals(context, stage, teacher, inputs, run_folder)
    data = inputs.stage_data(stage, signals, partial(context.progress, run_folder, stage.data))
    write_json(folder / "stage.json", stage.model_dump(mode="json"), 1)
    _save_encoder(context, run, folder)
    precision = _precision(context, run, stage)
    write_precision(folder, precision)
    # The processes of a team compute the same: each has the threads of the one that leads.
    work = {
        "run": run_folder.name,
        "stage": stage.key,
        "precision": precision,
        "threads": torch.get_num_threads(),
    }
    with context.team.stage(work) if context.team else nullcontext(Alone()) as group:
        surroundings = Surroundings(
            context.device,
            context.interrupt,
            group,
            context.checkpoint_seconds,
            _reports(context, run_folder, stage),
            _tracking(context, run, stage, folder),
        )
        trainer = _trainer(context, run, stage, precision, data, surroundings, run_folder)
        finish_stage(stage, folder, trainer.run(), data)


def _precision(context: Context, run: RunPlan, stage: StagePlan) -> Precision:
    """What a stage computes in: what it has begun in, or else what is asked for, or what is best here.

    Where that is left to the machine, no run is half of one and half of the other: it goes on as the stage before.
    """
    begun, asked = precision_of(stage_folder(context.out, stage)), stage.training.precision
    before = run.stage_before(stage)
    if begun is not None:
        return begun
    if asked in ("auto", "bf16-on-gpu") and before is not None and before.training.precision == asked:
        settled = precision_of(stage_folder(context.out, before))
        if settled is not None:
            return settled
    return settled_precision(asked, context.device, encoder_size(stage, context.inputs(run).source))


def _save_encoder(context: Context, run: RunPlan, folder: Path) -> None:
    """Put beside a stage's model what reads documents for it, under seal: predicting needs nothing else."""
    context.inputs(run).source.save(folder / ENCODER)
    seal(folder / ENCODER)


def _reports(context: Context, run: RunFolder, stage: StagePlan) -> Callable[[Progress], None]:
    """What a trainer says of its progress, made the status of a run, with the seconds that are left of the stage."""
    reported_at, first = 0.0, None

    def on_progress(progress: Progress) -> None:
        nonlocal reported_at, first
        context.job_time.training_has_begun()
        now = time.monotonic()
        first = first or (now, progress.step)
        if now - reported_at > POLL_SECONDS or progress.step == progress.steps:
            reported_at = now
            pace = (now - first[0]) / max(1, progress.step - first[1])
            eta = pace * (progress.steps - progress.step) if progress.step > first[1] else None
            context.report(run, state="running", stage=stage.data, eta=eta, **vars(progress))

    return on_progress


def _tracking(context: Context, run: RunPlan, stage: StagePlan, folder: Path) -> StageTracking:
    """What tells trackers of a stage."""
    return StageTracking(context.tracking, stage_name(run, stage), folder, lambda: context.inputs(run).dataset.facts())


def _trainer(
    context: Context,
    run: RunPlan,
    stage: StagePlan,
    precision: Precision,
    data: StageData,
    surroundings: Surroundings,
    reports_to: RunFolder | None = None,
) -> StageTrainer:
    """The trainer of a stage, from the weights of the stage before it where it starts from those.

    precision: what it computes in.
    reports_to: whose status says how far a frozen encoder is with the documents; None in a process that helps.
    """
    inputs, before = context.inputs(run), run.stage_before(stage)
    start, types = None, data.train.entity_types()
    if stage.after and before:
        start, state = load_tensors(stage_folder(context.out, before) / SELECTED)
        types = tuple(state.get(ENTITY_TYPES, ()))  # its weights are of those
    task = task_of(stage, inputs.source, data.train.label_rates(len(stage.relations)), types)
    system = untrained(stage, inputs.source, task, pretrained=start is None)
    if start is not None:
        system.load_state_dict(start)
    settled = stage.in_precision(precision)
    if stage.training.freeze_encoder:
        system.to(context.device)
        reader = Reader(system, settled, inputs.source, context.device, context.interrupt)
        train, select = (
            context.encoded(features, reader, reports_to, stage.data) for features in (data.train, data.select)
        )
        data = replace(data, train=train, select=select)
    return StageTrainer(settled, system, inputs.source, data, stage_folder(context.out, stage), surroundings)


def _signals(context: Context, student: StagePlan, teacher: StagePlan, inputs: Inputs, run: RunFolder) -> SignalFile:
    """What the teacher says of the student's documents, made here unless it has been."""
    assert student.signal is not None
    reader = context.reader(teacher, inputs)
    features = inputs.features(student.train_split, reads_words(teacher), partial(context.progress, run, student.data))
    features = context.encoded(features, reader, run, student.data)
    signals_of = partial(reader.signals, features, student.signal)

    def on_progress(done: int) -> None:
        context.interrupt.check()
        status = {"step": done, "steps": len(features), "doing": f"{student.signal} of the teacher"}
        context.report(run, state="running", stage=student.data, **status)

    folder = signal_folder(context.out, student)
    with context.interrupt.guarding(folder / "lock"), reading(f"signals of {teacher.model} for {student.data}"):
        return make_signals(folder, features, signals_of, on_progress)
