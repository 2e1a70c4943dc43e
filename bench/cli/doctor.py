"""`bench doctor`: what of encoders, data, GPU and SLURM is here, and what to do about what is not."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import typer


@dataclass(frozen=True)
class Requirement:
    """Something an experiment may need. state: what there is of it.   to_do: how to get it, empty if it is here."""

    what: str
    here: bool
    state: str
    to_do: str = ""


def doctor() -> None:
    """What this machine has for running experiments, and how to get what it lacks."""
    from rich.table import Table
    from rich.text import Text

    from bench.cli.console import make_console

    table = Table("", "What", "Found", "To do", box=None, pad_edge=False)
    for requirement in _requirements():
        mark = Text("ok", "green") if requirement.here else Text("--", "yellow")
        table.add_row(mark, requirement.what, requirement.state, requirement.to_do)
    make_console().print(table)
    typer.echo("Everything marked ok can be used now; the rest is optional.")


def _requirements() -> Iterator[Requirement]:
    """Everything an experiment may need, in the order a new user needs it."""
    import torch

    from bench.data.catalog.dataset import dataset_names, state_of
    from bench.nn.encoder_source import MINILM

    yield Requirement("Python, torch", True, f"{platform.python_version()}, {torch.__version__}")
    yield _gpu()
    yield _disk()
    for name in dataset_names():
        here = state_of(name) != "not fetched"
        yield Requirement(f"data set {name}", here, state_of(name), "" if here else f"bench data fetch {name}")
    yield Requirement("encoder tiny", True, "made on the spot")
    for name in (MINILM, "roberta-large"):
        yield _encoder(name)
    yield _slurm()


def _gpu() -> Requirement:
    import torch

    if not torch.cuda.is_available():
        return Requirement(
            "GPU", False, f"none; {os.cpu_count()} CPU cores", "enough for the sample and minilm; real runs want a GPU"
        )
    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: use --set precision=fp32"
    return Requirement("GPU", True, ", ".join(f"{p.name} ({p.total_memory >> 30} GiB)" for p in names) + f", {bf16}")


def _disk() -> Requirement:
    from bench.filesystem import home

    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free >> 30
    writable = os.access(folder, os.W_OK)
    to_do = "" if writable else "set BENCH_HOME to a folder you can write to"
    return Requirement(f"BENCH_HOME {home()}", writable, f"{free} GiB free", to_do)


def _encoder(name: str) -> Requirement:
    from bench.errors import UsageError
    from bench.nn.encoder_source import find_encoder

    try:
        source = find_encoder(name, ())
    except UsageError as error:
        return Requirement(f"encoder {name}", False, "not here", str(error).splitlines()[-1].strip())
    return Requirement(f"encoder {name}", True, f"{source.config.hidden_size} wide, in {source.folder}")


def _slurm() -> Requirement:
    from bench.errors import BenchError
    from bench.slurm.queue import command

    if shutil.which("sinfo") is None:
        return Requirement("SLURM", False, "no sinfo on the PATH", "run on a login node of your cluster")
    try:
        version = command(["sinfo", "--version"], timeout_seconds=10).strip()
        command(["sinfo", "--noheader", "--format=%P"], timeout_seconds=20)  # the version is known without a controller
    except BenchError as error:
        message = str(error).splitlines()[-1]
        to_do = "if it stays so: run on a login node of your cluster, set SLURM_CONF, or ask its administrators"
        return Requirement("SLURM", False, f"its controller does not answer: {message}", to_do)
    return Requirement("SLURM", True, version)
