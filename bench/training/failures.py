"""What a run that failed tells its user: the error, and where there is one, the way out."""

from __future__ import annotations

import torch

from bench.errors import BenchError, in_words
from bench.filesystem import explain_disk


def explain(error: Exception | SystemExit) -> str:
    """What an error of a run means, in a line or a few: kept in the run's folder, and shown."""
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, OSError) and (trouble := explain_disk(error)):
        return trouble
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        kind = "GPU memory" if isinstance(error, torch.OutOfMemoryError) else "memory"
        message = str(error).partition("\n")[0]
        return (
            f"out of {kind}: lower batch_size (--set batch_size=..., and raise accumulate for the same update) or use "
            f"a device with more{f' ({message})' if message else ''}"
        )
    return in_words(error)
