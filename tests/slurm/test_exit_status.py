from __future__ import annotations

import pytest

from bench.slurm.exit_status import was_killed


@pytest.mark.parametrize("signal", [6, 9, 11, 12, 15])
def test_a_batch_script_that_ends_with_a_signal_was_killed_as_sacct_and_as_scontrol_show_it(signal):
    assert was_killed(f"{signal}:0")
    assert was_killed(f"{128 + signal}:0")


@pytest.mark.parametrize("exit_code", ["0:9", "0:15", "75:0"])
def test_a_job_that_a_signal_ended_or_that_stopped_for_one_was_killed(exit_code):
    assert was_killed(exit_code)


@pytest.mark.parametrize("exit_code", ["1:0", "2:0", "126:0", "127:0", "0:0", ""])
def test_a_job_that_failed_was_not_killed(exit_code):
    assert not was_killed(exit_code)
