"""Reductions over groups of rows, such as the tokens of each entity."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_max(values: Tensor, segment: Tensor, segments: int) -> Tensor:
    """The largest of each group's rows, column by column: [segments, d]; zeros for a group without a row.

    values: [k, d].   segment: [k], the group of each row.   Equal largest values share the gradient.
    """
    index = segment[:, None].expand_as(values)
    return values.new_zeros(segments, values.shape[1]).scatter_reduce(0, index, values, "amax", include_self=False)


def segment_logsumexp(values: Tensor, segment: Tensor, segments: int) -> Tensor:
    """`log sum exp` over each group's rows, column by column: [segments, ...]; zeros for a group without a row.

    values: [k, ...].   segment: [k], the group of each row.
    """
    rows = values.flatten(1)
    empty = rows.new_full((segments, rows.shape[1]), -torch.inf)
    # The largest term is taken out before the exponential, so that it cannot overflow; it carries no gradient.
    largest = empty.scatter_reduce(0, segment[:, None].expand_as(rows), rows.detach(), "amax")
    present = largest > -torch.inf
    largest = largest.masked_fill(~present, 0.0)
    terms = (rows - largest.index_select(0, segment)).exp()
    total = torch.zeros_like(empty).index_add(0, segment, terms)
    result = torch.where(present, total, 1.0).log() + largest
    return result.view(segments, *values.shape[1:])
