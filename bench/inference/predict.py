"""A model behind its encoder on documents: logits of batches, and the predictions that come of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batching import Batch, evaluation_order
from bench.data.features.build import Features
from bench.data.features.feature_file import FeatureFile
from bench.inference.batches import batches
from bench.inference.document_model import DocumentModel, precision_context
from bench.interface import DocumentScores
from bench.metrics.submission import Prediction
from bench.nn.pooling import Pairs
from bench.nn.tokens import Tokens


class Predictions(NamedTuple):
    """Predicted triples of a split, K of them, as arrays: document (row of the features), head, tail, relation.

    evidence: the sentences predicted to support each triple, or None if the model predicts none.
    """

    document: NDArray[np.int64]
    head: NDArray[np.int64]
    tail: NDArray[np.int64]
    relation: NDArray[np.int64]
    evidence: tuple[tuple[int, ...], ...] | None

    def rows(self, titles: Sequence[str], relations: Sequence[str]) -> list[Prediction]:
        """In the words of the data set, in the order of its documents."""
        columns = [self.document.tolist(), self.head.tolist(), self.tail.tolist(), self.relation.tolist()]
        evidence = self.evidence if self.evidence is not None else [None] * len(self.document)
        rows = zip(*columns, evidence, strict=True)
        return [Prediction(titles[d], h, t, relations[r], e) for d, h, t, r, e in sorted(rows)]


class Scored(NamedTuple):
    """A batch with its logits and, if the model predicts evidence, that of each document; all on the device."""

    rows: NDArray[np.int64]
    batch: Batch
    logits: Tensor
    inputs: Pairs | Tokens
    evidence: tuple[Tensor, ...] | None


@torch.no_grad()
def scored_batches(
    system: DocumentModel,
    features: Sequence[Features],
    order: Sequence[NDArray[np.int64]],
    relations: int,
    pad_id: int,
    device: torch.device,
    precision: str,
) -> Iterator[Scored]:
    """The batches of `order` through the system, in evaluation mode."""
    system.eval()
    for rows, batch in zip(order, batches(features, order, relations, pad_id, device), strict=True):
        with precision_context(device, precision):
            logits, inputs = system.scored(batch)
        supported = None
        if system.model.predicts_evidence and isinstance(inputs, Pairs):
            supported = system.model.evidence(inputs, batch)
        yield Scored(rows, batch, logits, inputs, supported)


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
    tune: bool = False,
    watch: Callable[[Scored, Tensor], None] | None = None,
) -> Predictions:
    """Decode every document of `features`; first, with `tune`, let the model choose its decisions on their labels.

    `after_batch` may raise to stop. `watch` is shown each batch with what was decided, [P, R]; not when tuning.
    """
    model = system.model
    order = evaluation_order(features.lengths, batch_size)
    scored = scored_batches(system, features, order, relations, pad_id, device, precision)
    found: list[NDArray[np.int64]] = []
    evidence: list[tuple[int, ...]] = []

    def decode(rows: NDArray[np.int64], batch: Batch, logits: Tensor, supported: tuple[Tensor, ...] | None) -> Tensor:
        decided = model.decode(logits)
        pair, relation = (at.cpu().numpy() for at in decided.nonzero(as_tuple=True))
        sizes = [len(d.pairs) for d in batch.documents]
        ends = torch.cat([d.pairs for d in batch.documents]).cpu().numpy()[pair]
        documents = np.repeat(np.arange(len(rows)), sizes)[pair]
        found.append(np.stack([rows[documents], ends[:, 0], ends[:, 1], relation]))
        if supported is not None:
            first = np.cumsum([0, *sizes])
            by_document = [sentences.cpu().numpy() for sentences in supported]
            for d, p in zip(documents, pair, strict=True):
                evidence.append(tuple(np.flatnonzero(by_document[d][p - first[d]]).tolist()))
        return decided

    undecided: list[tuple[NDArray[np.int64], Batch, Tensor, tuple[Tensor, ...] | None]] = []
    for at in scored:
        rows, batch, logits, _, supported = at
        if tune:
            undecided.append((rows, batch, logits, supported))
        else:
            decided = decode(rows, batch, logits, supported)
            if watch is not None:
                watch(at, decided)
        after_batch()
    if undecided:
        model.tune(torch.cat([item[2] for item in undecided]), torch.cat([item[1].labels for item in undecided]))
    for item in undecided:
        decode(*item)
    document, head, tail, relation = np.concatenate([np.empty((4, 0), dtype=np.int64), *found], axis=1)
    return Predictions(document, head, tail, relation, tuple(evidence) if model.predicts_evidence else None)


def document_scores(scored: Scored) -> list[DocumentScores]:
    """The scores of each document of a batch, on the CPU."""
    sizes = [len(d.pairs) for d in scored.batch.documents]
    logits = scored.logits.float().cpu().split(sizes)
    evidence = scored.evidence or (None,) * len(sizes)
    return [
        DocumentScores(d.pairs.cpu().numpy(), own.numpy(), None if said is None else said.cpu().numpy())
        for d, own, said in zip(scored.batch.documents, logits, evidence, strict=True)
    ]
