"""What packed jobs take on a real SLURM cluster of this machine: the sample's runs, each a job, and several to a job.

    python benchmarks/slurm_packed.py --runs-per-gpu 1,5

By SLURM's accounting: the jobs, the time of all of them together, and from the first one's start to the last one's end.
The nodes share the cores of this machine, and have no GPU: what one gives that is mostly idle is not seen here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "slurm")]

from cluster import Cluster  # noqa: E402

PROFILE = 'partition = "low"\ngpus = 0\ncpus = 1\nmemory = "3900MB"\ntime = "30m"\narray_parallelism = 4\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="ttmre,ssrpu")
    parser.add_argument("--seeds", default="5")
    parser.add_argument("--runs-per-gpu", default="1,5", help="one after another, comma-separated")
    options = parser.parse_args()
    records: list[list[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="bench-packed-") as name, Cluster() as cluster:
        os.environ["BENCH_HOME"] = cluster.environment["BENCH_HOME"] = f"{name}/home"
        profile = Path(name) / "profile.toml"
        profile.write_text(PROFILE)
        for runs in options.runs_per_gpu.split(","):
            out = Path(name) / f"packed-{runs}"
            what = ["--models", options.models, "--seeds", options.seeds, "--encoder", "tiny", "--out", str(out)]
            how = ["--launcher", "slurm", "--profile", str(profile), "--runs-per-gpu", runs, "--wait"]
            done = subprocess.run(
                [sys.executable, "-m", "bench", "run", *what, *how],
                env=cluster.environment, cwd=ROOT, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
            print(f"{runs} to a job: {told(cluster, out)}", flush=True)
            records.append([path.read_bytes() for path in sorted(out.glob("runs/*/record.json"))])
    print("the records are the same to the byte" if records.count(records[0]) == len(records) else "RECORDS DIFFER")


def told(cluster: Cluster, out: Path) -> str:
    """The jobs of an output folder, as SLURM accounts for them."""
    arrays = {path.name.partition("_")[0] for path in out.glob("slurm/jobs/*_0_log.out")}
    asked = ("-XnP", "-o", "ElapsedRaw,Start,End,State", "-j", ",".join(sorted(arrays)))
    while "Unknown" in (answer := cluster.call("sacct", *asked)):  # a run is done before its job
        time.sleep(0.5)
    jobs = [line.split("|") for line in answer.splitlines()]
    starts, ends = ([datetime.fromisoformat(job[at]) for job in jobs] for at in (1, 2))
    states = ", ".join(sorted({job[3] for job in jobs}))
    return (
        f"{len(jobs)} jobs ({states}), {sum(int(job[0]) for job in jobs)} s of jobs, "
        f"{(max(ends) - min(starts)).total_seconds():.0f} s from first to last"
    )


if __name__ == "__main__":
    main()
