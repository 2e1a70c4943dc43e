from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Real data and golden values are not part of the repository: BENCH_DATA names the data folder, its parent has both.
SHARED = Path(os.environ.get("BENCH_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data")).parent


@pytest.fixture
def shared_file() -> Callable[[str], Path]:
    """A function giving the path of a shared file (`shared_file("golden/x.json")`); skips the test without it."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"needs {relative}, which is not at {SHARED} (set BENCH_DATA to the data folder beside it)")
        return path

    return find
