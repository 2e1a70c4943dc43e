from __future__ import annotations

import json
import pickle
import re
import subprocess

import pytest
from fake_slurm import finish_run, finish_stage, stage_of, write_plan
from spoiled_records import IMPOSSIBLE, NEWER, edit_record

from bench.errors import BenchError, UsageError
from bench.runs.outline import outlines
from bench.runs.run_folder import RunFolder
from bench.slurm.exit_status import DONE, FAILED, STOPPED, TO_REQUEUE
from bench.slurm.job import ArrayJob
from bench.slurm.outcomes import fail
from bench.slurm.profiles import make_profile
from bench.slurm.scheduler import Scheduler
from bench.slurm.submissions import cancelled_jobs, note_cancellation, submission_of, submissions
from bench.slurm.submit import submit
from bench.slurm.tasks import task_of_run, task_of_stage

PROFILE = make_profile(
    "p",
    {
        "partition": "gpu",
        "account": "me",
        "gpus_per_run": 2,
        "memory": "8GB",
        "time": "1h",
        "array_parallelism": 3,
        "setup": ["module load x"],
        "extra": {"mail_type": "FAIL", "exclusive": True, "overcommit": False},
        "stages": {"distant": {"time": "2d"}},
    },
    "here",
)


def send(out, profile=PROFILE):
    return submit(list(outlines(out)), out, profile, 60.0)


def test_an_array_for_each_layer_with_the_time_of_its_stage_and_a_task_after_its_own_predecessor(slurm, out):
    for seed in range(2):
        write_plan(out, "m", "human+distant", seed, "distant", "human")
    send(out)
    first, second = slurm.submitted().values()
    assert (first["array"], first["time"]) == ("0,1%3", str(2 * 1440))
    assert (second["array"], second["time"]) == ("0,1%3", "60")
    assert "dependency" not in first
    assert second["dependency"] == "aftercorr:100"
    assert second["kill-on-invalid-dep"] == "yes"


def test_what_the_profile_asks_for_is_asked_of_sbatch(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out)
    options = slurm.submitted()["100"]
    asked = ("partition", "account", "gpus-per-node", "cpus-per-task", "mem", "mail-type", "signal")
    assert [options[name] for name in asked] == ["gpu", "me", "2", "4", "8192M", "FAIL", "USR2@120"]
    assert {"exclusive", "requeue"} <= options.keys()
    assert "overcommit" not in options
    assert "module load x" in slurm.script("100").splitlines()
    started = next(line for line in slurm.script("100").splitlines() if line.startswith("srun"))
    assert {"--cpus-per-task=4", "--wait=15"} <= set(started.split())


def test_a_run_on_two_gpus_is_two_tasks_of_one_node(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out)
    options = slurm.submitted()["100"]
    assert [options[name] for name in ("nodes", "ntasks-per-node", "gpus-per-node")] == ["1", "2", "2"]


def test_a_run_on_two_nodes_has_so_many_processes_on_each(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out, make_profile("p", {"nodes": 2, "gpus_per_run": 4}, "here"))
    options = slurm.submitted()["100"]
    assert [options[name] for name in ("nodes", "ntasks-per-node", "gpus-per-node")] == ["2", "4", "4"]
    started = next(line for line in slurm.script("100").splitlines() if line.startswith("srun"))
    assert "--wait=15" in started.split()


def test_every_task_finds_the_same_call_which_holds_nothing_but_where_to_look(slurm, out):
    for seed in range(3):
        write_plan(out, "m", "human", seed, "human")
    send(out)
    (submission,) = submissions(out)
    for index in range(3):
        with (out / "slurm" / "jobs" / f"100_{index}_submitted.pkl").open("rb") as file:
            assert pickle.load(file).function == ArrayJob(str(out), submission.name)


