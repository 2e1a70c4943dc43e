"""The audit finds what is known to be wrong with the published tables, and nothing where nothing is wrong."""

from __future__ import annotations

import csv
import json
import statistics
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import plan, record, split_record, write

from bench.aggregate import Cell
from bench.audit import KINDS, audit_published, audit_rows
from bench.audit.records import audit_records, cells_apart, record_rows
from bench.metrics.official import Counts
from bench.published import METRICS, Evidence, Printed, Published, Source, TableRow, read_published

PUBLISHED = Path(__file__).resolve().parents[1] / "results" / "published"


def row(f1=None, ign_f1=None, p=None, r=None, seeds=5, **changed) -> TableRow:
    """A row; a score is `"80.1"` or `"80.1 0.2"` with its deviation."""
    given = zip(METRICS, (f1, ign_f1, p, r), strict=True)
    fields = {
        "source": "s", "table": "1", "dataset": "d", "split": "test", "slice": "all", "setting": "human", "model": "M",
        "variant": "", "encoder": "e", "seeds": seeds,
        "scores": {metric: Printed(*map(Decimal, text.split())) for metric, text in given if text is not None},
    }  # fmt: skip
    return TableRow(**(fields | changed))


def kinds(rows) -> list[str]:
    return [finding.kind for finding in audit_rows(rows)]


@pytest.fixture(scope="module")
def published() -> Published:
    return read_published(PUBLISHED)


@pytest.fixture(scope="module")
def findings(published):
    return audit_published(published)


def of_kind(findings, kind, severity=None):
    return [f for f in findings if f.kind == kind and severity in (None, f.severity)]


# The published tables


