"""Fixtures of tests that talk to a SLURM which is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, path_with


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A SLURM whose answers the test decides, in a folder with a name that a careless script would trip over."""
    fake = FakeSlurm(tmp_path / "a fake 'slurm' é")
    monkeypatch.setenv("PATH", path_with(fake.folder / "bin"))
    return fake


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output folder with a name as bad."""
    return tmp_path / "it's an output; folder é"
