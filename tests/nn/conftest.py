from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from bench.data.batching import Batch, DocumentLayout

Layout = Callable[..., DocumentLayout]


@pytest.fixture
def layout() -> Layout:
    """layout([[3, 7], [], [9]], length=20): a document whose entity i has its markers at positions mentions[i]."""

    def make(
        mentions: Sequence[Sequence[int]], length: int, pairs: Sequence[tuple[int, int]] | None = None
    ) -> DocumentLayout:
        n = len(mentions)
        chosen = [(i, j) for i in range(n) for j in range(n) if i != j] if pairs is None else pairs
        return DocumentLayout(
            title="",
            length=length,
            entities=n,
            mention_entity=torch.tensor([e for e, at in enumerate(mentions) for _ in at], dtype=torch.long),
            mention_position=torch.tensor([p for at in mentions for p in at], dtype=torch.long),
            mention_end=torch.tensor([p + 1 for at in mentions for p in at], dtype=torch.long),
            pairs=torch.tensor(chosen, dtype=torch.long).reshape(-1, 2),
            sentences=torch.tensor([[1, length - 1]]),
        )

    return make


@pytest.fixture
def batch_of() -> Callable[..., Batch]:
    """A batch of documents laid out by `layout`, with word pieces drawn at random between 5 and `vocabulary`."""

    def make(documents: Sequence[DocumentLayout], vocabulary: int = 50, pad_id: int = 0, seed: int = 0) -> Batch:
        random = torch.Generator().manual_seed(seed)
        longest = max(d.length for d in documents)
        ids = torch.full((len(documents), longest), pad_id)
        mask = torch.zeros_like(ids)
        for b, d in enumerate(documents):
            ids[b, : d.length] = torch.randint(5, vocabulary, (d.length,), generator=random)
            mask[b, : d.length] = 1
        pairs = sum(len(d.pairs) for d in documents)
        return Batch(ids, mask, tuple(documents), torch.zeros(pairs, 3, dtype=torch.bool), ())

    return make
