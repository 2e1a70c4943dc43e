"""Positive-unlabelled risk (Wang et al., EMNLP 2022), which SSR-PU and what it is compared with share with TTM-RE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn

Estimator = Literal["s-pu", "pu", "pn"]
"""What unlabelled pairs are taken for: "pn" negative, "pu" a sample of all pairs, "s-pu" one whose prior shifted."""
NnCorrection = Literal["ascent", "clamp"]
"""What becomes of a class whose negative risk is below beta: gradient ascent on it, or nothing."""

PRIOR_FLOOR = 1e-9
"""Added to the labelled rates: a class without a label would have prior 0 and an infinite class weight."""


@dataclass(frozen=True)
class PuTerms:
    """The terms of the risk, as models have them among their hyperparameters.

    prior_multiple: e, how many times more positives there are than labelled ones (pi = e pi_l).
    margin, scale: m and s of the squared loss s (y f - m)^2.   class_weight: weigh positives by ((1 - pi) / pi)^0.5.
    nn_correction: a class whose negative risk is below beta gives -gamma times it ("ascent", the released programs) or
    nothing ("clamp", the TTM-RE paper's max(0, .)).
    """

    prior_multiple: float
    margin: float
    scale: float
    estimator: Estimator = "s-pu"
    class_weight: bool = True
    beta: float = 0.0
    gamma: float = 1.0
    nn_correction: NnCorrection = "ascent"

    @classmethod
    def of(cls, hyperparameters: Any, estimator: Estimator) -> PuTerms:
        """The terms among a model's hyperparameters; what those do not have is as in the released programs."""
        terms = {name: getattr(hyperparameters, name) for name in cls.names() if hasattr(hyperparameters, name)}
        return cls(estimator=estimator, **terms)

    @classmethod
    def names(cls) -> set[str]:
        """What the terms are called among a model's hyperparameters."""
        return {field.name for field in fields(cls)} - {"estimator"}


class PuRisk(nn.Module):
    """The risk of a stage: the terms, and the priors that the labels of its own training data give.

    label_rates: [R], the share of the stage's candidate training pairs that carry each label (`Task.label_rates`).
    Raises ValueError where a prior would be no probability.
    """

    def __init__(self, label_rates: Sequence[float], terms: PuTerms) -> None:
        super().__init__()
        self.terms = terms
        # Of the stage's own training data: not part of the weights that go from stage to stage.
        self.register_buffer("priors", class_priors(label_rates, terms.prior_multiple), persistent=False)

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The risk, a scalar. scores: [P, R], how far a pair is above the threshold.   labels: [P, R], bool."""
        return positive_unlabeled_risk(scores, labels, self.get_buffer("priors"), self.terms)


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


def positive_unlabeled_risk(scores: Tensor, labels: Tensor, priors: Tensor, terms: PuTerms) -> Tensor:
    """Risk summed over classes, for unlabelled pairs that may be positive (Wang et al., EMNLP 2022, eq. 8-12).

    scores: [P, R], how far a pair is above the threshold.   labels: [P, R], bool.
    priors: [R], labelled positive rate of each class over the candidate pairs of the training data (pi_l, above 0).
    """
    pi_labeled = priors.to(scores.dtype)
    pi = terms.prior_multiple * pi_labeled
    pi_unlabeled = (pi - pi_labeled) / (1 - pi_labeled)

    positive = terms.scale * (scores - terms.margin) ** 2
    negative = terms.scale * (-scores - terms.margin) ** 2
    positive_as_positive = _class_mean(positive, labels)
    positive_as_negative = _class_mean(negative, labels)
    unlabeled_as_negative = _class_mean(negative, ~labels)

    if terms.estimator == "pn":
        negative_risk = (1 - pi) * unlabeled_as_negative
    elif terms.estimator == "pu":
        negative_risk = unlabeled_as_negative - pi * positive_as_negative
    else:
        negative_risk = (1 - pi) / (1 - pi_unlabeled) * unlabeled_as_negative
        negative_risk = negative_risk - (pi_unlabeled - pi_unlabeled * pi) / (1 - pi_unlabeled) * positive_as_negative
    weight = ((1 - pi) / pi).sqrt() if terms.class_weight else 1.0
    positive_risk = pi * weight * positive_as_positive
    if terms.estimator == "pn":
        return (negative_risk + positive_risk).sum()

    overfitted = negative_risk < terms.beta
    if terms.nn_correction == "ascent":
        # As the released programs do it: the positive risk of such a class is left out of this step as well.
        risk = torch.where(overfitted, -terms.gamma * negative_risk, negative_risk + positive_risk)
    else:
        risk = positive_risk + negative_risk.clamp(min=terms.beta)
    return risk.sum()


def _class_mean(values: Tensor, members: Tensor) -> Tensor:
    """Mean of `values` [P, R] over the pairs that are `members` [P, R] of each class: [R], 0 for an empty class."""
    return torch.where(members, values, 0.0).sum(0) / members.sum(0).clamp(min=1)
