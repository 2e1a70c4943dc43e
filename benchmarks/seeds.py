"""What seeds side by side hold in memory: one after another in this process, and each in a process of its own.

    bench data add few --train train.json --dev dev.json --test test.json
    python benchmarks/seeds.py --dataset few --seeds 5 --workers 1,2

PSS counts a page that several processes share as a part of one in each. `after` is what a process holds between two
runs, `most` the highest resident memory in a run. The runs are made in a temporary folder, an epoch each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from bench.data.catalog.dataset import open_dataset
from bench.execution.executor import Executor
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.planner import make_plan
from bench.nn.encoder_source import find_encoder
from bench.runs.interrupt import Interrupt
from bench.runs.run_folder import announce


def memory(pid: int | str = "self") -> dict[str, float]:
    """MiB of a process: `Rss`, `Pss`, and what no other has (`Private`)."""
    fields = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    sizes = {name.rstrip(":"): int(size) / 1024 for name, size, *_ in fields}
    return {**sizes, "Private": sizes["Private_Clean"] + sizes["Private_Dirty"]}


def highest(reset: bool = False) -> float:
    """MiB that this process has had resident at most, since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return peak


def inline(options: argparse.Namespace, out: Path) -> None:
    """One run after another in this process."""
    torch.set_num_threads(1)
    changes = tuple(options.set.split(","))
    (experiment,) = make_experiments(
        CommandLine(
            models=options.models,
            dataset=options.dataset,
            seeds=str(options.seeds),
            encoder=options.encoder,
            settings=options.settings,
            changes=changes,
        )
    )
    dataset = open_dataset(options.dataset)
    plans = make_plan(experiment, dataset, find_encoder(options.encoder, dataset.documents("train")))
    announce(out, plans)
    print("\n| one process (MiB) | after: RSS | PSS | most |\n|---|---|---|---|")
    now = memory()
    print(f"| before | {now['Rss']:,.0f} | {now['Pss']:,.0f} | |")
    executor = Executor(out, Interrupt(), lambda folder, status: None)
    highest(reset=True)
    for number in range(1, len(plans) + 1):
        assert not executor.execute(plans[:number])  # those before it are done
        now = memory()
        print(f"| run {number} | {now['Rss']:,.0f} | {now['Pss']:,.0f} | {highest(reset=True):,.0f} |", flush=True)


def local(options: argparse.Namespace, workers: int, out: Path) -> None:
    """So many worker processes: the most that all of them, and the command, held at one moment."""
    command = [sys.executable, "-m", "bench", "run", "--launcher", "local", "--jobs", str(workers), "--out", str(out)]
    command += ["--models", options.models, "--dataset", options.dataset, "--encoder", options.encoder]
    command += ["--seeds", str(workers), "--settings", options.settings]
    command += [part for change in options.set.split(",") for part in ("--set", change)]
    most: dict[str, float] = {"Pss": 0.0}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            try:
                sizes = [memory(pid) for pid in (process.pid, *children)]
            except (OSError, KeyError):  # one has just ended
                sizes = []
            total = {name: sum(size[name] for size in sizes) for name in ("Rss", "Pss", "Private")}
            if total["Pss"] > most["Pss"]:
                most = {**total, "command": sizes[0]["Pss"]}
            time.sleep(0.1)
    assert process.returncode == 0
    print(
        f"| {workers} | {most['Rss']:,.0f} | {most['Pss']:,.0f} | {most['command']:,.0f} "
        f"| {(most['Pss'] - most['command']) / workers:,.0f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--models", default="atlop")
    parser.add_argument("--settings", default="human")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", default="epochs=1", help="changes, with commas between them")
    parser.add_argument("--workers", default="1,2", help="so many processes, of a seed each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if options.seeds:
            inline(options, Path(scratch) / "inline")
        if options.workers:
            print("\n| worker processes (MiB) | RSS of all | PSS of all | of these the command | a worker |")
            print("|---|---|---|---|---|")
        for workers in map(int, filter(None, options.workers.split(","))):
            local(options, workers, Path(scratch) / f"local-{workers}")


if __name__ == "__main__":
    main()
