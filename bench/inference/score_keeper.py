"""Which scores of a model are kept, taken as the model makes them: for looking at its errors, and for its AUC."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.documents import Document, Fact
from bench.inference.reader import ScoredBatch, document_scores
from bench.interface import DocumentScores, PairModel, Scorer
from bench.metrics.official import seen_among
from bench.metrics.ranking import Ranking, rank
from bench.metrics.submission import Prediction
from bench.runs.triple_scores import SplitScores, write_scores

NEAREST = 25
"""So many triples of a document that are neither predicted nor labelled are kept: those with the highest margins."""
MOST_BELOW = 0.01
"""Where more of the predictions than this have a logit below its threshold, the two are not what decides. A few may:
made again on another machine, a logit that was at its threshold can come to lie on the other side."""


class ScoreKeeper:
    """Takes in the scores of a split's documents as they are made, in any order, and keeps what will be looked at."""

    def __init__(
        self, model: PairModel, documents: Sequence[Document], relations: Sequence[str], decides: bool = True
    ) -> None:
        self.model, self.documents, self.relations = model, documents, tuple(relations)
        self._index = {relation: r for r, relation in enumerate(self.relations)}
        self._against, self._decides = "0", decides
        self._count = self._predicted = self._below = 0
        self._rows: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float32]] = []
        self._evidence: list[NDArray[np.int64]] = []
        self._gold = sum(len(document.triples()) for document in documents)
        # Of all candidates, for the ranking: 4 bytes each, 77 MB for 500 documents of 400 pairs and 96 relations.
        self._margins: list[NDArray[np.float32]] = []
        self._labelled: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []

    def watch(self, scored: ScoredBatch, decided: Tensor) -> None:
        """Take in the scores of a batch. decided: [P, R], bool, what was predicted of its P pairs."""
        sizes = [len(d.pairs) for d in scored.batch.documents]
        parts = zip(scored.rows.tolist(), document_scores(scored), decided.cpu().split(sizes), strict=True)
        for row, scores, predicted in parts:
            self.add(row, scores, predicted.numpy())

    def read(self, score: Scorer, predictions: Iterable[Prediction]) -> None:
        """Take in all documents, read once more, given what was predicted of them."""
        by_title: dict[str, list[Prediction]] = defaultdict(list)
        for prediction in predictions:
            by_title[prediction.title].append(prediction)
        for row, (document, scores) in enumerate(zip(self.documents, score(self.documents), strict=True)):
            triples = [(p.head, p.tail, p.relation) for p in by_title[document.title]]
            self.add(row, scores, self._marked(scores.pairs, triples))

    def add(self, row: int, scores: DocumentScores, predicted: NDArray[np.bool_]) -> None:
        """Take in the scores of the document `row`. predicted: [p, R], bool, of its p candidate pairs."""
        on_device = torch.from_numpy(scores.logits).to(next(self.model.parameters()).device)
        thresholds, self._against = self.model.decided_against(on_device, self.relations)
        logits = scores.logits[:, scores.logits.shape[1] - len(self.relations) :]
        bars = np.broadcast_to(thresholds.detach().float().cpu().numpy(), logits.shape)
        margins = logits - bars
        self._predicted += int(predicted.sum())
        self._below += int((margins[predicted] <= 0).sum())
        labels = [(label.head, label.tail, label.relation) for label in self.documents[row].labels]
        labelled = self._marked(scores.pairs, labels)
        self._rank(row, scores.pairs, margins, labelled)
        certain = predicted | labelled
        triples = zip(certain.nonzero(), nearest(margins, certain), strict=True)
        pair, relation = (np.concatenate(both) for both in triples)
        self._rows.append(np.column_stack([np.full(len(pair), row), scores.pairs[pair], relation]))
        self._values.append(np.column_stack([logits[pair, relation], bars[pair, relation]]))
        if scores.evidence is not None:
            of, sentence = scores.evidence[pair].nonzero()
            self._evidence.append(np.column_stack([of + self._count, sentence]))
        self._count += len(pair)

    def _rank(
        self, row: int, pairs: NDArray[np.int64], margins: NDArray[np.float32], labelled: NDArray[np.bool_]
    ) -> None:
        """Keep all margins [p, R] of the document `row`, where there will be a ranking (`ranking`)."""
        if not (self._gold and self._decides):
            return
        # A threshold that is NaN is exceeded by nothing.
        margins = np.where(np.isnan(margins), np.float32(-np.inf), margins)
        self._margins.append(np.sort(margins, axis=None))
        pair, relation = labelled.nonzero()
        self._labelled.append((np.column_stack([np.full(len(pair), row), pairs[pair], relation]), margins[labelled]))

    @property
    def decides(self) -> bool:
        """Whether the margins alone make the predictions that were taken in."""
        return self._decides and self._below <= MOST_BELOW * self._predicted

    def ranking(self, facts: Collection[Fact] | None = None) -> Ranking | None:
        """All candidates that were taken in, ranked by margin; None without labels, or where margins do not decide.

        facts: those that Ign AUC leaves out.
        """
        if not (self._gold and self.decides):
            return None
        triples = np.concatenate([np.empty((0, 4), dtype=np.int64), *(of for of, _ in self._labelled)]).tolist()
        margins = np.concatenate([np.empty(0, dtype=np.float32), *(values for _, values in self._labelled)])
        seen = np.array(list(self._seen(triples, facts or ())), dtype=np.bool_)
        return rank(self._margins, margins, seen, self._gold)

    def _seen(self, triples: Iterable[Sequence[int]], facts: Collection[Fact]) -> Iterator[bool]:
        for row, of_document in groupby(triples, key=itemgetter(0)):
            document = self.documents[row]
            named = [(document.title, head, tail, self.relations[relation]) for _, head, tail, relation in of_document]
            seen = seen_among(document, named, facts)
            yield from (triple in seen for triple in named)

    def _marked(self, pairs: NDArray[np.int64], triples: Iterable[tuple[int, int, str]]) -> NDArray[np.bool_]:
        """A mask [p, R], true for those of the triples (head, tail, relation) that are candidates."""
        marked = np.zeros((len(pairs), len(self.relations)), dtype=bool)
        place = {(head, tail): p for p, (head, tail) in enumerate(pairs.tolist())}
        for head, tail, relation in triples:
            if (head, tail) in place and relation in self._index:
                marked[place[head, tail], self._index[relation]] = True
        return marked

    def write(self, path: Path, ranking: Ranking | None = None) -> None:
        """Write what was taken in to `path`, whole or not at all. ranking: whose curve is to be kept beside it."""
        rows = np.concatenate([np.empty((0, 4), dtype=np.int64), *self._rows]).astype(np.int32)
        values = np.concatenate([np.empty((0, 2), dtype=np.float32), *self._values])
        evidence = np.concatenate([np.empty((0, 2), dtype=np.int64), *self._evidence]).astype(np.int32)
        predicted = evidence if self.model.predicts_evidence else None
        curve = None if ranking is None else ranking.points()
        write_scores(path, rows, values, predicted, SplitScores(self._against, self.decides, {}, curve))


def nearest(margins: NDArray[np.float32], certain: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair and relation of the `NEAREST` highest of `margins` [p, R] that are not `certain` to be kept anyway."""
    others = np.where(certain, -np.inf, margins).ravel()
    count = min(NEAREST, len(others) - int(certain.sum()))
    highest = np.argpartition(-others, count)[:count] if count < len(others) else np.arange(count)
    pair, relation = np.unravel_index(highest, margins.shape)
    return pair.astype(np.int64), relation.astype(np.int64)
