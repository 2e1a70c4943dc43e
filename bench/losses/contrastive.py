"""The supervised contrastive term on pairs' features that can be added to any loss (PEMSCL, Guo et al., EACL 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.losses.interface import mean_over_pairs


def product_cosines(head: Tensor, tail: Tensor, groups: int) -> Tensor:
    """Cosines between the grouped bilinear products of all pairs, without making them: [P, e], [P, e] -> [P, P].

    A pair's products are e x block wide (65,536 in the released program). Those of two pairs multiplied are
    `sum_g (zh_i^g . zh_j^g) (zt_i^g . zt_j^g)`.
    """
    products = head.new_zeros(len(head), len(head))
    for zh, zt in zip(head.chunk(groups, dim=1), tail.chunk(groups, dim=1), strict=True):
        products = products + (zh @ zh.T) * (zt @ zt.T)
    return cosines(products)


def cosines(products: Tensor) -> Tensor:
    """Inner products of features, [P, P], to those of features of length 1; 0 for features that are 0."""
    squares = products.diagonal()
    inverse = squares.where(squares > 0, torch.inf).rsqrt()
    return products * inverse[:, None] * inverse[None]


def contrastive_term(cosines: Tensor, labels: Tensor, tau: float, tau_base: float) -> Tensor:
    """Pairs that share a label, or that both have none, are drawn together; a scalar.

    cosines: [P, P].   labels: [P, R], bool.   Pairs with a label alone are anchors. One without partner is pushed from
    all others, as the released program computes it: the mean of that over all lone pairs, labelled or not, times the
    share of the labelled ones.
    """
    count = len(labels)
    if count < 2:
        return cosines.sum() * 0.0  # there is nothing to be compared with
    itself = torch.eye(count, dtype=torch.bool, device=labels.device)
    related, number = labels.any(1), labels.to(cosines)
    same = ((number @ number.T > 0) | (~related[:, None] & ~related[None])) & ~itself
    scores = cosines / tau
    against_all = scores.masked_fill(itself, -torch.inf).logsumexp(1)
    partners = same.sum(1)
    together = (scores - against_all[:, None]).masked_fill(~same, 0.0).sum(1) / partners.clamp(min=1)
    # A pair is most like itself, by 1 / tau; that has no gradient.
    alone = (1 / tau - against_all).masked_fill(partners > 0, 0.0)
    labelled = related.to(cosines)
    total = mean_over_pairs(labelled * together) + mean_over_pairs(labelled) * mean_over_pairs(alone)
    return -(tau / tau_base) * total
