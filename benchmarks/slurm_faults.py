"""Twenty runs on a real SLURM cluster of this machine, undisturbed and then with a fault every few seconds.

    python benchmarks/slurm_faults.py --faults 24 --every 5

Two models, two settings, five seeds on a dozen generated documents. The faults: preemption by a higher partition, an
operator's `scontrol requeue`, kill -9 of a job's process, of all of a job, of a node's daemon and of the controller, a
node that is taken for dead, a job that is suspended, a pending one that is held, one that is cancelled by itself, a
`squeue` that says nothing, and a time limit that an operator shortens. At the end every record, prediction, log and
model must be the same to the byte.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "slurm"), str(ROOT / "tests" / "support")]

from cluster import NODES, Cluster  # noqa: E402

from bench.runs.run_folder import run_folders  # noqa: E402

BENCH = [sys.executable, "-m", "bench"]
WHAT = ["--models", "atlop,ssrpu", "--settings", "human,human+distant", "--dataset", "small", "--encoder", "tiny"]
SMALL = ("pair_size=16", "block_size=16", "batch_size=2", "encoder_lr=0.001", "head_lr=0.01")


class Experiment:
    """The twenty runs in an output folder, as commands of this cluster."""

    def __init__(self, cluster: Cluster, out: Path, options: argparse.Namespace, runs_per_gpu: int) -> None:
        self.cluster, self.out = cluster, out
        changes = [part for change in (*SMALL, f"epochs={options.epochs}") for part in ("--set", change)]
        self.command = [*BENCH, "run", *WHAT, "--seeds", str(options.seeds), "--out", str(out), *changes]
        self.command += ["--runs-per-gpu", str(runs_per_gpu)]
        self.command += ["--launcher", "slurm", "--profile", "test-cluster", "--checkpoint-seconds", "1"]

    def run(self, *options: str) -> tuple[str, float]:
        """The command's output and how long it took."""
        began = time.monotonic()
        done = subprocess.run(
            [*self.command, *options],
            env=self.cluster.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        # Where accounting tells who has cancelled a pending job (SLURM 24.11 does, 22.05 does not), the run is
        # "cancelled", and nobody submits it again but the user.
        cancelled = done.returncode == 1 and all("cancelled" in line for line in done.stderr.splitlines()[1:])
        if done.returncode and not cancelled:
            raise SystemExit(f"bench run failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done.stdout + done.stderr, time.monotonic() - began

    def run_until_done(self) -> tuple[str, float]:
        """The same, again for as long as runs are there that somebody has cancelled."""
        printed, seconds = self.run("--wait")
        while "cancelled: `bench retry`" in printed.splitlines()[-1]:
            print("\n".join(line for line in printed.splitlines() if "cancelled:" in line), flush=True)
            printed, more = self.run("--wait")
            seconds += more
        return printed, seconds

    def results(self) -> dict[str, bytes]:
        """All that two executions must have in common."""
        patterns = ("runs/*/record.json", "runs/*/predictions-*.json", "stages/*/log.jsonl", "stages/*/result.json",
                    "stages/*/selected.safetensors")  # fmt: skip
        paths = (path for pattern in patterns for path in self.out.glob(pattern))
        return {str(path.relative_to(self.out)): path.read_bytes() for path in paths}

    def attempts(self) -> dict[str, list[str]]:
        """The attempts of jobs at each task, by SLURM's accounting: job, state, start and end."""
        while self.cluster.call("squeue", "--me", "-h"):
            time.sleep(0.5)  # the last of them has written its record, and is about to end
        attempts: dict[str, list[str]] = {}
        for path in (self.out / "slurm" / "submissions").glob("*.json"):
            submission = json.loads(path.read_text())
            asked = ("sacct", "-DXnP", "-o", "JobID,State,Start,End", "-j", submission["job"])
            for line in self.cluster.call(*asked).splitlines():
                told = submission["tasks"][line.partition("|")[0].partition("_")[2]]
                for task in told if isinstance(told, list) else [told]:
                    attempts.setdefault(task["run"] if task["finishes"] else task["stage"], []).append(line)
        return attempts


class Watcher(threading.Thread):
    """Sees every file that ends a stage or a run each time it is written: twice is done twice."""

    def __init__(self, out: Path) -> None:
        super().__init__(daemon=True)
        self.out = out
        self.written: dict[str, set[int]] = {}
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            self.look()

    def look(self) -> None:
        for pattern in ("runs/*/record.json", "stages/*/result.json"):
            for path in self.out.glob(pattern):
                with contextlib.suppress(FileNotFoundError):  # it is being replaced
                    self.written.setdefault(str(path.relative_to(self.out)), set()).add(path.stat().st_mtime_ns)

    def twice(self) -> list[str]:
        """Names of files that were replaced."""
        self.over.set()
        self.join()
        self.look()
        return sorted(name for name, times in self.written.items() if len(times) > 1)


class Saboteur(threading.Thread):
    """Does one kind of harm after the other while a job is training, until it has done enough."""

    def __init__(self, cluster: Cluster, out: Path, faults: int, every: float) -> None:
        super().__init__(daemon=True)
        self.cluster, self.out, self.faults, self.every = cluster, out, faults, every
        self.done: list[str] = []
        self.random = random.Random(0)
        self.over = threading.Event()
        self.silence = self._squeue_that_can_be_silenced()

    def _squeue_that_can_be_silenced(self) -> Path:
        """Put one before SLURM's in the path of all commands and jobs; the file that silences it while it is there."""
        folder = self.cluster.folder / "bin"
        folder.mkdir()
        real, silence = shutil.which("squeue", path=self.cluster.environment["PATH"]), folder / "silence"
        script = folder / "squeue"
        script.write_text(f'#!/bin/sh\n[ -e {silence} ] && exit 0\nexec {real} "$@"\n')
        script.chmod(0o755)
        self.cluster.environment["PATH"] = f"{folder}{os.pathsep}{self.cluster.environment['PATH']}"
        return silence

    def run(self) -> None:
        # First those of pending jobs, of which there are none at the end.
        of_pending = (self.hold, self.cancel_pending)
        of_others = (self.preempt, self.requeue, self.kill_process, self.silence_squeue, self.kill_job, self.suspend,
                     self.kill_node, self.shorten_limit, self.kill_controller, self.lose_node)  # fmt: skip
        kinds = deque((*of_pending, *of_others))
        while len(self.done) < self.faults and not self.over.wait(self.every):
            kind = kinds[0]
            jobs = self.pending() if kind in of_pending else sorted(self.training())
            if jobs:
                self.done.append(f"{kind.__name__} {kind(self.random.choice(jobs))}")
                print(f"  {time.strftime('%T')} {self.done[-1]}", flush=True)
            if jobs or kind in of_pending:
                kinds.rotate(-1)

    def pending(self) -> list[str]:
        """The jobs that wait for their turn, or for another."""
        return sorted((self.cluster.says("squeue", "--me", "-h", "-r", "-t", "PD", "-o", "%F_%K") or "").split())

    def training(self) -> dict[str, int]:
        """The jobs that have taken a step since they were started last, with their processes."""
        lines = (self.cluster.says("squeue", "--me", "-h", "-r", "-t", "R", "-o", "%F_%K %S") or "").splitlines()
        started = {job: time.mktime(time.strptime(at, "%Y-%m-%dT%H:%M:%S")) for job, at in map(str.split, lines)}
        statuses = [run.status() for run in run_folders(self.out)]
        stepping = [status for status in statuses if status.job and status.pid and status.step is not None]
        return {s.job: s.pid for s in stepping if s.is_since(started.get(s.job, float("inf")))}

    def preempt(self, job: str) -> str:
        """A job of a higher partition wants the whole node."""
        node = (self.cluster.says("squeue", "-h", "-j", job, "-o", "%N") or "").strip()
        wanted = ["--nodelist", node] if node else []
        self.cluster.call(
            "sbatch", "-p", "high", *wanted, "-c", "2", "--mem=3G", "-o", "/dev/null", "--wrap", "sleep 3"
        )
        return f"{job} on {node}"

    def requeue(self, job: str) -> str:
        self.cluster.says("scontrol", "requeue", job)
        return job

    def kill_process(self, job: str) -> str:
        return f"{job}, {_kill(filter(None, [self.training().get(job)]))} process"

    def kill_job(self, job: str) -> str:
        """The batch script with all that it has started."""
        return f"{job}, {_kill(_processes(self.cluster, job))} processes"

    def kill_node(self, job: str) -> str:
        node = self.random.randint(1, NODES)
        self.cluster.kill(f"slurmd-n{node}")
        self.over.wait(2)
        self.cluster.start_slurmd(node)
        return f"n{node}"

    def lose_node(self, job: str) -> str:
        node = (self.cluster.says("squeue", "-h", "-j", job, "-o", "%N") or "").strip() or "n1"
        self.cluster.says("scontrol", "update", f"nodename={node}", "state=down", "reason=fault")
        self.over.wait(1)
        self.cluster.says("scontrol", "update", f"nodename={node}", "state=resume")
        return f"{job} on {node}"

    def suspend(self, job: str) -> str:
        self.cluster.says("scontrol", "suspend", job)
        self.over.wait(3)
        self.cluster.says("scontrol", "resume", job)
        return job

    def hold(self, job: str) -> str:
        self.cluster.says("scontrol", "hold", job)
        self.over.wait(6)
        self.cluster.says("scontrol", "release", job)
        return job

    def cancel_pending(self, job: str) -> str:
        """Somebody cancels one element of an array, of which SLURM keeps no trace."""
        self.cluster.says("scancel", job)
        return job

    def silence_squeue(self, job: str) -> str:
        """`squeue` has nothing to say, and says that all is well."""
        self.silence.touch()
        self.over.wait(8)
        self.silence.unlink()
        return "for 8 s"

    def shorten_limit(self, job: str) -> str:
        """An operator gives a job a time limit that is over."""
        self.cluster.says("scontrol", "update", f"jobid={job}", "timelimit=0-00:00:01")
        return job

    def kill_controller(self, job: str) -> str:
        self.cluster.kill("slurmctld")
        self.over.wait(3)
        self.cluster.start_slurmctld()
        return ""


def _kill(pids: Iterable[int]) -> int:
    """`kill -9` for those that are still there; how many."""
    killed = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


def _processes(cluster: Cluster, job: str) -> list[int]:
    """Of a job of this cluster, by what is in their environment: script, srun and the process itself."""
    array, _, index = job.partition("_")
    wanted = {f"SLURM_ARRAY_JOB_ID={array}", f"SLURM_ARRAY_TASK_ID={index}"}
    wanted.add(f"SLURM_CONF={cluster.environment['SLURM_CONF']}")
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted <= set(path.read_text(errors="replace").split("\0")):
                pids.append(int(path.parent.name))
        except OSError:
            continue  # it ended
    return pids


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=24)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two faults")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--runs-per-gpu", type=int, default=1, help="runs to a job, where it is disturbed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as folder:
        os.environ |= {"BENCH_HOME": f"{folder}/home", "OMP_NUM_THREADS": "1"}
        from small_experiments import register

        Path(f"{folder}/data").mkdir()
        register(Path(f"{folder}/data"))
        with Cluster() as cluster:
            return compare(cluster, Path(folder), options)


def compare(cluster: Cluster, folder: Path, options: argparse.Namespace) -> int:
    whole = Experiment(cluster, folder / "whole", options, runs_per_gpu=1)
    printed, seconds = whole.run()
    print(f"submitted in {seconds:.1f} s:\n{printed}", flush=True)
    printed, seconds = whole.run("--wait")
    print(f"undisturbed: all done {seconds:.0f} s later\n{printed[printed.rfind('also in') :]}", flush=True)

    disturbed = Experiment(cluster, folder / "disturbed", options, options.runs_per_gpu)
    watcher, saboteur = Watcher(disturbed.out), Saboteur(cluster, disturbed.out, options.faults, options.every)
    watcher.start()
    saboteur.start()
    printed, seconds = disturbed.run_until_done()
    saboteur.over.set()
    saboteur.join()
    print(f"disturbed: {len(saboteur.done)} faults, done after {seconds:.0f} s")
    print("".join(f"  {line}\n" for line in printed.splitlines() if "lost" in line), end="")

    expected, results = whole.results(), disturbed.results()
    records = sum(name.endswith("record.json") for name in expected)
    different = sorted(name for name in expected.keys() | results.keys() if expected.get(name) != results.get(name))
    attempts = disturbed.attempts()
    completed = {task: sum("|COMPLETED|" in line for line in lines) for task, lines in attempts.items()}
    repeated = sorted(name for name, count in completed.items() if count > 1)
    print("".join(f"  {name}:\n    " + "\n    ".join(attempts[name]) + "\n" for name in repeated), end="")
    # A job that is killed between its last file and its end has done its task, and SLURM says that it failed.
    by_none = sorted(name for name, count in completed.items() if count == 0)
    twice = watcher.twice()
    print(f"{records} records and {len(expected) - records} other files compared, {len(different)} differ: {different}")
    print(f"{len(completed)} tasks; completed by more than one attempt: {repeated}; killed when done: {by_none}")
    print(f"{len(watcher.written)} records and results watched; written more than once: {twice}")
    return int(
        bool(different or repeated or twice) or records != 4 * options.seeds or len(saboteur.done) < options.faults
    )


if __name__ == "__main__":
    sys.exit(main())
