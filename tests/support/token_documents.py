"""Documents as token-level models see them, laid out by hand, and what the tokens of their entities are."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.data.batching import DocumentLayout
from bench.nn.tokens import Tokens

Mention = tuple[int, int]
"""Opening marker, and past the last own piece."""


def document(
    mentions: Sequence[Sequence[Mention]], length: int, pairs: Sequence[tuple[int, int]] | None = None
) -> DocumentLayout:
    """A document whose entity i has the mentions `mentions[i]`; all pairs are candidates unless some are named."""
    n = len(mentions)
    chosen = [(i, j) for i in range(n) for j in range(n) if i != j] if pairs is None else pairs
    flat = [(entity, *mention) for entity, own in enumerate(mentions) for mention in own]
    entity, position, end = torch.tensor(flat, dtype=torch.long).reshape(-1, 3).unbind(1)
    return DocumentLayout(
        title="",
        length=length,
        entities=n,
        mention_entity=entity,
        mention_position=position,
        mention_end=end,
        pairs=torch.tensor(chosen, dtype=torch.long).reshape(-1, 2),
        sentences=torch.tensor([[1, length - 1]]),
    )


def awkward_documents() -> tuple[DocumentLayout, ...]:
    """One of each kind.

    A mention within another of its entity, a token shared by two entities, mentions without a piece of their own, an
    entity without a mention; pairs that leave out an entity as head and another as tail; no pairs; no entities.
    """
    return (
        document([[(1, 5), (2, 4), (8, 9)], [(3, 7)], [(8, 12)], [], [(12, 13)]], 15),
        document([[(1, 3)], [(4, 6), (9, 12)], [(6, 9)]], 13, [(0, 1), (0, 2), (1, 2)]),
        document([[(1, 3)]], 6),
        document([], 4),
    )


def tokens_of(layout: DocumentLayout, entity: int) -> list[int]:
    """The positions between the markers of an entity's mentions, each once."""
    own = layout.mention_entity == entity
    spans = zip(layout.mention_position[own].tolist(), layout.mention_end[own].tolist(), strict=True)
    return sorted({at for marker, end in spans for at in range(marker + 1, end)})


def token_states(documents: Sequence[DocumentLayout], size: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Random states in float64: for each document [l, size]."""
    random = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(d.length, size, generator=random, dtype=torch.float64) for d in documents)


def tokens(
    documents: Sequence[DocumentLayout], states: Sequence[torch.Tensor] | None = None, vocabulary: int = 30
) -> Tokens:
    """The input of a model: random word pieces, padded with a piece of the vocabulary, and the states if given.

    The pieces of a document depend on its length alone.
    """
    longest = max(d.length for d in documents)
    ids = torch.full((len(documents), longest), vocabulary - 1)
    mask = torch.zeros_like(ids)
    for b, d in enumerate(documents):
        ids[b, : d.length] = torch.randint(vocabulary, (d.length,), generator=torch.Generator().manual_seed(d.length))
        mask[b, : d.length] = 1
    return Tokens(ids, mask, None if states is None else tuple(states), tuple(documents))
