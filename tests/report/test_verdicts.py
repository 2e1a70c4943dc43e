"""What tables claim of rows, against scipy and by simulation."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_ind_from_stats

from bench.analysis.published import Printed
from bench.analysis.stats import holm
from bench.report.tables.verdicts import against, signed, verdicts

FAR = [[70.1, 70.3, 69.9], [60.2, 60.0, 60.1], [50.1, 49.8, 50.0]]


def marks(rows: list[list[float]]) -> list[str]:
    return [verdict.mark for verdict in verdicts(rows)]


def bold(rows: list[list[float]]) -> list[bool]:
    return [verdict.bold for verdict in verdicts(rows)]


def test_bold_is_the_best_and_what_is_within_its_deviation():
    assert bold([[80.0, 82.0], [79.7, 79.7], [79.5, 79.5], [60.0, 60.1]]) == [True, True, False, False]


def test_the_best_of_one_seed_has_no_deviation_to_be_within():
    assert bold([[80.0], [79.9]]) == [True, False]


def test_a_row_that_beats_all_others_is_told_from_one_that_is_only_not_beaten():
    assert marks(FAR) == ["‡", "", ""]
    assert marks([[70.0, 72.0, 71.0], [70.5, 71.5, 70.9], [50.1, 49.8, 50.0]]) == ["†", "†", ""]


def test_marks_are_those_of_welch_tests_corrected_by_holm_over_all_pairs():
    generator = np.random.default_rng(3)
    rows = [list(generator.normal(mean, 0.8, 5)) for mean in (70, 70.8, 71.5, 72.5, 69)]
    pairs = list(combinations(range(5), 2))
    adjusted = holm([ttest_ind(rows[a], rows[b], equal_var=False).pvalue for a, b in pairs])
    beaten = {
        a if np.mean(rows[a]) < np.mean(rows[b]) else b for (a, b), p in zip(pairs, adjusted, strict=True) if p < 0.05
    }
    assert [bool(mark) for mark in marks(rows)] == [i not in beaten for i in range(5)]


def test_a_row_that_no_test_could_be_made_of_has_no_mark():
    assert marks([[70.0, 70.6, 69.4], [75.4]]) == ["", ""]
    assert marks([[40.0] * 3, [50.0] * 3]) == ["", ""]


def test_a_row_of_one_seed_is_neither_marked_nor_beaten():
    assert marks([[90.0], [70.0, 70.1, 70.2], [50.0, 50.1, 50.2]]) == ["", "†", ""]


@pytest.mark.parametrize("rows", [[], [[1.0, 2.0]], [[1.0, 2.0], []]])
def test_a_row_alone_is_not_called_best(rows):
    assert [(verdict.bold, verdict.mark) for verdict in verdicts(rows)] == [(False, "")] * len(rows)


def test_rows_that_do_not_differ_are_seldom_told_apart():
    generator = np.random.default_rng(0)
    trials = 400
    wrong = sum("" in marks(generator.normal(70, 1, (4, 5)).tolist()) for _ in range(trials))
    assert wrong / trials < 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)


def test_the_difference_from_a_published_value_is_welchs_of_the_summaries():
    ours = [81.2, 80.9, 81.7, 81.1, 81.4]
    compared = against(ours, Printed(Decimal("84.01"), Decimal("0.21")), 5)
    known = ttest_ind_from_stats(np.mean(ours), np.std(ours, ddof=1), 5, 84.01, 0.21, 5, equal_var=False)
    assert compared.p == pytest.approx(known.pvalue, rel=1e-9)
    assert compared.difference == pytest.approx(np.mean(ours) - 84.01)
    assert compared.verdict == "differs"


def test_a_published_value_within_reach_is_compatible_and_one_without_deviation_untested():
    ours = [81.2, 80.9, 81.7]
    assert against(ours, Printed(Decimal("81.30"), Decimal("0.40")), 5).verdict == "compatible"
    for printed, seeds in ((Printed(Decimal("81.30")), 5), (Printed(Decimal("81.30"), Decimal("0.40")), None)):
        assert against(ours, printed, seeds).verdict == "untested"
    assert against([81.2], Printed(Decimal("81.30"), Decimal("0.40")), 5).verdict == "untested"


def test_a_negative_number_has_a_minus_sign():
    assert (signed(-1.234), signed(0.5)) == ("−1.23", "+0.50")
