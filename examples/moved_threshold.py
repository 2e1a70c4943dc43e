"""Models that decide by another threshold than their own: moved by one number, which dev labels choose.

    bench run --models ./examples/moved_threshold.py:AtlopMoved,atlop --settings ext

A loss teaches a model to rank triples and where to draw the line between them. Beside the model as it is, one of these
says what its line costs. Nothing is trained again: they are what was trained as `atlop`, `ssrpu`, `pn` and `ttmre`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.atlop import Atlop
from baselines.fusion import best_threshold
from baselines.pu import Pn, SsrPu
from bench.data.documents import Document
from bench.interface import DocumentScores, Inference, Scorer
from bench.metrics.submission import Prediction
from ttmre.model import TtmRe

MARGIN = "margin"


class MovedThreshold(Inference):
    """What a model may predict and has a margin above one number, the same for all pairs and relations.

    The margin of a relation is its logit less what the model compares it with, so that the model itself predicts above
    0. The number is that of the highest micro F1 on the documents it is tuned on; of several the highest.
    """

    def tune(self, score: Scorer, dev: Sequence[Document]) -> dict[str, float]:
        """The number that margins have to exceed, by F1 on `dev`."""
        index = {relation: r for r, relation in enumerate(self.relations)}
        margins, right = [np.zeros(0)], [np.zeros(0, dtype=bool)]
        for document, scores, margin in self.read(score, dev):
            labels = {(label.head, label.tail, index[label.relation]) for label in document.labels}
            pair, relation = np.isfinite(margin).nonzero()
            triples = zip(*scores.pairs[pair].T.tolist(), relation.tolist(), strict=True)
            margins.append(margin[pair, relation])
            right.append(np.array([triple in labels for triple in triples], dtype=bool))
        labelled = sum(len(document.triples()) for document in dev)
        return {MARGIN: best_threshold(np.concatenate(margins), np.concatenate(right), 0, 0, labelled)}

    def predict(self, score: Scorer, documents: Sequence[Document], decision: Mapping[str, float]) -> list[Prediction]:
        """The candidates whose margin exceeds that of `decision`."""
        predictions = []
        for document, scores, margin in self.read(score, documents):
            for pair, relation in np.argwhere(margin > decision[MARGIN]).tolist():
                head, tail = scores.pairs[pair].tolist()
                predictions.append(Prediction(document.title, head, tail, self.relations[relation]))
        return predictions

    def read(
        self, score: Scorer, documents: Sequence[Document]
    ) -> Iterator[tuple[Document, DocumentScores, NDArray[np.float64]]]:
        """Each document with its scores and the margins of its candidates, [p, R]; -inf for what is none."""
        for document, scores in zip(documents, score(documents), strict=True):
            logits = torch.from_numpy(scores.logits.astype(np.float64)).to(next(self.model.parameters()).device)
            above = logits[:, -len(self.relations) :] - self.model.decided_against(logits, self.relations).values
            candidates = self.model.candidates(logits, self.relations)
            yield document, scores, above.masked_fill(~candidates, -torch.inf).cpu().numpy()


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
