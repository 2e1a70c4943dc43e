"""What checkpoints cost: the share of a stage's training time that writing them takes.

    python benchmarks/checkpoints.py --encoder minilm --seconds 180

Trains ATLOP on the generated sample for so long, with a checkpoint every so many seconds, or fewer where writing one
takes long (they are spaced so as to take about 1 % of the time), and stops it as a signal would.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from bench.data.catalog.dataset import open_dataset
from bench.execution.executor import Executor
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.planner import make_plan
from bench.nn.encoder_source import find_encoder
from bench.runs.interrupt import Interrupt, Interrupted
from bench.runs.run_folder import announce
from bench.training.checkpoint import Checkpoints
from bench.training.trainer import StageTrainer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--every", type=float, default=60)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    spent: dict[str, list[float]] = {"save": [], "run": []}
    watch(Checkpoints, "save", spent["save"])
    watch(StageTrainer, "run", spent["run"])
    (experiment,) = make_experiments(
        CommandLine(models="atlop", seeds="1", encoder=options.encoder, changes=("epochs=1000",))
    )
    dataset = open_dataset(experiment.dataset)
    plans = make_plan(experiment, dataset, find_encoder(options.encoder, dataset.documents("train")))
    interrupt = Interrupt()
    threading.Timer(options.seconds, interrupt.request, (signal.SIGTERM,)).start()
    with tempfile.TemporaryDirectory(prefix="bench-checkpoints-") as folder:
        announce(Path(folder), plans)
        with contextlib.suppress(Interrupted):
            Executor(Path(folder), interrupt, lambda run, status: None, options.every).execute(plans)
    # The last was written because it was stopped.
    saves, seconds = spent["save"][:-1], sum(spent["run"])
    share = sum(saves) / seconds
    print(f"{len(saves)} checkpoints in {seconds:.1f} s of training, {sum(saves):.2f} s to write: {share:.2%}")
    return int(not saves or share > 0.02)


def watch(cls: type, name: str, spent: list[float]) -> None:
    """Note how long each call of a method takes."""
    method = getattr(cls, name)

    def timed(*arguments: object) -> object:
        began = time.monotonic()
        try:
            return method(*arguments)
        finally:
            spent.append(time.monotonic() - began)

    setattr(cls, name, timed)


if __name__ == "__main__":
    sys.exit(main())
