"""Losses and decoding rules over the logits of a batch's pairs. Column 0 of ranked logits is the threshold class TH."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def adaptive_threshold_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Adaptive threshold loss (Zhou et al., AAAI 2021, eq. 9-11), the mean over pairs.

    logits: [P, R + 1].   labels: [P, R], bool.   Each positive competes with TH and the other positives,
    TH competes with the negatives.
    """
    positives = _with_threshold(labels)
    among_positives = logits.masked_fill(~positives, -torch.inf).log_softmax(-1)
    l1 = -among_positives[:, 1:].masked_fill(~labels, 0.0).sum(-1)
    l2 = _threshold_among_negatives(logits, labels)
    return (l1 + l2).sum() / max(len(logits), 1)  # a batch may be without a pair, and mean() of nothing is NaN


def adaptive_focal_loss(logits: Tensor, labels: Tensor, gamma: float = 1.0) -> Tensor:
    """Adaptive focal loss (Tan et al., Findings of ACL 2022), the mean over pairs.

    logits: [P, R + 1].   labels: [P, R], bool.   Each positive competes with TH alone, as `p = sigmoid(logit - TH)`,
    and costs `-(1 + (1 - p)^gamma) log p`: the less sure of it, the more; TH competes with the negatives.
    """
    margins = logits[:, 1:] - logits[:, :1]
    # (1 - p)^gamma through its logarithm: the gradient stays a number where p rounds to 1, whatever gamma.
    focused = -(1 + (gamma * F.logsigmoid(-margins)).exp()) * F.logsigmoid(margins)
    l1 = focused.masked_fill(~labels, 0.0).sum(-1)
    return (l1 + _threshold_among_negatives(logits, labels)).sum() / max(len(logits), 1)


def _threshold_among_negatives(logits: Tensor, labels: Tensor) -> Tensor:
    """What it costs that TH is not above all negatives: [P] (Zhou et al., AAAI 2021, eq. 10)."""
    negatives = _with_threshold(~labels)
    return -logits.masked_fill(~negatives, -torch.inf).log_softmax(-1)[:, 0]


def _with_threshold(classes: Tensor) -> Tensor:
    """A mask [P, R] of relations with the threshold class put before it: [P, R + 1]."""
    return torch.cat([classes.new_ones(len(classes), 1), classes], dim=1)


def above_threshold(logits: Tensor, at_most: int | None = None) -> Tensor:
    """Relations whose logit is above TH's: [P, R], bool.

    at_most: also ask a relation to reach the pair's `at_most`-th highest logit, TH counted among them; ties all stay.
    """
    return (logits[:, 1:] > logits[:, :1]) & among_highest(logits, at_most)[:, 1:]


def among_highest(logits: Tensor, at_most: int | None) -> Tensor:
    """Which of a pair's columns reach its `at_most`-th highest: [P, C], bool; all where there are no more, or no limit.

    Ties at the last of them all stay.
    """
    if at_most is None or at_most >= logits.shape[1]:
        return torch.ones_like(logits, dtype=torch.bool)
    lowest = logits.topk(at_most, dim=1).values[:, -1:]
    return logits >= lowest
