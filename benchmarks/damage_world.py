"""A small output folder and BENCH_HOME with a file of every kind that the program writes, made by its own commands."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.runs.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support")]

FAILS = "this model always fails"
PLUGIN = f'''
"""A model that fails."""
from torch import nn

from bench.interface import Hyperparameters, PairModel, Recipe, Stage


class Fails(PairModel):
    """It fails."""

    Hyperparameters = Hyperparameters
    recipe = Recipe.one_then_the_other(Stage(data="human"), Stage(data="distant"), Stage(data="ext"))

    def __init__(self, hp, task):
        super().__init__()
        self.weight = nn.Linear(1, 1)

    def forward(self, pairs):
        raise ValueError("{FAILS}")

    def loss(self, logits, labels):
        return dict()

    def decode(self, logits):
        return logits
'''
PROFILE = 'gpus = 0\ncpus = 1\nmemory = "1GB"\ntime = "1h"\n'
SETTINGS = ("pair_size=16", "block_size=16", "batch_size=2", "epochs=1", "head_lr=0.01")
CHANGES = [part for change in SETTINGS for part in ("--set", change)]


@dataclass(frozen=True)
class Said:
    """What a command did. raised: the traceback of what came out of it that is no message, or "".

    status: its exit status.   out, error: what it printed.
    """

    status: int
    out: str
    error: str
    raised: str = ""


@dataclass(frozen=True)
class World:
    """The folders below `root`, at which commands are aimed."""

    root: Path

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def home(self) -> Path:
        return self.root / "home"

    def options(self) -> list[str]:
        """What all runs of the data set are started with."""
        return ["--dataset", "small", "--launcher", "inline", "--out", str(self.out), *CHANGES]

    def adding(self) -> list[str]:
        """`bench data add`, with which the data set was registered."""
        splits = ("train", "dev", "test", "distant")
        files = [part for split in splits for part in (f"--{split}", str(self.root / f"{split}.json"))]
        return ["data", "add", "small", *files]

    def two_models(self) -> list[str]:
        """A `bench run` of two models, one a student of its teacher."""
        chosen = ["--models", "atlop,dreeam", "--settings", "human+distant", "--seeds", "1", "--encoder", "tiny"]
        return ["run", *chosen, *self.options()]

    def frozen(self) -> list[str]:
        """A `bench run` over a frozen encoder in a folder."""
        return ["run", "--models", "ttmre", "--seeds", "2", "--encoder", str(self.root / "encoder"), "--freeze-encoder",
                *self.options()]  # fmt: skip

    def unfinished(self) -> list[str]:
        """A `bench run` that was stopped."""
        return ["run", "--models", "atlop", "--seeds", "7,", "--encoder", "tiny", *self.options(), "--set", "epochs=4"]

    def failing(self) -> list[str]:
        """A `bench run` of a model that fails."""
        return ["run", "--models", f"{self.root / 'fails.py'}:Fails", "--seeds", "1", "--encoder", "tiny",
                "--dataset", "small", "--launcher", "inline", "--out", str(self.out)]  # fmt: skip

    def submitted(self) -> list[str]:
        """A `bench run` on SLURM."""
        options = [option if option != "inline" else "slurm" for option in self.options()]
        return ["run", "--models", "atlop", "--seeds", "8,", "--encoder", "tiny", *options,
                "--profile", str(self.root / "profile.toml")]  # fmt: skip

    def run(self, beginning: str, within: str = "") -> str:
        """The name of the run that begins so, and has `within` in it."""
        names = sorted(path.name for path in (self.out / "runs").iterdir())
        return next(name for name in names if name.startswith(beginning) and within in name)

    def about(self, what: str) -> tuple[str, list[str]]:
        """A run, and the command that made it."""
        command: list[str] = getattr(self, what)()
        return self.names[what], command

    @cached_property
    def names(self) -> dict[str, str]:
        """The runs by what is special about them, and the stage of the teacher."""
        runs = {
            "two_models": self.run("dreeam"),
            "frozen": self.run("ttmre", "-s0-"),
            "unfinished": self.run("atlop", "-s7-"),
            "submitted": self.run("atlop", "-s8-"),
            "failing": self.run("Fails"),
        }
        plan = RunFolder(self.out, runs["two_models"]).plan()
        assert plan is not None
        return runs | {"dreeam": runs["two_models"], "ttmre": runs["frozen"], "teacher": plan.stages[0].folder}


def make_world(root: Path) -> World:
    """Make it all under `root`, an empty folder. Raises RuntimeError with what was said where a command fails."""
    from fake_slurm import FakeSlurm
    from small_experiments import documents

    from bench.data.formats.docred import write_documents

    world = World(root)
    root.mkdir(parents=True)
    _load_libraries()
    os.environ["BENCH_HOME"] = str(world.home)
    os.environ["PATH"] = f"{root / 'slurm' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    FakeSlurm(root / "slurm")
    (root / "profile.toml").write_text(PROFILE)
    (root / "fails.py").write_text(PLUGIN)
    for split, count in {"train": 5, "dev": 2, "test": 3, "distant": 4}.items():
        write_documents(root / f"{split}.json", documents(split, count))
    made(world, [world.adding()])
    apart(_save_encoder, root)
    made(world, [world.two_models(), world.frozen(), [*world.two_models(), "--dry-run", "--estimate"]])
    apart(_stop_a_run, world)
    made(world, [world.failing()], fails=True)
    made(world, [world.submitted()])
    apart(_be_a_job, world)
    made(
        world,
        [["data", "stats", "small"], ["data", "stats", "sample"], ["models", "list"], ["models", "show", "atlop"],
         ["table", "--out", str(world.out)], ["report", "--out", str(world.out)],
         ["explore", world.run("atlop"), world.run("dreeam"), "--out", str(world.out)]],
    )  # fmt: skip
    _leave_a_lock(world)
    return world


def made(world: World, commands: Iterable[list[str]], fails: bool = False) -> None:
    """Carry out commands that are to be successful, or to fail with a message."""
    for said, command in zip(said_by(commands := list(commands)), commands, strict=True):
        if said.raised or bool(said.status) != fails:
            raise RuntimeError(f"bench {' '.join(command)}\n{said.out}{said.error}{said.raised}")


def said_by(commands: Iterable[list[str]]) -> list[Said]:
    """What commands say, one after another in a process of their own, which has the libraries loaded from the start."""
    return [Said(**said) for said in apart(_say, list(commands))]


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process of its own."""
    receiving, sending = get_context("fork").Pipe(duplex=False)

    def call() -> None:
        os.setsid()
        sending.send(function(*arguments))

    process = get_context("fork").Process(target=call)
    process.start()
    sending.close()
    try:
        return receiving.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__}{arguments}: the process ended") from None
    finally:
        process.join()


