from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cores import let_threads_sleep

# Before torch is imported: tests are as many processes as there are cores, and threads of each would fight for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
let_threads_sleep()  # where a test has two

pytest_plugins = ["slurm_fixtures", "golden_scores"]

# Real data and golden values are not part of the repository: BENCH_DATA names the data folder, its parent has both.
SHARED = Path(os.environ.get("BENCH_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data")).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that wait come first: beside them other processes have the others to do, at the end there is nothing."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


@pytest.fixture
def shared_file() -> Callable[[str], Path]:
    """A function giving the path of a shared file (`shared_file("golden/x.json")`); skips the test without it."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"needs {relative}, which is not at {SHARED} (set BENCH_DATA to the data folder beside it)")
        return path

    return find


@pytest.fixture(params=["one window at a time", "all windows at once"])
def windows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test as encoders do on the CPU, and as they do on a GPU."""
    if request.param == "all windows at once":
        monkeypatch.setattr("bench.nn.encoder._together", lambda lengths, device, worth: [slice(0, len(lengths))])


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BENCH_HOME that knows the data set `small` of tests/support/small_experiments.py."""
    from small_experiments import register

    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(home))
        register(tmp_path_factory.mktemp("small"))
    return home


@pytest.fixture
def small(small_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make BENCH_HOME the home that knows `small`, for one test."""
    monkeypatch.setenv("BENCH_HOME", str(small_home))
    return small_home


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line as a function of its arguments: exit status, standard output, standard error."""
    from bench.cli.main import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["bench", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call
