"""The statistics against scipy, closed forms, a loop over documents, and the share of false positives."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.stats import (
    Summary,
    Welch,
    detectable,
    holm,
    over_both,
    paired_bootstrap,
    permutation,
    randomization,
    sample_std,
    score,
    summarize,
    welch,
    welch_of_summaries,
)
from bench.metrics.official import Counts

METRICS = ("f1", "ign_f1", "precision", "recall")
A = [75.1, 74.3, 76.0, 75.5, 74.8]
B = [73.0, 74.9, 73.4, 72.8, 74.1]


def system(generator, gold, seeds=1, recall=0.6, wrong=0.2):
    """[seeds, documents, 4] of a system that finds each label with probability `recall`."""
    correct = generator.binomial(gold, recall, size=(seeds, len(gold)))
    predicted = correct + generator.binomial(gold, wrong, size=correct.shape)
    seen = generator.binomial(correct, 0.2)
    return np.stack([correct, predicted, np.broadcast_to(gold, correct.shape), seen], axis=-1)


@st.composite
def any_counts(draw):
    predicted, gold = draw(st.integers(0, 1000)), draw(st.integers(0, 1000))
    correct = draw(st.integers(0, min(predicted, gold)))
    return Counts(correct, predicted, gold, draw(st.integers(0, correct)))


def as_row(counts):
    return [counts.correct, counts.predicted, counts.gold, counts.correct_in_facts]


# Scores


@settings(deadline=None)
@given(st.lists(any_counts(), min_size=1, max_size=5), st.sampled_from(METRICS))
def test_scores_of_arrays_are_the_official_ones(several, metric):
    expected = [getattr(counts, metric) for counts in several]
    assert score(np.array([as_row(counts) for counts in several]), metric) == pytest.approx(expected, abs=1e-9)


def test_deviation_is_the_sample_deviation():
    assert sample_std([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert sample_std([1.0]) is None


# Seeds


def test_welch_is_scipys():
    ours, theirs = welch(A, B), scipy.stats.ttest_ind(A, B, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert (ours.t, ours.df, ours.p) == pytest.approx((theirs.statistic, theirs.df, theirs.pvalue))
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert ours.difference == pytest.approx(np.mean(A) - np.mean(B))


def test_welch_of_summaries_is_scipys():
    ours = welch_of_summaries(Summary(84.01, 0.21, 5), Summary(80.52, 0.43, 3))
    theirs = scipy.stats.ttest_ind_from_stats(84.01, 0.21, 5, 80.52, 0.43, 3, equal_var=False)
    assert (ours.t, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_welch_of_one_varying_side_is_the_one_sample_t_test_of_it():
    ours, theirs = welch(A, [74.0, 74.0]), scipy.stats.ttest_1samp(A, 74.0)
    assert (ours.t, ours.p, ours.df) == pytest.approx((theirs.statistic, theirs.pvalue, len(A) - 1))


@pytest.mark.parametrize(
    ("a", "b"), [(A, [73.0]), ([73.0], [74.0]), ([70.1] * 5, [60.1] * 5)], ids=["one seed", "two seeds", "no deviation"]
)
def test_there_is_no_welch_test_without_deviations(a, b):
    assert welch(a, b) is None


def test_there_is_no_welch_test_where_no_deviation_is_told():
    assert welch_of_summaries(Summary(80.0, None, 5), summarize(A)) is None


@pytest.mark.parametrize("b", [B, B[:3], [75.0, 75.1]])
def test_the_permutation_test_is_scipys_exact_one(b):
    theirs = scipy.stats.permutation_test(
        (A, b), lambda x, y: abs(np.mean(x) - np.mean(y)), n_resamples=np.inf, alternative="greater"
    )
    assert permutation(A, b).p == pytest.approx(theirs.pvalue)
    assert permutation(A, b).exact


def test_five_seeds_against_five_cannot_fall_below_0079():
    test = permutation([5, 6, 7, 8, 9], [0, 1, 2, 3, 4])
    assert test.p == test.floor == pytest.approx(2 / 252)
    assert round(test.floor, 4) == 0.0079


def test_the_permutation_test_of_two_against_two_by_hand():
    # Of the 6 splits of 1, 2, 3, 4 only {1, 2} and {3, 4} are 2 apart.
    assert permutation([1, 2], [3, 4]).p == pytest.approx(2 / 6)


def test_equal_scores_have_p_1():
    assert permutation([70.1, 70.2, 70.3], [70.3, 70.2, 70.1]).p == 1.0


def test_unequal_numbers_of_seeds_have_the_floor_of_one_split():
    test = permutation([9, 8], [1, 2, 3])
    assert test.p == test.floor == pytest.approx(1 / 10)


def test_splits_too_many_to_look_at_all_are_sampled():
    low, high = list(range(12)), list(range(100, 112))
    test = permutation(low, high, resamples=500)
    assert not test.exact
    assert test.p == test.floor == pytest.approx(1 / 501)
    middle = permutation(low, [x + 2 for x in low], resamples=2000)
    expected = scipy.stats.ttest_ind(low, [x + 2 for x in low]).pvalue
    assert middle.p == pytest.approx(expected, abs=0.05)


def test_no_seeds_have_no_permutation_test():
    assert permutation([], A) is None


# Documents


@pytest.mark.parametrize("metric", METRICS)
def test_the_bootstrap_is_that_of_a_loop_over_documents(metric):
    generator = np.random.default_rng(1)
    gold = generator.integers(1, 9, size=7)
    a, b = system(generator, gold, seeds=2), system(generator, gold, seeds=3)
    difference = []
    for drawn in np.random.default_rng(5).integers(7, size=(40, 7)):
        means = []
        for of_system in (a, b):
            totals = [sum((Counts(*map(int, seed[d])) for d in drawn), Counts()) for seed in of_system]
            means.append(np.mean([getattr(total, metric) for total in totals]))
        difference.append(means[0] - means[1])
    ours = paired_bootstrap(a, b, metric, resamples=40, seed=5)
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(difference, [0.025, 0.975])))


def test_the_bootstrap_interval_of_a_mean_is_the_normal_one():
    # One prediction per document makes precision a mean over documents, whose interval is known.
    generator = np.random.default_rng(2)
    ones = np.ones(400, dtype=int)
    a, b = (np.stack([generator.binomial(1, p, 400), ones, ones, ones * 0], axis=-1)[None] for p in (0.7, 0.6))
    difference = 100.0 * (a - b)[0, :, 0]
    margin = 1.96 * difference.std() / math.sqrt(400)
    ours = paired_bootstrap(a, b, "precision")
    assert ours.difference == pytest.approx(difference.mean())
    assert (ours.low, ours.high) == pytest.approx(
        (difference.mean() - margin, difference.mean() + margin), abs=margin / 10
    )


def test_the_randomization_test_is_that_of_all_assignments():
    generator = np.random.default_rng(3)
    gold = generator.integers(3, 12, size=8)
    a, b = system(generator, gold, recall=0.7), system(generator, gold, recall=0.5)
    observed = abs(score(a[0].sum(0), "f1") - score(b[0].sum(0), "f1"))
    extreme = 0
    for swap in itertools.product([False, True], repeat=8):
        first, second = (np.where(np.array(swap)[:, None], x, y).sum(axis=0) for x, y in ((b[0], a[0]), (a[0], b[0])))
        extreme += abs(score(first, "f1") - score(second, "f1")) >= observed - 1e-9
    assert randomization(a, b, "f1").p == pytest.approx(extreme / 2**8, abs=0.015)


def test_no_p_is_lower_than_the_resamples_can_tell():
    gold = np.full(100, 20)
    a, b = (system(np.random.default_rng(4), gold, recall=recall) for recall in (0.9, 0.1))
    for test, lowest in ((randomization, 1 / 100), (paired_bootstrap, 2 / 100)):
        found = test(a, b, "f1", resamples=99)
        assert found.p == found.floor == pytest.approx(lowest)


def test_the_same_predictions_do_not_differ():
    gold = np.arange(3, 23)
    a = system(np.random.default_rng(4), gold, seeds=3)
    test = paired_bootstrap(a, a, "f1", resamples=200)
    assert (test.difference, test.low, test.high, test.p) == (0.0, 0.0, 0.0, 1.0)
    assert randomization(a, a, "f1", resamples=200).p == pytest.approx(1.0)


def test_the_ratio_of_sums_decides_not_the_mean_of_the_documents():
    # A is perfect on 9 documents of one label and finds nothing of 100 labels in one; B the other way round.
    small, large = [[1, 1, 1, 0]] * 9, [[100, 100, 100, 0]]
    a = np.array([[*small, [0, 100, 100, 0]]])
    b = np.array([[*([[0, 1, 1, 0]] * 9), *large]])
    assert score(a[0], "f1").mean() > score(b[0], "f1").mean()
    assert paired_bootstrap(a, b, "f1", resamples=10).difference < 0


@pytest.mark.parametrize("test", [lambda a, b: paired_bootstrap(a, b, "f1"), lambda a, b: randomization(a, b, "f1")])
def test_the_same_seed_five_times_is_no_more_evidence_than_once(test):
    generator = np.random.default_rng(5)
    gold = generator.integers(5, 30, size=50)
    a, b = system(generator, gold, recall=0.62), system(generator, gold)
    five = test(np.repeat(a, 5, axis=0), np.repeat(b, 5, axis=0))
    assert five == test(a, b)


def test_resampling_repeats_exactly_and_depends_on_its_seed():
    generator = np.random.default_rng(6)
    gold = generator.integers(5, 30, size=40)
    a, b = system(generator, gold, seeds=2), system(generator, gold, seeds=4)
    assert paired_bootstrap(a, b, "f1", 1500) == paired_bootstrap(a, b, "f1", 1500)
    assert paired_bootstrap(a, b, "f1", 1500) != paired_bootstrap(a, b, "f1", 1500, seed=1)
    assert randomization(a, b, "f1", 1500) == randomization(a, b, "f1", 1500)


@pytest.mark.parametrize("shape", [(2, 5, 4), (5, 4), (2, 6, 3), (0, 6, 4)])
def test_counts_of_other_documents_are_refused(shape):
    with pytest.raises(ValueError, match="of the same documents"):
        paired_bootstrap(np.ones((2, 6, 4)), np.ones(shape), "f1")


# What the tests promise: no more than 5 % false positives


def false_positives(test, trials, alpha=0.05):
    generator = np.random.default_rng(7)
    return sum(test(generator) < alpha for _ in range(trials)) / trials


def equal_systems(generator, seeds):
    gold = generator.integers(5, 40, size=60)
    return (system(generator, gold, n) for n in seeds)


# 400 trials have a standard error of 1.1 points around 5 %.
@pytest.mark.parametrize("seeds", [(1, 1), (3, 3), (3, 1)])
def test_randomization_is_wrong_about_equal_systems_one_time_in_twenty(seeds):
    rate = false_positives(lambda g: randomization(*equal_systems(g, seeds), "f1", resamples=300).p, 400)
    assert 0.02 <= rate <= 0.085


def test_the_bootstrap_is_wrong_about_equal_systems_about_one_time_in_twenty():
    def test(generator):
        result = paired_bootstrap(*equal_systems(generator, (2, 2)), "f1", resamples=300)
        assert (result.low > 0 or result.high < 0) <= (result.p < 0.06)
        return result.p

    assert 0.02 <= false_positives(test, 400) <= 0.085


def test_tests_over_seeds_are_wrong_about_equal_models_one_time_in_twenty():
    draw = lambda g: (g.normal(75, 1.0, 5), g.normal(75, 1.0, 5))  # noqa: E731
    assert 0.02 <= false_positives(lambda g: welch(*draw(g)).p, 400) <= 0.085
    assert 0.02 <= false_positives(lambda g: permutation(*draw(g)).p, 400) <= 0.085


def test_welch_holds_where_the_deviations_differ():
    rate = false_positives(lambda g: welch(g.normal(75, 3.0, 3), g.normal(75, 0.5, 8)).p, 400)
    assert 0.02 <= rate <= 0.085


# Many comparisons


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_of_one_is_its_p():
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_lowers(p):
    adjusted = holm(p)
    assert all(0 <= before <= after <= 1 for before, after in zip(p, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(p, kind="stable")] == sorted(adjusted)


def test_holm_is_at_most_bonferronis():
    p = [0.001, 0.02, 0.5]
    assert all(ours <= min(1.0, 3 * raw) for ours, raw in zip(holm(p), p, strict=True))


# Seeds and documents drawn together


def seeds_and_documents(generator, seeds=5, of_seed=0.1, of_document=0.4, documents=60):
    """Two equal models on the same documents: counts whose rates vary with the seed, and with model and document."""
    gold = generator.integers(5, 40, size=documents)
    found = []
    for _ in range(2):
        logits = generator.normal(0.5, of_document, documents) + generator.normal(0, of_seed, (seeds, 1))
        correct = generator.binomial(gold, 1 / (1 + np.exp(-logits)))
        wrong = generator.binomial(gold, 0.2, correct.shape)
        found.append(np.stack([correct, correct + wrong, np.broadcast_to(gold, correct.shape), 0 * correct], axis=-1))
    return found


def over_seeds_and_documents(a, b):
    values = [score(counts.sum(axis=1), "f1").tolist() for counts in (a, b)]
    return welch(*values), paired_bootstrap(a, b, "f1", resamples=300)


def test_the_variance_over_both_is_that_of_seeds_and_that_of_documents():
    of_seeds, of_documents = over_seeds_and_documents(*seeds_and_documents(np.random.default_rng(8)))
    both = over_both(of_seeds, of_documents)
    assert both.difference == of_seeds.difference
    assert (both.difference / both.t) ** 2 == pytest.approx(of_seeds.error**2 + of_documents.error**2)
    # Clark's min F' from the two F ratios.
    f1, f2 = of_seeds.t**2, (of_seeds.difference / of_documents.error) ** 2
    assert both.t**2 == pytest.approx(f1 * f2 / (f1 + f2))
    assert both.p > of_seeds.p
    assert min(of_seeds.df, of_documents.documents - 1) <= both.df <= of_seeds.df + of_documents.documents - 1


@pytest.mark.parametrize("missing", [(True, False), (False, True)])
def test_nothing_is_said_over_both_where_one_is_not_known(missing):
    tests = over_seeds_and_documents(*seeds_and_documents(np.random.default_rng(8)))
    assert over_both(*(None if gone else test for test, gone in zip(tests, missing, strict=True))) is None


def test_one_of_the_two_alone_is_wrong_more_often_than_both_together():
    generator = np.random.default_rng(9)
    trials = [over_seeds_and_documents(*seeds_and_documents(generator)) for _ in range(300)]
    rates = [np.mean([p < 0.05 for p in tests]) for tests in zip(*((w.p, b.p) for w, b in trials), strict=True)]
    both = np.mean([over_both(*tests).p < 0.05 for tests in trials])
    # 300 trials have a standard error of 1.3 points around 5 %.
    assert min(rates) > 0.08 > both


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_over_both_nothing_is_said_that_seeds_alone_do_not_say(seeds):
    generator = np.random.default_rng(10)
    for of_seed in (0.01, 0.1, 0.4) * 5:
        of_seeds, of_documents = over_seeds_and_documents(*seeds_and_documents(generator, seeds, of_seed))
        both = over_both(of_seeds, of_documents)
        assert both.p >= of_seeds.p
        assert both.low <= of_seeds.low <= of_seeds.high <= both.high


@pytest.mark.parametrize(("n", "std"), [(5, 0.5), (10, 1.5)])
def test_what_is_called_detectable_is_found_four_times_in_five(n, std):
    generator = np.random.default_rng(5)
    # The error and degrees of freedom that there are on average.
    tested = Welch(0.0, -1.0, 1.0, 0.0, 2 * n - 2, 1.0, std * np.sqrt(2 / n))
    margin = scipy.stats.t.ppf(0.975, tested.df) * tested.error
    apart = detectable(dataclasses.replace(tested, low=-margin, high=margin))
    found = 0
    for _ in range(3000):
        test = welch(generator.normal(apart, std, n), generator.normal(0, std, n))
        found += test is not None and test.p < 0.05
    assert found / 3000 == pytest.approx(0.8, abs=0.03)
    # Twice the interval, twice the difference.
    assert detectable(dataclasses.replace(tested, low=-2 * margin, high=2 * margin)) == pytest.approx(2 * apart)
