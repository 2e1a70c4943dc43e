"""Five hundred runs on a real SLURM cluster of this machine: planning, submitting, `bench status`, and their end.

    python benchmarks/slurm_many.py

The jobs are trivially short: they are held until every run has a record, so that each finds its work done.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "slurm"), str(ROOT / "tests" / "support")]

from cluster import Cluster  # noqa: E402

SMALL = ("pair_size=16", "block_size=16", "batch_size=2", "epochs=2", "encoder_lr=0.001", "head_lr=0.01")
PROFILE = 'gpus = 0\ncpus = 1\nmemory = "500MB"\ntime = "5m"\nwarning_seconds = 10\n[extra]\nhold = true\n'


def timed(cluster: Cluster, what: str, *command: str) -> str:
    """The output of a command, after printing how long it took by the clock and of a processor."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run(command, env=cluster.environment, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{what}: {seconds:.1f} s, {cpu:.1f} s of a processor", flush=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def plan_in_process(runs: int) -> None:
    """Print what planning takes when the libraries are there."""
    from small_experiments import plans

    plans(seeds="1")
    began, cpu = time.monotonic(), time.process_time()
    planned = plans(seeds=str(runs))
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    print(f"planning {len(planned)} runs, libraries loaded: {seconds:.2f} s, {cpu:.2f} s of a processor", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="bench-many-") as name:
        folder, out = Path(name), Path(name) / "out"
        os.environ |= {"BENCH_HOME": f"{folder}/home", "OMP_NUM_THREADS": "1"}
        from small_experiments import register

        (folder / "data").mkdir()
        register(folder / "data")
        (folder / "profile.toml").write_text(PROFILE)
        plan_in_process(runs)
        bench = [sys.executable, "-m", "bench"]
        what = ["--models", "atlop", "--dataset", "small", "--encoder", "tiny", "--seeds", str(runs), "--out", str(out)]
        what += [part for change in SMALL for part in ("--set", change)]
        with Cluster() as cluster:
            timed(
                cluster,
                "importing the libraries",
                sys.executable,
                "-c",
                "import bench.execution.executor, bench.experiment.config",
            )
            timed(cluster, "bench run --dry-run", *bench, "run", *what, "--dry-run")
            slurm = ["--launcher", "slurm", "--profile", str(folder / "profile.toml")]
            print(timed(cluster, "bench run --launcher slurm", *bench, "run", *what, *slurm), end="")
            print(timed(cluster, "bench status, all pending", *bench, "status", "--out", str(out)).splitlines()[-1])
            return finish(cluster, out, bench)


def finish(cluster: Cluster, out: Path, bench: list[str]) -> int:
    from fake_slurm import finish_run

    for path in (out / "runs").iterdir():
        finish_run(out, path.name)
    arrays = cluster.call("squeue", "--me", "-h", "-o", "%F").split()
    cluster.call("scontrol", "release", ",".join(sorted(set(arrays))))
    began = time.monotonic()
    while cluster.call("squeue", "--me", "-h"):
        time.sleep(0.5)
    print(f"all jobs over after {time.monotonic() - began:.0f} s")
    states = cluster.call("sacct", "-XnP", "-o", "State").split()
    print(f"by SLURM's accounting: { {state: states.count(state) for state in sorted(set(states))} }")
    print(timed(cluster, "bench status, all done", *bench, "status", "--out", str(out)).splitlines()[-1])
    return int(set(states) != {"COMPLETED"})


if __name__ == "__main__":
    sys.exit(main())
