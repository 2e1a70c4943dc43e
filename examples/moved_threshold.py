"""Models that decide by another threshold than their own: moved by one number, which dev labels choose.

    bench run --models ./examples/moved_threshold.py:AtlopMoved,atlop --settings ext

A loss teaches a model to rank triples and where to draw the line between them. Beside the model as it is, one of these
says what its line costs; in `ext` by dev labels that are complete, so not what can be had where there are none. Where
`atlop`, `ssrpu`, `pn` or `ttmre` has been trained, nothing is trained again: weights are shared with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.atlop import Atlop
from baselines.pu import Pn, SsrPu
from bench.interface import Document, DocumentScores, Inference, Prediction, Scorer
from bench.metrics import arithmetic
from bench.metrics.ranking import rank
from ttmre.model import TtmRe

MARGIN = "margin"
OWN = float(np.nextafter(0.0, 1.0))
"""The number by which a model decides as it does without: what is above 0 is predicted."""


class MovedThreshold(Inference):
    """Predicts the candidates whose margin is at least one number, the same for all pairs and relations.

    The margin of a relation is its logit less what the model compares it with, so that the model itself predicts above
    0; candidates are what it may predict at all (ATLOP at most `num_labels` classes of a pair). The number is the
    margin of a label that gives the highest micro F1 on the documents that choose the epoch (dev, unless `select_on`
    says otherwise); of several the highest. Where no label is a candidate, the model decides as it does without.
    """

    def tune(self, score: Scorer, dev: Sequence[Document]) -> dict[str, float]:
        """The number, by F1 on `dev`."""
        index = {relation: r for r, relation in enumerate(self.relations)}
        candidates, labelled = [], [np.zeros(0)]
        for document, scores, margins in self.read(score, dev):
            candidates.append(np.sort(margins[margins > -np.inf]))
            row = {(head, tail): i for i, (head, tail) in enumerate(scores.pairs.tolist())}
            triples = {(label.head, label.tail, index[label.relation]) for label in document.labels}
            of_labels = np.array([margins[row[h, t], r] for h, t, r in triples if (h, t) in row])
            labelled.append(of_labels[of_labels > -np.inf])
        of_labels = np.concatenate(labelled)
        gold = sum(len(document.triples()) for document in dev)
        ranking = rank(candidates, of_labels, np.zeros(len(of_labels), dtype=bool), gold)
        if not len(ranking.scores):
            return {MARGIN: OWN}
        f1 = arithmetic.f1(ranking.correct, ranking.at_least, np.full(len(ranking.scores), float(gold)))
        return {MARGIN: float(ranking.scores[f1.argmax()])}

    def predict(self, score: Scorer, documents: Sequence[Document], decision: Mapping[str, float]) -> list[Prediction]:
        """The candidates whose margin is at least that of `decision`."""
        predictions = []
        for document, scores, margins in self.read(score, documents):
            for pair, relation in np.argwhere(margins >= decision[MARGIN]).tolist():
                head, tail = scores.pairs[pair].tolist()
                predictions.append(Prediction(document.title, head, tail, self.relations[relation]))
        return predictions

    def read(
        self, score: Scorer, documents: Sequence[Document]
    ) -> Iterator[tuple[Document, DocumentScores, NDArray[np.float64]]]:
        """Each document with its scores and the margins of its candidates, [p, R]; -inf for what is none."""
        for document, scores in zip(documents, score(documents), strict=True):
            logits = torch.from_numpy(scores.logits.astype(np.float64)).to(next(self.model.parameters()).device)
            thresholds = self.model.decided_against(logits, self.relations).values.detach()
            margins = logits[:, logits.shape[1] - len(self.relations) :] - thresholds
            candidates = self.model.candidates(logits, self.relations)
            yield document, scores, margins.masked_fill(~candidates, -torch.inf).cpu().numpy()


class AtlopMoved(Atlop):
    """ATLOP with its threshold moved."""

    trains_as = "atlop"
    inference = MovedThreshold


class SsrPuMoved(SsrPu):
    """SSR-PU with its threshold moved."""

    trains_as = "ssrpu"
    inference = MovedThreshold


class PnMoved(Pn):
    """PN with its threshold moved."""

    trains_as = "pn"
    inference = MovedThreshold


class TtmReMoved(TtmRe):
    """TTM-RE with its threshold moved."""

    trains_as = "ttmre"
    inference = MovedThreshold
