from __future__ import annotations

import pytest
from fake_slurm import finish_run, finish_stage, stage_of, write_plan
from filelock import FileLock

from bench.filesystem import write_json
from bench.launch.status import observe
from bench.runs.outline import outlines
from bench.runs.status import SETTLED
from bench.slurm.outcomes import fail
from bench.slurm.profiles import make_profile
from bench.slurm.submissions import note_cancellation, submissions
from bench.slurm.submit import submit


@pytest.fixture
def two_stages(slurm, out):
    """A run of two stages, submitted: jobs 100_0 and 101_0."""
    name = write_plan(out, "m", "human+distant", 0, "distant", "human")
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    return name


def view_of(out, run=0):
    return observe(out).runs[run]


def write_log(out, job, text):
    (out / "slurm" / "jobs" / f"{job}_0_log.out").write_text(text)


def test_a_job_in_the_queue_says_what_it_waits_for(slurm, out, two_stages):
    slurm.queue("100|0|PENDING||Priority|x", "101|0|PENDING||Dependency|x")
    view = view_of(out)
    assert (view.state, view.detail, view.stage, view.job) == ("pending", "Priority", "distant", "100_0")


@pytest.mark.parametrize("reason", ["JobHeldUser", "launch failed requeued held"])
def test_a_pending_job_that_is_held_says_how_to_release_it(reason, slurm, out, two_stages):
    slurm.queue(f"100|0|PENDING||{reason}|x", "101|0|PENDING||Dependency|x")
    assert view_of(out).state == "pending"
    assert view_of(out).detail == f"held ({reason}): `scontrol release 100_0` lets it go on"


def test_a_run_whose_first_stage_is_done_is_in_its_second(slurm, out, two_stages):
    finish_stage(out, stage_of(out, two_stages))
    slurm.queue("101|0|RUNNING|n3|None|x")
    view = view_of(out)
    assert (view.state, view.stage, view.job, view.node) == ("running", "human", "101_0", "n3")


def test_a_running_job_shows_what_it_last_said(slurm, out, two_stages):
    slurm.queue("100|0|RUNNING|n3|None|x")
    status = {"state": "running", "job": "100_0", "stage": "distant", "doing": "training", "best": 12.5}
    write_json(
        out / "runs" / two_stages / "status.json",
        status | {"epoch": 2, "epochs": 5, "step": 30, "steps": 120, "eta": 90.0},
    )
    write_log(out, "100_0", "one\nbench: training\n\n")
    view = view_of(out)
    assert (view.epoch, view.epochs, view.progress, view.eta) == (2, 5, 0.25, 90.0)
    assert view.log == "bench: training"


def test_what_an_earlier_job_said_is_no_news(slurm, out, two_stages):
    slurm.queue("100|0|RUNNING|n3|None|x")
    status = {"state": "running", "job": "99_0", "stage": "distant", "epoch": 2, "epochs": 5, "step": 3, "steps": 9}
    write_json(out / "runs" / two_stages / "status.json", status)
    view = view_of(out)
    assert (view.state, view.detail, view.epoch) == ("running", "starting", None)


@pytest.mark.parametrize(
    ("account", "expected", "said"),
    [
        ("OUT_OF_MEMORY|0:125", "failed", "lower batch_size"),
        ("CANCELLED by 1000|0:0", "cancelled", "bench retry"),
        ("TIMEOUT|0:0", "interrupted", "TIMEOUT"),
        ("NODE_FAIL|0:0", "interrupted", "NODE_FAIL"),
        ("FAILED|0:9", "interrupted", "killed"),
        ("FAILED|75:0", "interrupted", "killed"),
        ("FAILED|9:0", "interrupted", "killed"),
        ("FAILED|2:0", "failed", "exit status 2:0"),
        ("COMPLETED|0:0", "interrupted", "without a result"),
    ],
)
def test_a_job_that_is_over_says_how_it_ended(account, expected, said, slurm, out, two_stages):
    slurm.accounts(f"100_0|{account}|n1", "101_0|CANCELLED|0:0|")
    view = view_of(out)
    assert (view.state, view.job) == (expected, "100_0")
    assert said in view.detail


def test_a_job_that_is_over_is_known_without_accounting_too(slurm, out, two_stages):
    slurm.without_accounting()
    assert view_of(out).state == "interrupted"
    assert "accounting" in observe(out).trouble


