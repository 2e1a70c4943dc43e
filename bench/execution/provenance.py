"""Where and when something was computed, and with what versions: no part of what was planned."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch


def provenance(device: torch.device, processes: int, started: datetime) -> dict[str, Any]:
    """What `provenance.json` holds: time, machine, device, threads, processes that trained together, versions.

    A result may depend on these to rounding, and by the draw of dropout.
    """
    gpu = device.type == "cuda"
    return {
        "started": started.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
        "host": platform.node(),
        "device": torch.cuda.get_device_name(device) if gpu else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "processes": processes,
        "versions": {name: version(name) for name in ("docre-bench", "torch", "transformers", "numpy")},
    }


def slurm_job() -> dict[str, str]:
    """The SLURM job that this process is, as `squeue` writes it (123_4), and its node; empty outside of one."""
    if "SLURM_ARRAY_JOB_ID" not in os.environ:
        return {}
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return {"job": job, "node": os.environ.get("SLURMD_NODENAME", "")}
