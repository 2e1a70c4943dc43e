"""Losses and decoding rules over the logits of a batch's pairs. Column 0 of ranked logits is the threshold class TH."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Estimator = Literal["s-pu", "pu", "pn"]
NnCorrection = Literal["ascent", "clamp"]

PRIOR_FLOOR = 1e-9
"""Added to the labelled rates: a class without a label would have prior 0 and an infinite class weight."""


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


def class_priors(label_rates: Sequence[float], prior_multiple: float) -> Tensor:
    """The labelled positive rates [R] that `positive_unlabeled_risk` takes: never 0.

    Raises ValueError where `prior_multiple` times a rate is no probability: its class weight would not be a number.
    """
    highest = max(label_rates, default=0.0)
    if prior_multiple * highest >= 1:
        raise ValueError(
            f"prior_multiple {prior_multiple:g} times the most frequent relation's rate {highest:.3f} is not below 1"
        )
    return torch.tensor(label_rates) + PRIOR_FLOOR


def positive_unlabeled_risk(
    scores: Tensor,
    labels: Tensor,
    priors: Tensor,
    *,
    prior_multiple: float,
    margin: float,
    scale: float,
    estimator: Estimator = "s-pu",
    class_weight: bool = True,
    beta: float = 0.0,
    gamma: float = 1.0,
    nn_correction: NnCorrection = "ascent",
) -> Tensor:
    """Risk summed over classes, for unlabelled pairs that may be positive (Wang et al., EMNLP 2022, eq. 8-12).

    scores: [P, R], how far a pair is above the threshold.   labels: [P, R], bool.
    priors: [R], labelled positive rate of each class over the candidate pairs of the training data (pi_l, above 0).
    prior_multiple: e, how many times more positives there are than labelled ones (pi = e pi_l).
    margin, scale: m and s of the squared loss s (y f - m)^2.
    estimator: "pn" takes the unlabelled as negative, "pu" as drawn from all pairs, "s-pu" corrects the prior shift.
    nn_correction: a class whose negative risk is below beta gives -gamma times it ("ascent", the released programs) or
    nothing ("clamp", the TTM-RE paper's max(0, .)).
    """
    pi_labeled = priors.to(scores.dtype)
    pi = prior_multiple * pi_labeled
    pi_unlabeled = (pi - pi_labeled) / (1 - pi_labeled)

    positive = scale * (scores - margin) ** 2
    negative = scale * (-scores - margin) ** 2
    positive_as_positive = _class_mean(positive, labels)
    positive_as_negative = _class_mean(negative, labels)
    unlabeled_as_negative = _class_mean(negative, ~labels)

    if estimator == "pn":
        negative_risk = (1 - pi) * unlabeled_as_negative
    elif estimator == "pu":
        negative_risk = unlabeled_as_negative - pi * positive_as_negative
    else:
        negative_risk = (1 - pi) / (1 - pi_unlabeled) * unlabeled_as_negative
        negative_risk = negative_risk - (pi_unlabeled - pi_unlabeled * pi) / (1 - pi_unlabeled) * positive_as_negative
    weight = ((1 - pi) / pi).sqrt() if class_weight else 1.0
    positive_risk = pi * weight * positive_as_positive
    if estimator == "pn":
        return (negative_risk + positive_risk).sum()

    overfitted = negative_risk < beta
    if nn_correction == "ascent":
        # As the released programs do it: the positive risk of such a class is left out of this step as well.
        risk = torch.where(overfitted, -gamma * negative_risk, negative_risk + positive_risk)
    else:
        risk = positive_risk + negative_risk.clamp(min=beta)
    return risk.sum()


def _class_mean(values: Tensor, members: Tensor) -> Tensor:
    """Mean of `values` [P, R] over the pairs that are `members` [P, R] of each class: [R], 0 for an empty class."""
    return torch.where(members, values, 0.0).sum(0) / members.sum(0).clamp(min=1)


def above_threshold(logits: Tensor, at_most: int | None = None) -> Tensor:
    """Relations whose logit is above TH's: [P, R], bool.

    at_most: also ask a relation to reach the pair's `at_most`-th highest logit, TH counted among them; ties all stay.
    """
    predicted = logits[:, 1:] > logits[:, :1]
    if at_most is not None and at_most < logits.shape[1]:
        lowest = logits.topk(at_most, dim=1).values[:, -1:]
        predicted &= logits[:, 1:] >= lowest
    return predicted
