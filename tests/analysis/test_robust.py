"""Measures that an odd seed does not move, against formulas that are not ours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from bench.analysis.robust import (
    improvement,
    interquartile_interval,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)

scores = st.lists(st.integers(0, 10_000).map(lambda n: n / 100), min_size=1, max_size=12).map(np.array)


@given(scores)
def test_the_interquartile_mean_is_the_mean_trimmed_by_a_quarter_on_either_side(values):
    assert interquartile_mean(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25))


def test_one_odd_seed_does_not_move_the_interquartile_mean_of_five():
    assert interquartile_mean(np.array([70.0, 71.0, 72.0, 73.0, 74.0])) == pytest.approx(72.0)
    assert interquartile_mean(np.array([70.0, 71.0, 72.0, 73.0, 0.0])) == pytest.approx(71.0)
    assert interquartile_mean(np.array([[1.0, 3.0], [2.0, 2.0]])).tolist() == [2.0, 2.0]


@given(scores, scores)
def test_the_probability_of_improvement_is_mann_and_whitneys_u_over_all_pairs(a, b):
    u = scipy_stats.mannwhitneyu(a, b).statistic
    assert probability_of_improvement(a, b) == pytest.approx(u / (len(a) * len(b)))
    assert probability_of_improvement(a, b) + probability_of_improvement(b, a) == pytest.approx(1)


@given(scores, scores)
def test_the_interval_of_improvement_holds_it_turns_with_the_systems_and_never_is_certain(a, b):
    found = improvement(a, b)
    if min(len(a), len(b)) < 2:
        assert found is None
        return
    turned = improvement(b, a)
    assert found is not None
    assert turned is not None
    assert 0 <= found.low <= found.probability + 1e-9
    assert found.probability - 1e-9 <= found.high <= 1
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-6)
    assert found.high - found.low > 0.02


@pytest.mark.parametrize("probability", [0.5, 0.8, 0.95])
def test_of_five_seeds_nineteen_in_twenty_intervals_of_improvement_hold_the_truth(probability):
    generator = np.random.default_rng(3)
    apart = np.sqrt(2) * scipy_stats.norm.ppf(probability)
    held = 0
    for _ in range(600):
        found = improvement(generator.normal(size=5) + apart, generator.normal(size=5))
        assert found is not None
        held += found.low <= probability <= found.high
    assert 0.92 < held / 600 < 0.985


@given(scores, st.lists(st.floats(-1, 101), min_size=1, max_size=5).map(np.array))
def test_a_profile_is_one_less_the_empirical_distribution(values, thresholds):
    expected = 1 - scipy_stats.ecdf(values).cdf.evaluate(thresholds)
    assert performance_profile(values, thresholds) == pytest.approx(expected)


def test_the_interval_of_the_interquartile_mean_is_of_seeds_drawn_within_each_task():
    generator = np.random.default_rng(0)
    one, two = generator.normal(50, 1, 200), generator.normal(80, 1, 200)
    low, high = interquartile_interval([one, two])
    # Were seeds drawn from both together, their shares would vary, and the middle half with them.
    assert high - low < 1.5
    alone = interquartile_interval([one])
    again = scipy_stats.bootstrap(
        (one,), lambda x, axis: scipy_stats.trim_mean(x, 0.25, axis=axis), method="percentile"
    )
    assert alone == pytest.approx((again.confidence_interval.low, again.confidence_interval.high), abs=0.02)
    assert interquartile_interval([one, np.array([3.0])]) is None
    assert interquartile_interval([]) is None
    assert interquartile_interval([one]) == alone
