"""What a command takes for the name of a run: whatever `bench status` and `bench table` print of it."""

from __future__ import annotations

from pathlib import Path

import made_records
import pytest

from bench.cli.chosen_runs import chosen, folder_of, the_one
from bench.errors import UsageError
from bench.launch.status import run_views

COUNTS = [[1, 2, 4, 0]] * 3


@pytest.fixture
def out(tmp_path) -> Path:
    """Three seeds of `m`, two of `m (layers=2)`, one of `mm`, and one of `m` on other data."""
    plans = [made_records.plan("m", seed=seed) for seed in range(3)]
    plans += [made_records.plan("m", seed=seed, variant="layers=2") for seed in range(2)]
    plans += [made_records.plan("mm"), made_records.plan("m", dataset="other")]
    for plan in plans:
        made_records.write(tmp_path / "results", plan, COUNTS)
    return tmp_path / "results"


def names(out: Path, *asked: str) -> list[tuple[str, str, str, int]]:
    found = chosen(run_views(out), asked, out)
    return [(view.model, view.variant, view.dataset, view.seed) for view in found]


def test_the_name_of_a_row_means_all_its_seeds(out):
    assert names(out, "m (layers=2)") == [("m", "layers=2", "d", 0), ("m", "layers=2", "d", 1)]
    assert [name[3] for name in names(out, "m · d · e")] == [0, 1, 2]
    assert len(names(out, "m")) == 4  # on both data sets, as in both tables


def test_every_row_of_status_is_taken(out, bench):
    _, printed, _ = bench("status", "--out", out, "--json")
    for view in run_views(out):
        assert (view.model, view.variant, view.dataset, view.seed) in names(out, view.row)
    assert "m" in printed


def test_a_run_is_taken_by_its_name_its_path_and_what_no_other_has(out):
    view = next(view for view in run_views(out) if view.model == "mm")
    for asked in (view.run, str(out / "runs" / view.run), f"{out / 'runs' / view.run}/", "mm-d", "mm"):
        assert names(out, asked) == [("mm", "", "d", 0)]
        assert folder_of(asked, out).resolve() == (out / "runs" / view.run).resolve()


def test_a_path_is_one_of_this_folder(out, tmp_path):
    view = run_views(out)[0]
    with pytest.raises(UsageError, match="no run"):
        names(out, str(tmp_path / "elsewhere" / "runs" / view.run))


def test_what_is_named_twice_is_taken_once(out):
    assert names(out, "mm", "mm-d", "mm") == [("mm", "", "d", 0)]


def test_a_part_that_several_have_and_no_row_is_called_is_refused(out):
    with pytest.raises(UsageError, match=r"7 runs have 'human' in their names"):
        names(out, "human")


def test_where_one_run_is_wanted_a_row_of_several_is_refused(out):
    assert the_one(run_views(out), "mm", out).model == "mm"
    with pytest.raises(UsageError, match=r"'m \(layers=2\)' is 2 runs; say which"):
        the_one(run_views(out), "m (layers=2)", out)


def test_a_row_is_removed_with_all_its_seeds(out, bench):
    status, _, _ = bench("remove", "m (layers=2)", "--yes", "--out", out)
    assert status == 0
    assert {view.row for view in run_views(out)} == {"m · d · e", "mm · d · e", "m · other · e"}
