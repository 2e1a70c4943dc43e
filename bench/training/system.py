"""Encoder and model as one trainable module, and predictions from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.batching import Batch, collate, evaluation_order
from bench.data.cache import FeatureFile
from bench.data.documents import Triple
from bench.interface import PairModel
from bench.nn.encoder import Encoder
from bench.nn.pooling import pool


class DocumentModel(nn.Module):
    """The encoder, the pooling and a model: a batch of documents to the logits of its candidate pairs."""

    def __init__(self, encoder: Encoder, model: PairModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Logits [P, classes] in float32 or wider, P pairs in the order of the batch."""
        logits: Tensor = self.model(pool(self.encoder(batch), batch, self.model.pooling_epsilon))
        return logits if logits.dtype == torch.float64 else logits.float()


class Predictions(NamedTuple):
    """Predicted triples of a split, K of them, as arrays: document (row of the features), head, tail, relation."""

    document: NDArray[np.int64]
    head: NDArray[np.int64]
    tail: NDArray[np.int64]
    relation: NDArray[np.int64]

    def triples(self, titles: Sequence[str], relations: Sequence[str]) -> list[Triple]:
        """In the words of the data set, in the order of its documents."""
        rows = zip(*(column.tolist() for column in self), strict=True)
        return [(titles[d], h, t, relations[r]) for d, h, t, r in sorted(rows)]


def precision_context(device: torch.device, precision: str) -> torch.autocast:
    """bf16 where asked for, or with "auto" where there is a GPU; else full precision."""
    bf16 = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def batches(
    features: FeatureFile,
    order: Sequence[NDArray[np.int64]],
    relations: int,
    pad_id: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Collated batches of `order` on `device`."""
    for rows in order:
        yield collate([features[int(i)] for i in rows], relations, pad_id).to(device)


@torch.no_grad()
def predict(
    system: DocumentModel,
    features: FeatureFile,
    relations: int,
    pad_id: int,
    device: torch.device,
    batch_size: int,
    precision: str,
    after_batch: Callable[[], None] = lambda: None,
) -> Predictions:
    """Decode every document of `features`. `after_batch` may raise to stop."""
    system.eval()
    found: list[NDArray[np.int64]] = []
    order = evaluation_order(features.lengths, batch_size)
    for rows, batch in zip(order, batches(features, order, relations, pad_id, device), strict=True):
        with precision_context(device, precision):
            logits = system(batch)
        pair, relation = system.model.decode(logits).nonzero(as_tuple=True)
        documents = np.repeat(rows, [len(d.pairs) for d in batch.documents])
        ends = torch.cat([d.pairs for d in batch.documents])[pair].cpu().numpy()
        found.append(np.stack([documents[pair.cpu().numpy()], ends[:, 0], ends[:, 1], relation.cpu().numpy()]))
        after_batch()
    return Predictions(*np.concatenate([np.empty((4, 0), dtype=np.int64), *found], axis=1))
