"""Whether a loss keeps the promises of its interface, tried on drawn logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.execution.model_checks import Check, tried
from bench.interface import Loss, LossHyperparameters

PAIRS, RELATIONS = 24, 12
EXTREME = 1e4
"""The size of logits with which the loss must still be a number."""


@dataclass
class Trial:
    """A loss with logits and labels: some pairs without a label, one with every label."""

    loss: Loss
    logits: Tensor
    labels: Tensor

    def value(self, logits: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """The sum of the parts."""
        parts = self.loss(self.logits if logits is None else logits, self.labels if labels is None else labels)
        return torch.stack(list(parts.values())).sum()


def check_loss(cls: type[Loss], hyperparameters: LossHyperparameters) -> Iterator[Check]:
    """Every claim in turn. One whose check raises does not hold, and ends the list."""
    built = f"it can be built for {RELATIONS} relations"
    yield from tried(built, lambda: _prepare(cls, hyperparameters), CHECKS)


def _prepare(cls: type[Loss], hyperparameters: LossHyperparameters) -> Trial:
    draw = torch.Generator().manual_seed(0)
    labels = torch.rand(PAIRS, RELATIONS, generator=draw) < 0.15
    labels[: PAIRS // 2] = False
    labels[-1] = True
    loss = cls(hyperparameters, labels.float().mean(0).clamp(max=0.5).tolist())
    logits = torch.randn(PAIRS, cls.threshold_columns(hyperparameters) + RELATIONS, generator=draw)
    return Trial(loss, logits, labels)


def _parts(trial: Trial) -> str:
    parts = trial.loss(trial.logits, trial.labels)
    if not parts:
        return "it has no parts"
    wrong = [f"{name}: {list(part.shape)}" for name, part in parts.items() if part.ndim]
    return ", ".join(wrong or [f"{name} is {part.item()}" for name, part in parts.items() if not torch.isfinite(part)])


def _labels_untouched(trial: Trial) -> str:
    labels = trial.labels.clone()
    trial.value(labels=labels)
    return "" if torch.equal(labels, trial.labels) else "they were modified in place"


def _gradient(trial: Trial) -> str:
    for scale in (1.0, EXTREME):
        logits = (trial.logits * scale).requires_grad_()
        (gradient,) = torch.autograd.grad(trial.value(logits), logits)
        if not torch.isfinite(gradient).all():
            return f"it has NaN or infinite values for logits of about {scale:g}"
    return ""


def _extremes(trial: Trial) -> str:
    value = trial.value(trial.logits * EXTREME).item()
    return "" if torch.isfinite(torch.tensor(value)) else f"it is {value}"


def _learns(trial: Trial) -> str:
    logits = trial.logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(trial.value(logits), logits)
    return "" if trial.value(trial.logits - 1e-2 * gradient / gradient.norm()) < trial.value() else "it does not fall"


def _decoding(trial: Trial) -> str:
    decoded = trial.loss.decode(trial.logits)
    if decoded.dtype != torch.bool or decoded.shape != trial.labels.shape:
        return f"{list(decoded.shape)} of {decoded.dtype}, expected {list(trial.labels.shape)}"
    above = trial.logits[:, -RELATIONS:] > trial.loss.thresholds(trial.logits)
    return "some predictions are not above what `thresholds` says" if bool((decoded & ~above).any()) else ""


def _nothing(trial: Trial) -> str:
    value = trial.value(trial.logits[:0], trial.labels[:0]).item()
    decoded = trial.loss.decode(trial.logits[:0])
    return "" if value == 0 and len(decoded) == 0 else f"a loss of {value}, {len(decoded)} predictions"


CHECKS: dict[str, Callable[[Trial], str]] = {
    "it gives named finite scalars": _parts,
    "it leaves the labels as they are": _labels_untouched,
    f"it is finite for logits of about {EXTREME:g}": _extremes,
    "its gradient is finite, also there": _gradient,
    "a small step against the gradient lowers it": _learns,
    "decode gives [P, R] booleans, all above the thresholds": _decoding,
    "a batch without pairs costs nothing and has no predictions": _nothing,
}
"""Claim -> what is wrong with it, empty if it holds."""
