"""NCRL: relations ranked against a class "none", and that against their mean (Zhou and Lee, IJCAI 2022)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from bench.losses.interface import Loss, LossHyperparameters, mean_over_pairs
from bench.losses.separate import margins_of

SMALLEST = 1e-8
"""Of the released program: no probability is taken for a smaller one, nor is there a gradient below it."""


class NcrlHyperparameters(LossHyperparameters):
    """What the loss forgives, and whether "none" has a term of its own."""

    shift: float = Field(0.0, ge=0, lt=1, description="added to the probability of a negative; may be a missing label")
    regularise: bool = Field(True, description='rank the class "none" against the mean of all relations, too')


class Ncrl(Loss):
    """NCRL, none class ranking loss (Zhou and Lee, IJCAI 2022)."""

    Hyperparameters = NcrlHyperparameters

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`sum_r q(m_r, y_r) + q(f_TH - mean_r f_r, [no label])`, the mean over pairs; q is `clamped_cost`."""
        parts = {"ncrl": mean_over_pairs(clamped_cost(margins_of(logits), labels, self.hp.shift).sum(1))}
        if self.hp.regularise:
            none = logits[:, 0] - logits[:, 1:].mean(1)
            parts["ncrl_none"] = mean_over_pairs(clamped_cost(none, ~labels.any(1), self.hp.shift))
        return parts


def clamped_cost(margins: Tensor, labels: Tensor, shift: float) -> Tensor:
    """`-log max(s(x), eps)` where the label holds, else `-log clip(s(-x) + shift, eps, 1)`; no gradient when clamped.

    margins, labels: of the same shape, labels bool.   s(-x) is not 1 - s(x), which is 0 in float32 from 17 up.
    """
    right = margins.sigmoid().clamp(min=SMALLEST).log()
    wrong = ((-margins).sigmoid() + shift).clamp(SMALLEST, 1.0).log()
    return -right.where(labels, wrong)