def _say(commands: list[list[str]]) -> list[dict[str, Any]]:
    import torch

    from bench import locks

    torch.set_num_threads(1)
    locks.STALE_SECONDS = 2.0  # of a holder that says nothing of itself
    return [asdict(_said(command)) for command in commands]


def _said(arguments: list[str]) -> Said:
    from bench.cli.main import main

    printed, error = io.StringIO(), io.StringIO()
    status, raised = 0, ""
    sys.argv = ["bench", *arguments]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(error):
        try:
            main()
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
        except BaseException:
            status, raised = 1, traceback.format_exc()
    return Said(status, printed.getvalue(), error.getvalue(), raised)


def _save_encoder(root: Path) -> None:
    """An encoder in a folder."""
    from small_experiments import documents

    from bench.nn.encoder_source import find_encoder

    source = find_encoder("tiny", documents("train", 5))
    source.save(root / "encoder")
    source.build().model.save_pretrained(root / "encoder")


def _stop_a_run(world: World) -> None:
    """Start the unfinished run and stop it, as a cluster would, twice: so that it has two checkpoints."""
    from bench.training.log import StepLog

    add = StepLog.add
    for last in (4, 7):  # whoever is stopped leaves a checkpoint

        def stopping(self: StepLog, values: dict[str, Any], *rest: Any, last: int = last) -> None:
            add(self, values, *rest)
            if values["step"] == last:
                os.kill(os.getpid(), signal.SIGTERM)

        StepLog.add = stopping  # type: ignore[method-assign]  # in a process of its own
        said = _said(world.unfinished())
        if "stopped (SIGTERM)" not in said.error:
            raise RuntimeError(f"{said}")


def _be_a_job(world: World) -> None:
    """Be the job that was submitted, three times: as it starts, and as it has been killed and as it is cancelled."""
    from bench.slurm import outcomes, submissions
    from bench.slurm.attempts import Attempt, start_attempt

    (submission,) = submissions.submissions(world.out)
    start_attempt(world.out, submission.tasks[0][0], Attempt(submission.name, 0))
    submissions.note_cancellation(world.out, ["99_0"])
    (killed,) = submission.jobs(0, "100")
    outcomes.why_not_again(world.out, killed, 137, out_of_memory=False)
    log = submissions.log_path(world.out, killed)
    log.parent.mkdir(exist_ok=True)
    log.write_text("bench: human: epoch 1/1\n")


def _load_libraries() -> None:
    """Here, once: each command is carried out in a copy of this process."""
    import bench.cli.main
    import bench.cli.run_again
    import bench.cli.run_experiments
    import bench.execution.executor
    import bench.explorer.page
    import bench.report.build
    import bench.report.figures.collect
    import bench.report.figures.draw
    import bench.report.figures.trained_memory  # noqa: F401
    from bench.registry import find

    for model in ("atlop", "dreeam", "ttmre"):
        find(model)


def _leave_a_lock(world: World) -> None:
    """The lock of a process that was killed."""
    from bench.locks import Holder

    holder = asdict(Holder.of_this_process()) | {"pid": 2**22 - 1}
    (world.out / "runs" / world.names["unfinished"] / "lock.holder").write_text(json.dumps(holder))
