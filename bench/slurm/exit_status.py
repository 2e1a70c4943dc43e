"""The exit statuses of a job's process, which its batch script and whoever asks SLURM about it act on."""

DONE = 0
"""The task is done."""
FAILED = 1
"""The task failed, and the folder of its run says why."""
STOPPED = 75
"""A signal stopped the task: it can go on from its last checkpoint."""
