"""Tables and profiles of all seeds: which systems and conditions stand together in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_records import plan, write

from bench.analysis.aggregate import load_cells
from bench.analysis.published import read_published
from bench.analysis.systems import by_condition
from bench.report.figures import collect
from bench.report.figures.series import profiles
from bench.report.material import gather
from bench.report.tables.robust import robust_tables, scores_of, shared_conditions


def groups_of(out: Path):
    return list(by_condition(gather(out, load_cells(out), read_published()).shown).items())


def runs(out: Path, model: str, corrects, **changes) -> None:
    for seed, correct in enumerate(corrects):
        write(out, plan(model, seed, **changes), [[correct, 100, 100, 0]])


def test_of_one_condition_each_system_stands_beside_the_best_by_the_middle_of_its_seeds(tmp_path: Path):
    runs(tmp_path, "one", [60, 61, 62, 63, 0])  # its mean is the lower one
    runs(tmp_path, "two", [50, 51, 52, 53, 62])
    (table,) = robust_tables(groups_of(tmp_path), 6)
    first, second = table.rows
    assert [cell.text for cell in first.cells] == ["one", "5", "49.20 ± 27.53", "61.00", first.cells[4].text, "", ""]
    assert second.cells[3].value == pytest.approx(52)
    assert second.cells[5].text == "0.70"  # 17.5 of 25 pairs
    assert second.cells[6].text.startswith("0.3")


def test_systems_with_one_seed_or_counted_on_other_documents_are_left_out(tmp_path: Path):
    runs(tmp_path, "one", [60, 61])
    runs(tmp_path, "single", [70])
    runs(tmp_path, "elsewhere", [50, 51], test="others")
    assert set(scores_of(groups_of(tmp_path))) == {"one"}
    assert list(robust_tables(groups_of(tmp_path), 6)) == []


def test_what_was_counted_on_other_documents_keeps_no_others_out_by_being_the_best(tmp_path: Path):
    runs(tmp_path, "one", [60, 61])
    runs(tmp_path, "two", [50, 51])
    runs(tmp_path, "elsewhere", [90, 91], test="others")
    assert set(scores_of(groups_of(tmp_path))) == {"one", "two"}


def test_over_several_conditions_stand_the_systems_that_have_all_of_them(tmp_path: Path):
    for setting in ("human", "ext"):
        runs(tmp_path, "one", [60, 61], setting=setting)
        runs(tmp_path, "two", [50, 70], setting=setting)
    runs(tmp_path, "three", [90, 91])
    shared = shared_conditions(scores_of(groups_of(tmp_path)))
    assert shared is not None
    conditions, of = shared
    assert {condition.setting for condition in conditions} == {"human", "ext"}
    assert set(of) == {"one", "two"}
    over_all = next(robust_tables(groups_of(tmp_path), 6))
    assert [row.cells[0].text for row in over_all.rows] == ["one", "two"]
    assert [cell.text for cell in over_all.rows[1].cells[5:]] == ["0.50", "0 of 2"]
    (drawn,) = [of for of in collect.planned(gather(tmp_path, load_cells(tmp_path), read_published()))
                if of.section == "robust"]  # fmt: skip
    assert drawn.title == "Performance profiles: 2 conditions"
    assert drawn.alt == "one: 4 runs; two: 4 runs"


def test_a_condition_counts_for_no_more_because_it_has_more_seeds(tmp_path: Path):
    for setting, easy, hard in (("human", [60, 60, 60], [61, 61]), ("ext", [20, 20], [21, 21, 21])):
        runs(tmp_path, "one", easy, setting=setting)
        runs(tmp_path, "two", hard, setting=setting)
    first, second = next(robust_tables(groups_of(tmp_path), 6)).rows
    assert [cell.text for cell in first.cells[:4]] == ["two", "5", "41.00", "41.00"]
    assert [cell.text for cell in second.cells[:4]] == ["one", "5", "40.00", "40.00"]
    assert [cell.text for cell in second.cells[5:]] == ["1.00", "2 of 2"]


def test_one_system_with_conditions_of_its_own_takes_nothing_from_what_others_share(tmp_path: Path):
    for setting in ("human", "ext", "distant"):
        runs(tmp_path, "one", [60, 61], setting=setting)
        if setting != "distant":
            runs(tmp_path, "two", [50, 70], setting=setting)
    shared = shared_conditions(scores_of(groups_of(tmp_path)))
    assert shared is not None
    assert {condition.setting for condition in shared[0]} == {"human", "ext"}
    assert set(shared[1]) == {"one", "two"}


def test_a_profile_falls_from_all_runs_to_none():
    one, two = profiles({"one": np.array([60.0, 61.0]), "two": np.array([50.0, 70.0])})
    for profile in (one, two):
        assert profile.shares[0] == 100
        assert profile.shares[-1] == 0
        assert list(profile.shares) == sorted(profile.shares, reverse=True)
    assert one.thresholds == two.thresholds
    assert one.shares[int(np.searchsorted(one.thresholds, 60.5))] == 50
