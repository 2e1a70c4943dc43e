"""What a moved threshold is worth, `benchmarks/threshold.py`, of curves that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import threshold
from made_records import of_predictions, plan, write

from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import SplitScores, scores_path, write_scores

Points = list[tuple[float, float, float]]
"""Recall, precision, margin."""

CAUTIOUS: Points = [(20, 80, 2.0), (30, 70, 0.5), (50, 50, -1.0), (60, 20, -2.0)]
"""F1: 32, 42, 50, 30."""
COUNTS = [(1, 2, 3, 0)]
"""F1 40, by a model's own threshold."""


def put(out: Path, seed: int, curves: dict[str, Points], setting: str = "human", outside: bool = False) -> None:
    """A finished run, with a curve of each of the splits."""
    of = plan("m", seed, setting=setting)
    of = of_predictions(of) if outside else of
    write(out, of, COUNTS)
    nothing = np.zeros((0, 4), np.int32), np.zeros((0, 2), np.float32), None
    for split, points in curves.items():
        about = SplitScores("0", True, {}, np.array(points, float).reshape(-1, 3))
        write_scores(scores_path(RunFolder.of(out, of).path, split), *nothing, about)


def rows(table: str) -> list[list[str]]:
    lines = table.strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_margin_that_is_best_on_dev_is_taken_on_test(tmp_path, printed):
    test: Points = [(10, 90, 3.0), (40, 60, 0.1), (50, 40, -0.9), (60, 60, -1.5)]  # F1: 18, 48, 44.44, 60
    put(tmp_path, 1, {"dev": CAUTIOUS, "test": test})
    assert rows(printed(threshold, "--out", str(tmp_path))) == [
        ["m", "d, e", "1 of 1", "40.00", "44.44", "60.00", "+4.44", "-1.00"]
    ]


def test_what_is_at_the_chosen_threshold_is_predicted(tmp_path, printed):
    put(tmp_path, 1, {"dev": [(10, 10, 1.0), (50, 50, 0.0)], "test": [(10, 10, 1.0), (20, 20, 0.0), (30, 30, -1.0)]})
    assert rows(printed(threshold, "--out", str(tmp_path)))[0][4:6] == ["20.00", "30.00"]


@pytest.mark.parametrize(("predicted", "f1"), [(0, "18.00"), (2, "48.00"), (3, "48.00"), (4, "60.00"), (99, "60.00")])
def test_the_number_of_predictions_may_choose_instead(predicted, f1, tmp_path, printed):
    # Of the 3 labels of dev, 1.5 predictions at a margin of 3, 2 at 0.1 and 4.5 at -1.5.
    dev: Points = [(40, 80, 3.0), (60, 90, 0.1), (90, 60, -1.5)]
    put(tmp_path, 1, {"dev": dev, "test": [(10, 90, 3.0), (40, 60, 0.1), (60, 60, -1.5)]})
    found = printed(threshold, "--predicted", str(predicted), "--out", str(tmp_path))
    assert rows(found)[0][4] == f1


def test_a_threshold_that_nothing_on_test_is_above_leaves_nothing(tmp_path, printed):
    put(tmp_path, 1, {"dev": [(50, 50, 3.0)], "test": [(50, 50, 2.0)]})
    assert rows(printed(threshold, "--out", str(tmp_path)))[0][4:] == ["0.00", "50.00", "-40.00", "+3.00"]


def test_seeds_are_averaged_and_those_without_curves_and_of_other_settings_left_out(tmp_path, printed):
    put(tmp_path, 1, {"dev": CAUTIOUS, "test": CAUTIOUS})
    put(tmp_path, 2, {"dev": CAUTIOUS, "test": [(40, 40, 1.0)]})
    put(tmp_path, 3, {"dev": CAUTIOUS})  # as when the scores of one split are lost
    put(tmp_path, 5, {"dev": [], "test": CAUTIOUS})  # no label of dev is a candidate
    put(tmp_path, 4, {"dev": CAUTIOUS, "test": CAUTIOUS}, setting="ext")
    (found,) = rows(printed(threshold, "--out", str(tmp_path)))
    assert found[2:5] == ["2 of 4", "40.00 ± 0.00", "45.00 ± 7.07"]
    assert found[6] == "+5.00 ± 7.07"


def test_where_no_run_has_its_curves_it_is_told(tmp_path, printed):
    put(tmp_path, 1, {})
    with pytest.raises(SystemExit, match=r"no finished run in human has its curves"):
        printed(threshold, "--out", str(tmp_path))


def test_where_nothing_is_planned_it_is_told(tmp_path, printed):
    with pytest.raises(SystemExit, match="nothing has been planned"):
        printed(threshold, "--out", str(tmp_path))


def test_imported_predictions_have_no_threshold_to_move(tmp_path, printed):
    for outside in (False, True):
        put(tmp_path, 1, {"dev": CAUTIOUS, "test": CAUTIOUS}, outside=outside)
    (row,) = rows(printed(threshold, "--out", str(tmp_path)))
    assert row[0] == "m"
