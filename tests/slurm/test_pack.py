"""A job that is several runs: its process, with shell scripts in the place of the processes that it starts."""

from __future__ import annotations

import shutil
import signal

import pytest
from fake_slurm import finish_run, finish_stage, stage_of, write_plan

from bench.runs.interrupt import Interrupt
from bench.runs.outline import outlines
from bench.runs.run_folder import RunFolder
from bench.slurm import pack
from bench.slurm.attempts import Attempt, start_attempt
from bench.slurm.exit_status import DONE, FAILED, STOPPED
from bench.slurm.outcomes import KILLS, fail
from bench.slurm.profiles import make_profile
from bench.slurm.submissions import log_path, note_cancellation, submissions
from bench.slurm.submit import submit

PROFILE = make_profile("p", {"runs_per_gpu": 3, "cpus": 2}, "here")
UNTIL_A_SIGNAL = "trap 'exit 75' USR2 TERM; touch \"$WORLD/waits-$member\"; for i in $(seq 3000); do sleep 0.02; done"
STARTED = """#!/bin/sh
# python -u -m bench.slurm.pack OUT SUBMISSION INDEX MEMBER
out=$4 member=$7 WORLD="{world}"
echo "$member" >> "$WORLD/started"
do_it() {{ cp "$WORLD/done/runs/$1/record.json" "$out/runs/$1/record.json"; }}
. "$WORLD/member-$member"
"""


class World:
    """A pack of three runs that was submitted, and what the process of each does."""

    def __init__(self, out, folder, monkeypatch):
        self.out, self.folder, self.interrupt = out, folder, Interrupt()
        self.hooks = []
        for name, seconds in (("LOOK_SECONDS", 0.0), ("CANCELLED_SECONDS", 0.0)):
            monkeypatch.setattr(pack, name, seconds)
        monkeypatch.setattr(pack.time, "sleep", self._look)

    def submit(self, *sources, setting="human"):
        self.runs = [write_plan(self.out, "m", setting, seed, *sources) for seed in range(3)]
        submit(list(outlines(self.out)), self.out, PROFILE, 60.0)
        shutil.copytree(self.out, self.folder / "done")
        for run in self.runs:
            finish_run(self.folder / "done", run)
        self.does(*(f"do_it {run}" for run in self.runs))

    def does(self, *scripts):
        for member, script in enumerate(scripts):
            (self.folder / f"member-{member}").write_text(script + "\n")

    def when_all_wait(self, count, then):
        """Do something when so many processes wait for a signal."""
        self.hooks.append((count, then))

    def _look(self, seconds):
        for count, then in list(self.hooks):
            if len(list(self.folder.glob("waits-*"))) == count:
                self.hooks.remove((count, then))
                then()

    def carry_out(self, number=0, restarts=0):
        submission = submissions(self.out)[number]
        self.jobs = submission.jobs(0, submission.job)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_RESTART_COUNT", str(restarts))
            return pack.carry_out_pack(self.jobs, self.out, submission, self.interrupt)

    def started(self):
        path = self.folder / "started"
        return path.read_text().split() if path.exists() else []

    def errors(self):
        return [RunFolder(self.out, run).error() for run in self.runs]


@pytest.fixture
def world(slurm, out, tmp_path, monkeypatch):
    folder = tmp_path / "the world's"
    folder.mkdir()
    program = folder / "python"
    program.write_text(STARTED.format(world=folder))
    program.chmod(0o755)
    monkeypatch.setattr(pack.sys, "executable", str(program))
    return World(out, folder, monkeypatch)


def test_each_run_is_a_process_that_prints_to_a_file_of_its_own(world, capsys):
    world.submit("human")
    world.does(*(f'echo "i am $member of $SLURM_CPUS_PER_TASK"; do_it {run}' for run in world.runs))
    assert world.carry_out() == DONE
    assert sorted(world.started()) == ["0", "1", "2"]
    logs = [log_path(world.out, job).read_text() for job in world.jobs]
    assert logs == [f"i am {member} of 2\n" for member in range(3)]
    assert "member 1, runs/m-human-s1: done" in capsys.readouterr().out


