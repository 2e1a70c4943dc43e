from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import torch

from bench.training.log import FLUSH_EVERY, StepLog


def line(step: int) -> str:
    return json.dumps({"step": step}) + "\n"


def add(log: StepLog, number: int, /, norm: float = 1.0, **losses: float) -> None:
    log.add({"step": number}, {name: torch.tensor(loss) for name, loss in losses.items()}, torch.tensor(norm))


def written(path: Path) -> list[dict]:
    return [json.loads(text) for text in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_a_line_has_every_part_of_the_loss_and_their_sum(path):
    log = StepLog(path, 0)
    add(log, 0, norm=2.0, risk=0.5, evidence=0.25)
    log.flush()
    assert written(path) == [{"step": 0, "loss": 0.75, "loss/risk": 0.5, "loss/evidence": 0.25, "gradient_norm": 2.0}]


def test_parts_that_come_and_go_are_written_where_they_are(path):
    log = StepLog(path, 0)
    add(log, 0, risk=1.0)
    add(log, 1, risk=1.0, evidence=2.0)
    add(log, 2, evidence=4.0)
    log.flush()
    assert [entry["loss"] for entry in written(path)] == [1.0, 3.0, 4.0]
    assert ["loss/risk" in entry for entry in written(path)] == [True, True, False]


def test_a_part_may_be_called_like_a_column(path):
    log = StepLog(path, 0)
    add(log, 7, norm=3.0, step=1.0, loss=2.0, gradient_norm=4.0)
    log.flush()
    assert written(path)[0] == {
        "step": 7,
        "loss": 7.0,
        "loss/step": 1.0,
        "loss/loss": 2.0,
        "loss/gradient_norm": 4.0,
        "gradient_norm": 3.0,
    }


def test_lines_are_written_every_few_steps(path):
    log = StepLog(path, 0)
    for step in range(FLUSH_EVERY + 1):
        add(log, step, risk=1.0)
    assert len(written(path)) == FLUSH_EVERY


def test_after_a_resume_each_step_is_there_once(path):
    path.write_text("".join(map(line, range(6))))
    log = StepLog(path, 4)
    for step in (4, 5, 6):
        add(log, step, risk=1.0)
    log.flush()
    assert [entry["step"] for entry in written(path)] == list(range(7))


@pytest.mark.parametrize("rest", ['{"step"', "{}\n", "[1]\n", "\x00\x00\x00", "null\n"])
def test_a_line_that_was_not_finished_is_dropped(rest, path):
    path.write_text(line(0) + line(1) + rest)
    StepLog(path, 2)
    assert path.read_text() == line(0) + line(1)


@pytest.mark.parametrize("damaged", [b'{"step": 1, "lo', b"\xff\xfe", b"[]", b"", b'{"step": "one"}'])
def test_a_damaged_line_is_dropped_and_those_after_it_are_kept(damaged, path):
    path.write_bytes(line(0).encode() + damaged + b"\n" + line(2).encode() + line(3).encode())
    StepLog(path, 3)
    assert [row["step"] for row in written(path)] == [0, 2]


def test_a_fresh_start_empties_the_log(path):
    path.write_text(line(0))
    StepLog(path, 0)
    assert path.read_text() == ""


def test_a_write_that_breaks_off_names_the_file_and_leaves_the_whole_lines_of_before(path):
    log = StepLog(path, 0)
    add(log, 0, risk=1.0)
    log.flush()
    before = path.read_bytes()
    add(log, 1, risk=1.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))  # room for a part of the line
    try:
        with pytest.raises(OSError, match=r"log\.jsonl"):
            log.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    log.flush()
    assert [entry["step"] for entry in written(path)] == [0, 1]
