"""Localized context pooling (Zhou et al., AAAI 2021, section 3.1-3.2): from token states to entity pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench.data.batching import Batch, DocumentLayout
from bench.nn.contraction import contract
from bench.nn.precision import wide
from bench.nn.segments import segment_logsumexp
from bench.nn.windows import DocumentEncoding


@dataclass(frozen=True)
class Pairs:
    """The P candidate pairs of a batch, E entities, d wide; what a model's `forward` is given.

    entities: [E, d], every entity of the batch.   context: [P, d].   head, tail: [P], indices into `entities`.
    sizes: pairs of each document, in order (they sum to P).
    token_attention: for each document [p, l], where the pair's head and tail both attend, summing to 1 over tokens.
    candidates: None; or, for a model that asked for the whole grid, [C], which of the P pairs are to be classified.
    documents: where things are in each document: types of entities, words, mentions, sentences.
    states: for each document [l, d], its token states, for a model with `pooled_tokens`; else None.
    """

    entities: Tensor
    context: Tensor
    head: Tensor
    tail: Tensor
    sizes: tuple[int, ...]
    token_attention: tuple[Tensor, ...]
    candidates: Tensor | None = None
    documents: tuple[DocumentLayout, ...] = ()
    states: tuple[Tensor, ...] | None = None

    def __len__(self) -> int:
        return len(self.head)


def pool(
    encodings: Sequence[DocumentEncoding],
    batch: Batch,
    epsilon: float = 1e-5,
    pooled_heads: Literal["mean", "sum"] = "mean",
    whole_grid: bool = False,
    keep_states: bool = False,
) -> Pairs:
    """Entities, contexts and pairs of a batch. Always float32 or wider: products of attention are tiny.

    epsilon: added to the normaliser of a pair's attention (1e-5 in ATLOP, 1e-30 in DREEAM).
    pooled_heads: how the products of the attention heads become one.   whole_grid: all n x n pairs of each document,
    row by row.   keep_states: the token states are among what is given.
    """
    marked, entities, contexts, attentions, kept = [], [], [], [], []
    offset = 0
    with torch.autocast(batch.input_ids.device.type, enabled=False):
        for encoding, document in zip(encodings, batch.documents, strict=True):
            states = wide(encoding.states)
            attention = entity_attention(encoding.attention.to(states.dtype), document)
            pairs = grid(document) if whole_grid else document.pairs
            weights = pair_attention(attention, pairs, epsilon, pooled_heads)
            marked.append(states.index_select(0, document.mention_position))
            entities.append(document.mention_entity + offset)
            contexts.append(weights @ states)
            attentions.append(weights)
            if keep_states:
                kept.append(states)
            offset += document.entities
        # h_i = logsumexp over the states at an entity's markers (ATLOP, eq. 2); zeros without a marker.
        embeddings = segment_logsumexp(torch.cat(marked), torch.cat(entities), offset)
    states_kept = tuple(kept) if keep_states else None
    return join_documents(embeddings, torch.cat(contexts), attentions, batch.documents, whole_grid, states_kept)


def join_documents(
    entities: Tensor,
    context: Tensor,
    token_attention: Sequence[Tensor],
    documents: Sequence[DocumentLayout],
    whole_grid: bool,
    states: tuple[Tensor, ...] | None = None,
) -> Pairs:
    """Join the pooled documents of a batch: entities and candidates are numbered through."""
    heads, tails, sizes, candidates = [], [], [], []
    offset = rows = 0
    for document in documents:
        pairs = grid(document) if whole_grid else document.pairs
        heads.append(pairs[:, 0] + offset)
        tails.append(pairs[:, 1] + offset)
        sizes.append(len(pairs))
        candidates.append(document.pairs[:, 0] * document.entities + document.pairs[:, 1] + rows)
        offset += document.entities
        rows += len(pairs)
    return Pairs(
        entities=entities,
        context=context,
        head=torch.cat(heads),
        tail=torch.cat(tails),
        sizes=tuple(sizes),
        token_attention=tuple(token_attention),
        candidates=torch.cat(candidates) if whole_grid else None,
        documents=tuple(documents),
        states=states,
    )


def grid(document: DocumentLayout) -> Tensor:
    """Every ordered pair of the document's n entities, an entity with itself among them, row by row: [n n, 2]."""
    entities = torch.arange(document.entities, device=document.pairs.device)
    return torch.cartesian_prod(entities, entities).view(-1, 2)


def entity_attention(attention: Tensor, document: DocumentLayout) -> Tensor:
    """Mean attention over an entity's markers: [m, A, l] -> [n, A, l], zeros without a marker."""
    entities = torch.arange(document.entities, device=attention.device)
    member = (entities[:, None] == document.mention_entity).to(attention.dtype)
    mean = member / member.sum(1, keepdim=True).clamp(min=1.0)
    return contract("nm,mal->nal", mean, attention)


def pair_attention(
    attention: Tensor, pairs: Tensor, epsilon: float, pooled_heads: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Where head and tail both attend (ATLOP, eq. 7-8): [p, l], summing to 1; zeros where they share nothing.

    attention: [n, A, l], per entity.   pairs: [p, 2].
    """
    n, heads, length = attention.shape
    # All n x n products at once: gathering [p, A, l] twice would move A times as much memory.
    shared = contract("ial,jal->ijl", attention, attention)
    if pooled_heads == "mean":
        shared = shared / max(heads, 1)
    shared = shared.reshape(n * n, length).index_select(0, pairs[:, 0] * n + pairs[:, 1])
    return shared / (shared.sum(-1, keepdim=True) + epsilon)
