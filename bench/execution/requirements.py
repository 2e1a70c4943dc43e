"""What a machine has for experiments, as `bench doctor` shows it. Importing it loads no torch."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Requirement:
    """Something an experiment may need. state: what there is of it.   to_do: how to get it, empty if it is here."""

    what: str
    here: bool
    state: str
    to_do: str = ""


def gpu() -> Requirement:
    """The GPUs that torch can use here."""
    import torch

    if not torch.cuda.is_available():
        return Requirement("GPU", False, "none", "the CPU is enough for the sample and minilm; real runs want a GPU")
    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: use --set precision=fp32"
    return Requirement("GPU", True, ", ".join(f"{p.name} ({p.total_memory >> 30} GiB)" for p in names) + f", {bf16}")


def threads() -> Requirement:
    """What a run that starts now would take of the processor, and why."""
    from bench.cores import find_cores
    from bench.errors import plural

    cores = find_cores()
    takes = f"a run takes {plural(cores.threads(), 'thread')}"
    if cores.processes() > 1:
        takes += f", several are {cores.processes()} processes of {plural(cores.threads(cores.processes()), 'thread')}"
    busy = "other processes keep the others busy" if cores.free < cores.usable else ""
    return Requirement("threads", True, f"{cores}; {takes}", "OMP_NUM_THREADS says so" if cores.asked else busy)


def disk() -> Requirement:
    """The disk that BENCH_HOME is on."""
    from bench.filesystem import home

    free, writable = room(home())
    to_do = "" if writable else "set BENCH_HOME to a folder you can write to"
    return Requirement(f"BENCH_HOME {home()}", writable, f"{free} GiB free", to_do)


def room(folder: Path) -> tuple[int, bool]:
    """The GiB that are free where a folder is or would be made, and whether it can be written there."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free >> 30, os.access(folder, os.W_OK)
