"""What the choice of the epoch is worth, `benchmarks/epoch_choice.py`, of records whose epochs are known."""

from __future__ import annotations

from pathlib import Path

import epoch_choice
import pytest
from made_records import plan, record

from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder


def put(out: Path, of: RunPlan, f1: int, epoch: int, first: float = 1.0) -> None:
    """A finished run that kept this epoch and has this F1, on dev as on test. first: dev F1 after the first epoch."""
    finished = record(of, [(f1, 100, 100, 0)])
    (stage,) = finished.stages
    folder = RunFolder.of(out, of)
    folder.announce(of)
    stage = stage.model_copy(
        update={"selected_epoch": epoch, "dev_f1": [first, *[1.0] * (of.stages[0].training.epochs - 1)]}
    )
    folder.write_record(finished.model_copy(update={"stages": [stage]}))


def kept(seed: int, **training: str | int) -> RunPlan:
    """A run of ten epochs that keeps one of them."""
    of = plan("m", seed, variant="" if training else "layers=1", epochs=10)
    if "select_on" in training:  # other labels, and their checksum
        (stage,) = of.stages
        of = of.model_copy(update={"stages": (stage.model_copy(update={"select_checksum": "incomplete"}),)})
    return of.with_training(**training)


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_seeds_are_held_against_their_own_last_epoch_which_may_be_the_best(tmp_path, printed):
    for seed, f1, epoch in ((6, 50, 10), (7, 40, 8)):
        put(tmp_path, kept(seed), f1, epoch)
    put(tmp_path, kept(7, select="last"), 42, 10)
    text = printed(epoch_choice, "m", "--out", str(tmp_path))
    assert ": F1, the best epoch on dev less the last epoch" in text
    # Of 0 and -2: mean -1, deviation the root of 2, and 12.71 (t of one degree of freedom) times 1 on either side.
    mean = "-1.00 ± 1.41 (-13.71 to +11.71)"
    assert rows(text) == [
        ["6", "10 of 10", "10", "+0.00", "+0.00"],
        ["7", "8 of 10", "10", "-2.00", "-2.00"],
        ["mean", "", "", mean, mean],
    ]


def test_runs_of_a_seed_that_went_another_way_are_not_held_against_each_other(tmp_path, printed):
    put(tmp_path, kept(7), 40, 8)
    put(tmp_path, kept(7, select="last"), 42, 10, first=1.5)
    assert rows(printed(epoch_choice, "m", "--out", str(tmp_path))) == [
        ["7", "8 of 10", "trained apart", "", ""],
        ["0 of 1 seed", "", "", "", ""],
    ]


def test_no_mean_is_told_of_the_seeds_that_were_best_in_the_last_epoch_alone(tmp_path, printed):
    put(tmp_path, kept(6), 50, 10)
    put(tmp_path, kept(7), 40, 9)
    put(tmp_path, plan("m", 7, epochs=20).with_training(select="last"), 42, 20)  # trained for longer
    assert rows(printed(epoch_choice, "m", "--out", str(tmp_path)))[1:] == [
        ["7", "9 of 10", "", "", ""],
        ["1 of 2 seeds", "", "", "", ""],
    ]


def test_an_epoch_that_other_labels_choose_is_a_table_of_its_own(tmp_path, printed):
    put(tmp_path, kept(6), 50, 8)
    put(tmp_path, kept(6, select_on="dev_ext"), 45, 3)
    last, other = printed(epoch_choice, "m", "--out", str(tmp_path)).strip().split("\n\nm (layers=1), ")
    assert rows(last) == [["6", "8 of 10", "", "", ""], ["0 of 1 seed", "", "", "", ""]]
    assert "the best epoch on dev less the best epoch on dev_ext" in other
    assert rows(other) == [["6", "8 of 10", "3", "+5.00", "+5.00"], ["mean", "", "", "+5.00", "+5.00"]]


def test_two_stages_are_trained_alike_where_only_the_last_chooses_otherwise(tmp_path):
    first, second = kept(6).stages[0], kept(6).stages[0].with_training(select="last")
    both = kept(6).model_copy(update={"stages": (first, first)})
    in_last = kept(6).model_copy(update={"stages": (first, second)})
    in_first = kept(6).model_copy(update={"stages": (second, first)})
    assert epoch_choice.trained_alike(both) == epoch_choice.trained_alike(in_last)
    assert epoch_choice.trained_alike(both) != epoch_choice.trained_alike(in_first)


def test_seeds_that_are_all_alike_have_no_interval(tmp_path, printed):
    for seed in (6, 7):
        put(tmp_path, kept(seed), 50, 10)
    assert rows(printed(epoch_choice, "m", "--out", str(tmp_path)))[-1] == ["mean", "", "", "+0.00", "+0.00"]


def test_runs_that_stop_by_patience_are_not_trained_alike(tmp_path):
    assert epoch_choice.choice_of(kept(6)) == epoch_choice.BEST
    assert epoch_choice.choice_of(kept(6, patience=2)) is None


def test_a_model_without_runs_that_keep_the_best_is_told(tmp_path, printed):
    put(tmp_path, kept(6, select="last"), 50, 10)
    with pytest.raises(SystemExit, match="no finished run of m in human that keeps the best"):
        printed(epoch_choice, "m", "--out", str(tmp_path))