def test_one_that_fails_has_its_reason_and_the_others_go_on(world):
    world.submit("human")
    world.does("exit 1")
    assert world.carry_out() == FAILED
    assert world.errors()[1:] == [None, None]
    assert "its process ended with exit status 1; see " in world.errors()[0]
    assert all(RunFolder(world.out, run).record() for run in world.runs[1:])


def test_one_that_says_why_it_failed_is_left_as_it_is(world):
    world.submit("human")
    RunFolder(world.folder / "done", world.runs[0]).write_error("no luck", "")
    world.does(f'cp "$WORLD/done/runs/{world.runs[0]}/error.json" "$out/runs/{world.runs[0]}/"; exit 1')
    assert world.carry_out() == FAILED
    assert world.errors() == ["no luck", None, None]


def test_one_that_is_killed_is_started_again_beside_the_others(world, capsys):
    world.submit("human")
    run = world.runs[1]
    world.does(
        "do_it " + world.runs[0], f'[ -e "$WORLD/again" ] || {{ touch "$WORLD/again"; kill -9 $$; }}; do_it {run}'
    )
    assert world.carry_out() == DONE
    assert sorted(world.started()) == ["0", "1", "1", "2"]
    assert "the process was killed (signal 9); it goes on" in capsys.readouterr().out


def test_what_a_process_takes_to_start_is_counted_from_the_job_and_of_one_started_again_from_then(world, monkeypatch):
    monkeypatch.setenv("BENCH_JOB_STARTED", "1000000000")
    told = 'echo "$BENCH_JOB_STARTED" >> "$WORLD/began-$member"'
    once = '[ -e "$WORLD/killed" ] || { touch "$WORLD/killed"; kill -9 $$; }'
    world.submit("human")
    world.does(f"{told}; do_it {world.runs[0]}", f"{told}; {once}; do_it {world.runs[1]}", f"do_it {world.runs[2]}")
    assert world.carry_out() == DONE
    assert (world.folder / "began-0").read_text().split() == ["1000000000"]
    first, again = (world.folder / "began-1").read_text().split()
    assert first == "1000000000"
    assert float(again) > 1.5e9


def test_one_that_is_killed_again_and_again_fails_in_the_end_and_no_other_is_counted(world):
    world.submit("human")
    world.does("do_it " + world.runs[0], "kill -9 $$")
    assert world.carry_out() == FAILED
    assert world.started().count("1") == KILLS
    assert world.errors()[1].startswith("killed 5 times in a row without a checkpoint in between (signal 9); see ")
    assert [world.errors()[i] for i in (0, 2)] == [None, None]
    assert len(list((world.out / "slurm" / "kills").iterdir())) == 1


def test_one_that_the_kernel_kills_for_memory_fails_with_what_to_do(world, monkeypatch):
    world.submit("human")
    world.does("do_it " + world.runs[0], 'touch "$WORLD/oom"; kill -9 $$')
    monkeypatch.setattr(pack, "oom_kills", lambda: int((world.folder / "oom").exists()))
    assert world.carry_out() == FAILED
    assert world.started().count("1") == 1
    assert "out of memory" in world.errors()[1]
    assert RunFolder(world.out, world.runs[2]).record()


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_a_signal_stops_all_and_the_next_attempt_goes_on_with_those_that_can(number, world, capsys):
    world.submit("human")
    world.does("do_it " + world.runs[0], UNTIL_A_SIGNAL, UNTIL_A_SIGNAL)
    world.when_all_wait(2, lambda: world.interrupt.request(number))
    assert world.carry_out() == STOPPED
    assert world.errors() == [None] * 3
    fail(world.out, world.jobs[2], "no luck")
    RunFolder(world.out, world.runs[2]).clear_error()  # it is tried again in another job
    world.does("exit 9", f"do_it {world.runs[1]}", "exit 9")
    world.interrupt = Interrupt()
    assert world.carry_out(restarts=1) == FAILED
    assert sorted(world.started()) == ["0", "1", "1", "2"]
    assert "member 0, runs/m-human-s0: done before" in capsys.readouterr().out


