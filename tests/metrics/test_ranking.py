"""Areas and curves against the definition written out: one threshold after another, every candidate looked at."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.documents import Document, Label, Mention
from bench.metrics.ranking import Ranking, rank, rank_predictions
from bench.metrics.submission import Prediction

SCORES = st.sampled_from([-np.inf, -3.5, -1.0, -0.25, 0.0, 0.5, 1.0, 1.5, 2.0, 7.25, np.inf])
"""Few, so that equal ones are common; exact in float32."""

Candidate = tuple[float, bool, bool]
"""Score, whether it is labelled, whether it is among the facts."""


@st.composite
def candidates(draw) -> list[Candidate]:
    rows = draw(st.lists(st.tuples(SCORES, st.booleans(), st.booleans()), max_size=40))
    return [(score, labelled, labelled and seen) for score, labelled, seen in rows]


def ranking_of(rows: list[Candidate], gold: int, parts: int = 1) -> Ranking:
    scores = np.array([score for score, _, _ in rows], dtype=np.float32)
    labelled = np.array([row[1] for row in rows], dtype=bool)
    seen = np.array([row[2] for row in rows], dtype=bool)
    return rank([np.sort(part) for part in np.array_split(scores, parts)], scores[labelled], seen[labelled], gold)


def points(rows: list[Candidate], gold: int, ign: bool) -> list[tuple[float, float]]:
    """Recall and precision, fractions, of predicting all that score at least s, for each distinct score s, falling."""
    curve = []
    for level in sorted({score for score, _, _ in rows}, reverse=True):
        chosen = [row for row in rows if row[0] >= level]
        correct, seen = sum(row[1] for row in chosen), sum(row[2] for row in chosen) if ign else 0
        precision = (correct - seen) / (len(chosen) - seen) if correct > seen else 0.0
        curve.append((correct / gold, precision))
    return curve


def area(curve: list[tuple[float, float]]) -> float:
    return sum((x - before) * (y + y_before) / 2 for (before, y_before), (x, y) in pairwise(curve))


@given(candidates(), st.integers(0, 5), st.integers(1, 4), st.booleans())
def test_the_area_is_that_of_the_trapezoids_over_all_distinct_scores(rows, unreachable, parts, ign):
    gold = sum(labelled for _, labelled, _ in rows) + unreachable
    ranking = ranking_of(rows, gold, parts)
    expected = 0.0
    if rows and gold:
        curve = points(rows, gold, ign)
        expected = area([(0.0, curve[0][1]), *curve])
    assert (ranking.ign_auc if ign else ranking.auc) == pytest.approx(100 * expected)


@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_without_equal_scores_it_is_docreds_area_and_the_rectangle_that_this_leaves_out(order, labelled):
    """Their program: sorted by score, a point at every rank, trapezoids from the first point on."""
    rows = [(float(score), is_labelled, False) for score, is_labelled in zip(order, labelled, strict=True)]
    gold = max(sum(labelled), 1)
    correct, curve = 0, []
    for at, (_, is_labelled, _) in enumerate(sorted(rows, reverse=True)):
        correct += is_labelled
        curve.append((correct / gold, correct / (at + 1)))
    rectangle = curve[0][0] * curve[0][1]
    assert ranking_of(rows, gold).auc == pytest.approx(100 * (area(curve) + rectangle))


@pytest.mark.parametrize("scores", [(3.0, 2.0), (1.0, 1.0)], ids=["different", "equal"])
def test_all_labels_before_everything_else_have_an_area_of_one_hundred(scores):
    rows = [(scores[0], True, False), (scores[1], True, False), (0.0, False, False)]
    assert ranking_of(rows, 2).auc == 100.0


def test_labels_that_are_no_candidates_end_the_curve_before_full_recall():
    ranking = ranking_of([(1.0, True, False)], gold=4)
    assert ranking.auc == 25.0
    assert ranking.points().tolist() == [[25.0, 100.0, 1.0]]


def test_the_order_in_which_equal_scores_are_listed_changes_nothing():
    rows = [(1.0, True, False), (1.0, False, False), (0.0, True, False), (0.0, False, False)]
    assert ranking_of(rows, 2).auc == ranking_of(rows[::-1], 2).auc == 50.0


@given(candidates(), st.integers(2, 5))
def test_points_of_the_curve_are_real_ones_with_the_first_and_the_last(rows, most):
    gold = max(sum(labelled for _, labelled, _ in rows), 1)
    shown = ranking_of(rows, gold).points(most).tolist()
    known = [(100 * recall, 100 * precision) for recall, precision in points(rows, gold, ign=False)] if rows else []
    levels = sorted({score for score, labelled, _ in rows if labelled}, reverse=True)
    assert len(shown) == min(most, len(levels))
    assert all(any((r, p) == pytest.approx(point) for point in known) for r, p, _ in shown)
    if levels:
        assert [shown[0][2], shown[-1][2]] == [levels[0], levels[-1]]


def test_the_highest_score_is_the_highest_finite_one():
    assert ranking_of([(np.inf, False, False), (2.0, False, False), (-np.inf, True, False)], 1).highest == 2.0
    assert ranking_of([], 1).highest is None


def test_a_submission_is_ranked_by_the_first_row_of_each_triple_with_unknown_titles_as_wrong():
    names = [(Mention(0, i, i + 1, name, "PER"),) for i, name in enumerate("abc")]
    document = Document("d", (("a", "b", "c"),), tuple(names), (Label(0, 1, "P1"), Label(1, 2, "P1")))
    rows = [
        Prediction("d", 0, 1, "P1", score=0.9),
        Prediction("no such", 0, 1, "P1", score=0.8),
        Prediction("d", 1, 2, "P1", score=0.7),
        Prediction("d", 0, 1, "P1", score=0.1),
    ]
    ranking = rank_predictions(rows, [document], frozenset({("b", "c", "P1")}))
    assert ranking.auc == pytest.approx(100 * (1 / 2 + 1 / 2 * (1 / 2 + 2 / 3) / 2))
    assert ranking.ign_auc == pytest.approx(100 * (1 / 2 + 1 / 2 * (1 / 2 + 1 / 2) / 2))
    assert rank_predictions([rows[0], rows[1]._replace(score=None)], [document], None) is None
    assert rank_predictions([], [document], None) is None
