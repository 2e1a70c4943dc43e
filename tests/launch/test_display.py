"""What the display shows of runs in progress, on a terminal and in a log file."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from bench.launch.display import RunDisplay
from bench.launch.status import RunView
from bench.runs.outline import RunOutline
from bench.runs.run_folder import RunFolder
from bench.runs.status import RunStatus, State

RUN = RunOutline("r", "atlop", "layers=2", "small", "human", "tiny", 3, ())
LABEL = "atlop (layers=2) human seed 3"


def display(terminal: bool) -> tuple[RunDisplay, io.StringIO]:
    file = io.StringIO()
    return RunDisplay([RUN], Console(file=file, force_terminal=terminal, width=200)), file


def lines_of(tmp_path, *statuses: RunStatus) -> list[str]:
    shown, file = display(terminal=False)
    for status in statuses:
        shown.update(RunFolder(tmp_path, "r"), status)
    return file.getvalue().splitlines()


def on_terminal(tmp_path, status: RunStatus) -> str:
    shown, file = display(terminal=True)
    shown.update(RunFolder(tmp_path, "r"), status)
    shown.console.print(shown._shown())
    return file.getvalue()


def view(state: State, detail: str) -> RunView:
    return RunView("r", "atlop", "layers=2", "small", "human", "tiny", 3, state, detail, stage="human")


def test_a_log_file_gets_a_line_when_the_stage_or_the_state_changes(tmp_path):
    running = [RunStatus(state="running", stage="human", step=step, steps=9, epoch=1, epochs=2) for step in (1, 2)]
    done = RunStatus(state="done", result="test F1 48.21", seconds=61.0)
    assert lines_of(tmp_path, *running, RunStatus(state="running", stage="evaluation"), done) == [
        f"{LABEL}: running human",
        f"{LABEL}: running evaluation",
        f"{LABEL}: finished, test F1 48.21, 1:01",
    ]


def test_a_run_that_ends_otherwise_says_how(tmp_path):
    assert lines_of(tmp_path, RunStatus(state="failed", error="no luck"), RunStatus(state="interrupted")) == [
        f"{LABEL}: failed: no luck",
        f"{LABEL}: interrupted",
    ]


@pytest.mark.parametrize(
    ("state", "detail", "line"),
    [
        ("done", "test F1 48.21", "finished, test F1 48.21"),
        ("failed", "no luck", "failed: no luck"),
        ("blocked", "blocked by a: no luck", "blocked: blocked by a: no luck"),
        ("pending", "Priority", "pending human"),
    ],
)
def test_a_run_of_another_machine_is_shown_like_one_of_this(state, detail, line):
    shown, file = display(terminal=False)
    shown.show(view(state, detail))
    assert file.getvalue() == f"{LABEL}: {line}\n"


def test_a_terminal_shows_how_far_the_training_is(tmp_path):
    status = RunStatus(state="running", stage="human", step=3, steps=12, epoch=2, epochs=5, best=12.34)
    shown = on_terminal(tmp_path, status)
    assert "0 of 1 run finished" in shown
    assert "25%" in shown
    assert "human, epoch 2/5, best dev F1 12.34" in shown


def test_a_terminal_shows_the_time_that_is_left_and_what_an_evaluation_has_done(tmp_path):
    status = RunStatus(state="running", stage="evaluation", step=30, steps=40, doing="evaluating test", eta=75.0)
    shown = on_terminal(tmp_path, status)
    assert "75%" in shown
    assert "1:15 left" in shown
    assert "evaluating test" in shown


def test_a_terminal_says_what_it_waits_for_before_any_run_has_begun():
    shown, file = display(terminal=True)
    shown.console.print(shown._shown())
    assert "starting: loading libraries" in file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_shows_how_many_are_finished_and_which_run_is_which(width):
    runs = [replace(RUN, folder=f"r{seed}", setting="human+distant", seed=seed) for seed in (0, 1)]
    file = io.StringIO()
    shown = RunDisplay(runs, Console(file=file, force_terminal=True, width=width))
    shown.statuses = {
        run.folder: RunStatus(state="running", stage="human", step=3, steps=4, epoch=2, epochs=5, eta=75.0, best=12.34)
        for run in runs
    }
    shown.console.print(shown._shown())
    heading, *rows = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()).splitlines()
    assert heading.startswith("0 of 2 runs finished  0:0")
    assert [f"human+distant seed {seed}" in row for seed, row in enumerate(rows)] == [True, True]
    assert all("75%" in row and "1:15 left" in row and len(row) <= width for row in rows)


def test_a_log_file_gets_a_line_for_an_epoch_now_and_then(tmp_path):
    shown, file = display(terminal=False)
    now = 0.0
    shown.clock = lambda: now
    for epoch in range(1, 8):
        status = RunStatus(state="running", stage="human", epoch=epoch, epochs=9, best=10.0 + epoch, eta=100.0)
        shown.update(RunFolder(tmp_path, "r"), status)
        now += 25.0
    assert file.getvalue().splitlines() == [
        f"{LABEL}: running human",
        f"{LABEL}: human, epoch 4/9, best dev F1 14.00, 1:40 left",
        f"{LABEL}: human, epoch 7/9, best dev F1 17.00, 1:40 left",
    ]


def test_a_terminal_shows_how_many_documents_are_encoded_although_that_has_no_epochs(tmp_path):
    status = RunStatus(state="running", stage="human", step=1, steps=4, doing="encoding once and for all: 3 MB")
    shown = on_terminal(tmp_path, status)
    assert "25%" in shown
    assert "encoding once and for all: 3 MB" in shown
