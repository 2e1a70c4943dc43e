"""A model from its stage: built with its first weights, or with those that were selected."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from bench.errors import BenchError
from bench.filesystem import DamagedFileError
from bench.inference.document_model import DocumentModel, document_model
from bench.inference.predictor import Predictor
from bench.inference.reader import Reader
from bench.inference.signals import SIGNAL_VERSION
from bench.interface import PairModel, Task
from bench.nn.devices import this_device
from bench.nn.encoder_source import EncoderSource, saved_encoder
from bench.nn.weights import load_tensors
from bench.registry import code_version, find
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan, StagePlan, step_seed
from bench.runs.stage_folder import ENCODER, SELECTED, stage_folder

MODEL_STREAM = 1 << 32
"""Where the randomness of a model's first weights comes from: no update of a stage has this number."""


def build_model(plan: StagePlan, task: Task) -> PairModel:
    """Build the model of a stage with its first weights, which its seed and position decide."""
    cls = find(plan.reference).cls
    torch.manual_seed(step_seed(plan.seed, plan.position, MODEL_STREAM))
    return cls(cls.Hyperparameters(**plan.hyperparameters), task)


def load_system(out: Path, plan: StagePlan, source: EncoderSource, device: torch.device) -> DocumentModel:
    """The selected model of a finished stage. Raises `DamagedFileError`."""
    folder = stage_folder(out, plan)
    weights, _ = load_tensors(folder / SELECTED)
    # Rates only matter to a loss; any will do for predicting.
    model = build_model(plan, task_of(plan, source, (0.0,) * len(plan.relations)))
    training = plan.training
    system = document_model(source, model, False, frozen=training.freeze_encoder, window=training.window)
    system.load_state_dict(weights)
    return system.to(device)


def task_of(plan: StagePlan, source: EncoderSource, label_rates: tuple[float, ...]) -> Task:
    """What the model of a stage is built for: encoder size, relations, label rates, vocabulary."""
    return Task(source.config.hidden_size, plan.relations, label_rates, vocabulary=len(source.tokenizer))


def signal_folder(out: Path, student: StagePlan) -> Path:
    """Where the signals are that a stage learns from: those of a teacher on some documents, whoever the student is."""
    identity = json.dumps([SIGNAL_VERSION, student.teacher, student.signal, student.train_checksum])
    return out / "signals" / f"{student.signal}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


class UnusableModelError(BenchError):
    """The model of a finished run is gone, damaged or of other code; its record and predictions are as they were."""


def predictor_of(out: Path, plan: RunPlan, interrupt: Interrupt) -> Predictor:
    """The trained model of a run. Raises `UnusableModelError`."""
    stage = plan.stages[-1]
    encoder = stage_folder(out, stage) / ENCODER
    if not encoder.is_dir():
        raise UnusableModelError(
            f"the model of {out / 'runs' / plan.folder} is gone: it was trained in {encoder.parent}"
        )
    source = saved_encoder(plan.encoder, encoder)
    device = this_device()
    try:
        system = load_system(out, stage, source, device)
    except (DamagedFileError, RuntimeError) as error:  # RuntimeError: the weights do not fit what the code builds now
        changed = code_version(find(stage.reference).cls) != stage.code
        why = f"the code of {stage.model} has changed since it was trained\n{error}" if changed else str(error)
        raise UnusableModelError(f"the model of {out / 'runs' / plan.folder} cannot be used: {why}") from error
    return Predictor.of(plan, Reader(system, stage, source, device, interrupt))