@pytest.mark.parametrize("queue", ["does not answer", "is silent"])
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("RUNNING", "running"),
        ("CONFIGURING", "running"),
        ("RESIZING", "running"),
        ("PENDING", "pending"),
        ("REQUEUED", "pending"),
        ("REQUEUE_HOLD", "pending"),
        ("SPECIAL_EXIT", "pending"),
        ("SUSPENDED", "suspended"),
        ("COMPLETING", "completing"),
        ("REVOKED", "unknown"),
        ("TELEPORTING", "unknown"),
    ],
)
def test_a_job_that_accounting_calls_live_has_not_ended(state, expected, queue, slurm, out, two_stages):
    if queue == "does not answer":
        slurm.down()
    slurm.accounts(f"100_0|{state}|0:0|n1", "101_[0]|PENDING|0:0|None assigned")
    write_json(
        out / "runs" / two_stages / "error.json", {"message": "of a try before"} if expected != "unknown" else {}
    )
    view = view_of(out)
    assert (view.state, view.job) == (expected, "100_0")
    assert view.state not in SETTLED


@pytest.mark.parametrize("account", ["", "100_0|NODE_FAIL|0:0|n1", "100_0|FAILED|0:9|n1", "100_0|COMPLETED|0:0|n1"])
def test_without_a_queue_a_job_that_may_go_on_is_unknown(account, slurm, out, two_stages):
    slurm.down()
    slurm.accounts(*filter(None, [account]))
    assert view_of(out).state == "unknown"
    assert "nothing is submitted for it" in view_of(out).detail


def test_without_a_queue_a_job_that_accounting_calls_failed_is(slurm, out, two_stages):
    slurm.down()
    slurm.accounts("100_0|FAILED|2:0|n1")
    assert view_of(out).state == "failed"


def test_a_job_that_left_the_queue_while_accounting_does_not_answer_is_unknown(slurm, out, two_stages):
    slurm.accounting_fails()
    view = view_of(out)
    assert view.state == "unknown"
    assert "its accounting does not answer (sacct: sacct: error: slurm_persist_conn_open" in view.detail


def test_a_job_that_is_over_in_the_queues_answer_is_not_in_the_queue(slurm, out, two_stages):
    slurm.queue("100|0|CANCELLED|n1|None|x", "101|0|PENDING||Dependency|x")
    slurm.accounts("100_0|CANCELLED by 7|0:0|n1")
    assert view_of(out).state == "cancelled"


@pytest.mark.parametrize(
    ("state", "expected", "said"),
    [
        ("SPECIAL_EXIT", "pending", "held (SPECIAL_EXIT): `scontrol release 100_0`"),
        ("REQUEUE_HOLD", "pending", "held (REQUEUE_HOLD)"),
        ("SUSPENDED", "suspended", "SLURM has stopped its job"),
        ("STOPPED", "suspended", "SLURM has stopped its job"),
        ("COMPLETING", "completing", "its job is ending"),
        ("TELEPORTING", "unknown", "SLURM says TELEPORTING"),
    ],
)
def test_a_job_in_the_queue_that_does_no_work_is_not_running_and_has_no_time_left(
    state, expected, said, slurm, out, two_stages
):
    slurm.queue(f"100|0|{state}|n1|None|x")
    status = {"state": "running", "job": "100_0", "stage": "distant", "epoch": 2, "epochs": 5, "step": 3, "steps": 9}
    write_json(out / "runs" / two_stages / "status.json", status | {"eta": 18903.0})
    view = view_of(out)
    assert (view.state, view.stage, view.eta) == (expected, "distant", None)
    assert said in view.detail


def test_what_the_run_says_of_its_failure_comes_before_what_slurm_says(slurm, out, two_stages):
    slurm.accounts("100_0|FAILED|1:0|n1", "101_0|CANCELLED|0:0|")
    write_json(out / "runs" / two_stages / "error.json", {"message": "training diverged\nat once"})
    assert (view_of(out).state, view_of(out).detail) == ("failed", "training diverged")


@pytest.mark.parametrize(
    ("before", "expected"),
    [("FAILED|0:9", "interrupted"), ("NODE_FAIL|0:0", "interrupted"), ("CANCELLED by 0|0:0", "cancelled")],
)
def test_a_job_that_left_the_queue_since_the_one_before_was_killed_is_not_cancelled(
    before, expected, slurm, out, two_stages
):
    finish_stage(out, stage_of(out, two_stages))  # it was killed a moment after its work was done
    slurm.accounts(f"100_0|{before}|n1", "101_0|CANCELLED|0:0|")
    assert (view_of(out).state, view_of(out).job) == (expected, "101_0")


def test_dependants_of_a_failed_stage_are_blocked_by_it_and_say_why(slurm, out):
    first, second = (
        write_plan(out, model, "human+distant", 0, "distant", "human", shared="teacher") for model in ("a", "b")
    )
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    slurm.accounts("100_0|FAILED|1:0|n1", "101_0|CANCELLED|0:0|", "102_0|CANCELLED|0:0|")
    write_json(out / "runs" / first / "error.json", {"message": "no luck"})
    one, other = observe(out).runs
    assert (one.state, one.detail) == ("failed", "no luck")
    assert (other.run, other.state, other.detail) == (second, "blocked", f"blocked by {first}: no luck")


