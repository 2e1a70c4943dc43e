"""Losses that compare every relation with TH on its own, by its margin `m_r = f_r - f_TH`.

SAT, Mean-SAT and HingeABL (Wang et al., Findings of EMNLP 2023), and AML (SagDRE, Wei and Li, KDD 2022). All logarithms
of sigmoids are softplus functions, so that margins of any size have their value and a gradient; the released program
caps each at 69, and overflows in float32 from a logit of 89 on.
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.losses.interface import Loss, LossHyperparameters, mean_over_pairs


def margins_of(logits: Tensor) -> Tensor:
    """How far each relation is above TH: [P, R + 1] -> [P, R]."""
    return logits[:, 1:] - logits[:, :1]


def separate_costs(margins: Tensor, labels: Tensor) -> Tensor:
    """`-log s(m_r)` of positives, `-log s(-m_r)` of negatives: [P, R]. labels: [P, R], bool."""
    return F.softplus(margins.where(~labels, -margins))


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of each row, [P, R], [P, R] -> [P]; 0 where all its weights are 0."""
    total = weights.sum(1)
    return (weights * values).sum(1) / total.where(total > 0, 1.0)


class Sat(Loss):
    """SAT, separate adaptive thresholding (HingeABL, Wang et al., Findings of EMNLP 2023)."""

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`sum_Pos sp(-m) + sum_Neg sp(m)`, the mean over pairs."""
        return {"sat": mean_over_pairs(separate_costs(margins_of(logits), labels).sum(1))}


class MeanSat(Loss):
    """Mean-SAT: the positives and the negatives of a pair weigh the same (Wang et al., Findings of EMNLP 2023)."""

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`mean_Pos sp(-m) + mean_Neg sp(m)`, the mean over pairs. A set without relations costs nothing.

        The released program takes for the number of negatives 96 less the positives, whatever R is.
        """
        costs = separate_costs(margins_of(logits), labels)
        of_pairs = weighted_mean(costs, labels.to(costs)) + weighted_mean(costs, (~labels).to(costs))
        return {"mean_sat": mean_over_pairs(of_pairs)}


class HingeAblHyperparameters(LossHyperparameters):
    """Where a relation counts as solved, and whether how far it is from that is learned from."""

    margin: float = Field(5.0, gt=0, description="a relation weighs what it lacks of being this far on its side of TH")
    detach_weights: bool = Field(
        False, description="keep the weights out of the gradient; the released program, and its numbers, have them in"
    )


class HingeAbl(Loss):
    """HingeABL, adaptive hinge balance loss (Wang et al., Findings of EMNLP 2023)."""

    Hyperparameters = HingeAblHyperparameters

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`sum_Pos a sp(-m) / sum_Pos a + sum_Neg b sp(m) / sum_Neg b`, `a = relu(M - m)`, `b = relu(M + m)`.

        The mean over pairs. The weights have a gradient: a negative that costs less than the mean is pushed up, since
        it then weighs more.
        """
        margins = margins_of(logits)
        weights = F.relu(self.hp.margin + margins.where(~labels, -margins))
        if self.hp.detach_weights:
            weights = weights.detach()
        costs = separate_costs(margins, labels)
        sides = (weighted_mean(costs, weights.masked_fill(~side, 0.0)) for side in (labels, ~labels))
        return {"hinge_abl": mean_over_pairs(sum(sides, costs.new_zeros(())))}


class AmlHyperparameters(LossHyperparameters):
    """Where a relation counts as solved."""

    margin: float = Field(1.0, gt=0, description="how far on its side of TH a relation costs nothing")


class Aml(Loss):
    """AML, adaptive margin loss (SagDRE, Wei and Li, KDD 2022)."""

    Hyperparameters = AmlHyperparameters

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`sum_Pos relu(M - m) + sum_Neg relu(M + m)`, the mean over pairs."""
        margins = margins_of(logits)
        return {"aml": mean_over_pairs(F.relu(self.hp.margin + margins.where(~labels, -margins)).sum(1))}
