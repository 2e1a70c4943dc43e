"""Experiments small enough to run whole in a test: a dozen documents of four entities, an encoder of two layers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.documents import Document, Label, Mention
from bench.data.formats.docred import write_documents
from bench.execution.executor import Executor
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.planner import make_plan
from bench.nn.encoder_source import find_encoder
from bench.runs.interrupt import Interrupt, Interrupted
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, announce
from bench.runs.stage_folder import stage_folder
from bench.runs.status import RunStatus

NAMES = ("Ada", "Bert", "Cleo", "Dora", "Emil", "Finn", "Gwen", "Hugo")
SMALL = ("pair_size=16", "block_size=16", "batch_size=2", "epochs=2", "encoder_lr=0.001", "head_lr=0.01")
"""`--set` of every small experiment."""
PRELOADED = ["bench.execution.executor", "bench.launch.local", "bench.launch.worker", "bench.report.tables.overview"]
"""What the server of processes has loaded: all that a command which trains takes long to import."""


def document(title: str, shift: int = 0) -> Document:
    """Four people, each named in two sentences; the first knows the second, the second leads the third."""
    people = [NAMES[(shift + i) % len(NAMES)] for i in range(4)]
    sentences = (
        (people[0], "knows", people[1], "."),
        (people[1], "leads", people[2], "and", people[3], "."),
        (people[0], "met", people[3], "before", people[2], "did", "."),
    )
    where = [[(0, 0), (2, 0)], [(0, 2), (1, 0)], [(1, 2), (2, 4)], [(1, 4), (2, 2)]]
    entities = tuple(
        tuple(Mention(sentence, word, word + 1, people[i], "PER") for sentence, word in places)
        for i, places in enumerate(where)
    )
    labels = (Label(0, 1, "knows", (0,)), Label(1, 2, "leads", (1,)), Label(1, 3, "leads", (1,)))
    return Document(title, sentences, entities, labels)


def documents(split: str, count: int) -> list[Document]:
    """`count` documents whose titles say which split they are of; half of them have one label less."""
    whole = [document(f"{split} {i}", i) for i in range(count)]
    return [d if i % 2 else replace(d, labels=d.labels[:2]) for i, d in enumerate(whole)]


def register(folder: Path, name: str = "small", distant: int = 4, **changed: Sequence[Document]) -> None:
    """Write the splits to `folder` and register them in BENCH_HOME. `changed`: other documents for a split."""
    sizes = {"train": 5, "dev": 2, "test": 3, "distant": distant}
    paths = {}
    for split, count in sizes.items():
        if count:
            paths[split] = folder / f"{split}.json"
            write_documents(paths[split], changed.get(split, documents(split, count)))
    add_dataset(name, paths, replace=True)


def plans(models: str = "atlop", *changes: str, dataset: str = "small", **options: Any) -> list[RunPlan]:
    """What `bench run` would plan, one seed unless told otherwise."""
    options = {"seeds": "1", "encoder": "tiny", **options}
    (experiment,) = make_experiments(CommandLine(models=models, dataset=dataset, changes=(*SMALL, *changes), **options))
    opened = open_dataset(experiment.dataset)
    return make_plan(experiment, opened, find_encoder(experiment.encoder, opened.documents("train")))


class Killed(BaseException):
    """Stands for the end of the process: nothing is saved on the way out."""


class StopAfter(Interrupt):
    """A signal that comes after the `count`-th time that anyone asked for one; or, with `kill`, the end."""

    def __init__(self, count: float, kill: bool) -> None:
        super().__init__()
        self.count = count
        self.kill = kill
        self.times = 0

    def asked(self) -> signal.Signals | None:
        before = super().asked()
        self.times += 1
        if self.times == self.count:
            if self.kill:
                raise Killed
            self.request(signal.SIGTERM)
        return before


def execute(
    out: Path,
    planned: Sequence[RunPlan],
    stop_after: float = float("inf"),
    kill: bool = False,
    listener: Callable[[RunFolder, RunStatus], None] = lambda folder, status: None,
    checkpoint_seconds: float = 1e9,
    track: Sequence[str] = (),
) -> list[RunPlan]:
    """Carry out `planned` in this process; those that failed. Raises `Interrupted`, or `Killed`, if it was stopped."""
    torch.set_num_threads(1)
    announce(out, planned)
    interrupt = StopAfter(stop_after, kill)
    return Executor(out, interrupt, listener, checkpoint_seconds, track=track).execute(planned)


def stopped(
    out: Path,
    planned: Sequence[RunPlan],
    after: float,
    kill: bool = False,
    seconds: float = 1e9,
    track: Sequence[str] = (),
) -> bool:
    """Like `execute`; whether it was stopped before it was done."""
    try:
        execute(out, planned, after, kill, checkpoint_seconds=seconds, track=track)
    except (Interrupted, Killed):
        return True
    return False


def results(out: Path, planned: Iterable[RunPlan]) -> dict[str, bytes]:
    """The bytes of everything of the runs that two executions must have in common: records, predictions, logs."""
    found = {}
    for plan in planned:
        run = RunFolder.of(out, plan).path
        for name in ("record.json", "predictions-dev.json", "predictions-test.json"):
            found[f"{plan.folder}/{name}"] = (run / name).read_bytes()
        for stage in plan.stages:
            for name in ("log.jsonl", "selected.safetensors", "result.json"):
                found[f"{stage.folder}/{name}"] = (stage_folder(out, stage) / name).read_bytes()
    return found


class BenchProcess:
    """The command line in a process of its own, from a server that has the libraries loaded: it starts at once."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.printed = folder / f"printed-{time.monotonic_ns()}"
        self.process = context.Process(target=_main, args=(arguments, dict(os.environ), self.printed))
        self.process.start()

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Until `holds`; an error if the process ends before."""
        while not holds():
            assert self.process.is_alive(), f"it ended ({self.process.exitcode}): {self.end()}"
            time.sleep(0.01)

    def end(self) -> tuple[int | None, str, str]:
        """Wait for its end: exit status (negative for a signal), standard output, standard error."""
        self.process.join()
        out, error = (self.printed.with_suffix(suffix) for suffix in (".out", ".err"))
        return self.process.exitcode, out.read_text(), error.read_text()


class Processes:
    """Functions in processes of their own, from a server that has the libraries loaded; they end with the block.

    environment: what they find in theirs besides; BENCH_TEST_RANK is the number of each.
    """

    def __init__(self, **environment: str) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)
        self.environment = environment
        self.processes: list[Any] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            process.kill()
            process.join()

    def start(self, function: Callable[..., None], *arguments: Any) -> None:
        """One more."""
        environment = {**os.environ, **self.environment, "BENCH_TEST_RANK": str(len(self.processes))}
        self.processes.append(self.context.Process(target=_call, args=(environment, function, arguments)))
        self.processes[-1].start()

    def work(self, *arguments: object) -> None:
        """`bench.launch.worker` with these arguments."""
        self.start(work, *map(str, arguments))

    def signal(self, number: int, sent: signal.Signals) -> None:
        os.kill(self.processes[number].pid, sent)

    def wait_for(self, holds: Callable[[], object]) -> None:
        """Until `holds`; an error if one ends before."""
        while not holds():
            assert all(process.is_alive() for process in self.processes), self.codes()
            time.sleep(0.01)

    def codes(self) -> list[int]:
        """How they ended, when they have."""
        for process in self.processes:
            process.join()
        return [process.exitcode for process in self.processes]


def _call(environment: dict[str, str], function: Callable[..., None], arguments: Sequence[Any]) -> None:
    os.environ.update(environment)
    function(*arguments)


def work(*arguments: str) -> None:
    """`bench.launch.worker` in this process, which ends with it."""
    from bench.launch.worker import main

    reading, _ = os.pipe()  # an input that does not end before the process
    os.dup2(reading, 0)
    sys.exit(main(list(arguments)))


def _main(arguments: Sequence[str], environment: dict[str, str], printed: Path) -> None:
    from bench.cli.main import main

    os.environ.update(environment)
    for stream, suffix in ((sys.stdout, ".out"), (sys.stderr, ".err")):
        with printed.with_suffix(suffix).open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    torch.set_num_threads(1)
    sys.argv = ["bench", *arguments]
    main()
