from __future__ import annotations

import json
import subprocess
import sys

import pytest
from fake_slurm import finish_run, write_plan

from bench.filesystem import read_checked, write_checked, write_json
from bench.runs.outline import outlines
from bench.slurm import ended
from bench.slurm.attempts import Attempt, start_attempt
from bench.slurm.exit_status import DONE, FAILED, STOPPED, TO_REQUEUE
from bench.slurm.outcomes import KILLS, fail
from bench.slurm.profiles import make_profile
from bench.slurm.submissions import note_cancellation, submissions
from bench.slurm.submit import submit

KILLED = 128 + 9


@pytest.fixture
def end(slurm, out, monkeypatch):
    """What the batch script does when the job's process has ended with a status; the job's status if it ends."""
    run = write_plan(out, "m", "human", 0, "human")
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    (submission,) = submissions(out)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "100")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setattr("bench.slurm.ended.time.sleep", lambda seconds: None)
    slurm.state("RUNNING")

    def call(status: int, printed: str = "") -> int:
        (out / "slurm" / "jobs" / "100_0_0_log.out").write_text(printed)
        return ended.main([str(out), submission.name, str(status)])

    call.run = run
    return call


def error(out, run):
    path = out / "runs" / run / "error.json"
    return json.loads(path.read_text())["message"] if path.exists() else None


@pytest.mark.parametrize("status", [DONE, FAILED])
def test_a_job_that_ended_by_itself_stays_as_it_is(status, end, slurm):
    assert end(status) == status
    assert slurm.commands("scontrol") == []


@pytest.mark.parametrize("status", [STOPPED, KILLED, 128 + 12, 128 + 15])
def test_a_job_that_was_stopped_or_killed_goes_back_into_the_queue(status, end, slurm, out):
    end(status)
    assert slurm.commands("scontrol") == ["requeue 100_0"]
    assert error(out, end.run) is None


def test_a_job_to_which_a_signal_is_still_being_delivered_goes_back_into_the_queue(end, slurm):
    slurm.state("SIGNALING")
    end(STOPPED)
    assert slurm.commands("scontrol") == ["requeue 100_0"]


def test_a_running_job_is_known_as_one_whatever_a_site_prints_around_its_state(end, slurm):
    slurm.state("Welcome to two\nRUNNING\n")
    end(STOPPED)
    assert slurm.commands("scontrol") == ["requeue 100_0"]


def test_a_squeue_that_tells_no_state_is_asked_again(end, slurm, monkeypatch):
    slurm.state("slurm_load_jobs error: Unable to contact slurm controller")
    monkeypatch.setattr("bench.slurm.ended.time.sleep", lambda seconds: slurm.state("RUNNING"))
    end(STOPPED)
    assert slurm.commands("scontrol") == ["requeue 100_0"]


@pytest.mark.parametrize("state", ["CANCELLED", "COMPLETING", "PENDING"])
def test_a_job_that_was_cancelled_or_requeued_by_another_is_left_alone(state, end, slurm):
    slurm.state(state)
    assert end(STOPPED) == STOPPED
    assert slurm.commands("scontrol") == []


def test_a_job_that_bench_cancelled_does_not_go_back_into_the_queue(end, slurm, out):
    note_cancellation(out, ["100_0"])
    assert end(STOPPED) == STOPPED
    assert slurm.commands("scontrol") == []


@pytest.mark.parametrize("status", [STOPPED, KILLED])
def test_an_attempt_that_counts_no_more_requeues_nothing_and_counts_no_kill(status, end, slurm, out):
    (submission,) = submissions(out)
    start_attempt(out, submission.tasks[0][0], Attempt(submission.name, 1))
    assert end(status) == status
    assert slurm.commands("scontrol") == []
    assert not (out / "slurm" / "kills").exists()


@pytest.mark.parametrize(
    "printed",
    [
        "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed.",
        "srun: error: n1: task 0: Out Of Memory",
        "slurmstepd-n1: error: StepId=1.0 exceeded memory limit (90 > 80), being killed",
    ],
)
def test_a_job_that_ran_out_of_memory_fails_with_what_to_do(printed, end, slurm, out):
    assert end(KILLED, printed) == FAILED
    assert "lower batch_size" in error(out, end.run)
    assert slurm.commands("scontrol") == []


