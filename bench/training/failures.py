"""What a run that failed tells its user: the error, and where there is one, the way out."""

from __future__ import annotations

import errno

import torch

from bench.errors import BenchError, in_words


def explain(error: Exception | SystemExit) -> str:
    """What an error of a run means, in a line or a few: kept in the run's folder, and shown."""
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" ({error.filename})" if error.filename else ""
        return f"the disk is full{where}: what was saved before is intact; make room, then run the same command again"
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        kind = "GPU memory" if isinstance(error, torch.OutOfMemoryError) else "memory"
        message = str(error).partition("\n")[0]
        return (
            f"out of {kind}: lower batch_size (--set batch_size=..., and raise accumulate for the same update) or use "
            f"a device with more{f' ({message})' if message else ''}"
        )
    return in_words(error)