def test_the_output_folder_knows_what_was_submitted(slurm, out):
    name = write_plan(out, "m", "human+distant", 0, "distant", "human")
    send(out)
    first, second = submissions(out)
    assert (first.job, second.job) == ("100", "101")
    assert [task.key for s in (first, second) for task in s.all_tasks] == [
        task_of_stage(stage_of(out, name)),
        task_of_run(name),
    ]
    assert (first.profile, first.checkpoint_seconds) == (PROFILE, 60.0)


def test_the_id_of_an_array_is_what_sbatch_says_it_is_whatever_a_site_prints_before(slurm, out):
    script = slurm.folder / "bin" / "sbatch"
    script.write_text(
        script.read_text().replace('echo "Submitted', 'echo "this is job 3 of your day"; echo "Submitted')
    )
    write_plan(out, "m", "human", 0, "human")
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    assert [submission.job for submission in submissions(out)] == ["100"]


def test_a_shared_stage_is_submitted_once(slurm, out):
    for model in ("a", "b"):
        write_plan(out, model, "human+distant", 0, "distant", "human", shared="teacher")
    send(out)
    assert [options["array"] for options in slurm.submitted().values()] == ["0%1", "0%1", "0%1"] or [
        options["array"].partition("%")[0] for options in slurm.submitted().values()
    ] == ["0", "0", "0"]
    assert [options.get("dependency") for options in slurm.submitted().values()] == [None, *["aftercorr:100"] * 2]


def test_what_is_done_is_not_submitted_and_what_follows_it_waits_for_nothing(slurm, out):
    finish_run(out, write_plan(out, "m", "human", 0, "human"))
    half = write_plan(out, "m", "human+distant", 0, "distant", "human")
    finish_stage(out, stage_of(out, half))
    send(out)
    (options,) = slurm.submitted().values()
    assert "dependency" not in options
    (submission,) = submissions(out)
    assert [task.run for task in submission.all_tasks] == [half]


def test_the_same_again_submits_nothing_that_is_in_the_queue(slurm, out):
    write_plan(out, "m", "human+distant", 0, "distant", "human")
    send(out)
    slurm.queue_submitted()
    again = send(out)
    assert (again.arrays, again.before) == ([], 2)
    assert len(slurm.submitted()) == 2


def test_what_accounting_calls_live_is_not_submitted_again_although_the_queue_is_silent(slurm, out):
    write_plan(out, "m", "human+distant", 0, "distant", "human")
    send(out)
    slurm.accounts("100_0|RUNNING|0:0|n1", "101_[0]|PENDING|0:0|None assigned")
    again = send(out)
    assert (again.arrays, again.before, again.unknown) == ([], 2, 0)
    assert len(slurm.submitted()) == 2


def test_nothing_is_submitted_for_what_cannot_be_known_nor_for_what_builds_on_it(slurm, out):
    write_plan(out, "m", "human+distant", 0, "distant", "human")
    send(out)
    write_plan(out, "n", "human", 0, "human")
    slurm.accounting_fails()
    again = send(out)
    assert (len(again.arrays), again.before, again.unknown) == (1, 0, 2)
    assert [task.run for task in submissions(out)[-1].all_tasks] == ["n-human-s0"]


def test_the_error_of_a_try_before_goes_when_the_run_is_submitted_again(slurm, out):
    name = write_plan(out, "m", "human", 0, "human")
    RunFolder(out, name).write_error("no luck", "")
    send(out)
    assert RunFolder(out, name).error() is None


def test_what_left_the_queue_undone_is_submitted_again_after_what_is_still_in_it(slurm, out):
    write_plan(out, "m", "human+distant", 0, "distant", "human")
    send(out)
    slurm.queue("100|0|RUNNING|n1|None|x")
    send(out)
    assert slurm.submitted()["102"]["dependency"] == "aftercorr:100"


def test_what_waits_for_a_lost_job_is_submitted_again_with_it(slurm, out):
    write_plan(out, "m", "human+distant", 0, "distant", "human")
    send(out)
    slurm.queue("101|0|PENDING||Dependency|x")
    send(out)
    assert slurm.submitted()["103"]["dependency"] == "aftercorr:102"


