"""The exit statuses of a job's process, which its batch script and whoever asks SLURM about it act on."""

from __future__ import annotations

from signal import SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ

DONE = 0
"""The task is done."""
FAILED = 1
"""The task failed, and the folder of its run says why."""
STOPPED = 75
"""A signal stopped the task: it can go on from its last checkpoint."""
TO_REQUEUE = 76
"""Of `bench.slurm.ended`: the job goes back into the queue, but there is no `scontrol` here, as in most containers."""

ENDING_SIGNALS = frozenset(
    (SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ)
)
"""Signals that end processes which have done nothing to deserve it. Not HUP and INT: 1 and 2 are errors of ours."""


def was_killed(exit_code: str) -> bool:
    """Whether SLURM's STATUS:SIGNAL of a job says that it was stopped or killed, and not that it failed.

    The batch script ends with 128 and more where a signal ended its process. scontrol shows such a status as it is,
    sacct less 128: 137 is `137:0` and `9:0`.
    """
    status, _, signal = exit_code.partition(":")
    number = int(status) if status.isdigit() else 0
    return bool(signal.strip("0")) or number >= 128 or number == STOPPED or number in ENDING_SIGNALS
