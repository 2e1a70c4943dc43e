from __future__ import annotations

import pytest

from bench.slurm.queue import ArrayIndex, SchedulerError, accounted_jobs, queued_jobs


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


BANNER = ("", "Welcome to two | maintenance on 2026-11-30 | ask help@two", "2026-11-30 | maintenance", "CLUSTER: two")


def test_what_a_site_prints_around_its_answers_is_of_no_job(slurm):
    slurm.queue(*BANNER, "7|0|RUNNING|n1|None|a|name")
    assert {job: queued.name for job, queued in queued_jobs().items()} == {ArrayIndex("7", 0): "a|name"}
    assert states(slurm, *BANNER, "7_3|COMPLETED|0:0|n1", "") == {3: "COMPLETED"}


@pytest.mark.parametrize("line", ["7|0|RUNNING", "7|", "7", "7_0|RUNNING|n1|None|x"])
def test_a_line_of_a_job_in_the_queue_that_cannot_be_read_leaves_the_queue_unknown(line, slurm):
    slurm.queue("7|1|RUNNING|n1|None|x", line)
    with pytest.raises(SchedulerError, match="squeue: a line of a job that cannot be read: '7"):
        queued_jobs()


@pytest.mark.parametrize("line", ["7_3|COMPLETED", "7_3", "7|RUNNING|0:0"])
def test_a_line_of_accounting_that_cannot_be_read_leaves_what_it_says_unknown(line, slurm):
    with pytest.raises(SchedulerError, match="sacct: a line of a job that cannot be read: '7"):
        states(slurm, "7_1|RUNNING|0:0|n1", line)


def test_accounting_that_could_not_look_and_ends_as_if_it_had_is_an_error(slurm):
    error = "sacct: error: Problem talking to the database: Connection refused"
    with pytest.raises(SchedulerError, match=error):
        states(slurm, error)
    assert states(slurm, "7_3|FAILED|1:0|n1", error, indices=[3]) == {3: "FAILED"}


def test_what_is_not_utf_8_is_read_as_far_as_it_is(slurm):
    (slurm.folder / "queue").write_bytes(b"caf\xe9\n7|0|RUNNING|n\xff1|None|x\n")
    assert queued_jobs()[ArrayIndex("7", 0)].node == "n\ufffd1"
