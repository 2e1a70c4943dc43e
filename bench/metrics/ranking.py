"""The precision-recall curve of ranked triples, and the area under it (AUC).

All candidate triples of a split are ranked together, by a score such as the margin of a logit over its threshold. The
curve has a point for each distinct score s: precision and recall of predicting every triple that scores at least s.
Labels that are no candidates count in the denominator of recall, so the curve may end before 100 %.

AUC is the area under the straight lines that join the points: `sklearn.metrics.auc(recall, precision)`, as in DocRED's
program (thunlp/DocRED@64622e6, code/config/Config.py), with what that leaves to chance settled:

- Triples of one score come at once. There they come one by one, in the order in which the pairs were listed.
- The curve begins at recall 0 with the precision of its first point. There it begins at the first point, so that a
  perfect ranking of n labels has an area of 1 - 1/n. Without equal scores their number is ours less the recall times
  the precision of the first point, which is at most 1/n.

Ign AUC, in that program as well, is the same with Ign precision (`bench.metrics.arithmetic`) over the plain recall. The
evaluation programs of ATLOP, KD-DocRE, DREEAM, SSR-PU and TTM-RE have neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.documents import Document, Fact, Triple
from bench.metrics import arithmetic
from bench.metrics.official import seen_among
from bench.metrics.submission import Prediction

POINTS = 200
"""So many points of a curve are enough to draw it."""

_Numbers = NDArray[np.float64]
_Scores = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """The candidates of a split by score, as far as the curve depends on it: k distinct scores of labelled ones.

    scores: [k], falling.   correct, seen: [k], labelled candidates that score at least as much, and those of them that
    are among the training facts.   at_least, above: [k], all candidates that score at least as much, and more.
    gold: labels, whether they are candidates or not.   highest: the highest finite score of any candidate, or None.
    """

    scores: _Numbers
    correct: _Numbers
    seen: _Numbers
    at_least: _Numbers
    above: _Numbers
    gold: int
    highest: float | None

    @property
    def auc(self) -> float:
        """Area under the curve of precision over recall, in percent; 0.0 without labels."""
        before = arithmetic.precision(_shifted(self.correct), self.above)
        return self._area(before, self._precision)

    @property
    def ign_auc(self) -> float:
        """The same with Ign precision, in percent. Recall is the plain one."""
        before = arithmetic.ign_precision(_shifted(self.correct), self.above, _shifted(self.seen))
        return self._area(before, arithmetic.ign_precision(self.correct, self.at_least, self.seen))

    def points(self, most: int = POINTS) -> _Numbers:
        """Points of the curve, [at most `most`, 3]: recall and precision in percent, and the score they are had at.

        The first and the last are among them; between them they are evenly spaced in the ranks of labelled triples.
        """
        curve = np.column_stack([self._recall, self._precision, self.scores])
        chosen = np.unique(np.linspace(0, len(curve) - 1, min(most, len(curve))).round().astype(int))
        return curve[chosen]

    @property
    def _recall(self) -> _Numbers:
        return arithmetic.recall(self.correct, np.full(len(self.correct), float(self.gold)))

    @property
    def _precision(self) -> _Numbers:
        return arithmetic.precision(self.correct, self.at_least)

    def _area(self, before: _Numbers, precision: _Numbers) -> float:
        """Trapezoids of the given precisions, just before each point and at it, over the steps of recall."""
        before = np.where(self.above > 0, before, precision)
        steps = np.diff(self._recall, prepend=0.0)
        return float((steps * (before + precision) / 2).sum() / 100)


def rank(candidates: Iterable[_Scores], labelled: _Scores, seen: NDArray[np.bool_], gold: int) -> Ranking:
    """Rank the candidates of a split by their scores.

    candidates: the scores of all of them in parts, each part in rising order and without NaN; no copy is made.
    labelled: the scores of those that are labelled, in any order and the same precision, or equal scores would not be
    equal.   seen: whether each is among the training facts.
    gold: how many labels the split has, candidates or not.
    """
    levels, of_level = np.unique(labelled, return_inverse=True)
    at_least, above = np.zeros(len(levels)), np.zeros(len(levels))
    highest = -np.inf
    for part in candidates:
        at_least += len(part) - np.searchsorted(part, levels, "left")
        above += len(part) - np.searchsorted(part, levels, "right")
        # An infinity of another precision would make a copy of the part.
        below_infinity = int(np.searchsorted(part, part.dtype.type(np.inf), "left"))
        highest = max(highest, float(part[below_infinity - 1])) if below_infinity else highest
    correct = np.bincount(of_level, minlength=len(levels))
    correct_seen = np.bincount(of_level, weights=seen, minlength=len(levels))
    return Ranking(
        scores=levels[::-1].astype(np.float64),
        correct=correct[::-1].cumsum().astype(np.float64),
        seen=correct_seen[::-1].cumsum(),
        at_least=at_least[::-1],
        above=above[::-1],
        gold=gold,
        highest=None if highest == -np.inf else highest,
    )


def rank_predictions(
    predictions: Iterable[Prediction], documents: Sequence[Document], facts: Collection[Fact] | None
) -> Ranking | None:
    """Rank the triples of a submission by the scores in it; None where it is empty or a row has no score.

    What it does not list is no candidate, so this is the whole curve only of a submission that lists every candidate.
    Of a triple that is listed twice the first row counts.   facts: those that Ign AUC leaves out.
    """
    scores: dict[Triple, float] = {}
    for prediction in predictions:
        if prediction.score is None:
            return None
        scores.setdefault(prediction.triple, prediction.score)
    if not scores:
        return None
    labelled: dict[Triple, bool] = {}
    for document in documents:
        listed = document.triples() & scores.keys()
        labelled |= dict.fromkeys(listed, False) | dict.fromkeys(seen_among(document, listed, facts or ()), True)
    return rank(
        [np.sort(np.array(list(scores.values()), dtype=np.float64))],
        np.array([scores[triple] for triple in labelled], dtype=np.float64),
        np.array(list(labelled.values()), dtype=np.bool_),
        gold=sum(len(document.triples()) for document in documents),
    )


def _shifted(cumulative: _Numbers) -> _Numbers:
    """The sums as they stood before each step."""
    return np.concatenate([[0.0], cumulative[:-1]]) if len(cumulative) else cumulative
