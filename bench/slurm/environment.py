"""What of the user's environment SLURM's commands see.

Each of them takes options from variables, which go before what the batch script or the profile says: with
`SBATCH_TIMELIMIT=25` every job gets 25 minutes, with `SQUEUE_STATES=all` the queue has jobs that are over.
"""

from __future__ import annotations

import os

PREFIXES = ("SACCT_", "SBATCH_", "SCANCEL_", "SCONTROL_", "SINFO_", "SLURM_", "SQUEUE_")

NEEDED = frozenset({"SLURM_CLUSTERS", "SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"})
"""Where the cluster is, and who asks."""

WHOLE_LISTS = {"SLURM_BITSTR_LEN": "0"}
"""The indices of an array are printed in full: by default they are cut after 64 characters."""


def overriding_variables() -> list[str]:
    """The names of the variables here that would change what SLURM's commands are asked."""
    return sorted(name for name in os.environ if name.startswith(PREFIXES) and name not in NEEDED)


def clean_environment() -> dict[str, str]:
    """This process's environment for a command that asks SLURM something, without what would change the question.

    In a job that loses what SLURM has set for the job: what is started with it must not look for that.
    """
    overriding = set(overriding_variables())
    return {name: value for name, value in os.environ.items() if name not in overriding} | WHOLE_LISTS
