from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest
from fake_slurm import finish_run, stage_of, write_plan
from filelock import FileLock
from small_experiments import SMALL, execute, plans

from bench.filesystem import write_json
from bench.runs.outline import outlines
from bench.runs.run_folder import RunFolder
from bench.slurm.outcomes import fail
from bench.slurm.profiles import make_profile
from bench.slurm.submissions import submissions
from bench.slurm.submit import submit

PROFILE = "gpus = 0\ncpus = 2\ntime = '1h'\n[stages.distant]\ntime = '3h'\n"
CHANGES = [part for change in SMALL for part in ("--set", change)]


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PROFILE)
    return path


@pytest.fixture
def run(small, bench, out, profile):
    """`bench run` of the small experiment on SLURM."""
    what = [
        "--models",
        "atlop",
        "--dataset",
        "small",
        "--encoder",
        "tiny",
        "--settings",
        "human+distant",
        "--seeds",
        "2",
    ]
    return lambda *options: bench("run", *what, *CHANGES, "--out", out, "--launcher", "slurm", *options)


def submitted(out, *runs):
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    return runs


def test_running_on_slurm_returns_at_once_and_says_what_was_submitted(run, profile, slurm, out):
    status, printed, error = run("--profile", profile)
    assert (status, error) == (0, "")
    assert "array 100: 2 x distant, 180 min" in printed
    assert "array 101: 2 x human, 60 min, 32768 MB, 0 GPU, each after its task of 100" in printed
    assert "submitted 4 jobs with the profile 'mine'" in printed


def test_what_of_the_environment_a_profile_goes_before_is_told(run, profile, slurm, monkeypatch):
    monkeypatch.setenv("SBATCH_TIMELIMIT", "25")
    _, printed, _ = run("--profile", profile)
    assert "SBATCH_TIMELIMIT of the environment not used: what a job asks for is in the profile" in printed
    assert slurm.submitted()["101"]["time"] == "60"


def test_running_again_adds_nothing_to_the_queue(run, profile, slurm):
    run("--profile", profile)
    slurm.queue_submitted()
    _, printed, _ = run("--profile", profile)
    assert "submitted 0 jobs with the profile 'mine', 4 in the queue before" in printed
    assert len(slurm.submitted()) == 2


def test_waiting_ends_with_the_table_when_the_jobs_have_done_their_work(run, profile, slurm, out, monkeypatch):
    planned = plans(settings="human+distant", seeds="2")
    ends = iter([lambda: slurm.queue_submitted(), lambda: (execute(out, planned), slurm.queue())])
    monkeypatch.setattr("bench.launch.wait.pause", lambda: next(ends)())
    slurm.queue_submitted()
    status, printed, _ = run("--profile", profile, "--wait")
    assert status == 0
    assert "2 of 2" in printed or "test F1" in printed


def test_waiting_ends_with_what_there_is_to_say_of_the_start_of_jobs(run, profile, slurm, out, monkeypatch):
    planned = plans(settings="human+distant", seeds="2")

    def jobs_do_their_work() -> None:
        with pytest.MonkeyPatch.context() as in_a_job:
            in_a_job.setenv("SLURM_ARRAY_JOB_ID", "100")
            in_a_job.setenv("SLURM_ARRAY_TASK_ID", "0")
            in_a_job.setattr("bench.execution.job_time.age", lambda: 1e6)
            execute(out, planned)
        slurm.queue()

    monkeypatch.setattr("bench.launch.wait.pause", jobs_do_their_work)
    slurm.queue_submitted()
    _, printed, _ = run("--profile", profile, "--wait")
    assert printed.count("100% of the time of 1 job went by before the first step of training") == 1


def test_waiting_submits_lost_jobs_again_and_gives_up_on_failed_ones(run, profile, slurm, out, monkeypatch):
    looks = []

    def next_look():
        looks.append(1)
        assert len(looks) < 10
        if len(slurm.submitted()) > 2:
            for folder in (out / "runs").iterdir():
                write_json(folder / "error.json", {"message": "no luck"})

    monkeypatch.setattr("bench.launch.wait.pause", next_look)
    slurm.accounts("100_0|NODE_FAIL|0:0|n1", "100_1|FAILED|0:9|n1")
    status, printed, error = run("--profile", profile, "--wait")
    assert "2 jobs were lost and are submitted again" in printed
    assert status == 1
    assert error.count("failed: no luck") == 2


