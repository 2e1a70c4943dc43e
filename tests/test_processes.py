from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import processes
from bench.processes import age


def test_a_process_grows_older():
    assert 0 < age() <= age()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="not Linux")
def test_its_age_counts_from_before_its_first_line_whatever_it_is_called(tmp_path):
    """The name stands in /proc/self/stat, and may look like fields of it."""
    program = tmp_path / "a) R 1 2 (b"
    program.symlink_to(sys.executable)
    code = (
        "import time; began = time.monotonic(); from bench.processes import age; print(age(), time.monotonic() - began)"
    )
    done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=True)
    old, since_the_first_line = map(float, done.stdout.split())
    assert old + 0.02 > since_the_first_line  # it is counted in hundredths of a second


def test_where_the_system_does_not_say_it_counts_from_when_this_was_loaded(monkeypatch):
    monkeypatch.setattr(processes, "Path", lambda name: Path("/nowhere") / name.lstrip("/"))
    assert age() >= 0
