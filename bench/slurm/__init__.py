"""Carrying runs out under SLURM: profiles, tasks, submission through submitit, what a job does, what the queue says."""