def test_an_array_whose_id_was_never_written_is_known_by_its_name(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out)
    (submission,) = submissions(out)
    submission.job = None  # the process died between sbatch and this
    submission.write(out)
    slurm.queue_submitted()
    assert send(out).arrays == []


def test_an_array_is_called_by_what_its_runs_are_of(slurm, out):
    for model, setting, seed in [("m", "human", 0), ("m", "human", 2), ("n", "human", 1)]:
        write_plan(out, model, setting, seed, "human")
    send(out)
    (submission,) = submissions(out)
    assert slurm.submitted()["100"]["job-name"] == f"m+n-human-s0-2.{submission.name}"


def test_a_share_of_labels_is_in_the_name_as_it_is_in_those_of_folders(slurm, out):
    write_plan(out, "m", "ext@2.5%:at-random", 0, "ext")
    send(out)
    (submission,) = submissions(out)
    assert slurm.submitted()["100"]["job-name"] == f"m-ext-2.5-at-random-0-s0.{submission.name}"
    assert submission_of(slurm.submitted()["100"]["job-name"]) == submission.name


def test_an_array_of_an_older_version_whose_id_was_never_written_is_known_by_its_name(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out)
    (submission,) = submissions(out)
    submission.job = None
    submission.write(out)
    slurm.queue(f"100|0|PENDING||Resources|{submission.name}")
    assert send(out).arrays == []


def test_a_scheduler_that_does_not_answer_is_told_and_nothing_is_noted(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    slurm.down()
    with pytest.raises(BenchError, match="Unable to contact slurm controller") as error:
        send(out)
    assert "No job was submitted" in str(error.value)
    assert submissions(out) == []


def test_a_queue_that_cannot_be_asked_is_told_and_nothing_is_submitted_twice(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out)
    slurm.down()
    with pytest.raises(BenchError, match="Unable to contact slurm controller") as error:
        send(out)
    assert "Run the same command again" in str(error.value)
    assert len(slurm.submitted()) == 1


def test_half_a_submission_is_told_and_the_same_again_submits_the_rest(slurm, out):
    write_plan(out, "m", "human+distant", 0, "distant", "human")
    slurm.limit(1)
    with pytest.raises(BenchError, match="QOSMaxSubmitJobPerUserLimit") as error:
        send(out)
    assert "1 job was submitted before (100)" in str(error.value)
    slurm.limit(None)
    slurm.queue_submitted()
    assert len(send(out).arrays) == 1
    assert slurm.submitted()["101"]["dependency"] == "aftercorr:100"


def test_without_slurm_it_is_told(out, monkeypatch):
    write_plan(out, "m", "human", 0, "human")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="not on the PATH"):
        send(out)


def test_a_folder_whose_name_slurm_would_read_as_a_pattern_is_refused(slurm, tmp_path):
    with pytest.raises(UsageError, match="%"):
        send(tmp_path / "100%j")


def test_what_a_newer_version_has_made_is_not_submitted_and_what_is_damaged_is(slurm, out):
    newer, damaged = (write_plan(out, "m", "human", seed, "human") for seed in range(2))
    for run, kind in ((newer, "a higher schema"), (damaged, "not a number")):
        finish_run(out, run)
        edit_record(RunFolder(out, run), (IMPOSSIBLE | NEWER)[kind][0])
    send(out)
    (submission,) = submissions(out)
    assert [task.run for task in submission.all_tasks] == [damaged]


def damage(path):
    """Change a digit of the array's id."""
    text = path.read_text()
    path.write_text(text.replace('"job": "100"', '"job": "101"'))
    assert path.read_text() != text


def first_submission(out):
    return min((out / "slurm" / "submissions").glob("*.json"))