def test_a_job_killed_again_and_again_without_getting_further_fails_in_the_end(end, slurm, out):
    for _ in range(KILLS - 1):
        end(KILLED)
    assert error(out, end.run) is None
    assert end(KILLED) == FAILED
    assert "killed 5 times in a row without a checkpoint in between (signal 9)" in error(out, end.run)


def test_a_job_that_gets_further_may_be_killed_any_number_of_times(end, out):
    (run,) = outlines(out)
    for step in range(3 * KILLS):
        write_json(out / "stages" / run.stages[0].folder / "checkpoints" / f"step-{step:08d}.json", {})
        end(KILLED)
    assert error(out, end.run) is None


def test_a_controller_that_is_down_is_tried_again(end, slurm):
    slurm.down()
    slurm.up()
    original = slurm.folder / "bin" / "scontrol"
    original.write_text(
        original.read_text().replace(
            "exit 0", f'[ -e "{slurm.folder}/once" ] && exit 0; touch "{slurm.folder}/once"; exit 1'
        )
    )
    end(STOPPED)
    assert slurm.commands("scontrol") == ["requeue 100_0"] * 2


@pytest.mark.parametrize(
    "words",
    ["Requested operation is presently disabled for job 100_0", "Access/permission denied", "Invalid job id specified"],
)
def test_a_job_that_may_not_go_back_fails_with_the_reason_after_one_try(words, end, slurm, out):
    slurm.scontrol_fails(words)
    assert end(STOPPED) == FAILED
    assert slurm.commands("scontrol") == ["requeue 100_0"]
    assert words in error(out, end.run)
    assert "bench retry" in error(out, end.run)


def test_a_job_that_another_has_requeued_meanwhile_is_left_alone(end, slurm, out, monkeypatch):
    slurm.scontrol_fails("Job/step already completing or completed")
    monkeypatch.setattr("bench.slurm.ended.time.sleep", lambda seconds: slurm.state("COMPLETING"))
    assert end(STOPPED) == STOPPED
    assert error(out, end.run) is None


@pytest.mark.parametrize(
    "words",
    [
        "slurm_requeue error: Unable to contact slurm controller (connect failure)",
        "Socket timed out on send/recv operation",
        "Zero Bytes were transmitted or received",
        "Resource temporarily unavailable",
    ],
)
def test_a_controller_that_does_not_answer_for_long_leaves_the_job_as_it_is(words, end, slurm, out, monkeypatch):
    monkeypatch.setattr("bench.slurm.ended.PATIENCE_SECONDS", -1)
    slurm.scontrol_fails(words)
    assert end(STOPPED) == STOPPED
    assert error(out, end.run) is None


@pytest.mark.parametrize("content", ["{}", "[]", '{"kills": "many", "progress": []}', '{"kills": 4, "checksum": "0"}'])
def test_a_damaged_count_of_kills_begins_anew(content, end, slurm, out):
    end(KILLED)
    (path,) = (out / "slurm" / "kills").iterdir()
    path.write_text(content)
    end(KILLED)
    assert read_checked(path)["kills"] == 1
    assert slurm.commands("scontrol") == ["requeue 100_0"] * 2


