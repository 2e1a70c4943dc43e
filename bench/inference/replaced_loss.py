"""A model with another loss than its own: trained by it, and deciding by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.interface import Hyperparameters, Loss, PairModel, Task, Thresholds
from bench.losses.contrastive import contrastive_term, product_cosines


class WithLoss(PairModel):
    """Before a model's class among the bases of another: the model, with `loss` and `decode` of a `Loss`."""

    def take(self, loss: Loss) -> None:
        """Be trained by `loss` from here on, and decide by it."""
        self.replacing = loss
        self._features: tuple[Tensor, Tensor] | None = None
        if loss.hp.contrastive:
            assert self.bilinear_head is not None, "checked when it was planned"
            getattr(self, self.bilinear_head).register_forward_pre_hook(self._keep_features)

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The parts of the loss, and the contrastive term where it is asked for."""
        parts, hp = self.replacing(logits, labels), self.replacing.hp
        if hp.contrastive:
            assert self.bilinear_head is not None
            assert self._features is not None, "the logits were computed without gradient"
            head, tail = (side.to(torch.promote_types(side.dtype, torch.float32)) for side in self._features)
            self._features = None  # what they were computed from need not be kept until the next batch
            compared = product_cosines(head, tail, getattr(self, self.bilinear_head).groups)
            parts["contrastive"] = hp.contrastive * contrastive_term(compared, labels, hp.tau, hp.tau_base)
        return parts

    def decode(self, logits: Tensor) -> Tensor:
        """What the loss decides."""
        return self.replacing.decode(logits)

    def decided_against(self, logits: Tensor, relations: Sequence[str]) -> Thresholds:
        """What the loss compares relations with."""
        return Thresholds(self.replacing.thresholds(logits), self.replacing.against)

    def candidates(self, logits: Tensor, relations: Sequence[str]) -> Tensor:
        """What the loss lets be predicted."""
        return self.replacing.candidates(logits)

    def _keep_features(self, head: nn.Module, inputs: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled():
            self._features = inputs[0], inputs[1]


def built_with(cls: type[PairModel], hyperparameters: Hyperparameters, loss: Loss, task: Task) -> PairModel:
    """A model that is trained with `loss`, and decides by it. task: what it is built for, with its own loss.

    Its class keeps the name by which people know it.
    """
    made: type[WithLoss] = type(cls.__name__, (WithLoss, cls), {"__doc__": cls.__doc__, "__module__": cls.__module__})
    model = made(hyperparameters, replace(task, thresholds=loss.threshold_columns(loss.hp)))
    model.take(loss)
    return model
