"""Documents token by token, for models that do not start from pooled pairs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.data.batching import DocumentLayout


@dataclass(frozen=True)
class Tokens:
    """The word pieces of B documents, L the longest, d wide, and where mentions and candidate pairs are in them.

    input_ids, attention_mask: [B, L].   states: for each document [l, d], or None for a model that reads word pieces.
    documents: mention spans and pairs; P, the number of logit rows, is the sum of their pairs.
    """

    input_ids: Tensor
    attention_mask: Tensor
    states: tuple[Tensor, ...] | None
    documents: tuple[DocumentLayout, ...]