def test_a_run_that_waits_for_anothers_job_shows_it(slurm, out):
    first, second = (
        write_plan(out, model, "human+distant", 0, "distant", "human", shared="teacher") for model in ("a", "b")
    )
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    slurm.queue_submitted("RUNNING", "n2", "None")
    view = observe(out).runs[1]
    assert (view.run, view.state, view.detail, view.job) == (second, "running", f"by {first}", "100_0")


def test_a_scheduler_that_does_not_answer_leaves_what_the_folder_knows(slurm, out, two_stages):
    finish_run(out, write_plan(out, "m", "human", 1, "human"), 48.25)
    slurm.down()
    observed = observe(out)
    assert "Unable to contact slurm controller" in observed.trouble
    assert {view.detail for view in observed.runs if view.state == "done"} == {"test F1 48.25"}


def test_a_process_that_holds_a_run_outside_the_queue_is_running(slurm, out, two_stages):
    with FileLock(out / "runs" / two_stages / "lock"):
        assert view_of(out).state == "running"


def test_without_jobs_slurm_is_not_asked(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    assert view_of(out).state == "waiting"
    assert slurm.commands("squeue") == slurm.commands("sacct") == []


def test_pending_tasks_that_accounting_lists_as_a_range_are_told_apart(slurm, out):
    for seed in range(4):
        write_plan(out, "m", "human", seed, "human")
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    slurm.accounts("100_0|TIMEOUT|0:0|n1", "100_[1-2,3%2]|CANCELLED by 0|0:0|None assigned")
    assert [view.state for view in observe(out).runs] == ["interrupted", "cancelled", "cancelled", "cancelled"]


def test_a_lone_pending_task_that_accounting_lists_without_its_index_is_known(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    slurm.accounts("100|CANCELLED by 0|0:0|None assigned")
    assert [view.state for view in observe(out).runs] == ["cancelled"]


@pytest.fixture
def three_in_a_job(slurm, out):
    """Three runs that share the job 100_0, which is running."""
    runs = [write_plan(out, "m", "human", seed, "human") for seed in range(3)]
    submit(list(outlines(out)), out, make_profile("p", {"runs_per_gpu": 3}, "here"), 60.0)
    slurm.queue_submitted("RUNNING", "n1")
    return runs


def states(out):
    return [view.state for view in observe(out).runs]


def test_runs_of_one_job_are_told_one_by_one_while_it_goes_on(slurm, out, three_in_a_job):
    assert states(out) == ["running"] * 3
    finish_run(out, three_in_a_job[0])
    fail(out, submissions(out)[0].jobs(0, "100")[1], "no luck")
    assert states(out) == ["done", "failed", "running"]
    note_cancellation(out, ["100_0/2"])
    assert states(out) == ["done", "failed", "cancelled"]
    assert [view.job for view in observe(out).runs[1:]] == ["", "100_0"]


def test_a_run_that_is_cancelled_is_running_until_its_process_has_left(slurm, out, three_in_a_job):
    note_cancellation(out, ["100_0/1"])
    with FileLock(out / "runs" / three_in_a_job[1] / "lock"):
        assert states(out) == ["running"] * 3
    assert states(out) == ["running", "cancelled", "running"]


def test_each_run_of_a_job_shows_what_it_has_printed_itself(slurm, out, three_in_a_job):
    write_log(out, "100_0", "bench: 3 tasks share this job\n")
    (out / "slurm" / "jobs" / "100_0_member-1_log.out").write_text("bench: epoch 2\n")
    assert [view.log for view in observe(out).runs] == [
        "bench: 3 tasks share this job", "bench: epoch 2", "bench: 3 tasks share this job"
    ]  # fmt: skip


def test_runs_of_a_job_that_was_lost_are_interrupted_but_for_those_that_were_over(slurm, out, three_in_a_job):
    finish_run(out, three_in_a_job[0])
    note_cancellation(out, ["100_0/2"])
    slurm.queue()
    slurm.accounts("100_0|NODE_FAIL|0:0|n1")
    assert states(out) == ["done", "interrupted", "cancelled"]


def test_what_builds_on_a_stage_that_failed_in_a_job_of_several_is_blocked_and_the_rest_goes_on(slurm, out):
    for seed in range(2):
        write_plan(out, "m", "human+distant", seed, "distant", "human")
    submit(list(outlines(out)), out, make_profile("p", {"runs_per_gpu": 2}, "here"), 60.0)
    finish_stage(out, stage_of(out, "m-human+distant-s0"))
    fail(out, submissions(out)[0].jobs(0, "100")[1], "no luck")
    slurm.queue("101|0|RUNNING|n3|None|x")
    slurm.accounts("100_0|COMPLETED|0:0|n1")
    assert [(view.state, view.job) for view in observe(out).runs] == [("running", "101_0"), ("failed", "")]