def test_nothing_is_submitted_while_jobs_are_in_the_queue_of_which_nobody_knows_what_they_do(slurm, out):
    write_plan(out, "a", "human", 0, "human")
    send(out)
    slurm.queue_submitted()
    damage(first_submission(out))
    with pytest.raises(BenchError, match="its jobs are in the queue: when they are done remove it"):
        send(out)
    assert list(slurm.submitted()) == ["100"]


def test_a_damaged_submission_none_of_whose_jobs_is_in_the_queue_is_told_and_the_runs_are_submitted(slurm, out):
    write_plan(out, "a", "human", 0, "human")
    send(out)
    damage(first_submission(out))
    scheduler = Scheduler(out)
    assert scheduler.answered
    assert f"{first_submission(out)} cannot be read (not what was written)" in scheduler.trouble
    send(out)
    assert list(slurm.submitted()) == ["100", "101"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"job": 1, "profile": [], "tasks": 7}', '{"tasks": {"x": {}}}', ""])
def test_a_file_that_is_something_else_is_no_submission_and_no_crash(content, slurm, out):
    write_plan(out, "a", "human", 0, "human")
    send(out)
    first_submission(out).write_text(content)
    assert submissions(out) == []
    assert "cannot be read" in Scheduler(out).trouble


@pytest.mark.parametrize("content", ["[1]", '{"jobs": 7}', '{"jobs": ["100_0"], "checksum": "0"}', "{"])
def test_a_note_of_a_cancellation_that_is_damaged_cancels_nothing(content, out):
    note_cancellation(out, ["99_0"]).with_name("damaged.json").write_text(content)
    assert cancelled_jobs(out) == {"99_0"}


def test_all_python_of_a_job_is_that_of_the_container(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out, make_profile("p", {"container": ["enter", "--bind=$TMPDIR"], "python": "/opt/python"}, "here"))
    called = [line for line in slurm.script("100").splitlines() if "-m" in line and not line.startswith("#")]
    assert [re.search(r"(\S+ \S+ \S+) (-u )?-m (\S+)", line).group(1, 3) for line in called] == [
        ('enter "--bind=$TMPDIR" /opt/python', "submitit.core._submit"),
        ('enter "--bind=$TMPDIR" /opt/python', "bench.slurm.ended"),
    ]


@pytest.mark.parametrize(
    ("said", "status", "asked"),
    [(TO_REQUEUE, STOPPED, ["requeue 100_4"]), (FAILED, FAILED, []), (DONE, DONE, []), (137, 137, [])],
)
def test_the_batch_script_requeues_what_a_container_without_slurm_cannot(said, status, asked, slurm, out, monkeypatch):
    program = slurm.folder / "bin" / "enter"
    program.write_text(f"#!/bin/sh\nexit {said}\n")
    program.chmod(0o755)
    slurm.scontrol_fails("it is ending")  # which is not waited for
    write_plan(out, "m", "human", 0, "human")
    send(out, make_profile("p", {"container": ["enter"]}, "here"))
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "100")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    done = subprocess.run(["bash", "-c", slurm.script("100")], capture_output=True, check=False)
    assert (done.returncode, slurm.commands("scontrol")) == (status, asked)


def test_a_scratch_is_named_to_the_job_after_its_setup(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out, make_profile("p", {"setup": ["module load x"], "scratch": "$TMPDIR/a b"}, "here"))
    lines = slurm.script("100").splitlines()
    assert lines[lines.index("module load x") + 1] == 'export BENCH_SCRATCH="$TMPDIR/a b"'


def test_a_model_gets_what_the_profile_has_for_it(slurm, out):
    for model in ("ttmre", "atlop"):
        write_plan(out, model, "human", 0, "human")
    send(out, make_profile("p", {"memory": "8GB", "models": {"ttmre": {"human": {"memory": "96GB"}}}}, "here"))
    assert {options["job-name"].partition("-")[0]: options["mem"] for options in slurm.submitted().values()} == {
        "ttmre": "98304M",
        "atlop": "8192M",
    }