def test_where_there_is_no_scontrol_the_batch_script_is_left_to_requeue(end, slurm, out, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert end(STOPPED) == TO_REQUEUE
    assert end(FAILED) == FAILED
    note_cancellation(out, ["100_0"])
    assert end(STOPPED) == STOPPED


@pytest.fixture
def end_pack(slurm, out, monkeypatch):
    """The same for a job that three runs share. left: the status that its process has left, if it was not killed."""
    runs = [write_plan(out, "m", "human", seed, "human") for seed in range(3)]
    submit(list(outlines(out)), out, make_profile("p", {"runs_per_gpu": 3}, "here"), 60.0)
    (submission,) = submissions(out)
    for name, value in (("SLURM_ARRAY_JOB_ID", "100"), ("SLURM_ARRAY_TASK_ID", "0")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("bench.slurm.ended.time.sleep", lambda seconds: None)
    slurm.state("RUNNING")

    def call(status: int, left: int | None = None, printed: str = "", restarts: int = 0) -> int:
        (out / "slurm" / "jobs" / "100_0_0_log.out").write_text(printed)
        content = {"submission": submission.name, "restarts": restarts, "status": left}
        if left is not None:
            write_checked(out / "slurm" / "packs" / "100_0.json", content)
        return ended.main([str(out), submission.name, str(status)])

    call.runs = runs
    return call


@pytest.mark.parametrize(("status", "left"), [(STOPPED, STOPPED), (253, STOPPED), (KILLED, None)])
def test_a_pack_goes_back_into_the_queue_if_any_of_it_is_to_go_on(status, left, end_pack, slurm, out):
    finish_run(out, end_pack.runs[0])
    fail(out, submissions(out)[0].jobs(0, "100")[1], "no luck")
    end_pack(status, left)
    assert slurm.commands("scontrol") == ["requeue 100_0"]
    assert [error(out, run) for run in end_pack.runs] == [None, "no luck", None]


@pytest.mark.parametrize("left", [DONE, FAILED])
def test_what_the_process_of_a_pack_has_left_goes_before_the_status_of_srun(left, end_pack, slurm):
    assert end_pack(253, left, "srun: error: n1: task 0: Out Of Memory") == left
    assert slurm.commands("scontrol") == []


def test_what_an_earlier_attempt_has_left_is_no_status_of_this_one(end_pack, slurm, out, monkeypatch):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    end_pack(KILLED, STOPPED, restarts=0)
    assert slurm.commands("scontrol") == ["requeue 100_0"]
    assert len(list((out / "slurm" / "kills").iterdir())) == 3


def test_kills_of_a_pack_are_counted_for_each_run_that_was_not_done(end_pack, slurm, out):
    finish_run(out, end_pack.runs[0])
    for _ in range(KILLS - 1):
        end_pack(KILLED)
    (run,) = [run for run in outlines(out) if run.folder == end_pack.runs[1]]
    write_json(out / "stages" / run.stages[0].folder / "checkpoints" / "step-00000001.json", {})
    end_pack(KILLED)
    assert [error(out, run) is None for run in end_pack.runs] == [True, True, False]
    assert slurm.commands("scontrol") == ["requeue 100_0"] * KILLS


def test_a_pack_that_slurm_ends_for_its_memory_fails_but_for_what_was_done(end_pack, slurm, out):
    finish_run(out, end_pack.runs[0])
    assert (
        end_pack(KILLED, printed="slurmstepd: error: StepId=1.0 exceeded memory limit (9 > 8), being killed") == FAILED
    )
    assert [error(out, run) is None for run in end_pack.runs] == [True, False, False]
    assert slurm.commands("scontrol") == []


def test_a_pack_that_was_killed_when_all_of_it_was_done_is_done(end_pack, slurm, out):
    for run in end_pack.runs:
        finish_run(out, run)
    assert end_pack(KILLED) == DONE


def test_a_pack_whose_runs_are_cancelled_one_by_one_or_all_does_not_go_on(end_pack, slurm, out):
    for member in range(3):
        note_cancellation(out, [f"100_0/{member}"])
    assert end_pack(STOPPED, STOPPED) == DONE
    assert slurm.commands("scontrol") == []


def test_each_run_of_a_pack_that_may_not_go_back_says_why(end_pack, slurm, out):
    finish_run(out, end_pack.runs[0])
    slurm.scontrol_fails("Access/permission denied")
    assert end_pack(STOPPED, STOPPED) == FAILED
    assert [bool(error(out, run)) for run in end_pack.runs] == [False, True, True]


def test_what_a_batch_script_calls_at_the_end_loads_no_library_of_training():
    """It runs in the memory that a job asks for, perhaps after that was too little."""
    program = "import sys, bench.slurm.ended; print({'torch', 'transformers', 'numpy', 'submitit'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
