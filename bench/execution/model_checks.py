"""Whether a model keeps the promises of the interface, tried on a handful of generated documents."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench.data import sample
from bench.data.batching import Batch, collate
from bench.data.features.build import build_features
from bench.errors import in_words
from bench.experiment.losses import ResolvedLoss
from bench.inference.document_model import DocumentModel, document_model
from bench.inference.replaced_loss import built_with
from bench.interface import SETTINGS, Model, PairModel, Task, Training, Update
from bench.nn.encoder_source import find_encoder
from bench.nn.weights import load_tensors, save_tensors
from bench.training.optimizer import make_optimizer, set_learning_rates

Tried = TypeVar("Tried")

STEPS = 5
DOCUMENTS = 4


@dataclass(frozen=True)
class Check:
    """A claim about the model, whether it holds, and what was seen if it does not (or is worth knowing if it does)."""

    claim: str
    holds: bool
    detail: str = ""


@dataclass
class Trial:
    """A system on the generated documents, with what the checks hand from one to the next."""

    cls: type[PairModel]
    task: Task
    system: DocumentModel
    batch: Batch
    alone: Batch
    build: Callable[[], DocumentModel]


def check_model(cls: type[PairModel], loss: ResolvedLoss | None = None) -> Iterator[Check]:
    """Every claim in turn. loss: what the model is trained with, where that is not its own.

    One whose check raises does not hold, and ends the list: the next ones build on it."""
    trial = yield from tried(BUILT, lambda: _prepare(cls, loss), CHECKS, decisive=FINITE)
    if trial is None:
        return
    yield from recipe_notes(cls)
    yield from _reading_notes(cls)
    # Not a failure: a published program does this, and `ttmre-released` exists to show what it is worth.
    if difference := _difference_with_neighbours(trial):
        seen = f"logits differ by up to {difference:.2g} with how documents are batched"
        yield Check("NOTE, batch dependence", True, seen)
    if seen := _unexplained(trial):
        yield Check("NOTE, scores", True, seen)


def tried(
    built: str, prepare: Callable[[], Tried], checks: Mapping[str, Callable[[Tried], str]], decisive: str = ""
) -> Generator[Check, None, Tried | None]:
    """Every claim in turn: `built`, that something can be prepared, then the `checks` of it.

    A claim whose check raises does not hold, and ends the list; so does `decisive`, of which others would blame other
    parts. Returns what was prepared, or None where that happened.
    """
    try:
        trial = prepare()
    except (Exception, SystemExit) as error:
        yield Check(built, False, in_words(error))
        return None
    yield Check(built, True)
    for claim, check in checks.items():
        try:
            wrong = check(trial)
        except (Exception, SystemExit) as error:
            yield Check(claim, False, in_words(error))
            return None
        yield Check(claim, not wrong, wrong)
        if wrong and claim == decisive:
            return None
    return trial


def recipe_notes(cls: type[Model]) -> Iterator[Check]:
    """What is worth knowing of the settings that a model has."""
    for setting, reason in cls.recipe.not_applicable.items():
        yield Check(f"NOTE, {setting} is not applicable", True, reason)
    missing = [s for s in SETTINGS if not cls.recipe.stages.get(s) and s not in cls.recipe.not_applicable]
    if missing:
        yield Check("NOTE, settings without a recipe", True, f"{', '.join(missing)}: those cells stay empty")


def _reading_notes(cls: type[PairModel]) -> Iterator[Check]:
    """What a model asks for that costs something, or does nothing."""
    if cls.reads_words:
        kept = "features are made and kept with the words of documents, apart from those of other models"
        yield Check("NOTE, words", True, kept)
    if cls.reads_relation_texts:
        yield Check("NOTE, texts of relations", True, "a changed name or description makes it another run")
    if cls.pooled_tokens:
        held = "token states stay in memory through the model, beside what is pooled of them"
        unused = f"pooled_tokens does nothing for a model that reads {cls.reads!r}"
        yield Check("NOTE, token states", True, held if cls.reads == "pairs" else unused)


def _prepare(cls: type[PairModel], loss: ResolvedLoss | None) -> Trial:
    generated = sample.generate(seed=0)["train"][:DOCUMENTS]
    relations = tuple(sorted(sample.RELATIONS))
    source = find_encoder("tiny", generated)
    rows = list(build_features(generated, source.words(), relations, 512, cls.reads_words))
    pairs = sum(len(row.candidates()) for row in rows)
    rates = torch.zeros(len(relations))
    for row in rows:
        rates += torch.bincount(torch.from_numpy(row.labels[:, 2]).long(), minlength=len(relations))
    types = tuple(sorted({name for row in rows for name in row.entity_types}))
    texts = {relation: sample.RELATIONS[relation] for relation in relations} if cls.reads_relation_texts else {}
    task = Task(
        source.config.hidden_size,
        relations,
        tuple((rates / pairs).tolist()),
        len(source.tokenizer),
        entity_types=types,
        relation_names=texts,
        relation_descriptions=texts,
        dataset="sample",
    )

    def build() -> DocumentModel:
        torch.manual_seed(0)
        model = cls(cls.Hyperparameters(), task) if loss is None else with_loss(cls, loss, task)
        return document_model(source, model, pretrained=True, entity_types=types)

    batch, alone = (collate(r, len(relations), source.pad_id, types) for r in (rows, rows[:1]))
    columns = loss.entry.cls.threshold_columns(loss.hyperparameters) if loss else task.thresholds
    return Trial(cls, replace(task, thresholds=columns), build(), batch, alone, build)


def with_loss(cls: type[PairModel], loss: ResolvedLoss, task: Task) -> PairModel:
    """A model of its default hyperparameters with another loss."""
    made = loss.entry.cls(loss.hyperparameters, task.label_rates)
    return built_with(cls, cls.Hyperparameters(), made, task)


def _recipe(trial: Trial) -> str:
    return "" if any(trial.cls.recipe.stages.values()) else "there is not one stage in it"


def _shapes(trial: Trial) -> str:
    logits = _logits(trial, trial.batch)
    pairs, relations = trial.batch.labels.shape
    right = logits.ndim == 2 and len(logits) == pairs and logits.shape[1] in (relations, trial.task.classes)
    return "" if right else f"{list(logits.shape)} for {pairs} pairs and {relations} relations"


def _finite(trial: Trial) -> str:
    logits = _logits(trial, trial.batch)
    wrong = int((~torch.isfinite(logits)).sum())
    return f"in evaluation mode {wrong:,} of {logits.numel():,} are not (NaN or infinite)" if wrong else ""


def _decoding(trial: Trial) -> str:
    decoded = trial.system.model.decode(_logits(trial, trial.batch))
    right = decoded.dtype == torch.bool and decoded.shape == trial.batch.labels.shape
    return "" if right else f"{list(decoded.shape)} of {decoded.dtype}, expected {list(trial.batch.labels.shape)}"


def _loss(trial: Trial) -> str:
    parts = _loss_parts(trial, replace(trial.batch, labels=trial.batch.labels.clone()))
    if not parts:
        return "it has no parts"
    wrong = [f"{name}: {list(part.shape)}" for name, part in parts.items() if part.ndim]
    return ", ".join(wrong or [f"{name} is {part.item()}" for name, part in parts.items() if not torch.isfinite(part)])


def _labels_untouched(trial: Trial) -> str:
    labels = trial.batch.labels.clone()
    _loss_parts(trial, replace(trial.batch, labels=labels))
    return "" if torch.equal(labels, trial.batch.labels) else "they were modified in place"


def _gradients(trial: Trial) -> str:
    trial.system.train()
    _step_loss(trial, trial.batch).backward()
    without = [n for n, p in trial.system.model.named_parameters() if p.requires_grad and p.grad is None]
    bad = [n for n, p in trial.system.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    trial.system.zero_grad()
    return "; ".join(
        [*([f"none for {', '.join(without)}"] if without else []), *([f"not finite: {', '.join(bad)}"] if bad else [])]
    )


def _training(trial: Trial) -> str:
    # Small steps: the first of AdamW has the size of the rate whatever the gradient, and there is no warm-up here.
    training = Training(encoder_lr=1e-5, head_lr=3e-5)
    optimizer = make_optimizer(trial.system, training, ())
    trial.system.eval()  # without dropout, so that two losses can be compared
    losses = []
    for step in range(STEPS):
        set_learning_rates(optimizer, step, STEPS, 0.0)
        loss = _step_loss(trial, trial.batch, step)
        loss.backward()
        nn.utils.clip_grad_norm_(trial.system.parameters(), training.clip)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return "" if min(losses[1:]) < losses[0] else f"{losses[0]:.3f} to {losses[-1]:.3f}"


def _saving(trial: Trial) -> str:
    before = _logits(trial, trial.batch)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_tensors(path, trial.system.state_dict(), {})
        again = trial.build()
        again.load_state_dict(load_tensors(path)[0])
    with torch.no_grad():
        after = again.eval()(trial.batch)
    if torch.equal(before, after):
        return ""
    return f"they differ by up to {(before - after).abs().max():.2g}: is there state outside the parameters?"


def _lonely(trial: Trial) -> str:
    alone = trial.alone
    document = replace(alone.documents[0], pairs=alone.documents[0].pairs[:0])
    lonely = replace(alone, documents=(document,), labels=alone.labels[:0], evidence=())
    decoded = trial.system.model.decode(_logits(trial, lonely))
    return "" if len(decoded) == 0 else f"{len(decoded)} rows of them"


def _unknown_types(trial: Trial) -> str:
    alone, unknown = trial.alone.documents[0], len(trial.task.entity_types)
    strange = replace(alone, entity_types=torch.full_like(alone.entity_types, unknown))
    _logits(trial, replace(trial.alone, documents=(strange,)))
    return ""


BUILT = "it can be built from its default hyperparameters"
FINITE = "forward gives finite logits"
CHECKS: dict[str, Callable[[Trial], str]] = {
    "its recipe has stages": _recipe,
    "forward gives one row of logits per pair, [P, R + 1] or [P, R]": _shapes,
    FINITE: _finite,
    "decode gives [P, R] booleans": _decoding,
    "loss gives named finite scalars": _loss,
    "loss leaves the labels as they are": _labels_untouched,
    "every parameter gets a finite gradient": _gradients,
    f"{STEPS} steps lower the loss": _training,
    "a saved and loaded model gives the same logits": _saving,
    "a document without pairs gives no predictions": _lonely,
    "entities may be of a type that no training document has": _unknown_types,
}
"""Claim -> what is wrong with it, empty if it holds."""


def _difference_with_neighbours(trial: Trial) -> float:
    alone = _logits(trial, trial.alone)
    difference = (_logits(trial, trial.batch)[: len(alone)] - alone).abs().max().item()
    # Padding alone changes the last digits.
    return difference if difference > 1e-4 * alone.abs().max().item() else 0.0


def _unexplained(trial: Trial) -> str:
    """What keeps pages of errors from showing why something was predicted, if anything."""
    if _decoding(trial):
        return ""  # reported already
    model, logits = trial.system.model, _logits(trial, trial.batch)
    relations = trial.task.relations
    try:
        thresholds = model.decided_against(logits, relations).values
        above = logits[:, logits.shape[1] - len(relations) :] > thresholds
    except (Exception, SystemExit) as error:
        return f"decided_against: {in_words(error)}"
    unexplained = bool((model.decode(logits) & ~above).any())
    return "some predictions have a logit that is not above what decided_against says" if unexplained else ""


def _logits(trial: Trial, batch: Batch) -> Tensor:
    with torch.no_grad():
        logits: Tensor = trial.system.eval()(batch)
    return logits


def _loss_parts(trial: Trial, batch: Batch, step: int = 0) -> dict[str, Tensor]:
    logits, inputs = trial.system.scored(batch)
    return trial.system.model.batch_loss(logits, inputs, replace(batch, update=Update(step, STEPS)))


def _step_loss(trial: Trial, batch: Batch, step: int = 0) -> Tensor:
    return torch.stack(list(_loss_parts(trial, batch, step).values())).sum()
