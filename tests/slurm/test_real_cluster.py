"""On a real SLURM: `make test-slurm`. Each job takes some seconds, so there are few of them, and they are small."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_experiments import SMALL, execute, plans, results

from bench.launch.status import run_views
from bench.runs.status import SETTLED

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("small")]

LONG, LONGER = "epochs=60", "epochs=250"
CLUSTER = Path(__file__).parents[2] / "slurm" / "cluster.py"


@pytest.fixture(autouse=True)
def _cluster() -> None:
    if "BENCH_TEST_CLUSTER" not in os.environ:
        why = subprocess.run([sys.executable, str(CLUSTER), "available"], capture_output=True, text=True, check=False)
        pytest.skip(f"not on the test cluster (make test-slurm); SLURM is {why.stdout.strip()}")


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., Path]:
    def write(**changed: str) -> Path:
        shipped = (CLUSTER.parent / "profiles" / "test-cluster.toml").read_text()
        for name, value in changed.items():
            lines = [f"{name} = {value}" if line.startswith(f"{name} =") else line for line in shipped.splitlines()]
            shipped = "\n".join(lines) + "\n"
        path = tmp_path / "changed.toml"
        path.write_text(shipped)
        return path

    return write


def start(
    out: Path,
    profile: Path | None,
    *options: str,
    model: str = "atlop",
    changes: tuple[str, ...] = (),
    seeds: str = "1",
) -> subprocess.CompletedProcess[str]:
    sets = [part for change in (*SMALL, *changes) for part in ("--set", change)]
    what = ["--models", model, "--dataset", "small", "--encoder", "tiny", "--seeds", seeds, "--checkpoint-seconds", "1"]
    launcher = ["--launcher", "slurm", "--profile", str(profile)] if profile else []
    command = [sys.executable, "-m", "bench", "run", *what, *sets, "--out", str(out), *launcher, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def view_of(out: Path, run: int = 0):
    return run_views(out)[run]


def until(holds: Callable[[], object], seconds: float = 900) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it takes too long"
        time.sleep(0.2)


def step_of(out: Path) -> int:
    return view_of(out).step or 0


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def restarts(job: str) -> int:
    shown = dict(field.split("=", 1) for field in ask("scontrol", "show", "job", job).split() if "=" in field)
    return int(shown["Restarts"])


def test_however_a_job_is_stopped_it_goes_on_to_the_bytes_of_an_undisturbed_one(tmp_path, profile):
    planned = plans("atlop", LONG)
    execute(tmp_path / "whole", planned)
    out = tmp_path / "out"
    assert start(out, profile(), changes=(LONG,)).returncode == 0
    harms = [
        lambda job: ask("scancel", "--signal=USR2", job),
        lambda job: os.kill(json.loads(next(out.glob("runs/*/status.json")).read_text())["pid"], signal.SIGKILL),
        lambda job: ask("scontrol", "requeue", job),
        lambda job: ask(
            "sbatch", "-p", "high", "-w", view_of(out).node, "-c", "2", "--mem=3G", "-o", "/dev/null", "--wrap", "true"
        ),
    ]
    for number, harm in enumerate(harms):
        before = step_of(out)
        until(lambda before=before: step_of(out) > before)
        job = view_of(out).job
        harm(job)
        until(lambda job=job, number=number: restarts(job) > number)
    until(lambda: view_of(out).state in SETTLED)
    assert view_of(out).state == "done"
    assert results(out, planned) == results(tmp_path / "whole", planned)


def test_a_job_that_is_warned_of_its_time_limit_goes_on_in_its_next_attempt(tmp_path, profile):
    out = tmp_path / "out"
    start(out, profile(time='"1m"', warning_seconds="55"), changes=("epochs=100000",))
    until(lambda: view_of(out).job)
    job = view_of(out).job
    # SLURM looks every half minute; a job that is still loading its libraries when it is warned has nothing to keep.
    until(lambda: restarts(job) > 0 and newest_checkpoint(out))
    (stopped_at,) = {json.loads(path.read_text())["state"]["step"] for path in newest_checkpoint(out)}
    until(lambda: step_of(out) > stopped_at)
    ask(sys.executable, "-m", "bench", "cancel", "--all", "--out", str(out))
    assert "stopped by SIGUSR2" in next(out.glob("slurm/jobs/*_0_log.out")).read_text()


def newest_checkpoint(out: Path) -> list[Path]:
    return sorted(out.glob("stages/*/checkpoints/*.json"))[-1:]


def second_process_of(job: str) -> int:
    array, _, index = job.partition("_")
    ours = {f"SLURM_ARRAY_JOB_ID={array}", f"SLURM_ARRAY_TASK_ID={index}", "SLURM_PROCID=1"}
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if ours <= set(path.read_text(errors="replace").split("\0")):
                return int(path.parent.name)
    raise AssertionError(f"no second process of {job}")


def test_two_processes_of_a_job_train_a_run_and_stop_and_die_together(tmp_path, profile):
    planned = plans("atlop", LONG)
    started = start(tmp_path / "whole", None, "--launcher", "local", "--gpus-per-run", "2", changes=(LONG,))
    assert started.returncode == 0, started.stderr
    out = tmp_path / "out"
    assert start(out, profile(cpus="1\ngpus_per_run = 2"), changes=(LONG,)).returncode == 0
    for number, harm in enumerate(
        (
            lambda job: ask("scancel", "--signal=USR2", job),
            lambda job: os.kill(second_process_of(job), signal.SIGKILL),
        )
    ):
        before = step_of(out)
        until(lambda before=before: step_of(out) > before)
        job = view_of(out).job
        harm(job)
        until(lambda job=job, number=number: restarts(job) > number)
    until(lambda: view_of(out).state in SETTLED)
    assert view_of(out).state == "done", view_of(out).detail
    assert results(out, planned) == results(tmp_path / "whole", planned)
    assert json.loads(next(out.glob("runs/*/provenance.json")).read_text())["processes"] == 2


def test_processes_on_two_nodes_train_a_run_to_the_bytes_of_two_on_one(tmp_path, profile):
    planned = plans("atlop", LONG)
    started = start(tmp_path / "one", None, "--launcher", "local", "--gpus-per-run", "2", changes=(LONG,))
    assert started.returncode == 0, started.stderr
    out = tmp_path / "two"
    assert start(out, profile(cpus="1\nnodes = 2"), changes=(LONG,)).returncode == 0
    until(lambda: step_of(out) > 0)
    job = view_of(out).job
    assert "NumNodes=2 " in ask("scontrol", "show", "job", job)
    ask("scancel", "--signal=USR2", job)
    until(lambda: restarts(job) > 0)
    until(lambda: view_of(out).state in SETTLED)
    assert view_of(out).state == "done", view_of(out).detail
    assert results(out, planned) == results(tmp_path / "one", planned)


CONTAINER = """#!/bin/sh
# As a container: it takes an option, and has none of SLURM's programs.
echo "$@" >> "{folder}/entered"
shift
PATH="{folder}/nothing" exec "$@"
"""


def test_in_a_container_without_slurm_a_stopped_job_goes_on_and_reads_from_the_nodes_disk(tmp_path, profile):
    planned = plans("atlop", LONG)
    execute(tmp_path / "whole", planned)
    (tmp_path / "disk").mkdir()
    program = tmp_path / "enter"
    program.write_text(CONTAINER.format(folder=tmp_path))
    program.chmod(0o755)
    out = tmp_path / "out"
    settings = f'container = ["{program}", "--bind=$DISK"]\npython = "{sys.executable}"\nscratch = "$DISK"'
    settings += f'\nsetup = ["export DISK={tmp_path}/disk"]'
    assert start(out, profile(cpus=f"1\n{settings}"), changes=(LONG,)).returncode == 0
    until(lambda: step_of(out) > 0)
    job = view_of(out).job
    ask("scancel", "--signal=USR2", job)
    until(lambda: restarts(job) > 0)
    until(lambda: view_of(out).state in SETTLED)
    assert view_of(out).state == "done", view_of(out).detail
    assert results(out, planned) == results(tmp_path / "whole", planned)
    entered = (tmp_path / "entered").read_text().splitlines()
    assert all(line.startswith(f"--bind={tmp_path}/disk {sys.executable} ") for line in entered)
    assert {"submitit.core._submit", "bench.slurm.ended"} <= {line.split(" -m ")[1].split()[0] for line in entered}
    printed = next(out.glob("slurm/jobs/*_0_log.out")).read_text()
    assert f"copied to {tmp_path}/disk/docre-bench-" in printed
    assert list((tmp_path / "disk").iterdir()) == []


def test_doctor_looks_at_the_nodes_of_a_profile_as_its_runs_find_them(tmp_path, profile):
    out = tmp_path / "out"
    mine = profile(cpus=f'1\nnodes = 2\ncontainer = ["env", "A=1"]\npython = "{sys.executable}"')
    asking = ["doctor", "--on", str(mine), "--dataset", "small", "--encoder", "tiny", "--out", str(out)]
    environment = {**os.environ, "COLUMNS": "300"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", *asking], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("ok")]
    assert any("processes" in row and "2 on 2 nodes" in row for row in rows)
    assert not list(out.glob("slurm/doctor/*"))


def pid_of(out: Path, run: str) -> int:
    return int(json.loads((out / "runs" / run / "status.json").read_text())["pid"])


def until_both_go_on(out: Path) -> None:
    """Until each of two runs is further than now."""
    before = [view.step or 0 for view in run_views(out)]

    def both() -> bool:
        views = run_views(out)
        assert not any(view.state in SETTLED for view in views), [(view.state, view.detail) for view in views]
        return all((view.step or 0) > old for view, old in zip(views, before, strict=True))

    until(both)


def test_however_a_job_of_two_runs_is_stopped_both_go_on_to_the_bytes_of_undisturbed_ones(tmp_path, profile):
    planned = plans("atlop", LONGER, seeds="2")
    execute(tmp_path / "whole", planned)
    out = tmp_path / "out"
    assert start(out, profile(cpus="1\nruns_per_gpu = 2"), changes=(LONGER,), seeds="2").returncode == 0
    first, second = (view.run for view in run_views(out))
    preempt = ("sbatch", "-p", "high", "--mem=3G", "-o", "/dev/null", "--wrap", "true")
    harms = [
        (0, lambda job: os.kill(pid_of(out, second), signal.SIGKILL)),  # the first goes on beside it
        (1, lambda job: ask("scancel", "--signal=USR2", job)),
        (1, lambda job: os.kill(parent_of(pid_of(out, first)), signal.SIGKILL)),
        (1, lambda job: ask(*preempt[:3], "-w", view_of(out).node, *preempt[3:])),
    ]
    expected = 0
    for requeued, harm in harms:
        until_both_go_on(out)
        job = view_of(out).job
        harm(job)
        expected += requeued
        until(lambda job=job, expected=expected: restarts(job) == expected)
    until(lambda: all(view.state in SETTLED for view in run_views(out)))
    assert [view.state for view in run_views(out)] == ["done", "done"]
    assert results(out, planned) == results(tmp_path / "whole", planned)
    logs = [path.read_text() for path in sorted(out.glob("slurm/jobs/*_member-*_log.out"))]
    assert ["stopped by SIGUSR2" in log for log in logs] == [True, True]
    assert "the process was killed (signal 9); it goes on" in next(out.glob("slurm/jobs/*_0_0_log.out")).read_text()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_run_that_fails_beside_another_blocks_what_builds_on_it_and_nothing_else(tmp_path, profile):
    planned = plans("atlop", settings="human+distant")
    execute(tmp_path / "whole", planned)
    out = tmp_path / "out"
    broken = tmp_path / "broken.py"
    loss = "def loss(self, logits, labels):\n        raise ValueError('no luck')"
    broken.write_text(f"from baselines.atlop import Atlop\n\n\nclass Broken(Atlop):\n    {loss}\n")
    start(
        out, profile(), "--settings", "human+distant", "--runs-per-gpu", "2", "--wait", model=f"atlop,{broken}:Broken"
    )
    one, other = sorted(run_views(out), key=lambda view: view.state)
    assert (one.state, other.state) == ("done", "failed")
    assert other.detail == f"ValueError: no luck ({broken}, line 6, in loss)"
    assert results(out, planned) == results(tmp_path / "whole", planned)
    until(lambda: ask("squeue", "--me", "--noheader") == "", seconds=60)
    arrays = sorted(path.name.partition("_")[0] for path in out.glob("slurm/jobs/*_0_0_log.out"))
    states = [ask("sacct", "-XnP", "-o", "State", "-j", array).split() for array in arrays]
    assert states == [["COMPLETED"], ["FAILED"]]  # what was there to be built on was; and in the end one run is not


def test_a_run_that_is_cancelled_leaves_its_job_to_the_other_and_can_be_tried_again(tmp_path, profile):
    planned = plans("atlop", LONG, seeds="2")
    execute(tmp_path / "whole", planned)
    out = tmp_path / "out"
    start(out, profile(), "--runs-per-gpu", "2", changes=(LONG,), seeds="2")
    until(lambda: all((view.step or 0) > 0 for view in run_views(out)))
    first = view_of(out)
    printed = ask(sys.executable, "-m", "bench", "cancel", first.run, "--out", str(out))
    assert printed == "cancelled 1 run in 1 job\n"
    until(lambda: view_of(out).state == "cancelled")
    assert (view_of(out, 1).state, view_of(out, 1).job) in (("running", first.job), ("done", ""))
    until(lambda: view_of(out, 1).state == "done")
    ask(sys.executable, "-m", "bench", "retry", first.run, "--out", str(out))
    until(lambda: view_of(out).state == "done")
    assert results(out, planned) == results(tmp_path / "whole", planned)


def test_a_job_that_asks_for_too_little_memory_says_so(tmp_path, profile):
    out = tmp_path / "out"
    done = start(out, profile(memory='"150MB"'), "--wait")
    assert done.returncode == 1
    assert "out of memory" in done.stderr
    assert "memory in the profile" in done.stderr


def test_what_a_failed_stage_blocks_leaves_the_queue_and_says_why(tmp_path, profile):
    out = tmp_path / "out"
    broken = tmp_path / "broken.py"
    loss = "def loss(self, logits, labels):\n        raise ValueError('no luck')"
    broken.write_text(f"from baselines.atlop import Atlop\n\n\nclass Broken(Atlop):\n    {loss}\n")
    start(out, profile(), "--settings", "distant,human+distant", model=f"{broken}:Broken")
    until(lambda: all(view.state in SETTLED for view in run_views(out)))
    one, other = sorted(run_views(out), key=lambda view: view.state, reverse=True)
    why = f"ValueError: no luck ({broken}, line 6, in loss)"
    assert (one.state, one.detail) == ("failed", why)
    assert (other.state, other.detail) == ("blocked", f"blocked by {one.run}: {why}")
    until(lambda: ask("squeue", "--me", "--noheader") == "", seconds=60)  # SLURM takes them out when it next looks


def test_a_pending_job_that_is_cancelled_is_cancelled(tmp_path, profile):
    out = tmp_path / "out"
    start(out, profile(partition='"low"\nextra.hold = true'))
    until(lambda: view_of(out).state == "pending")
    ask(sys.executable, "-m", "bench", "cancel", "--all", "--out", str(out))
    until(lambda: view_of(out).state == "cancelled")


def test_an_array_the_cluster_cannot_serve_is_refused_with_slurms_words(tmp_path, profile):
    done = start(tmp_path / "out", profile(partition='"nowhere"'))
    assert done.returncode == 1
    assert "SLURM did not take the jobs" in done.stderr
    assert "invalid partition" in done.stderr
    assert not list((tmp_path / "out" / "slurm" / "submissions").glob("*.json"))
