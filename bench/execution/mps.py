"""NVIDIA's Multi-Process Service (MPS), by which kernels of several processes run on a GPU at once and not in turns.

What is here relies on NVIDIA's page of it (docs.nvidia.com/deploy/mps): a control daemon is found by its pipes, starts
a server for the first client, and numbers the GPUs that it was started with anew, from 0.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
SECONDS = 60.0
"""For each thing that is asked of the daemon, or of a client. The first one waits for the server."""
TURNS = "processes on one GPU take turns"

CLIENT = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
device, context = ctypes.c_int(), ctypes.c_void_p()
failed = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0)
raise SystemExit(bool(failed or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)))
"""
"""A program that fails where no GPU can be reached, and needs no library but the driver's."""


@contextmanager
def sharing_gpus(say: Callable[[str], object]) -> Iterator[dict[str, str]]:
    """What to add to the environment of processes that share the GPUs of this one: through MPS, where there is one.

    A daemon that answers is used; else one is started, in a temporary folder of its own, and ended with the block.
    Nothing fails for want of it: `say` is told, in a line, whether it is used, and if not why.
    """
    if shutil.which(CONTROL) is None:
        say(f"MPS is not used: no {CONTROL} here; {TURNS}")
        yield {}
        return
    if _answers(os.environ):
        say("MPS is used: a daemon answers already")
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="bench-mps-", ignore_cleanup_errors=True) as folder:
        found = {f"CUDA_MPS_{what}_DIRECTORY": str(Path(folder) / what.lower()) for what in ("PIPE", "LOG")}
        for path in found.values():
            Path(path).mkdir()
        refusal = _start({**os.environ, **found}, Path(folder) / "said")
        if refusal:
            say(f"MPS is not used: {refusal}; {TURNS}")
            yield {}
            return
        try:
            clients = found | _renumbered(os.environ)
            works = reaches_a_gpu({**os.environ, **clients})
            say("MPS is used" if works else f"MPS is not used: no GPU is reached through it; {TURNS}")
            if works:
                yield clients
        finally:
            _ask("quit", {**os.environ, **found})
        if not works:
            yield {}


def _start(environment: Mapping[str, str], printed: Path) -> str:
    """Start a daemon; why it does not answer, empty if it does. printed: the file for what it says."""
    try:
        # Not a pipe: the daemon may keep it open, and would be waited for.
        with printed.open("wb") as file:
            done = subprocess.run(
                [CONTROL, "-d"], env=environment, stdout=file, stderr=file, timeout=SECONDS, check=False
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{CONTROL} cannot be started ({error})"
    if _answers(environment):
        return ""
    said = printed.read_text(errors="replace").strip().splitlines()
    return f"{CONTROL} -d does not answer ({said[-1] if said else f'exit status {done.returncode}'})"


def _renumbered(environment: Mapping[str, str]) -> dict[str, str]:
    """The GPUs of a daemon that was started in this environment, as its clients have to call them."""
    named = environment.get("CUDA_VISIBLE_DEVICES", "")
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(named.count(",") + 1)))} if named else {}


def _answers(environment: Mapping[str, str]) -> bool:
    """Whether a daemon answers those who are in this environment."""
    return _ask("get_server_list", environment)


def _ask(what: str, environment: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            [CONTROL], input=f"{what}\n".encode(), env=environment, capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def reaches_a_gpu(environment: Mapping[str, str]) -> bool:
    """Whether a process in this environment reaches a GPU: a daemon may answer where its server cannot be started."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT], env=environment, capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
