"""What the audit finds in a table, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

import statistics
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from printed_rows import PUBLISHED, kinds, of_kind, row

from bench.analysis.audit import audit_published, audit_rows
from bench.analysis.metrics import PRINTED
from bench.analysis.published import Evidence, Printed, Publication, Published
from bench.metrics.official import Counts


@st.composite
def parts_of_seed(draw, gold):
    """Counts of the five most frequent relations, the next five, and the rest, for one seed."""
    counts = []
    for labels in gold:
        correct = draw(st.integers(0, labels))
        counts.append(Counts(correct, correct + draw(st.integers(0, 300)), labels, draw(st.integers(0, correct))))
    return counts


@st.composite
def tables(draw):
    """Rows of one to three models over one to five seeds, rounded to two digits: whole split and strict slices."""
    gold = draw(st.tuples(*[st.integers(0, 300)] * 3))
    ddof = draw(st.sampled_from([0, 1]))
    rows = []
    for model in range(draw(st.integers(1, 3))):
        seeds = draw(st.lists(parts_of_seed(gold), min_size=1, max_size=5))
        rows += model_rows(f"M{model}", seeds, ddof)
    return rows


def model_rows(model, seeds, ddof=1, slices=("all", "top-5", "all-but-top-5", "top-10", "all-but-top-10")):
    members = {"all": (0, 1, 2), "top-5": (0,), "all-but-top-5": (1, 2), "top-10": (0, 1), "all-but-top-10": (2,)}
    for name in slices:
        totals = [sum((parts[i] for i in members[name]), Counts()) for parts in seeds]
        values = {metric.name: [getattr(total, metric.name) for total in totals] for metric in PRINTED}
        deviation = statistics.stdev if ddof else statistics.pstdev
        scores = {
            metric: Printed(two_digits(statistics.fmean(v)), two_digits(deviation(v)) if len(v) > 1 else None)
            for metric, v in values.items()
        }
        yield row(model=model, slice=name, scores=scores, seeds=len(seeds))


def two_digits(value: float) -> Decimal:
    return Decimal(f"{value:.2f}")


@settings(deadline=None, max_examples=100)
@given(tables())
def test_tables_of_true_counts_never_alarm(rows):
    # Two models may well have the same counts here: that they repeat each other is then true.
    assert [kind for kind in kinds(rows) if kind != "repeated-row"] == []


def random_parts(generator, gold, quality):
    correct = generator.binomial(gold, quality)
    predicted = correct + generator.binomial(gold, 0.3)
    return [Counts(int(c), int(p), g, int(c) // 10) for c, p, g in zip(correct, predicted, gold, strict=True)]


SLICES = ("top-5", "all-but-top-5", "top-10", "all-but-top-10")


def random_table(generator, released=False, seeds=5, slices=SLICES):
    gold = generator.integers(300, 2000, size=3).tolist()
    rows = []
    for model in range(3):
        parts = [random_parts(generator, gold, generator.uniform(0.4, 0.9)) for _ in range(seeds)]
        if released:
            everything = [sum(p.predicted for p in of_seed) for of_seed in parts]
            strict = list(model_rows(f"M{model}", parts, slices=slices))
            rows += [as_released(r, parts, everything) if r.slice != "all" else r for r in strict]
        else:
            rows += model_rows(f"M{model}", parts, slices=slices)
    return rows


def as_released(strict, parts, predicted):
    members = {"top-5": (0,), "all-but-top-5": (1, 2), "top-10": (0, 1), "all-but-top-10": (2,)}[strict.slice]
    values = [100 * sum(p[i].correct for i in members) / all_ for p, all_ in zip(parts, predicted, strict=True)]
    precision = Printed(two_digits(statistics.fmean(values)), two_digits(statistics.stdev(values)))
    return replace(strict, scores={"precision": precision})


def test_slices_divided_by_their_own_predictions_do_not_alarm_without_the_overall_row():
    generator = np.random.default_rng(0)
    assert [kinds(random_table(generator)) for _ in range(60)] == [[]] * 60


@pytest.mark.parametrize("slices", [SLICES, ("all", *SLICES), ("all", "top-10", "all-but-top-10")])
def test_slices_divided_by_all_predictions_are_found(slices):
    generator = np.random.default_rng(1)
    for _ in range(20):
        alarms = kinds(random_table(generator, released=True, slices=slices))
        assert alarms.count("slice-precisions-sum") == 3


def test_one_models_sums_alone_prove_nothing():
    generator = np.random.default_rng(2)
    rows = [r for r in random_table(generator, released=True) if r.model == "M0"]
    assert kinds(rows) == []


@pytest.mark.parametrize(
    "precisions",
    [
        [(50, 50, 50, 50), (50, 50, 50, 50)],  # no slice differs from another
        [(60, 40, 70, 30), (55, 45, 65, 35)],  # both models have the same sum
        [(90, 80, 85, 85), (90, 70, 85, 75)],  # no precision is above 100
        [(60, 0, 40, 20), (70, 0, 50, 20)],  # the sum is that of one slice
    ],
)
def test_sums_that_are_no_overall_precision_prove_nothing(precisions):
    named = ("top-5", "all-but-top-5", "top-10", "all-but-top-10")
    rows = [
        row(model=f"M{i}", slice=name, p=f"{p:.2f} 0.10")
        for i, of_model in enumerate(precisions)
        for name, p in zip(named, of_model, strict=True)
    ]
    assert kinds(rows) == []


def test_a_slice_without_a_right_prediction_proves_nothing():
    rows = [row(p="50.00", r="50.00"), row(p="50.00", slice="top-10"), row(p="0.00", slice="all-but-top-10")]
    assert kinds(rows) == []


# Each rule


def test_seeds_that_vary_lower_the_mean_f1():
    # Two seeds of P 90, R 10 and P 10, R 90: both have F1 18, though 2PR/(P + R) of the means is 50.
    assert kinds([row(f1="18.00 0.00", p="50.00 56.57", r="50.00 56.57", seeds=2)]) == []


def test_one_seed_that_went_wrong_is_no_finding():
    # Recall 5 in all five seeds; precision 50, but 0.1 in the one that predicts everything.
    precision, f1 = [50.0] * 4 + [0.1], [2 * p * 5 / (p + 5) for p in [50.0] * 4 + [0.1]]
    printed = [f"{statistics.fmean(v):.2f} {statistics.stdev(v):.2f}" for v in (f1, precision)]
    assert kinds([row(f1=printed[0], p=printed[1], r="5.00 0.00")]) == []


@pytest.mark.parametrize(("f1", "expected"), [("60.00", []), ("60.01", []), ("60.03", ["f1-not-of-p-and-r"])])
def test_one_seeds_f1_may_be_off_by_its_rounding_alone(f1, expected):
    assert kinds([row(f1=f1, p="50.00", r="75.00", seeds=1)]) == expected


def test_no_deviation_excuses_an_f1_above_that_of_the_means():
    assert kinds([row(f1="60.10", p="50.00 9.00", r="75.00 9.00")]) == ["f1-not-of-p-and-r"]


def test_an_f1_below_is_excused_by_seeds_that_vary_but_not_by_any():
    assert kinds([row(f1="59.90", p="50.00 3.00", r="75.00 3.00")]) == []
    assert kinds([row(f1="59.90", p="50.00 0.10", r="75.00 0.10")]) == ["f1-not-of-p-and-r"]


def test_fewer_digits_allow_more():
    assert kinds([row(f1="60", p="51", r="74", seeds=1)]) == []
    assert kinds([row(f1="60.00", p="51.00", r="74.00", seeds=1)]) == ["f1-not-of-p-and-r"]


@pytest.mark.parametrize(
    ("std", "expected"), [("0.50", []), ("0.10", []), ("0.90", ["deviation-of-f1"]), ("0.00", [])]
)  # fmt: skip
def test_f1_varies_no_more_than_precision_and_recall_let_it(std, expected):
    assert kinds([row(f1=f"60.00 {std}", p="60.00 0.50", r="60.00 0.50")]) == expected


def test_f1_varies_at_least_as_their_difference_makes_it():
    assert kinds([row(f1="60.00 0.10", p="60.00 2.00", r="60.00 0.50")]) == ["deviation-of-f1"]


def test_rows_without_precision_or_recall_are_not_judged_by_them():
    assert kinds([row(f1="90.00 5.00", p="10.00 0.10"), row(model="N", f1="90.00", r="10.00")]) == []


@pytest.mark.parametrize(
    ("ign", "expected"), [("79.90", []), ("80.11", []), ("80.1", []), ("80.12", ["ign-f1-above-f1"])]
)
def test_ign_f1_may_exceed_f1_by_rounding_alone(ign, expected):
    assert kinds([row(f1="80.10", ign_f1=ign)]) == expected


def test_a_row_in_two_tables_is_one_measurement():
    first = row(f1="79.82 0.10", p="80.00 0.20", r="79.64 0.20")
    (finding,) = audit_rows([first, replace(first, table="2")])
    assert (finding.kind, finding.severity) == ("repeated-row", "note")


def test_the_same_numbers_under_another_name_or_deviation_are_warned_of():
    first = row(f1="79.82 0.10", p="80.00 0.20", r="79.64 0.20")
    other = row(f1="79.82 0.12", p="80.00 0.20", r="79.64 0.20", table="2")
    for second in (replace(first, model="N"), other):
        (finding,) = audit_rows([first, second])
        assert (finding.kind, finding.severity) == ("repeated-row", "warning")


def test_models_that_find_nothing_do_not_repeat_each_other():
    nothing = row(f1="0.00", ign_f1="0.00", p="0.00", r="0.00", seeds=1)
    assert kinds([nothing, replace(nothing, model="N")]) == []


def test_one_source_contradicts_itself_beyond_rounding_another_when_far():
    first = row(f1="80.10")
    assert kinds([first, row(f1="80.3", table="2")]) == ["places-disagree"]
    assert kinds([first, row(f1="80.1", table="2")]) == []
    assert kinds([first, row(f1="80.55", source="t")]) == []
    assert kinds([first, row(f1="80.65", source="t")]) == ["places-disagree"]


@pytest.mark.parametrize(
    ("encoders", "severities"),
    [
        ({"A": "base", "B": "base"}, []),
        ({"A": "base", "B": "large"}, ["error"]),
        ({"A": "base", "B": "unstated"}, ["warning"]),
        ({"A": "unstated", "B": "unstated"}, ["note"]),
    ],
)
def test_models_with_other_encoders_are_found(encoders, severities):
    rows = tuple(row(model=model, encoder=encoder, f1="8") for model, encoder in encoders.items())
    assert [f.severity for f in of_kind(audit_published(Published(PUBLISHED, rows)), "mixed-encoders")] == severities


def test_every_model_with_every_encoder_is_a_comparison_of_encoders():
    rows = tuple(row(model=model, encoder=encoder, f1="8") for model in "AB" for encoder in ("base", "large"))
    assert audit_published(Published(PUBLISHED, rows)) == []


def known(**changed) -> tuple[Publication, ...]:
    fields = {"tables": ("1",), "setting": "human", "model": "M", "where": "their script"}
    return (Publication(source="s", evidence=(Evidence(**(fields | changed)),)),)


def test_as_many_seeds_as_claimed_are_no_finding():
    rows = (row(f1="80.10", seeds=3),)
    assert audit_published(Published(PUBLISHED, rows, known(seeds=(1, 2, 3)))) == []
    (finding,) = audit_published(Published(PUBLISHED, rows, known(seeds=(1, 2))))
    assert (finding.kind, finding.numbers) == ("fewer-seeds", {"claimed": 3, "found": 2})
    assert "their script" in finding.what


def test_a_single_run_is_told_by_three_scores_and_a_deviation():
    run = {"f1": 79.8196, "precision": 80.001, "recall": 79.639}
    printed = row(f1="79.82 0.10", p="80.00 0.10", r="79.64 0.10")
    assert [f.kind for f in audit_published(Published(PUBLISHED, (printed,), known(scores=run)))] == ["single-run"]
    for other in (row(f1="79.82", p="80.00", r="79.64"), row(f1="79.81 0.10", p="80.00 0.10", r="79.64 0.10")):
        assert audit_published(Published(PUBLISHED, (other,), known(scores=run))) == []


def test_a_deviation_of_one_seed_is_found():
    assert [f.kind for f in audit_published(Published(PUBLISHED, (row(f1="80.10 0.20", seeds=1),)))] == ["fewer-seeds"]
