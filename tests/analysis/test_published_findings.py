"""The audit finds what is known to be wrong with the published tables."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
from printed_rows import PUBLISHED, of_kind

from bench.analysis.audit import KINDS, audit_published
from bench.analysis.published import Published, read_published


@pytest.fixture(scope="module")
def published() -> Published:
    return read_published(PUBLISHED)


@pytest.fixture(scope="module")
def findings(published):
    return audit_published(published)


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
    matching = of_kind(findings, "f1-not-of-p-and-r", "error")
    assert [tuple(f.numbers[name] for name in ("f1", "precision", "recall")) for f in matching] == off
    assert len(off) == 26


def test_rows_off_by_less_are_warnings(findings):
    smaller = of_kind(findings, "f1-not-of-p-and-r", "warning")
    assert len(smaller) == 8
    assert all(0.05 < abs(f.numbers["difference"]) <= 0.5 for f in smaller)


def test_four_rows_have_ign_f1_above_f1(findings):
    matching = of_kind(findings, "ign-f1-above-f1", "error")
    rows = sorted((f.numbers["f1"], f.numbers["ign_f1"]) for f in matching)
    assert rows == [(41.83, 48.83), (68.24, 68.89), (72.9, 72.97), (79.24, 80.99)]


def test_the_slices_of_table_5_are_divided_by_all_predictions(findings):
    matching = of_kind(findings, "slice-precisions-sum", "error")
    assert ["Table 5" in f.where for f in matching] == [True] * 3
    (ssrpu,) = (f for f in matching if "SSR-PU" in f.where)
    assert "53.41 (top-10) + 27.62 (all-but-top-10) = 81.03" in ssrpu.what
    assert "45.04 (top-5) + 35.99 (all-but-top-5) = 81.03" in ssrpu.what


def test_their_overall_precision_is_none_of_the_models_others(findings):
    (ssrpu,) = (f for f in of_kind(findings, "slice-precisions-sum") if "SSR-PU" in f.where)
    assert "none of the overall precisions of this model: 69.43 (human), 48.02 (distant), 74.24" in ssrpu.what


def test_only_table_4_mixes_encoders(findings):
    (finding,) = of_kind(findings, "mixed-encoders")
    assert finding.severity == "error"
    assert "Table 4" in finding.where
    assert "PubMedBERT-base" in finding.what
    assert "BiomedBERT-large" in finding.what


def test_five_seeds_are_claimed_where_the_scripts_run_one(findings):
    matching = of_kind(findings, "fewer-seeds")
    assert [f.numbers for f in matching] == [{"claimed": 5, "found": 1}] * 5
    assert any("run_roberta_rank.sh" in f.what and "Table 3" in f.where for f in matching)


def test_the_chemdisgene_row_is_a_single_run(findings):
    (finding,) = of_kind(findings, "single-run", "error")
    assert "Table 4" in finding.where
    assert round(finding.numbers["f1"], 4) == 53.5857


def test_one_row_is_printed_four_times_with_three_deviations(findings):
    (finding,) = of_kind(findings, "repeated-row", "warning")
    assert all(f"Table {n}" in finding.what for n in (3, 7, 8, 9))
    assert all(f"± {std}" in finding.what for std in ("0.21", "0.23", "0.17"))
    assert len(of_kind(findings, "repeated-row", "note")) == 3


def test_borrowed_rows_are_counted_by_table(findings):
    assert [f.numbers["borrowed"] for f in of_kind(findings, "borrowed-rows", "note")] == [23, 7, 4]


def test_what_others_measured_is_held_against_the_paper(findings):
    matching = of_kind(findings, "places-disagree")
    assert sorted(round(f.numbers["spread"], 2) for f in matching) == [0.73, 1.14, 1.34, 2.01, 2.26]


def test_what_is_known_from_elsewhere_is_not_made_up(published):
    without = audit_published(replace(published, publications=()))
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
