"""Pairwise moving threshold with entropy minimisation, PEMSCL's loss (Guo et al., EACL 2023).

Its contrastive term is in `bench.losses.contrastive`, a setting of every loss.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.losses.interface import Loss, LossHyperparameters, mean_over_pairs
from bench.losses.separate import margins_of, separate_costs
from bench.runs.recipe import Rate

EntropyCounts = Literal["batch", "pair"]
"""What the sums of entropies are divided by: the batch's numbers of relations, or the pair's own."""


class PmtEmHyperparameters(LossHyperparameters):
    """The weights of the entropies, and how they are counted."""

    lambda_1: Rate = Field(1.0, description="weight of the entropy of positives")
    lambda_2: Rate = Field(1.0, description="weight of the entropy of negatives")
    entropy_counts: EntropyCounts = Field(
        "batch",
        description="batch: the mean sum times the mean of 1 / count, as the released program; pair: as it is written",
    )
    negatives_kept: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the relations that are negatives of pairs without a label, by chance",
    )


class PmtEm(Loss):
    """PMT-EM, pairwise moving threshold with entropy minimisation (PEMSCL, Guo et al., EACL 2023)."""

    Hyperparameters = PmtEmHyperparameters

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """SAT, and the entropies of positives and of negatives, each relation's against TH."""
        hp, kept = self.hp, None
        if hp.negatives_kept < 1:
            kept = torch.rand(labels.shape[1], device=labels.device) < hp.negatives_kept
        threshold, positives, negatives = moving_threshold_terms(logits, labels, hp.entropy_counts, kept)
        return {
            "moving_threshold": threshold,
            "entropy_of_positives": hp.lambda_1 * positives,
            "entropy_of_negatives": hp.lambda_2 * negatives,
        }


class PemsclHyperparameters(PmtEmHyperparameters):
    """PMT-EM's settings, with the contrastive term."""

    contrastive: Rate = Field(1.0, description="weight of the contrastive term on pairs' features (lambda_3)")


class Pemscl(PmtEm):
    """PEMSCL: PMT-EM with the supervised contrastive term on pairs' features (Guo et al., EACL 2023)."""

    Hyperparameters = PemsclHyperparameters


def moving_threshold_terms(
    logits: Tensor, labels: Tensor, counts: EntropyCounts, kept: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """SAT, the entropy of positives and that of negatives, three scalars. logits: [P, R + 1].   labels: [P, R], bool.

    kept: [R], bool, the relations that count as negatives of pairs without a label; the count of negatives stays R's.
    """
    margins = margins_of(logits)
    negatives = ~labels if kept is None else ~labels & (kept | labels.any(1, keepdim=True))
    costs = separate_costs(margins, labels).masked_fill(~(labels | negatives), 0.0)
    entropy = margins.sigmoid() * F.softplus(-margins) + (-margins).sigmoid() * F.softplus(margins)
    means = []
    for side, members in ((labels, labels), (negatives, ~labels)):
        sums = entropy.masked_fill(~side, 0.0).sum(1)
        parts = 1 / members.sum(1).clamp(min=1).to(sums)
        means.append(
            mean_over_pairs(sums) * mean_over_pairs(parts) if counts == "batch" else mean_over_pairs(sums * parts)
        )
    return mean_over_pairs(costs.sum(1)), means[0], means[1]