def test_of_a_profile_that_uses_nothing_new_a_version_from_before_can_read_what_was_submitted(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out)
    (submission,) = submissions(out)
    (path,) = (out / "slurm" / "submissions").glob("*.json")
    assert json.loads(path.read_text())["profile"].keys() == {"name", "all", "stages"}
    assert submission.profile == PROFILE


PACKED = make_profile(
    "p",
    {"runs_per_gpu": 2, "cpus": 3, "stages": {"distant": {"runs_per_gpu": 3}, "evaluation": {"runs_per_gpu": 1}}},
    "",
)


def test_runs_that_share_a_gpu_are_one_job_with_one_gpu_and_the_processors_of_each(slurm, out):
    for seed in range(3):
        write_plan(out, "m", "human", seed, "human")
    send(out, PACKED)
    options = slurm.submitted()["100"]
    asked = ("array", "gpus-per-node", "cpus-per-task", "mem")
    assert [options[name] for name in asked] == ["0,1%16", "1", "6", "32768M"]
    assert "ntasks-per-node" not in options
    assert "--cpus-per-task=6" in slurm.script("100")
    (submission,) = submissions(out)
    assert [[job.member for job in submission.jobs(index, "100")] for index in (0, 1)] == [[0, 1], [0]]


def test_a_job_asks_for_no_more_processors_than_its_runs_have(slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out, PACKED)
    assert slurm.submitted()["100"]["cpus-per-task"] == "3"


def test_what_builds_on_runs_of_one_job_is_submitted_after_it_as_one(slurm, out):
    for seed in range(2):
        write_plan(out, "m", "human+distant", seed, "distant", "human")
    send(out, PACKED)
    first, second = slurm.submitted().values()
    assert (first["array"], second["array"], second["dependency"]) == ("0%16", "0%16", "aftercorr:100")


def test_a_run_that_left_its_job_is_submitted_again_and_the_others_are_not(slurm, out):
    runs = [write_plan(out, "m", "human", seed, "human") for seed in range(2)]
    send(out, PACKED)
    slurm.queue_submitted("RUNNING", "n1")
    assert send(out, PACKED).before == 2
    fail(out, submissions(out)[0].jobs(0, "100")[1], "no luck")
    again = send(out, PACKED)
    assert (again.before, [array.number_of_tasks for array in again.arrays]) == (1, [1])
    assert [task.run for task in submissions(out)[-1].all_tasks] == [runs[1]]


def test_without_packs_a_submission_is_written_as_before_and_those_of_before_are_read(slurm, out):
    run = write_plan(out, "m", "human", 0, "human")
    send(out)
    stored = json.loads(first_submission(out).read_text())
    task = {"run": run, "stage": stage_of(out, run), "finishes": True, "section": "human", "needs": None}
    assert stored["tasks"] == {"0": task}
    assert stored["profile"].keys() == {"name", "all", "stages"}
    assert "runs_per_gpu" not in stored["profile"]["all"]
    (submission,) = submissions(out)
    assert [(job.id, job.member, job.task.run) for job in submission.jobs(0, submission.job)] == [("100_0", None, run)]


def test_what_is_written_of_packs_is_read_again(slurm, out):
    for seed in range(3):
        write_plan(out, "m", "human", seed, "human")
    submitted = send(out, PACKED)
    assert submissions(out)[0].tasks == submitted.arrays[0].tasks


@pytest.mark.parametrize("content", ['{"0": []}', '{"0": [7]}', '{"0": [{"run": "x"}]}'])
def test_a_pack_that_is_no_list_of_tasks_is_no_submission(content, slurm, out):
    write_plan(out, "m", "human", 0, "human")
    send(out, PACKED)
    stored = json.loads(first_submission(out).read_text())
    del stored["checksum"]
    first_submission(out).write_text(json.dumps(stored | {"tasks": json.loads(content)}))
    assert submissions(out) == []
