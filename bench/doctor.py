"""Looking at this machine: encoders, data sets, GPU, SLURM."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from bench.data.catalog import dataset_names, state_of
from bench.errors import UsageError
from bench.filesystem import home
from bench.nn.load import MINILM, find_encoder


@dataclass(frozen=True)
class Finding:
    """Something an experiment may need. to_do: how to get it, empty if it is here."""

    what: str
    here: bool
    found: str
    to_do: str = ""


def findings() -> Iterator[Finding]:
    """All of them, in the order a new user needs them."""
    yield Finding("Python, torch", True, f"{platform.python_version()}, {torch.__version__}")
    yield _gpu()
    yield _disk()
    for name in dataset_names():
        here = state_of(name) != "not fetched"
        yield Finding(f"data set {name}", here, state_of(name), "" if here else f"bench data fetch {name}")
    yield Finding("encoder tiny", True, "made on the spot")
    for name in (MINILM, "roberta-large"):
        yield _encoder(name)
    yield _slurm()


def _gpu() -> Finding:
    if not torch.cuda.is_available():
        return Finding(
            "GPU", False, f"none; {os.cpu_count()} CPU cores", "enough for the sample and minilm; real runs want a GPU"
        )
    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: use --set precision=fp32"
    return Finding("GPU", True, ", ".join(f"{p.name} ({p.total_memory >> 30} GiB)" for p in names) + f", {bf16}")


def _disk() -> Finding:
    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free >> 30
    writable = os.access(folder, os.W_OK)
    to_do = "" if writable else "set BENCH_HOME to a folder you can write to"
    return Finding(f"BENCH_HOME {home()}", writable, f"{free} GiB free", to_do)


def _encoder(name: str) -> Finding:
    try:
        source = find_encoder(name, ())
    except UsageError as error:
        return Finding(f"encoder {name}", False, "not here", str(error).splitlines()[-1].strip())
    return Finding(f"encoder {name}", True, f"{source.config.hidden_size} wide, in {source.folder}")


def _slurm() -> Finding:
    if shutil.which("sinfo") is None:
        return Finding("SLURM", False, "no sinfo on the PATH", "run on a login node of your cluster")
    try:
        answer = subprocess.run(["sinfo", "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("SLURM", False, f"sinfo does not answer: {error}", "ask your cluster's administrators")
    return Finding("SLURM", answer.returncode == 0, (answer.stdout or answer.stderr).strip())