def test_26_rows_have_an_f1_half_a_point_off(findings):
    rows: dict[tuple[str, ...], dict[str, float]] = {}
    with (PUBLISHED / "ttm_re_tables.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            key = tuple(line[name] for name in ("table", "setting", "model", "variant", "encoder", "split", "slice"))
            rows.setdefault(key, {})[line["metric"]] = float(line["mean"])
    off = []
    for scores in rows.values():
        p, r = scores["Precision"], scores["Recall"]
        if abs(scores["F1"] - 2 * p * r / (p + r)) > 0.5:
            off.append((scores["F1"], p, r))
    found = of_kind(findings, "f1-not-of-p-and-r", "error")
    assert [tuple(f.numbers[name] for name in ("f1", "precision", "recall")) for f in found] == off
    assert len(off) == 26


def test_rows_off_by_less_are_warnings(findings):
    smaller = of_kind(findings, "f1-not-of-p-and-r", "warning")
    assert len(smaller) == 8
    assert all(0.05 < abs(f.numbers["difference"]) <= 0.5 for f in smaller)


def test_two_rows_have_ign_f1_above_f1(findings):
    found = of_kind(findings, "ign-f1-above-f1", "error")
    assert [(f.numbers["f1"], f.numbers["ign_f1"]) for f in found] == [(41.83, 48.83), (79.24, 80.99)]


def test_the_slices_of_table_5_are_divided_by_all_predictions(findings):
    found = of_kind(findings, "slice-precisions-sum", "error")
    assert ["Table 5" in f.where for f in found] == [True] * 3
    (ssrpu,) = (f for f in found if "SSR-PU" in f.where)
    assert "53.41 (top-10) + 27.62 (all-but-top-10) = 81.03" in ssrpu.what
    assert "45.04 (top-5) + 35.99 (all-but-top-5) = 81.03" in ssrpu.what


def test_their_overall_precision_is_none_of_the_models_others(findings):
    (ssrpu,) = (f for f in of_kind(findings, "slice-precisions-sum") if "SSR-PU" in f.where)
    assert "none of the overall precisions of this model: 69.43 (human), 48.02 (distant), 74.24" in ssrpu.what


def test_only_table_4_mixes_encoders(findings):
    (found,) = of_kind(findings, "mixed-encoders")
    assert found.severity == "error"
    assert "Table 4" in found.where
    assert "PubMedBERT-base" in found.what
    assert "BiomedBERT-large" in found.what


def test_five_seeds_are_claimed_where_the_scripts_run_one(findings):
    found = of_kind(findings, "fewer-seeds")
    assert [f.numbers for f in found] == [{"claimed": 5, "found": 1}] * 5
    assert any("run_roberta_rank.sh" in f.what and "Table 3" in f.where for f in found)


def test_the_chemdisgene_row_is_a_single_run(findings):
    (found,) = of_kind(findings, "single-run", "error")
    assert "Table 4" in found.where
    assert round(found.numbers["f1"], 4) == 53.5857


def test_one_row_is_printed_four_times_with_three_deviations(findings):
    (found,) = of_kind(findings, "repeated-row", "warning")
    assert all(f"Table {n}" in found.what for n in (3, 7, 8, 9))
    assert all(f"± {std}" in found.what for std in ("0.21", "0.23", "0.17"))
    assert len(of_kind(findings, "repeated-row", "note")) == 3


def test_borrowed_rows_are_counted_by_table(findings):
    assert [f.numbers["borrowed"] for f in of_kind(findings, "borrowed-rows", "note")] == [7, 4]


def test_what_others_measured_is_held_against_the_paper(findings):
    found = of_kind(findings, "places-disagree")
    assert sorted(round(f.numbers["spread"], 2) for f in found) == [1.14, 1.34, 2.01]


def test_what_is_known_from_elsewhere_is_not_made_up(published):
    without = audit_published(replace(published, sources=()))
    assert (
        not of_kind(without, "fewer-seeds")
        + of_kind(without, "single-run")
        + of_kind(without, "mixed-encoders", "error")
    )
    assert len(of_kind(without, "f1-not-of-p-and-r", "error")) == 26


def test_every_kind_found_is_explained(findings):
    assert {f.kind for f in findings} <= KINDS.keys()


def test_the_gravest_come_first(findings):
    order = [("error", "warning", "note").index(f.severity) for f in findings]
    assert order == sorted(order)


# Nothing is found where nothing is wrong


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
        values = {metric: [getattr(total, metric) for total in totals] for metric in METRICS}
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
        found = kinds(random_table(generator, released=True, slices=slices))
        assert found.count("slice-precisions-sum") == 3


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


@pytest.mark.parametrize(("f1", "found"), [("60.00", []), ("60.01", []), ("60.03", ["f1-not-of-p-and-r"])])
def test_one_seeds_f1_may_be_off_by_its_rounding_alone(f1, found):
    assert kinds([row(f1=f1, p="50.00", r="75.00", seeds=1)]) == found


def test_no_deviation_excuses_an_f1_above_that_of_the_means():
    assert kinds([row(f1="60.10", p="50.00 9.00", r="75.00 9.00")]) == ["f1-not-of-p-and-r"]


def test_an_f1_below_is_excused_by_seeds_that_vary_but_not_by_any():
    assert kinds([row(f1="59.90", p="50.00 3.00", r="75.00 3.00")]) == []
    assert kinds([row(f1="59.90", p="50.00 0.10", r="75.00 0.10")]) == ["f1-not-of-p-and-r"]


def test_fewer_digits_allow_more():
    assert kinds([row(f1="60", p="51", r="74", seeds=1)]) == []
    assert kinds([row(f1="60.00", p="51.00", r="74.00", seeds=1)]) == ["f1-not-of-p-and-r"]


@pytest.mark.parametrize(
    ("std", "found"), [("0.50", []), ("0.10", []), ("0.90", ["deviation-of-f1"]), ("0.00", [])]
)  # fmt: skip
def test_f1_varies_no_more_than_precision_and_recall_let_it(std, found):
    assert kinds([row(f1=f"60.00 {std}", p="60.00 0.50", r="60.00 0.50")]) == found


def test_f1_varies_at_least_as_their_difference_makes_it():
    assert kinds([row(f1="60.00 0.10", p="60.00 2.00", r="60.00 0.50")]) == ["deviation-of-f1"]


def test_rows_without_precision_or_recall_are_not_judged_by_them():
    assert kinds([row(f1="90.00 5.00", p="10.00 0.10"), row(model="N", f1="90.00", r="10.00")]) == []


@pytest.mark.parametrize(("ign", "found"), [("79.90", []), ("80.11", []), ("80.1", []), ("80.12", ["ign-f1-above-f1"])])
def test_ign_f1_may_exceed_f1_by_rounding_alone(ign, found):
    assert kinds([row(f1="80.10", ign_f1=ign)]) == found


def test_a_row_in_two_tables_is_one_measurement():
    first = row(f1="79.82 0.10", p="80.00 0.20", r="79.64 0.20")
    (found,) = audit_rows([first, replace(first, table="2")])
    assert (found.kind, found.severity) == ("repeated-row", "note")


def test_the_same_numbers_under_another_name_or_deviation_are_warned_of():
    first = row(f1="79.82 0.10", p="80.00 0.20", r="79.64 0.20")
    other = row(f1="79.82 0.12", p="80.00 0.20", r="79.64 0.20", table="2")
    for second in (replace(first, model="N"), other):
        (found,) = audit_rows([first, second])
        assert (found.kind, found.severity) == ("repeated-row", "warning")


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


def known(**changed) -> tuple[Source, ...]:
    fields = {"tables": ("1",), "setting": "human", "model": "M", "where": "their script"}
    return (Source(source="s", evidence=(Evidence(**(fields | changed)),)),)


def test_as_many_seeds_as_claimed_are_no_finding():
    rows = (row(f1="80.10", seeds=3),)
    assert audit_published(Published(PUBLISHED, rows, known(seeds=(1, 2, 3)))) == []
    (found,) = audit_published(Published(PUBLISHED, rows, known(seeds=(1, 2))))
    assert (found.kind, found.numbers) == ("fewer-seeds", {"claimed": 3, "found": 2})
    assert "their script" in found.what


def test_a_single_run_is_told_by_three_scores_and_a_deviation():
    run = {"f1": 79.8196, "precision": 80.001, "recall": 79.639}
    printed = row(f1="79.82 0.10", p="80.00 0.10", r="79.64 0.10")
    assert [f.kind for f in audit_published(Published(PUBLISHED, (printed,), known(scores=run)))] == ["single-run"]
    for other in (row(f1="79.82", p="80.00", r="79.64"), row(f1="79.81 0.10", p="80.00 0.10", r="79.64 0.10")):
        assert audit_published(Published(PUBLISHED, (other,), known(scores=run))) == []


def test_a_deviation_of_one_seed_is_found():
    assert [f.kind for f in audit_published(Published(PUBLISHED, (row(f1="80.10 0.20", seeds=1),)))] == ["fewer-seeds"]


# Our own records

COUNTS = [[5, 7, 8, 1], [3, 3, 4, 0], [0, 2, 5, 0]]
OTHER = [[4, 7, 8, 1], [3, 4, 4, 0], [1, 2, 5, 1]]


def cell(plans, counts) -> Cell:
    made = [record(p, c) for p, c in zip(plans, counts, strict=True) if c is not None]
    return Cell(
        tuple(plans),
        tuple(made),
        tuple(f"seed {p.seed}: lost" for p, c in zip(plans, counts, strict=True) if c is None),
    )


def audit_cells(*cells):
    return list(cells_apart(cells, record_rows(cells, PUBLISHED)))


def test_records_of_true_counts_never_alarm(tmp_path):
    for seed, counts in enumerate((COUNTS, OTHER)):
        write(tmp_path, plan(seed=seed), counts)
        write(tmp_path, plan("n", seed=seed), OTHER[::-1] if seed else [[1, 1, 8, 0], [2, 2, 4, 1], [3, 4, 5, 1]])
    assert audit_records(tmp_path) == []


def test_missing_seeds_of_our_own_are_told_with_their_errors():
    (found,) = audit_cells(cell([plan(seed=0), plan(seed=1)], [COUNTS, None]))
    assert (found.kind, found.what) == ("fewer-seeds", "1 of 2 seeds are there (0): seed 1: lost")


def test_scores_that_the_counts_do_not_give_are_found():
    true = record(plan(), COUNTS)
    false = true.splits["test"].model_copy(
        update={"scores": true.splits["test"].scores.model_copy(update={"f1": 99.0})}
    )
    damaged = true.model_copy(update={"splits": {**true.splits, "test": false}})
    (found,) = audit_cells(Cell((plan(),), (damaged,), ()))
    assert (found.kind, found.numbers["recorded"]) == ("scores-not-of-counts", 99.0)


@pytest.mark.parametrize(
    ("changed", "kind", "severity"),
    [
        ({"test": "other"}, "mixed-evaluation", "error"),
        ({"metric": 2}, "mixed-evaluation", "error"),
        ({"train": "other"}, "mixed-data", "error"),
        ({"harness": 2}, "mixed-training", "warning"),
        ({"fingerprint": "other"}, "mixed-training", "warning"),
        ({"encoder": "other", "fingerprint": "other"}, "mixed-encoders", "error"),
    ],
)
def test_what_rows_of_a_table_do_not_share_is_told(changed, kind, severity):
    found = audit_cells(cell([plan()], [COUNTS]), cell([plan("n", **changed)], [OTHER]))
    assert {(f.kind, f.severity) for f in found} == {(kind, severity)}


def test_other_data_sets_and_settings_are_other_tables():
    cells = [cell([plan(dataset=d, setting=s, test=d, train=s)], [COUNTS]) for d in "de" for s in ("human", "ext")]
    assert audit_cells(*cells) == []


def test_two_configurations_of_one_name_are_told():
    (found,) = audit_cells(cell([plan()], [COUNTS]), cell([plan(epochs=2)], [OTHER]))
    assert found.kind == "several-configurations"
    assert plan(epochs=2).configuration[:4] in found.what


def test_recorded_slices_that_sum_are_found():
    split = split_record(COUNTS)
    half = split.scores.precision / 2
    slices = {
        name: split.scores.model_copy(update={"precision": half, "f1": 1.0}) for name in ("top_10", "all_but_top_10")
    }
    wrong = split.model_copy(update={"slices": {"strict": slices, "released": {}}})
    damaged = record(plan(), COUNTS).model_copy(update={"splits": {"test": wrong}})
    found = audit_rows(record_rows([Cell((plan(),), (damaged,), ())], PUBLISHED))
    assert "slice-precisions-sum" in [f.kind for f in found]


# The command


def test_the_command_counts_by_kind(bench):
    status, out, _ = bench("audit")
    assert status == 0
    assert "F1 77.81, but 2PR/(P + R) = 75.54" in out
    assert "93 published rows" in out


def test_the_command_prints_json_of_one_kind(bench):
    status, out, _ = bench("audit", "--json", "--kind", "ign-f1-above-f1")
    printed = json.loads(out)
    assert status == 0
    assert printed["counts"] == {"ign-f1-above-f1": 2}
    assert printed["findings"][0]["numbers"] == {"f1": 41.83, "ign_f1": 48.83}


def test_records_are_audited_with_out(bench, tmp_path):
    write(tmp_path, plan(seed=0), COUNTS)
    write(tmp_path, plan(seed=1), None)
    status, out, _ = bench("audit", "--out", tmp_path)
    assert status == 0
    assert "1 of 2 seeds" in out
    assert f"2 runs in {tmp_path}: 1 finding" in out.replace("\n", "")


def test_another_folder_of_published_numbers_is_audited(bench, tmp_path):
    (tmp_path / "mine.csv").write_text("source,dataset,split,setting,model,f1,ign_f1\ns,d,test,human,X,80,81.5\n")
    status, out, _ = bench("audit", "--published", tmp_path)
    assert status == 0
    assert "Ign F1 81.5 is above F1 80" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kind", "f1"), "unknown kind of finding 'f1'"),
        (("--out", "nowhere"), "nothing has been planned in nowhere"),
        (("--out", "nowhere", "--published", "nowhere"), "one of them at a time"),
        (("--published", "nowhere"), "expected a folder with .csv files"),
    ],
)
def test_what_cannot_be_audited_is_said(bench, arguments, message):
    status, _, error = bench("audit", *arguments)
    assert status == 2
    assert message in error