def test_a_process_that_a_signal_kills_before_it_can_listen_counts_as_stopped(world):
    world.submit("human")
    world.does('touch "$WORLD/waits-0"; for i in $(seq 3000); do sleep 0.02; done')
    world.when_all_wait(1, lambda: world.interrupt.request(signal.SIGUSR2))
    assert world.carry_out() == STOPPED
    assert not (world.out / "slurm" / "kills").exists()


def test_one_that_is_cancelled_ends_at_once_and_is_not_begun_again(world):
    world.submit("human")
    world.does(UNTIL_A_SIGNAL)
    world.when_all_wait(1, lambda: note_cancellation(world.out, ["100_0/0"]))
    assert world.carry_out() == DONE
    assert world.errors() == [None] * 3
    assert world.carry_out(restarts=1) == DONE
    assert sorted(world.started()) == ["0", "1", "2"]


def test_one_that_is_cancelled_and_comes_to_no_step_is_killed(world, monkeypatch):
    monkeypatch.setattr(pack, "KILL_SECONDS", 0.0)
    world.submit("human")
    world.does("trap '' TERM; touch \"$WORLD/waits-0\"; for i in $(seq 3000); do sleep 0.02; done")
    world.when_all_wait(1, lambda: note_cancellation(world.out, ["100_0/0"]))
    assert world.carry_out() == DONE


def test_a_pack_others_build_on_is_done_as_long_as_one_of_it_is(world):
    world.submit("distant", "human", setting="human+distant")
    stages = [stage_of(world.out, run) for run in world.runs]
    finish_stage(world.out, stages[0])
    world.does("exit 9", "exit 1", "exit 1")
    assert world.carry_out(0) == DONE
    assert [error is None for error in world.errors()] == [True, False, False]


def test_what_builds_on_a_stage_that_is_not_there_is_left_out_without_an_error(world, capsys):
    world.submit("distant", "human", setting="human+distant")
    finish_stage(world.out, stage_of(world.out, world.runs[0]))
    assert world.carry_out(1) == FAILED
    assert world.started() == ["0"]
    assert RunFolder(world.out, world.runs[0]).record()
    assert world.errors() == [None] * 3
    assert f"left out: it builds on stages/{stage_of(world.out, world.runs[1])}" in capsys.readouterr().out


def test_an_attempt_that_counts_no_more_starts_none_of_its_processes_again(world):
    world.submit("human")
    (submission,) = submissions(world.out)
    for task in submission.all_tasks:
        start_attempt(world.out, task, Attempt(submission.name, 1))
    world.does("kill -9 $$", "exit 75", "exit 75")
    assert world.carry_out(restarts=0) == FAILED
    assert sorted(world.started()) == ["0", "1", "2"]
    assert not (world.out / "slurm" / "kills").exists()


def test_a_disk_that_takes_no_reason_ends_no_other(world, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    world.submit("human")
    world.does("exit 1")
    monkeypatch.setattr(pack, "fail", full)
    assert world.carry_out() == FAILED
    assert "No space left on device" in capsys.readouterr().out
    assert all(RunFolder(world.out, run).record() for run in world.runs[1:])


def test_one_that_cannot_be_begun_keeps_no_other_from_it(world, monkeypatch, capsys):
    world.submit("human")
    (world.out / "slurm" / "jobs" / "100_0_member-0_log.out").mkdir()  # where its log should be
    assert world.carry_out() == FAILED
    assert "member 0, runs/m-human-s0: not begun: " in capsys.readouterr().out
    assert all(RunFolder(world.out, run).record() for run in world.runs[1:])


def test_a_signal_before_anything_is_begun_begins_nothing_and_leaves_all_to_the_next_attempt(world):
    world.submit("human")
    finish_run(world.out, world.runs[0])
    world.interrupt.request(signal.SIGUSR2)
    assert world.carry_out() == STOPPED
    assert world.started() == []
    world.interrupt = Interrupt()
    assert world.carry_out(restarts=1) == DONE
    assert sorted(world.started()) == ["1", "2"]
