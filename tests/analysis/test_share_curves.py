"""Curves of F1 against the share of labels, from records."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import plan, write

from bench.analysis.aggregate import load_cells
from bench.analysis.label_shares import ShareCurves, share_curves
from bench.analysis.systems import systems_of
from bench.runs.names import NO_ENCODER


def put(out: Path, share: str, right: int, model: str = "m", seeds: int = 1, **fields: str) -> None:
    """Runs on a share of the labels, with so many right of 100; the second seed two more, the third four more."""
    for seed in range(seeds):
        of = plan(model, seed, setting=f"ext@{share}", **{"train": share, **fields})
        write(out, of, [[right + 2 * seed, 100, 100, 0]])


def curves_of(out: Path) -> list[ShareCurves]:
    return share_curves(systems_of(load_cells(out)))


def shown(curves: ShareCurves) -> dict[str, list[tuple[float, float]]]:
    """Of each line the percentages with their mean F1."""
    return {
        line.name: [(float(p.share.percent), round(p.summary.mean, 6)) for p in line.points] for line in curves.lines
    }


def test_a_line_for_each_model_from_the_smallest_share_with_the_mean_over_seeds(tmp_path):
    for share, right in (("100%", 80), ("5%", 20), ("10%", 40)):
        put(tmp_path, share, right, "one", seeds=3)
    put(tmp_path, "10%", 30, "two")
    (curves,) = curves_of(tmp_path)
    assert shown(curves) == {"one": [(5, 22), (10, 42), (100, 82)], "two": [(10, 30)]}
    assert (curves.dataset, curves.encoder, curves.base, curves.rule, curves.seed, curves.split) == (
        "d", "e", "ext", "per-type", 0, "test",
    )  # fmt: skip
    low, high = curves.lines[0].points[0].interval
    # Student's t of 2 degrees of freedom at 0.975 is 4.3027, the deviation 2.
    assert (low, high) == pytest.approx((22 - 4.302653 * 2 / 3**0.5, 22 + 4.302653 * 2 / 3**0.5))
    assert curves.lines[1].points[0].interval is None


def test_rules_seeds_data_encoders_and_distant_data_have_curves_of_their_own(tmp_path):
    for share in ("5%", "10%"):
        put(tmp_path, share, 20)
        put(tmp_path, f"{share}:at-random", 21)
        put(tmp_path, f"{share}:per-type:3", 22)
        put(tmp_path, share, 23, dataset="d2")
        put(tmp_path, share, 24, encoder="e2")
        put(tmp_path, f"{share}+distant", 25)
    curves = curves_of(tmp_path)
    assert sorted(shown(of)["m"][0][1] for of in curves) == [20, 21, 22, 23, 24, 25]
    assert len({of.name for of in curves}) == len({of.heading for of in curves}) == 6


def test_settings_without_a_share_and_a_single_share_make_no_curve(tmp_path):
    put(tmp_path, "5%", 20)
    put(tmp_path, "5%:at-random", 20)
    for setting in ("human", "ext"):
        write(tmp_path, plan("m", setting=setting), [[80, 100, 100, 0]])
    assert curves_of(tmp_path) == []


def test_a_run_on_all_labels_ends_the_line_of_every_rule_but_where_the_rule_has_one_of_its_own(tmp_path):
    put(tmp_path, "5%", 20)
    put(tmp_path, "5%:at-random", 30)
    put(tmp_path, "5%:at-random", 31, "other")
    put(tmp_path, "100%", 80)
    assert [shown(of) for of in curves_of(tmp_path)] == [
        {"m": [(5, 20), (100, 80)]}, {"m": [(5, 30), (100, 80)], "other": [(5, 31)]}
    ]  # fmt: skip
    put(tmp_path, "100%:at-random", 81)
    assert [shown(of)["m"][-1] for of in curves_of(tmp_path)] == [(100, 80), (100, 81)]


def test_what_was_changed_at_one_share_alone_keeps_a_point_on_the_line_of_its_model_and_is_told(tmp_path):
    variant = "ext@5%.prior_multiple=20,ext@5%.ext.x=[1, 2],margin=1"
    put(tmp_path, "5%", 20, variant=variant)
    put(tmp_path, "10%", 30, variant="margin=1")
    put(tmp_path, "10%", 35)
    (curves,) = curves_of(tmp_path)
    assert shown(curves) == {"m": [(10, 35)], "m (margin=1)": [(5, 20), (10, 30)]}
    changed = next(line for line in curves.lines if line.name == "m (margin=1)")
    assert [point.changes for point in changed.points] == [("prior_multiple=20", "ext.x=[1, 2]"), ()]


def test_a_model_with_and_without_changes_of_each_share_has_two_lines(tmp_path):
    for share, multiple, right in (("5%", 20, 20), ("10%", 10, 30), ("100%", 1, 80)):
        put(tmp_path, share, right)
        put(tmp_path, share, right + 5, variant=f"ext@{share}.prior_multiple={multiple}", train=f"{share} too")
    (curves,) = curves_of(tmp_path)
    assert shown(curves) == {
        "m": [(5, 20), (10, 30), (100, 80)],
        "m (prior_multiple by share)": [(5, 25), (10, 35), (100, 85)],
    }


def test_configurations_of_one_name_at_one_share_are_on_no_line(tmp_path):
    for train in "ab":
        put(tmp_path, "5%", 20, train=train)
    put(tmp_path, "10%", 30)
    (curves,) = curves_of(tmp_path)
    assert [len(line.points) for line in curves.lines] == [1, 1, 1]
    assert {"m"} < {line.name for line in curves.lines}
    assert all(" at 5%" in line.name for line in curves.lines if line.name != "m")


def test_models_without_an_encoder_stand_beside_those_of_every_encoder(tmp_path):
    for share in ("5%", "10%"):
        put(tmp_path, share, 10, "counts", encoder="none")
        put(tmp_path, share, 20, encoder="e1")
        put(tmp_path, share, 30, encoder="e2")
    assert [set(shown(of)) for of in curves_of(tmp_path)] == [{"counts", "m"}] * 2


def test_where_test_has_no_labels_f1_is_that_of_dev(tmp_path):
    for share, right in (("5%", 20), ("10%", 30)):
        write(tmp_path, plan(setting=f"ext@{share}", train=share), [[right, 100, 100, 0]], splits=("dev",))
    (curves,) = curves_of(tmp_path)
    assert (curves.split, shown(curves)) == ("dev", {"m": [(5, 20), (10, 30)]})


def test_cells_are_in_the_order_of_shares_after_the_setting_that_they_are_of(tmp_path):
    for setting in ("human", "ext", "ext+distant", "ext@5%", "ext@100%", "ext@10%"):
        write(tmp_path, plan(setting=setting), None)
    settings = [cell.plans[0].setting for cell in load_cells(tmp_path)]
    assert settings == ["ext", "ext@5%", "ext@10%", "ext@100%", "ext+distant", "human"]


def test_a_model_without_an_encoder_has_all_its_shares_beside_those_of_every_encoder(tmp_path):
    for share, right in (("5%", 20), ("10%", 30), ("50%", 40)):
        put(tmp_path, share, right, "prior", encoder=NO_ENCODER)
        put(tmp_path, share, right, "prior", encoder=NO_ENCODER, dataset="other")
    for encoder, shares in (("e", ("5%", "10%")), ("e2", ("10%", "100%"))):
        for share in shares:
            put(tmp_path, share, 60, encoder=encoder)
    assert {(of.dataset, of.encoder): shown(of) for of in curves_of(tmp_path)} == {
        ("d", "e"): {"m": [(5, 60), (10, 60)], "prior": [(5, 20), (10, 30), (50, 40)]},
        ("d", "e2"): {"m": [(10, 60), (100, 60)], "prior": [(5, 20), (10, 30), (50, 40)]},
        ("other", NO_ENCODER): {"prior": [(5, 20), (10, 30), (50, 40)]},
    }
