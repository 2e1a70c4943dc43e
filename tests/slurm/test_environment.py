from __future__ import annotations

import os

import pytest
from fake_slurm import write_plan

from bench.runs.outline import outlines
from bench.slurm.profiles import make_profile
from bench.slurm.queue import ArrayIndex, accounted_jobs, command, queued_jobs
from bench.slurm.submit import submit

OVERRIDING = {
    "SBATCH_NO_REQUEUE": "1",
    "SBATCH_TIMELIMIT": "25",
    "SQUEUE_STATES": "all",
    "SACCT_FORMAT": "jobid",
    "SCONTROL_ALL": "1",
    "SCANCEL_STATE": "PENDING",
    "SLURM_TIME_FORMAT": "relative",
    "SLURM_JOB_ID": "7",
}
NEEDED = {"SLURM_CONF": "/etc/mine/slurm.conf", "SLURM_CLUSTERS": "two", "SLURM_JWT": "x"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name, value in {**OVERRIDING, **NEEDED, "FOR_THE_JOB": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("sbatch", lambda out: submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)),
        ("squeue", lambda out: queued_jobs()),
        ("sacct", lambda out: accounted_jobs([ArrayIndex("100", 0)])),
        ("scontrol", lambda out: command(["scontrol", "requeue", "100_0"])),
        ("scancel", lambda out: command(["scancel", "100_0"])),
    ],
)
def test_a_command_sees_where_the_cluster_is_and_nothing_that_changes_what_it_is_asked(name, call, slurm, out):
    write_plan(out, "m", "human", 0, "human")
    call(out)
    seen = slurm.environment(name)
    assert not OVERRIDING.keys() & seen.keys()
    assert seen.items() >= NEEDED.items()
    assert seen["FOR_THE_JOB"] == "1"


def test_accounting_is_asked_for_whole_lists(slurm):
    accounted_jobs([ArrayIndex("100", 0)])
    assert slurm.environment("sacct")["SLURM_BITSTR_LEN"] == "0"


def test_a_process_keeps_what_slurm_has_set_for_its_job(slurm):
    queued_jobs()
    assert os.environ["SLURM_JOB_ID"] == "7"


def test_the_name_of_a_cluster_above_its_queue_is_no_job(slurm):
    slurm.queue("CLUSTER: two", "100|0|RUNNING|n1|None|x")
    assert list(queued_jobs()) == [ArrayIndex("100", 0)]
