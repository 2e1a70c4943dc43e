"""Documents token by token, for models that do not start from pooled pairs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
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


def entity_tokens(document: DocumentLayout) -> tuple[Tensor, Tensor]:
    """The entity and the position of every token of an entity: two tensors [k], by entity, then by position.

    The tokens of an entity are the word pieces between the markers of its mentions, each once however many of its
    mentions hold it. The markers of a mention nested in another, or overlapping it, are pieces of that other one.
    """
    position = torch.arange(document.length, device=document.mention_position.device)
    inside = (position > document.mention_position[:, None]) & (position < document.mention_end[:, None])
    holding = inside.new_zeros(document.entities, document.length, dtype=torch.long)
    entity, token = holding.index_add(0, document.mention_entity, inside.long()).nonzero(as_tuple=True)
    return entity, token
