"""Scores of numbers and of arrays: one definition, whichever way they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics import arithmetic

# correct, predicted, gold, seen
COUNTS = [(8, 10, 16, 2), (0, 10, 16, 0), (0, 0, 16, 0), (0, 10, 0, 0), (0, 0, 0, 0), (3, 3, 3, 3)]


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (lambda c, p, g, s: arithmetic.precision(c, p), [80.0, 0.0, 0.0, 0.0, 0.0, 100.0]),
        (lambda c, p, g, s: arithmetic.recall(c, g), [50.0, 0.0, 0.0, 0.0, 0.0, 100.0]),
        (lambda c, p, g, s: arithmetic.f1(c, p, g), [1600 / 26, 0.0, 0.0, 0.0, 0.0, 100.0]),
        (lambda c, p, g, s: arithmetic.ign_precision(c, p, s), [75.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        # Of precision 75 and recall 50.
        (arithmetic.ign_f1, [60.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    ],
    ids=["precision", "recall", "f1", "ign precision", "ign f1"],
)
def test_scores_are_those_of_the_definitions_and_nothing_over_nothing(score, expected):
    assert [score(*counts) for counts in COUNTS] == pytest.approx(expected)
    assert score(*np.array(COUNTS, dtype=float).T) == pytest.approx(np.array(expected))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=5))
def test_the_harmonic_mean_of_arrays_is_that_of_their_numbers(pairs):
    a, b = np.array(pairs).T
    assert list(arithmetic.harmonic_mean(a, b)) == [arithmetic.harmonic_mean(float(x), float(y)) for x, y in pairs]


def test_arrays_keep_their_shape():
    counts = np.arange(24, dtype=float).reshape(2, 3, 4)
    assert arithmetic.f1(counts, counts + 1, counts + 2).shape == (2, 3, 4)
