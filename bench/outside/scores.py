"""Scores that others give with their predictions: for AUC, a precision-recall curve and margins to look at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.documents import Document, Fact
from bench.metrics.submission import Prediction

if TYPE_CHECKING:
    from bench.metrics.ranking import Ranking

AGAINST = "the lowest score of the file, since only predicted triples are listed"


def has_scores(rows: Sequence[Prediction]) -> bool:
    """Whether every row has a score."""
    return bool(rows) and all(row.score is not None for row in rows)


def keep_scores(
    run: Path,
    split: str,
    rows: Sequence[Prediction],
    documents: Sequence[Document],
    relations: Sequence[str],
    facts: Collection[Fact] | None,
) -> Ranking | None:
    """Keep the scores of all rows beside the predictions of a run, and return them as a ranking.

    A row's margin is what its score is above the lowest of the file: everything that is listed is predicted. Rows of
    documents, entities or relations that there are not have no place among triples and are left out of them.
    The ranking has no highest margin, which would be one over a threshold that nobody knows.
    """
    import numpy as np

    from bench.metrics.ranking import rank_predictions
    from bench.runs.triple_scores import SplitScores, scores_path, write_scores

    ranking = rank_predictions(rows, documents, facts)
    if ranking is None:
        return None
    place = {document.title: at for at, document in enumerate(documents)}
    column = {relation: at for at, relation in enumerate(relations)}
    scored: dict[tuple[int, int, int, int], float] = {}
    for row in rows:
        at = place.get(row.title)
        known = at is not None and max(row.head, row.tail) < len(documents[at].entities) and row.relation in column
        if at is not None and known and row.score is not None:
            scored.setdefault((at, row.head, row.tail, column[row.relation]), row.score)
    lowest = min(row.score for row in rows if row.score is not None)
    values = np.array([(score, lowest) for score in scored.values()], dtype=np.float32).reshape(-1, 2)
    triples = np.array(list(scored), dtype=np.int32).reshape(-1, 4)
    about = SplitScores(AGAINST, decides=False, documents={}, curve=ranking.points())
    write_scores(scores_path(run, split), triples, values, None, about)
    return replace(ranking, highest=None)
