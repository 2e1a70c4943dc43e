"""Whether a model keeps the promises of the interface, tried on a handful of generated documents."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.data import sample
from bench.data.batching import Batch, all_ordered_pairs, collate
from bench.data.features import build_features
from bench.interface import SETTINGS, PairModel, Task, Training
from bench.nn.load import find_encoder
from bench.training.checkpoint import load_tensors, save_tensors
from bench.training.optimizer import make_optimizer, set_learning_rates
from bench.training.system import DocumentModel

STEPS = 8
DOCUMENTS = 6


@dataclass(frozen=True)
class Finding:
    """A claim about the model, whether it holds, and what was seen if it does not."""

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


def check_model(cls: type[PairModel]) -> Iterator[Finding]:
    """Every check in turn. One that raises is reported as failed, with the error, and ends the list."""
    try:
        trial = _prepare(cls)
    except Exception as error:
        yield Finding("it can be built from its default hyperparameters", False, _told(error))
        return
    yield Finding("it can be built from its default hyperparameters", True)
    for check in (_recipe, _shapes, _decoding, _loss, _gradients, _training, _saving, _empty_document, _neighbours):
        try:
            yield check(trial)
        except Exception as error:
            yield Finding(f"{check.__doc__}".rstrip("."), False, _told(error))
            return


def _prepare(cls: type[PairModel]) -> Trial:
    generated = sample.generate(seed=0)["train"][:DOCUMENTS]
    relations = tuple(sorted(sample.RELATIONS))
    source = find_encoder("tiny", generated)
    rows = list(build_features(generated, source.words(), relations, 512))
    pairs = sum(len(all_ordered_pairs(row)) for row in rows)
    rates = torch.zeros(len(relations))
    for row in rows:
        rates += torch.bincount(torch.from_numpy(row.labels[:, 2]).long(), minlength=len(relations))
    task = Task(source.config.hidden_size, relations, tuple((rates / pairs).tolist()))

    def build() -> DocumentModel:
        torch.manual_seed(0)
        return DocumentModel(source.build(cls.encoder_layers), cls(cls.Hyperparameters(), task))

    batch, alone = (collate(r, len(relations), source.pad_id, all_ordered_pairs) for r in (rows, rows[:1]))
    return Trial(cls, task, build(), batch, alone, build)


def _recipe(trial: Trial) -> Finding:
    """its recipe names settings and trains something in each."""
    missing = [setting for setting in SETTINGS if not trial.cls.recipe.stages.get(setting)]
    detail = f"no stages for {', '.join(missing)}: those cells stay empty" if missing else ""
    return Finding("its recipe has stages", bool(trial.cls.recipe.stages), detail)


def _shapes(trial: Trial) -> Finding:
    """forward gives one row of logits per pair."""
    logits = _logits(trial, trial.batch)
    pairs, relations = trial.batch.labels.shape
    right = logits.ndim == 2 and len(logits) == pairs and logits.shape[1] in (relations, relations + 1)
    seen = f"{list(logits.shape)} for {pairs} pairs and {relations} relations"
    return Finding("forward gives one row of logits per pair, [P, R + 1] or [P, R]", right, "" if right else seen)


def _decoding(trial: Trial) -> Finding:
    """decode gives [P, R] booleans."""
    decoded = trial.cls.decode(trial.system.model, _logits(trial, trial.batch))
    right = decoded.dtype == torch.bool and decoded.shape == trial.batch.labels.shape
    seen = f"{list(decoded.shape)} of {decoded.dtype}, expected {list(trial.batch.labels.shape)} of torch.bool"
    return Finding("decode gives [P, R] booleans", right, "" if right else seen)


def _loss(trial: Trial) -> Finding:
    """loss gives named finite scalars."""
    labels = trial.batch.labels.clone()
    parts = trial.system.model.loss(_logits(trial, trial.batch), trial.batch.labels)
    wrong = [name for name, part in parts.items() if part.ndim or not torch.isfinite(part)]
    if not torch.equal(labels, trial.batch.labels):
        return Finding("loss leaves the labels as they are", False, "they were modified in place")
    return Finding("loss gives named finite scalars", bool(parts) and not wrong, ", ".join(wrong))


def _gradients(trial: Trial) -> Finding:
    """every parameter gets a gradient."""
    trial.system.train()
    _step_loss(trial).backward()
    without = [n for n, p in trial.system.model.named_parameters() if p.requires_grad and p.grad is None]
    bad = [n for n, p in trial.system.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    trial.system.zero_grad()
    detail = "; ".join(
        [*([f"none for {', '.join(without)}"] if without else []), *([f"not finite: {', '.join(bad)}"] if bad else [])]
    )
    return Finding("every parameter gets a finite gradient", not detail, detail)


def _training(trial: Trial) -> Finding:
    """training lowers the loss."""
    training = Training(epochs=1, encoder_lr=1e-3, head_lr=1e-3)
    optimizer = make_optimizer(trial.system, training, ())
    trial.system.eval()  # without dropout, so that two losses can be compared
    losses = []
    for step in range(STEPS):
        set_learning_rates(optimizer, step, STEPS, 0.0)
        loss = _step_loss(trial)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    lower = min(losses[1:]) < losses[0]
    return Finding(f"{STEPS} steps lower the loss", lower, f"{losses[0]:.3f} to {losses[-1]:.3f}")


def _saving(trial: Trial) -> Finding:
    """a saved model gives the same logits."""
    before = _logits(trial, trial.batch)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_tensors(path, trial.system.state_dict(), {})
        again = trial.build()
        again.load_state_dict(load_tensors(path)[0])
    with torch.no_grad():
        after = again.eval()(trial.batch)
    same = torch.equal(before, after)
    detail = "" if same else f"they differ by up to {(before - after).abs().max():.2g}: state outside the parameters?"
    return Finding("a saved and loaded model gives the same logits", same, detail)


def _empty_document(trial: Trial) -> Finding:
    """a batch without pairs is no problem."""
    document = trial.alone.documents[0]
    none = document.pairs[:0]
    lonely = Batch(
        trial.alone.input_ids,
        trial.alone.attention_mask,
        (type(document)(**{**vars(document), "pairs": none}),),
        trial.alone.labels[:0],
        (),
    )
    decoded = trial.system.model.decode(_logits(trial, lonely))
    return Finding("a document without pairs gives no predictions", decoded.shape[0] == 0)


def _neighbours(trial: Trial) -> Finding:
    """a document's logits do not depend on its batch."""
    together = _logits(trial, trial.batch)[: len(trial.alone.labels)]
    difference = (together - _logits(trial, trial.alone)).abs().max().item()
    same = difference < 1e-3
    note = "" if same else f"they differ by up to {difference:.2g}: its scores depend on how documents are batched"
    # Not a failure: a published program does this, and `ttmre-released` exists to show what it is worth.
    return Finding("a document's logits do not depend on its batch" if same else "NOTE, batch dependence", True, note)


def _logits(trial: Trial, batch: Batch) -> Tensor:
    with torch.no_grad():
        logits: Tensor = trial.system.eval()(batch)
    return logits


def _step_loss(trial: Trial) -> Tensor:
    parts = trial.system.model.loss(trial.system(trial.batch), trial.batch.labels)
    return torch.stack(list(parts.values())).sum()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