def test_slurm_needs_a_profile_and_the_others_take_none(run, bench, profile):
    status, _, error = run()
    assert status == 2
    assert "--profile" in error
    status, _, error = bench("run", "--profile", profile, "--launcher", "inline")
    assert status == 2
    assert "--profile is for --launcher slurm" in error


@pytest.mark.parametrize(("launcher", "said"), [("inline", "--launcher local"), ("slurm", "in the profile")])
def test_several_processes_a_run_are_the_local_launchers_and_on_slurm_the_profiles(launcher, said, bench, profile):
    options = ["--profile", profile] if launcher == "slurm" else []
    status, _, error = bench("run", "--gpus-per-run", 2, "--launcher", launcher, *options)
    assert status == 2
    assert said in error


def test_a_bad_profile_is_refused_before_anything_is_planned(run, tmp_path, out):
    path = tmp_path / "bad.toml"
    path.write_text("memory = 12")
    status, _, error = run("--profile", path)
    assert status == 2
    assert "memory = 12: an amount of memory is" in error
    assert not out.exists()


def test_status_loads_nothing_heavy(slurm, out):
    submitted(out, write_plan(out, "m", "human", 0, "human"))
    code = "import sys\nfrom bench.cli.main import main\nsys.argv[1:] = ['status', '--out', sys.argv[1]]\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    loaded = "print({'torch', 'transformers', 'pandas', 'numpy', 'submitit'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + loaded, str(out)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_status_shows_stage_epoch_time_left_node_and_job(slurm, bench, out):
    (name,) = submitted(out, write_plan(out, "m", "human+distant", 0, "distant", "human"))
    slurm.queue("100|0|RUNNING|n3|None|x")
    status = {"state": "running", "job": "100_0", "stage": "distant", "epoch": 2, "epochs": 5}
    write_json(out / "runs" / name / "status.json", {**status, "step": 1, "steps": 4, "eta": 3725, "best": None})
    _, printed, _ = bench("status", "--out", out)
    for cell in ("running", "distant", "2/5", "25%", "1:02:05", "n3", "100_0", "1 running"):
        assert cell in printed


def test_status_as_json_has_a_number_for_a_number(slurm, bench, out):
    submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.queue_submitted("RUNNING", "n1", "None")
    _, printed, _ = bench("status", "--out", out, "--json")
    (state,) = json.loads(printed)["runs"]
    assert (state["seed"], state["state"], state["job"], state["eta"]) == (0, "running", "100_0", None)


def test_status_without_an_answer_from_slurm_says_so_and_shows_what_it_can(slurm, bench, out):
    submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.down()
    status, printed, error = bench("status", "--out", out)
    assert status == 0
    assert "human" in printed
    assert "SLURM cannot be asked" in error


def test_watching_ends_when_nothing_is_under_way(slurm, bench, out, monkeypatch):
    (name,) = submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.queue_submitted("RUNNING", "n1", "None")
    monkeypatch.setattr("bench.cli.status.pause", lambda: (finish_run(out, name), slurm.queue()))
    status, printed, _ = bench("status", "--out", out, "--watch")
    assert status == 0
    assert "1 done" in printed


def test_logs_show_what_the_job_printed(slurm, bench, out):
    (name,) = submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.queue_submitted("RUNNING", "n1", "None")
    (out / "slurm" / "jobs" / "100_0_0_log.out").write_text("one\ntwo\nthree\n")
    assert bench("logs", name, "--out", out)[1] == "one\ntwo\nthree\n"
    assert bench("logs", "100_0", "-n", "1", "--out", out)[1] == "three\n"


def test_logs_of_a_run_that_failed_end_with_its_traceback(slurm, bench, out):
    name = write_plan(out, "m", "human", 0, "human")
    folder = RunFolder(out, name)
    folder.write_error("ValueError: no (mine.py, line 3)", "Traceback: ...\n")
    expected = "Traceback: ...\n\nValueError: no (mine.py, line 3)\n"
    assert bench("logs", name, "--out", out)[1] == expected
    (folder.path / "error.txt").unlink()  # of a version that kept none
    assert bench("logs", name, "-f", "--out", out)[1] == "ValueError: no (mine.py, line 3)\n"


def test_logs_of_a_job_that_was_killed_and_printed_nothing_say_what_slurm_says(slurm, bench, out):
    (name,) = submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.queue()
    slurm.accounts("100_0|OUT_OF_MEMORY|0:125|n1")
    status, printed, _ = bench("logs", name, "--out", out)
    assert status == 0
    assert printed.startswith(f"{name} failed: out of memory: the job was killed.")


def test_logs_without_a_job_show_the_training(slurm, bench, out):
    name = write_plan(out, "m", "human", 0, "human")
    path = out / "stages" / stage_of(out, name) / "log.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"step": 0}\n')
    assert bench("logs", "human-s0", "--out", out)[1] == '{"step": 0}\n'


def test_following_a_log_prints_each_line_once_and_ends_with_the_run(slurm, bench, out, monkeypatch):
    (name,) = submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.queue_submitted("RUNNING", "n1", "None")
    path = out / "slurm" / "jobs" / "100_0_0_log.out"
    path.write_text("one\n")

    def later():
        with path.open("a") as file:
            file.write("two\n")
        finish_run(out, name)

    monkeypatch.setattr("bench.cli.logs.pause", later)
    assert bench("logs", name, "-f", "--out", out)[1] == "one\ntwo\n"


def test_a_name_that_means_several_runs_lists_them(slurm, bench, out):
    for seed in range(2):
        write_plan(out, "m", "human", seed, "human")
    status, _, error = bench("logs", "human", "--out", out)
    assert status == 2
    assert "2 runs have 'human' in their names:\n  m-human-s0\n  m-human-s1" in error


def write_plan_of(out, setting):
    """A plan in a folder of a name as `bench run` gives it."""
    planned = out / "runs" / write_plan(out, "ttmre", setting, 0, "human")
    return planned.rename(planned.with_name(f"ttmre-small-{setting}-tiny-s0-0123456789ab")).name


def test_a_run_is_known_by_its_model_setting_and_seed(slurm, bench, out):
    names = [write_plan_of(out, setting) for setting in ("human", "human+distant")]
    for setting, name in zip(("human", "human+distant"), names, strict=True):
        error = bench("logs", f"ttmre-{setting}-s0", "--out", out)[2]
        assert f"{name} has printed nothing yet" in error
    assert "no run 'ttmre-human-s1'" in bench("logs", "ttmre-human-s1", "--out", out)[2]


def test_cancelling_a_run_takes_its_jobs_and_leaves_what_others_need(slurm, bench, out):
    for model in ("a", "b"):
        write_plan(out, model, "human+distant", 0, "distant", "human", shared="teacher")
    submitted(out)
    slurm.queue_submitted()
    bench("cancel", "b-human", "--out", out)
    assert slurm.commands("scancel") == ["102_0"]


def test_cancelling_everything_takes_dependants_first(slurm, bench, out):
    write_plan(out, "m", "human+distant", 0, "distant", "human")
    submitted(out)
    slurm.queue_submitted()
    _, printed, _ = bench("cancel", "--all", "--out", out)
    assert slurm.commands("scancel") == ["101_0 100_0"]
    assert "cancelled 2 jobs" in printed


def test_waiting_does_not_undo_a_cancellation_of_which_slurm_keeps_no_trace(
    run, profile, slurm, bench, out, monkeypatch
):
    slurm_forgets = iter([slurm.queue_submitted, lambda: (bench("cancel", "--all", "--out", out), slurm.queue())])

    def next_look():
        next(slurm_forgets, lambda: pytest.fail("it goes on waiting"))()

    monkeypatch.setattr("bench.launch.wait.pause", next_look)
    (slurm.folder / "bin" / "sbatch").write_text(
        (slurm.folder / "bin" / "sbatch").read_text()
        + '\necho "$((100 + n))|0|PENDING||Resources|x" >> "$FAKE/queue"'
        + '\necho "$((100 + n))|1|PENDING||Resources|x" >> "$FAKE/queue"\n'
    )
    status, printed, error = run("--profile", profile, "--wait")
    assert status == 1
    assert error.count("cancelled: `bench retry` submits it again") == 2
    assert "submitted again" not in printed
    assert len(slurm.submitted()) == 2


def test_what_was_cancelled_without_a_trace_is_cancelled_until_it_is_submitted_again(slurm, bench, out):
    submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.queue_submitted()
    bench("cancel", "--all", "--out", out)
    assert "1 pending" in bench("status", "--out", out)[1]
    slurm.queue()
    assert "1 cancelled" in bench("status", "--out", out)[1]
    submitted(out)
    slurm.queue("101|0|PENDING||Resources|x")
    assert "1 pending" in bench("status", "--out", out)[1]
    slurm.queue()
    assert "1 interrupted" in bench("status", "--out", out)[1]


def test_a_cancellation_that_slurm_did_not_take_is_none(slurm, bench, out):
    submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.queue_submitted()
    slurm.cancelling_fails("scancel: error: Unable to contact slurm controller (connect failure)")
    status, _, error = bench("cancel", "--all", "--out", out)
    assert status == 1
    assert "Unable to contact slurm controller" in error
    slurm.queue()
    assert "1 interrupted" in bench("status", "--out", out)[1]


def test_cancelling_gives_up_a_job_of_which_nobody_knows(slurm, bench, out):
    submitted(out, write_plan(out, "m", "human", 0, "human"))
    slurm.accounts("100_0|RUNNING|0:0|n1")  # for good: the controller has lost it
    slurm.cancelling_fails("scancel: error: Kill job error on job id 100_0: Invalid job id specified")
    assert "cancelled 1 job" in bench("cancel", "--all", "--out", out)[1]
    assert "1 cancelled" in bench("status", "--out", out)[1]
    submitted(out)
    assert len(slurm.submitted()) == 2


def test_cancelling_needs_to_be_told_what(slurm, bench, out):
    write_plan(out, "m", "human", 0, "human")
    assert bench("cancel", "--out", out)[0] == 2


def test_cancelling_stops_a_process_of_this_machine(slurm, bench, out, monkeypatch):
    import platform

    name = write_plan(out, "m", "human", 0, "human")
    write_json(out / "runs" / name / "status.json", {"pid": 12345, "host": platform.node(), "state": "running"})
    killed = []
    monkeypatch.setattr("os.kill", lambda pid, number: killed.append((pid, number.name)))
    with FileLock(out / "runs" / name / "lock"):
        bench("cancel", name, "--out", out)
    assert killed == [(12345, "SIGTERM")]
    assert RunFolder(out, name).is_cancelled()


def test_retrying_submits_what_failed_with_the_profile_it_had(run, profile, slurm, bench, out):
    run("--profile", profile)
    profile.unlink()
    slurm.accounts("100_0|FAILED|1:0|n1", "100_1|CANCELLED by 7|0:0|n1", "101_[0-1]|CANCELLED|0:0|")
    for folder in (out / "runs").iterdir():
        write_json(folder / "error.json", {"message": "no luck"})
    status, printed, error = bench("retry", "--failed", "--out", out)
    assert (status, error) == (0, "")
    assert "submitted 4 jobs with the profile 'mine'" in printed
    assert slurm.submitted()["102"]["time"] == "180"
    assert not list((out / "runs").glob("*/error.json"))


def test_retrying_when_nothing_failed_does_nothing(run, profile, slurm, bench, out):
    run("--profile", profile)
    slurm.queue_submitted()
    status, printed, _ = bench("retry", "--failed", "--out", out)
    assert (status, printed) == (0, "nothing to try again\n")
    assert len(slurm.submitted()) == 2


def test_nothing_submits_a_live_job_a_second_time_while_the_queue_is_silent(run, profile, slurm, bench, out):
    run("--profile", profile)
    slurm.accounts("100_0|RUNNING|0:0|n1", "100_[1]|PENDING|0:0|None assigned", "101_[0-1]|PENDING|0:0|")
    assert bench("retry", "--failed", "--out", out)[:2] == (0, "nothing to try again\n")
    assert "submitted 0 jobs with the profile 'mine', 4 in the queue before" in run("--profile", profile)[1]
    assert "1 running, 1 pending" in bench("status", "--out", out)[1]
    assert len(slurm.submitted()) == 2


def test_a_run_of_which_nobody_knows_is_not_tried_again_and_says_so(run, profile, slurm, bench, out):
    run("--profile", profile)
    slurm.accounting_fails()
    status, printed, _ = bench("retry", "--failed", "--out", out)
    assert status == 0
    assert "a job may still be at it" in printed
    assert "nothing to try again" in printed
    status, _, error = bench("retry", "s0", "--out", out)
    assert status == 2
    assert "a job may still be at it" in error
    assert "left out 4 of which SLURM does not say" in run("--profile", profile)[1]
    assert len(slurm.submitted()) == 2


def test_retrying_needs_no_accounting(run, profile, slurm, bench, out):
    run("--profile", profile)
    slurm.without_accounting()
    status, printed, _ = bench("retry", "--failed", "--out", out)
    assert status == 0
    assert "submitted 4 jobs" in printed


def test_waiting_goes_on_while_nobody_knows_and_submits_nothing(run, profile, slurm, out, monkeypatch):
    looks = iter([slurm.down, lambda: None, lambda: None, slurm.up, slurm.accounting_fails, lambda: None, lambda: None])

    def fail_all():
        for folder in (out / "runs").iterdir():
            write_json(folder / "error.json", {"message": "the end"})

    def next_look():
        next(looks, fail_all)()

    monkeypatch.setattr("bench.launch.wait.pause", next_look)
    slurm.accounts("100_[0-1]|RUNNING|0:0|n1", "101_[0-1]|PENDING|0:0|")
    _, printed, error = run("--profile", profile, "--wait")
    assert error.count("failed: the end") == 2
    assert "unknown" in printed
    assert len(slurm.submitted()) == 2


def test_retrying_a_run_that_was_not_on_slurm_runs_it_here(small, slurm, bench, out):
    planned = plans()
    execute(out, planned, stop_after=float("inf"))
    record = out / "runs" / planned[0].folder / "record.json"
    record.unlink()
    write_json(record.parent / "error.json", {"message": "no luck"})
    status, _, _ = bench("retry", "--failed", "--launcher", "inline", "--out", out)
    assert status == 0
    assert record.exists()


def test_two_submissions_at_once_submit_everything_once(slurm, out):
    for seed in range(3):
        write_plan(out, "m", "human", seed, "human")
    script = slurm.folder / "bin" / "sbatch"
    name = 'name=$(sed -n "s/^#SBATCH --job-name=//p" "$1")'
    queue = 'for i in 0 1 2; do echo "100|$i|PENDING||Priority|$name" >> "$FAKE/queue"; done'
    script.write_text(f"{script.read_text()}{name}\n{queue}\n")
    threads = [threading.Thread(target=submitted, args=(out,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(slurm.submitted()) == 1


def test_a_job_ends_with_its_batch_script_as_sbatch_would_run_it(slurm, out):
    name = write_plan(out, "m", "human", 0, "human")
    submitted(out)
    # srun runs what it is given; the process is killed.
    (slurm.folder / "bin" / "srun").write_text("#!/bin/sh\nexit 137\n")
    slurm.state("CANCELLED")
    environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "100", "SLURM_ARRAY_TASK_ID": "0"}
    done = subprocess.run(["bash", str(slurm.folder / "submitted" / "100.sh")], env=environment, check=False)
    assert done.returncode == 137
    assert json.loads((out / "slurm" / "kills" / f"runs-{name}.json").read_text())["kills"] == 1


def test_doctor_says_in_one_line_what_to_do_where_no_controller_answers(slurm, monkeypatch):
    from bench.cli.doctor import _slurm

    sinfo = slurm.folder / "bin" / "sinfo"
    sinfo.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo slurm 22.05.8; exit 0; }\n'
        'echo "slurm_load_partitions: Unable to contact slurm controller (connect failure)" >&2; exit 1\n'
    )
    sinfo.chmod(0o755)
    requirement = _slurm()
    assert not requirement.here
    assert "Unable to contact slurm controller" in requirement.state
    assert "\n" not in requirement.state
    assert "login node" in requirement.to_do
    sinfo.write_text("#!/bin/sh\necho slurm 22.05.8\n")
    assert (_slurm().here, _slurm().state) == (True, "slurm 22.05.8")


@pytest.fixture
def packed(slurm, out):
    """Three runs that share the job 100_0, which is running."""
    runs = [write_plan(out, "m", "human", seed, "human") for seed in range(3)]
    submit(list(outlines(out)), out, make_profile("p", {"runs_per_gpu": 3}, "here"), 60.0)
    slurm.queue_submitted("RUNNING", "n1")
    return runs


def test_cancelling_a_run_leaves_the_others_of_its_job(slurm, bench, out, packed):
    assert "cancelled 1 run in 1 job" in bench("cancel", packed[1], "--out", out)[1]
    assert slurm.commands("scancel") == []
    assert "cancelled 0 jobs" in bench("cancel", packed[1], "--out", out)[1]


def test_logs_are_those_of_a_run_and_not_of_the_job_it_shares(slurm, bench, out, packed):
    (out / "slurm" / "jobs" / "100_0_0_log.out").write_text("bench: 3 tasks share this job\n")
    (out / "slurm" / "jobs" / "100_0_member-2_log.out").write_text("bench: epoch 2\n")
    assert bench("logs", packed[2], "--out", out)[1] == "bench: epoch 2\n"
    assert bench("logs", packed[1], "--out", out)[1] == "bench: 3 tasks share this job\n"
    assert "'100_0' is 3 runs; say which" in bench("logs", "100_0", "--out", out)[2]


def test_a_job_whose_last_runs_are_cancelled_is_cancelled(slurm, bench, out, packed):
    finish_run(out, packed[0])
    bench("cancel", packed[1], "--out", out)
    assert "cancelled 1 run in 1 job" in bench("cancel", packed[2], "--out", out)[1]
    assert slurm.commands("scancel") == ["100_0"]


@pytest.mark.parametrize("what", ["--all", "100_0"])
def test_cancelling_all_runs_of_a_job_cancels_it_once(what, slurm, bench, out, packed):
    assert "cancelled 3 runs in 1 job" in bench("cancel", what, "--out", out)[1]
    assert slurm.commands("scancel") == ["100_0"]
    slurm.queue()
    assert bench("status", "--out", out)[1].count("cancelled") == 4


def test_a_run_of_a_job_that_goes_on_is_tried_again_alone_and_what_builds_on_it(run, profile, slurm, bench, out):
    run("--profile", profile, "--runs-per-gpu", "2")
    slurm.queue_submitted("RUNNING", "n1")
    failed = sorted(folder.name for folder in (out / "runs").iterdir())[1]
    fail(out, submissions(out)[0].jobs(0, "100")[1], "no luck")
    status, _, error = bench("retry", "--failed", "--out", out)
    assert (status, error) == (0, "")
    assert [[task.run for task in submission.all_tasks] for submission in submissions(out)[2:]] == [[failed], [failed]]
    assert [slurm.submitted()[array].get("dependency") for array in ("102", "103")] == [None, "aftercorr:102"]


def test_runs_that_share_a_gpu_are_told_as_they_are_submitted(run, profile, slurm, out):
    _, printed, _ = run("--profile", profile, "--runs-per-gpu", "5")
    assert "array 100: 1 x distant (2 runs, up to 2 share one), 180 min" in printed
    assert "submitted 2 jobs with the profile 'mine'" in printed
    assert {submission.profile.resources("human").runs_per_gpu for submission in submissions(out)} == {5}


def test_what_they_cost_is_estimated_where_no_gpu_is(run, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    (tmp_path / "no_figures.toml").write_text('time = "1h"')
    options = ("--runs-per-gpu", "2", "--dry-run", "--estimate")
    status, printed, _ = run("--profile", tmp_path / "no_figures.toml", *options)
    assert status == 0
    assert "with up to 2 runs on a GPU: GPU time" in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--launcher", "inline"], "inline is one process"),
        (["--launcher", "local", "--gpus-per-run", "2"], "several runs share one GPU, or one run has several"),
        (["--launcher", "local"], "no GPU is to be seen here; --jobs"),
    ],
)
def test_where_runs_cannot_share_a_gpu_it_is_told(options, said, small, bench, out, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    what = ["--models", "atlop", "--dataset", "small", "--encoder", "tiny", *CHANGES, "--out", out]
    status, _, error = bench("run", *what, "--runs-per-gpu", "3", *options)
    assert status == 2
    assert said in error
