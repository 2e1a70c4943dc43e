from __future__ import annotations

import pytest

from bench.slurm.queue import ArrayIndex, accounted_jobs


def states(slurm, *lines: str, indices=range(200)) -> dict[int, str]:
    slurm.accounts(*lines)
    asked = [ArrayIndex("7", index) for index in indices]
    return {job.index: account.state for job, account in accounted_jobs(asked).items()}


@pytest.mark.parametrize(
    ("listed", "indices"),
    [
        ("3", [3]),
        ("[3]", [3]),
        ("[1-3,5%2]", [1, 2, 3, 5]),
        ("[0-80:2%4]", list(range(0, 81, 2))),
        ("[0-6:3,9,20-22]", [0, 3, 6, 9, 20, 21, 22]),
    ],
)
def test_the_tasks_of_a_line_of_accounting_are_all_known(listed, indices, slurm):
    assert sorted(states(slurm, f"7_{listed}|PENDING|0:0|None assigned")) == indices


def test_a_list_that_is_cut_stands_for_all_without_a_line_of_their_own(slurm):
    known = states(slurm, "7_[1-3,5,7,...]|PENDING|0:0|None assigned", "7_0|RUNNING|0:0|n1")
    assert known == {0: "RUNNING"} | dict.fromkeys(range(1, 200), "PENDING")
