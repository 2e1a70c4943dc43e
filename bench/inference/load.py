"""A model from its stage: built with its first weights, or with those that were selected."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch

from bench.errors import UsageError
from bench.filesystem import DamagedFileError
from bench.inference.changed_code import changed_code, changed_inference
from bench.inference.document_model import DocumentModel, document_model
from bench.inference.model_code import UnusableModelError, model_code
from bench.inference.predictor import Predictor
from bench.inference.reader import Reader
from bench.inference.replaced_loss import built_with
from bench.inference.signals import SIGNAL_VERSION
from bench.inference.trust import INSTALLED_ONLY, Trust
from bench.interface import PairModel, Task
from bench.nn.devices import this_device
from bench.nn.encoder_source import EncoderSource, saved_encoder
from bench.nn.weights import load_tensors
from bench.registry import find, find_loss
from bench.runs.interrupt import Interrupt
from bench.runs.names import made_anew
from bench.runs.plan import RunPlan, StagePlan, step_seed
from bench.runs.stage_folder import ENCODER, ENTITY_TYPES, SELECTED, precision_of, stage_folder

MODEL_STREAM = 1 << 32
"""Where the randomness of a model's first weights comes from: no update of a stage has this number."""


def build_model(plan: StagePlan, task: Task) -> PairModel:
    """Build the model of a stage with its first weights, which its seed and position decide."""
    cls = find(plan.reference).cls
    if not issubclass(cls, PairModel):
        raise UsageError(f"{plan.model} has no weights: it is fitted anew where it is needed")
    torch.manual_seed(step_seed(plan.seed, plan.position, MODEL_STREAM))
    hyperparameters = cls.Hyperparameters(**plan.hyperparameters)
    if plan.loss is None:
        return cls(hyperparameters, task)
    loss_cls = find_loss(plan.loss.reference).cls
    loss = loss_cls(loss_cls.Hyperparameters(**plan.loss.hyperparameters), task.label_rates)
    return built_with(cls, hyperparameters, loss, task)


def load_system(out: Path, plan: StagePlan, source: EncoderSource, device: torch.device) -> DocumentModel:
    """The selected model of a finished stage. Raises `DamagedFileError`."""
    folder = stage_folder(out, plan)
    weights, state = load_tensors(folder / SELECTED)
    types = tuple(state.get(ENTITY_TYPES, ()))
    # Rates only matter to a loss; any will do for predicting.
    system = untrained(plan, source, task_of(plan, source, (0.0,) * len(plan.relations), types), pretrained=False)
    try:
        system.load_state_dict(weights)
    except RuntimeError as error:
        raise DamagedFileError(f"{folder / SELECTED}: not weights of the model as it is built now: {error}") from error
    return system.to(device)


def untrained(plan: StagePlan, source: EncoderSource, task: Task, pretrained: bool) -> DocumentModel:
    """The model of a stage with its first weights behind its encoder, with those of `source` if it is `pretrained`."""
    training = plan.training
    return document_model(
        source,
        build_model(plan, task),
        pretrained,
        frozen=training.freeze_encoder,
        window=training.window,
        entity_types=task.entity_types,
    )


def task_of(
    plan: StagePlan, source: EncoderSource, label_rates: tuple[float, ...], entity_types: tuple[str, ...]
) -> Task:
    """What the model of a stage is built for, where the plan and the encoder do not say it: label rates, types."""
    texts = dict(zip(plan.relations, plan.relation_texts or (), strict=plan.relation_texts is not None))
    return Task(
        source.config.hidden_size,
        plan.relations,
        label_rates,
        vocabulary=len(source.tokenizer),
        relation_names={relation: name for relation, (name, _) in texts.items() if name},
        relation_descriptions={relation: description for relation, (_, description) in texts.items() if description},
        entity_types=entity_types,
        dataset=plan.dataset,
        seed=plan.seed,
    )


def encoder_size(plan: StagePlan, source: EncoderSource) -> int:
    """The hidden size of the encoder that a stage runs; 0 for a model that reads word pieces without one."""
    return 0 if find(plan.reference).cls.reads == "pieces" else int(source.config.hidden_size)


def reads_words(plan: StagePlan) -> bool:
    """Whether the model of a stage is given the words of documents."""
    return find(plan.reference).cls.reads_words


def signal_folder(out: Path, student: StagePlan) -> Path:
    """Where the signals are that a stage learns from: those of a teacher on some documents, whoever the student is."""
    identity = json.dumps([SIGNAL_VERSION, student.teacher, student.signal, student.train_checksum])
    return out / "signals" / f"{student.signal}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def predictor_of(
    out: Path,
    plan: RunPlan,
    interrupt: Interrupt,
    trust: Trust = INSTALLED_ONLY,
    same_code: bool = False,
    batch_size: int | None = None,
) -> Predictor:
    """The trained model of a run. trust: whose code it may be.   same_code: only by the code it was trained with.

    batch_size: documents that it reads at once; None for those of a batch of its training.

    Raises `UnusableModelError`.
    """
    plan = trust.trusted(plan, out / "runs" / plan.folder)
    stage = plan.last
    if stage is None:
        raise UnusableModelError("its predictions were made elsewhere and imported: there is no model")
    if stage.is_counted:
        raise UnusableModelError(f"{stage.model} gives no scores")
    try:
        changed = [*changed_code(stage), *changed_inference(plan)]
    except UsageError as error:
        raise UnusableModelError(f"its model cannot be used: {error}") from error
    since = f"the code of {' and of '.join(changed)} has changed since it was trained"
    if changed and same_code:
        raise UnusableModelError(since)
    try:
        reader = _reader(out, stage, plan.encoder, interrupt)
        reader = replace(reader, stage=reader.stage.in_batches_of(batch_size))
        with model_code(f"the inference of {plan.model} cannot be made"):
            return Predictor.of(plan, reader)
    except (DamagedFileError, UnusableModelError) as error:
        reasons = [since, str(error)] if changed else [str(error)]
        if isinstance(error, DamagedFileError) and not changed:  # of other code it would be another run
            reasons.append(made_anew(out, plan.folder, plan.origin))
        raise UnusableModelError("its model cannot be used: " + "\n".join(reasons)) from error


def _reader(out: Path, stage: StagePlan, encoder: str, interrupt: Interrupt) -> Reader:
    """The model of a stage with the encoder kept beside it. Raises `DamagedFileError`, `UnusableModelError`."""
    folder = stage_folder(out, stage)
    if not (folder / ENCODER).is_dir():
        raise DamagedFileError(f"it is gone: it was trained in {folder}")
    source, device = saved_encoder(encoder, folder / ENCODER), this_device()
    with model_code(f"{stage.model} cannot be built with what it was trained with"):
        try:
            system = load_system(out, stage, source, device)
        except UsageError as error:  # it could be read with when it was trained
            raise DamagedFileError(f"{folder / ENCODER}: {error}") from error
    return Reader(system, stage.in_precision(precision_of(folder)), source, device, interrupt)
