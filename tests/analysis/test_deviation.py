"""What the deviation of a table is made of, `benchmarks/deviation.py`, of records whose seeds are known."""

from __future__ import annotations

from pathlib import Path

import deviation
import numpy as np
import pytest
from deviation import ALL_THREE, DRAWN, Seeds, by_what_was_drawn
from made_records import plan, write

from bench.runs.plan import RunPlan


def drawn(seed: int, order: int | None = None, dropout: int | None = None, epochs: int = 30) -> RunPlan:
    """A run whose order of documents and dropout have seeds of their own, where they are given."""
    return plan("m", seed, epochs=epochs).with_training(order_seed=order, dropout_seed=dropout)


def put(out: Path, of: RunPlan, f1: int) -> None:
    write(out, of, [(f1, 100, 100, 0)])


def test_each_source_is_what_differs_in_it_alone_pooled_over_the_rest():
    scores = {
        Seeds(6, 6, 6): 50.0, Seeds(7, 6, 6): 52.0, Seeds(8, 6, 6): 54.0,  # weights: variance 4, two degrees
        Seeds(7, 7, 7): 40.0, Seeds(9, 7, 7): 45.0,  # weights: 12.5, one
        Seeds(6, 7, 6): 51.0,  # order: 0.5, one
        Seeds(1, 2, 3): 99.0,  # beside none
    }  # fmt: skip
    found = by_what_was_drawn(scores)
    assert list(found) == [*DRAWN, ALL_THREE]
    assert [(of.df, of.std) for of in found.values()] == [
        (3, pytest.approx((20.5 / 3) ** 0.5)), (1, pytest.approx(0.5**0.5)), (0, None), (1, pytest.approx(50**0.5)),
    ]  # fmt: skip
    assert found["dropout"].interval is None


def test_parts_of_what_adds_up_are_found():
    """Scores that are a sum of three draws, with five pairs for each as the experiment of small Re-DocRED has them."""
    generator, seeds, variances = np.random.default_rng(1), range(5), []
    for _ in range(2000):
        parts = generator.normal(0, [[2.0], [1.0], [0.5]], (3, 5))
        runs = [Seeds(a, a, a) for a in seeds]
        runs += [run._replace(**{field: (run[0] + 1) % 5}) for run in runs for field in Seeds._fields]
        found = by_what_was_drawn({run: float(sum(parts[i][run[i]] for i in range(3))) for run in runs})
        assert [of.df for of in found.values()] == [5, 5, 5, 4]
        variances.append([of.std**2 for of in found.values()])
    assert np.mean(variances, axis=0) == pytest.approx([4.0, 1.0, 0.25, 5.25], rel=0.06)


def test_the_interval_of_a_deviation_holds_it_as_often_as_it_says():
    scores = np.random.default_rng(1).normal(40, 2.0, (4000, 4, 2))
    intervals = [deviation.pooled(pairs.tolist()).interval for pairs in scores]
    assert np.mean([low <= 2.0 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.015)


def test_runs_are_told_by_their_seeds_and_kept_apart_by_all_else(tmp_path, printed):
    for seed, f1 in ((6, 50), (7, 40), (8, 60)):
        put(tmp_path, drawn(seed), f1)
    put(tmp_path, drawn(6, order=6, dropout=6), 50)  # the first again, under a key of its own
    put(tmp_path, drawn(7, order=6, dropout=6), 53)
    put(tmp_path, drawn(6, dropout=7), 51)
    put(tmp_path, drawn(6, order=7, epochs=10), 10)
    asked = printed(deviation, "m", "--out", str(tmp_path))
    longer, shorter = sorted(asked.strip().split("\n\nm, "), key=len, reverse=True)
    rows = [line.split("|")[1:4] for line in longer.splitlines() if line.startswith("| ")][1:]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["first weights", "1", "2.12"], ["order of documents", "0", ""], ["dropout", "1", "0.71"],
        [ALL_THREE, "2", "10.00"],
    ]  # fmt: skip
    assert "| order of documents | 0 |" in shorter


def test_two_scores_of_the_same_seeds_are_an_error(tmp_path, printed):
    put(tmp_path, drawn(6), 50)
    put(tmp_path, drawn(6, order=6, dropout=6), 51)
    with pytest.raises(SystemExit, match="should be one"):
        printed(deviation, "m", "--out", str(tmp_path))


def test_a_model_without_runs_is_told(tmp_path, printed):
    put(tmp_path, drawn(6), 50)
    with pytest.raises(SystemExit, match="no finished run of n in human"):
        printed(deviation, "n", "--out", str(tmp_path))
