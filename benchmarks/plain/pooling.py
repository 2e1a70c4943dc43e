"""Localized context pooling, entity by entity, with every pair's own copy of its entities' attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.batching import Batch
from plain.encoder import WholeMaps


class PlainPairs(NamedTuple):
    """head, tail, context: [P, d].   attention: for each document [p, l].   entities: of each document."""

    head: Tensor
    tail: Tensor
    context: Tensor
    attention: list[Tensor]
    entities: list[int]


def pool(
    encodings: Sequence[WholeMaps], batch: Batch, epsilon: float, pooled_heads: str, whole_grid: bool
) -> PlainPairs:
    """The pairs of a batch; with `whole_grid` all n x n of each document, else its candidates."""
    heads, tails, contexts, attentions = [], [], [], []
    for (states, maps), document in zip(encodings, batch.documents, strict=True):
        embeddings, attended = [], []
        for entity in range(document.entities):
            mentions = document.mention_position[document.mention_entity == entity].tolist()
            if mentions:
                embeddings.append(torch.logsumexp(torch.stack([states[at] for at in mentions]), dim=0))
                attended.append(torch.stack([maps[:, at] for at in mentions]).mean(0))
            else:
                embeddings.append(torch.zeros_like(states[0]))
                attended.append(torch.zeros_like(maps[:, 0]))
        embedded, attention = torch.stack(embeddings), torch.stack(attended)  # [n, d], [n, A, l]
        pairs = document.pairs
        if whole_grid:
            pairs = torch.cartesian_prod(*[torch.arange(document.entities, device=pairs.device)] * 2).view(-1, 2)
        both = attention[pairs[:, 0]] * attention[pairs[:, 1]]  # [p, A, l]
        shared = both.mean(1) if pooled_heads == "mean" else both.sum(1)
        shared = shared / (shared.sum(1, keepdim=True) + epsilon)
        heads.append(embedded[pairs[:, 0]])
        tails.append(embedded[pairs[:, 1]])
        contexts.append(shared @ states)
        attentions.append(shared)
    entities = [d.entities for d in batch.documents]
    return PlainPairs(torch.cat(heads), torch.cat(tails), torch.cat(contexts), attentions, entities)
