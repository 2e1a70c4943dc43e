"""From a signal to a checkpoint and back into the queue, and time limits, on a real SLURM cluster of this machine.

    python benchmarks/slurm_stop.py --signals 10
    python benchmarks/slurm_stop.py --signals 0 --limit

One run of ATLOP on a dozen generated documents with the encoder `tiny`, of which the job is told to stop again and
again (`scancel --signal=USR2`, as SLURM does before a preemption or a time limit). With --limit the job has a minute,
is warned 40 seconds before its end and goes on as often as it takes. What it leaves must be the bytes of a run that
nobody stopped.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "slurm"), str(ROOT / "tests" / "support")]

from cluster import Cluster  # noqa: E402

SMALL = ("pair_size=16", "block_size=16", "batch_size=2", "encoder_lr=0.001", "head_lr=0.01")
PROFILE = 'gpus = 0\ncpus = 1\nmemory = "2GB"\ntime = "{time}"\nwarning_seconds = {warning}\n'


def bench(cluster: Cluster, out: Path, epochs: int, *options: str) -> None:
    """`bench run` with one seed."""
    changes = [part for change in (*SMALL, f"epochs={epochs}") for part in ("--set", change)]
    what = ["--models", "atlop", "--dataset", "small", "--encoder", "tiny", "--seeds", "1", "--out", str(out), *changes]
    cluster.call(sys.executable, "-m", "bench", "run", *what, *options)


def until(holds: Callable[[], bool]) -> float:
    """Wait until something holds; when it did, as `time.time()` has it."""
    give_up = time.monotonic() + 600
    while not holds():
        if time.monotonic() > give_up:
            raise SystemExit("it takes too long")
        time.sleep(0.02)
    return time.time()


class Watched:
    """The one run of an output folder, with its job."""

    def __init__(self, cluster: Cluster, out: Path) -> None:
        self.cluster, self.out = cluster, out

    @property
    def job(self) -> str:
        return next(path.name.removesuffix("_0_log.out") for path in self.out.glob("slurm/jobs/*_0_log.out"))

    def restarts(self) -> int:
        shown = self.cluster.says("scontrol", "show", "job", self.job) or ""
        return int(dict(field.split("=", 1) for field in shown.split() if "=" in field).get("Restarts", 0))

    def checkpoint(self) -> float:
        """When the newest checkpoint was written, as `time.time()` has it; 0 where there is none."""
        return max((path.stat().st_mtime for path in self.out.glob("stages/*/checkpoints/*.json")), default=0.0)

    def lines(self) -> int:
        """The number of lines in the training logs, of which there is one for every ten steps."""
        return sum(path.read_bytes().count(b"\n") for path in self.out.glob("stages/*/log.jsonl"))

    def is_over(self) -> bool:
        return any(self.out.glob("runs/*/record.json"))


def stop(watched: Watched) -> tuple[float, float]:
    """Seconds from a signal to the checkpoint, and until the job is in the queue again."""
    before = watched.lines()
    until(lambda: watched.lines() > before or watched.is_over())
    if watched.is_over():
        raise SystemExit("the run was over before all signals were sent: more --epochs")
    restarts, began = watched.restarts(), time.time()
    watched.cluster.call("scancel", "--signal=USR2", watched.job)
    saved = until(lambda: watched.checkpoint() > began) - began
    queued = until(lambda: watched.restarts() > restarts) - began
    print(f"checkpoint after {saved:.2f} s, in the queue again after {queued:.2f} s", flush=True)
    return saved, queued


def results(out: Path) -> dict[str, bytes]:
    patterns = ("runs/*/record.json", "runs/*/predictions-*.json", "stages/*/log.jsonl", "stages/*/result.json",
                "stages/*/selected.safetensors")  # fmt: skip
    return {str(path.relative_to(out)): path.read_bytes() for pattern in patterns for path in out.glob(pattern)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--signals", type=int, default=10)
    parser.add_argument("--limit", action="store_true", help="a minute, warned 40 seconds before its end")
    parser.add_argument("--epochs", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-stop-") as name:
        folder = Path(name)
        os.environ |= {"BENCH_HOME": f"{folder}/home", "OMP_NUM_THREADS": "1"}
        from small_experiments import register

        (folder / "data").mkdir()
        register(folder / "data")
        limits = {"time": "1m", "warning": 40} if options.limit else {"time": "30m", "warning": 60}
        (folder / "profile.toml").write_text(PROFILE.format(**limits))
        with Cluster() as cluster:
            bench(cluster, folder / "whole", options.epochs, "--launcher", "inline")
            return measure(Watched(cluster, folder / "out"), folder, options)


def measure(watched: Watched, folder: Path, options: argparse.Namespace) -> int:
    profile = ["--launcher", "slurm", "--profile", str(folder / "profile.toml")]
    bench(watched.cluster, watched.out, options.epochs, *profile)
    until(lambda: any(watched.out.glob("slurm/jobs/*_0_log.out")))
    times = [stop(watched) for _ in range(options.signals)]
    until(watched.is_over)
    for what, seconds in zip(("a checkpoint", "the queue"), zip(*times, strict=True), strict=False):
        print(f"from a signal to {what}: median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s")
    equal = results(watched.out) == results(folder / "whole")
    print(f"requeued {watched.restarts()} times; {len(results(folder / 'whole'))} files, all equal: {equal}")
    return int(not equal or watched.restarts() < max(1, options.signals))


if __name__ == "__main__":
    sys.exit(main())
