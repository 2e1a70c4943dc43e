"""Every state that `squeue` and `sacct` know, and what it means for a job of ours.

The names are those of SLURM's page "Job State Codes" (slurm.schedmd.com/job_state_codes.html), base states and flags:
where a flag is set, the two commands show it in place of the base state.
"""

from __future__ import annotations

from typing import Literal

Meaning = Literal[
    "pending",
    "held",
    "running",
    "suspended",
    "completing",
    "completed",
    "cancelled",
    "failed",
    "out of memory",
    "lost",
    "unknown",
]
"""What a state says of a job.

held: it waits until somebody releases it.   completing: it is over, but SLURM has not decided what becomes of it.
lost: it ended through no fault of its own.   unknown: it says nothing that could be relied on.
"""

MEANINGS: dict[str, Meaning] = {
    "PENDING": "pending",
    "EXPEDITING": "pending",
    "POWER_UP_NODE": "pending",
    "REQUEUED": "pending",
    "REQUEUE_FED": "pending",
    "REQUEUE_HOLD": "held",
    "RESV_DEL_HOLD": "held",
    "SPECIAL_EXIT": "held",
    "CONFIGURING": "running",
    "RUNNING": "running",
    "RESIZING": "running",
    "SIGNALING": "running",
    "STOPPED": "suspended",
    "SUSPENDED": "suspended",
    "COMPLETING": "completing",
    "STAGE_OUT": "completing",
    "UPDATE_DB": "completing",
    "COMPLETED": "completed",
    "CANCELLED": "cancelled",
    "DEADLINE": "failed",
    "FAILED": "failed",
    "OUT_OF_MEMORY": "out of memory",
    "BOOT_FAIL": "lost",
    "NODE_FAIL": "lost",
    "PREEMPTED": "lost",
    "TIMEOUT": "lost",
    # Of a job that the next attempt may follow by itself, or that another cluster of a federation has.
    "LAUNCH_FAILED": "unknown",
    "RECONFIG_FAIL": "unknown",
    "REVOKED": "unknown",
}

LIVE: frozenset[Meaning] = frozenset({"pending", "held", "running", "suspended", "completing"})
"""Meanings of a job that SLURM still has: these are no ends."""
ENDS: frozenset[Meaning] = frozenset({"completed", "cancelled", "failed", "out of memory", "lost"})
"""Meanings of a job that will do no more."""


def meaning(state: str) -> Meaning:
    """What a state means, as SLURM prints it (`CANCELLED by 1000`); of a word that is not in the table, `unknown`."""
    return MEANINGS.get(state.partition(" ")[0], "unknown")
