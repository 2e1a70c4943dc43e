from __future__ import annotations

import pytest

from bench.slurm.states import ENDS, LIVE, MEANINGS, meaning

BASE = (
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED RUNNING SUSPENDED TIMEOUT"
)
FLAGS = (
    "COMPLETING CONFIGURING EXPEDITING LAUNCH_FAILED POWER_UP_NODE RECONFIG_FAIL REQUEUED REQUEUE_FED REQUEUE_HOLD "
    "RESIZING RESV_DEL_HOLD REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED UPDATE_DB"
)
OVER = "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED TIMEOUT"


def test_every_state_of_slurms_documentation_has_a_meaning():
    assert set(MEANINGS) == {*BASE.split(), *FLAGS.split()}


def test_only_what_slurm_calls_terminated_is_an_end():
    assert {state for state in MEANINGS if meaning(state) in ENDS} == set(OVER.split())
    assert not LIVE & ENDS


@pytest.mark.parametrize(("printed", "meant"), [("CANCELLED by 1000", "cancelled"), ("TELEPORTING", "unknown")])
def test_a_state_is_known_as_it_is_printed_and_a_new_word_is_not_guessed_at(printed, meant):
    assert meaning(printed) == meant
