"""From the logits of a split to its predicted triples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batching import evaluation_order
from bench.data.features.feature_file import FeatureFile
from bench.inference.reader import Reader, ScoredBatch
from bench.interface import PairModel
from bench.metrics.submission import Prediction


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
        """The triples by title and relation name, in the order of the documents. titles: by row of the features."""
        columns = [self.document.tolist(), self.head.tolist(), self.tail.tolist(), self.relation.tolist()]
        evidence = self.evidence if self.evidence is not None else [None] * len(self.document)
        rows = zip(*columns, evidence, strict=True)
        return [Prediction(titles[d], h, t, relations[r], e) for d, h, t, r, e in sorted(rows)]


@torch.no_grad()
def predict(
    reader: Reader,
    features: FeatureFile,
    tune: bool = False,
    watch: Callable[[ScoredBatch, Tensor], None] | None = None,
) -> Predictions:
    """Decode every document of `features`; first, with `tune`, let the model choose its decisions on their labels.

    watch: is shown each batch with what was decided, [P, R]; not when tuning. Raises `Interrupted` between batches.
    """
    decoder = _Decoder(reader.system.model)
    undecided: list[ScoredBatch] = []
    for scored in reader.batches(features, evaluation_order(features.lengths, reader.stage.training.batch_size)):
        if tune:
            undecided.append(scored._replace(inputs=None))  # the largest part, and not needed again
            continue
        decided = decoder.decode(scored)
        if watch is not None:
            watch(scored, decided)
    if undecided:
        logits = torch.cat([scored.logits for scored in undecided])
        reader.system.model.tune(logits, torch.cat([scored.batch.labels for scored in undecided]))
    for scored in undecided:
        decoder.decode(scored)
    return decoder.predictions()


class _Decoder:
    """Collects what a model decides of one batch after another."""

    def __init__(self, model: PairModel) -> None:
        self.model = model
        self.triples: list[NDArray[np.int64]] = []
        self.evidence: list[tuple[int, ...]] = []

    def decode(self, scored: ScoredBatch) -> Tensor:
        """What is decided of the pairs of a batch, [P, R], bool; the triples are collected."""
        decided = self.model.decode(scored.logits)
        pair, relation = (at.cpu().numpy() for at in decided.nonzero(as_tuple=True))
        sizes = [len(d.pairs) for d in scored.batch.documents]
        ends = torch.cat([d.pairs for d in scored.batch.documents]).cpu().numpy()[pair]
        documents = np.repeat(np.arange(len(scored.rows)), sizes)[pair]
        self.triples.append(np.stack([scored.rows[documents], ends[:, 0], ends[:, 1], relation]))
        if scored.evidence is not None:
            first = np.cumsum([0, *sizes])
            by_document = [sentences.cpu().numpy() for sentences in scored.evidence]
            for d, p in zip(documents, pair, strict=True):
                self.evidence.append(tuple(np.flatnonzero(by_document[d][p - first[d]]).tolist()))
        return decided

    def predictions(self) -> Predictions:
        """The triples of all batches so far."""
        document, head, tail, relation = np.concatenate([np.empty((4, 0), dtype=np.int64), *self.triples], axis=1)
        evidence = tuple(self.evidence) if self.model.predicts_evidence else None
        return Predictions(document, head, tail, relation, evidence)
