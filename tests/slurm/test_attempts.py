from __future__ import annotations

import pytest
from small_experiments import execute, plans, results

from bench.runs.outline import outlines
from bench.runs.run_folder import RunFolder, announce
from bench.slurm import attempts
from bench.slurm.attempts import Attempt, Fence, SupersededError, is_superseded, start_attempt
from bench.slurm.exit_status import DONE
from bench.slurm.job import carry_out
from bench.slurm.profiles import make_profile
from bench.slurm.submissions import Submission
from bench.slurm.tasks import Task, finishing_stages, tasks_of

TASK = Task("m-human-s0", "human-1", True, "human")
OLDER, NEWER = "bench-20260101T000000-abcdef-000", "bench-20260101T000000000001-abcdef-000"


@pytest.mark.parametrize(
    ("mine", "other", "superseded"),
    [
        (Attempt(OLDER, 0), Attempt(OLDER, 1), True),
        (Attempt(OLDER, 9), Attempt(OLDER, 10), True),
        (Attempt(OLDER, 3), Attempt(NEWER, 0), True),
        (Attempt(NEWER, 0), Attempt(OLDER, 3), False),
        (Attempt(OLDER, 1), Attempt(OLDER, 1), False),
    ],
)
def test_the_newer_submission_and_in_it_the_later_restart_counts(mine, other, superseded, tmp_path):
    for first, second in ((mine, other), (other, mine)):
        start_attempt(tmp_path, TASK, first)
        start_attempt(tmp_path, TASK, second)
        assert is_superseded(tmp_path, TASK, mine) == superseded


def test_an_attempt_is_known_by_the_variables_of_its_job():
    assert Attempt.of_job("x", {}) == Attempt("x", 0)
    assert Attempt.of_job("x", {"SLURM_RESTART_COUNT": "3"}) == Attempt("x", 3)


def test_a_file_that_says_nothing_of_an_attempt_ends_none(tmp_path):
    start_attempt(tmp_path, TASK, Attempt("x", 1))
    (path,) = (tmp_path / "slurm" / "attempts").iterdir()
    path.write_text('{"who": 1}')
    assert not is_superseded(tmp_path, TASK, Attempt("x", 0))


@pytest.mark.usefixtures("small")
def test_an_orphan_leaves_without_writing_and_the_new_attempt_gives_the_bytes_of_an_undisturbed_one(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(attempts, "LOOK_SECONDS", -1.0)
    planned = plans("atlop", "epochs=6")
    execute(tmp_path / "whole", planned)
    out = tmp_path / "out"
    announce(out, planned)
    runs = list(outlines(out))
    (task,) = tasks_of(runs, finishing_stages(runs), lambda run: False, lambda stage: False)
    submission = Submission("x", "1", make_profile("p", {}, "here"), 1e9, {0: [task]})

    class Orphan(Fence):
        steps = 0

        def asked(self):
            self.steps += 1
            if self.steps == 8:
                start_attempt(out, task, Attempt("x", 1))
            return super().asked()

    fence = Orphan()
    fence.guard(out, task, Attempt("x", 0))
    with pytest.raises(SupersededError):
        carry_out(task, out, submission, fence)
    assert list(out.glob("stages/*/checkpoints/*")) == []
    assert RunFolder(out, task.run).error() is None
    assert RunFolder(out, task.run).status().state == "running"  # as it was: the new attempt says what is so

    fence = Fence()
    fence.guard(out, task, Attempt("x", 1))
    assert carry_out(task, out, submission, fence) == DONE
    assert results(out, planned) == results(tmp_path / "whole", planned)
