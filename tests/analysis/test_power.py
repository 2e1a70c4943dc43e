"""The simulated power of a comparison, `benchmarks/power.py`, beside what theory says where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from power import SHIFTS, as_far_as_known, four_in_five, shares
from scipy import stats as theory

from bench.analysis.stats import Bootstrap

NO_ERROR = Bootstrap(0.0, 0.0, 0.0, 1.0, 0.0, 1e-9, 500)
"""Documents that add nothing to what varies with the seed."""


@pytest.mark.parametrize("seeds", [5, 20])
def test_of_seeds_alone_the_power_is_that_of_students_test(seeds):
    found = shares([1.0, 1.0], NO_ERROR, seeds, 1500)
    df = 2 * seeds - 2
    critical = theory.t.ppf(0.975, df)
    for shift, share in zip(SHIFTS, found, strict=True):
        theirs = theory.nct(df, shift / (2 / seeds) ** 0.5)
        below = theirs.cdf(-critical)  # NaN where it is next to nothing (SciPy 1.17)
        wanted = theirs.sf(critical) + (0.0 if np.isnan(below) else below)
        assert share == pytest.approx(wanted, abs=0.04)


def test_what_documents_add_is_found_less():
    noisy = Bootstrap(0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 500)
    assert shares([1.0, 1.0], noisy, 5, 500)[4] < shares([1.0, 1.0], NO_ERROR, 5, 500)[4] - 0.1


def test_the_shift_that_is_found_four_times_in_five():
    found = [0.05, 0.1, 0.3, 0.7, 0.9, *[1.0] * (len(SHIFTS) - 5)]
    assert four_in_five(found) == f"{(SHIFTS[3] + SHIFTS[4]) / 2:.1f}" == "1.8"
    assert four_in_five([0.1] * len(SHIFTS)) == "over 10.0"


def test_deviations_of_a_few_seeds_leave_open_how_much_would_be_found():
    few, many = ([[40.0, 41.0, 42.0] * n, [40.5, 41.5, 42.5] * n] for n in (1, 10))
    spread = [high / low for low, high in (as_far_as_known(scores, NO_ERROR) for scores in (few, many))]
    assert spread[0] == pytest.approx((theory.chi2.ppf(0.975, 2) / theory.chi2.ppf(0.025, 2)) ** 0.5, rel=0.02)
    assert spread[1] < 2
