from __future__ import annotations

import errno
import os

import pytest
import torch
from small_experiments import execute, plans, results, stopped

from bench.errors import UsageError
from bench.runs.run_folder import RunFolder
from bench.training.failures import explain


def test_a_full_disk_fails_the_run_clearly_and_keeps_the_checkpoint_before(small, tmp_path, monkeypatch):
    planned = plans("atlop", "epochs=6")
    execute(tmp_path / "whole", planned)
    out = tmp_path / "full"
    assert stopped(out, planned, after=8)
    (checkpoint,) = out.glob("stages/*/checkpoints/*.safetensors")
    before = checkpoint.read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    write_error = RunFolder.write_error

    def write_after_all(*arguments):
        with monkeypatch.context() as room:
            room.setattr("bench.filesystem.os.replace", REPLACE)
            write_error(*arguments)

    with monkeypatch.context() as disk:
        disk.setattr("bench.filesystem.os.replace", full)
        disk.setattr(RunFolder, "write_error", write_after_all)
        assert execute(out, planned) == planned
    assert "the disk is full" in RunFolder.of(out, planned[0]).error()
    assert "what was saved before is intact" in RunFolder.of(out, planned[0]).error()
    assert checkpoint.read_bytes() == before
    assert not list(out.rglob("*.tmp"))
    execute(out, planned)
    assert results(out, planned) == results(tmp_path / "whole", planned)


REPLACE = os.replace


def test_a_disk_too_full_to_say_so_fails_the_run_all_the_same(small, tmp_path, monkeypatch, capsys):
    planned = plans()
    execute(tmp_path / "whole", planned)  # its features are cached now

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bench.execution.provenance.write_json", full)
    monkeypatch.setattr(RunFolder, "write_error", full)
    assert execute(tmp_path / "full", planned) == planned
    assert "the disk is full" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("Tried to allocate 2 GiB.\nmore"), "out of GPU memory: lower batch_size"),
        (MemoryError(), "out of memory: lower batch_size"),
        (UsageError("as it is"), "as it is"),
        (ValueError("no"), "ValueError: no"),
        (PermissionError(errno.EACCES, "Permission denied"), "PermissionError"),
    ],
)
def test_errors_say_what_to_do(error, said):
    assert explain(error).startswith(said)
    assert "\n" not in explain(error)
