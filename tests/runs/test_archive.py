"""Records of many runs in one file: what is in it, what it refuses, and who reads it."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_records import plan, write

from bench.analysis.aggregate import load_cells
from bench.errors import BenchError, UsageError
from bench.runs.archive import ARCHIVE, all_runs, archived_runs, write_archive
from bench.runs.run_folder import RunFolder, run_folders


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two finished seeds, one that failed after a try before and one that was never begun."""
    out = tmp_path / "out"
    for seed in range(2):
        write(out, plan("one", seed), [[60 + seed, 100, 100, 5]])
    for seed in (2, 3):
        write(out, plan("one", seed), None)
    RunFolder.of(out, plan("one", 2)).write_error("out of memory", "Traceback")
    RunFolder.of(out, plan("one", 1)).write_error("of a try before", "")
    return out


def scores(out: Path):
    return [
        (cell.expected, [r.splits["test"].scores.f1 for r in cell.records], cell.errors) for cell in load_cells(out)
    ]


def test_the_cells_of_an_archive_are_those_of_the_runs_in_it(out: Path, tmp_path: Path):
    assert write_archive(tmp_path / "kept" / ARCHIVE, run_folders(out)) == (4, 2)
    assert scores(tmp_path / "kept") == scores(out)
    ((expected, values, errors),) = scores(tmp_path / "kept")
    assert (expected, len(values), errors) == (4, 2, ("seed 2: out of memory",))
    for folder in archived_runs(tmp_path / "kept"):
        for path in folder.path.iterdir():
            assert path.read_bytes() == (out / "runs" / folder.name / path.name).read_bytes()
    assert not (archived_runs(tmp_path / "kept")[1].path / "error.json").exists()  # that seed is finished


def test_the_same_runs_make_the_same_bytes(out: Path, tmp_path: Path):
    folders = list(run_folders(out))
    write_archive(tmp_path / "a.tar.xz", folders)
    write_archive(tmp_path / "b.tar.xz", folders[2:])
    write_archive(tmp_path / "b.tar.xz", reversed(folders[:2]))
    assert (tmp_path / "a.tar.xz").read_bytes() == (tmp_path / "b.tar.xz").read_bytes()
    write_archive(tmp_path / "a.tar.xz", folders)
    assert (tmp_path / "a.tar.xz").read_bytes() == (tmp_path / "b.tar.xz").read_bytes()


def test_a_run_that_is_finished_since_takes_the_place_of_the_unfinished_one(out: Path, tmp_path: Path):
    path = tmp_path / ARCHIVE
    write_archive(path, run_folders(out))
    write(out, plan("one", 3), [[70, 100, 100, 5]])
    assert write_archive(path, run_folders(out)) == (4, 3)
    (out / "runs" / plan("one", 3).folder / "record.json").unlink()
    assert write_archive(path, run_folders(out)) == (4, 3)


def test_two_records_of_one_run_are_refused_and_the_archive_stays_as_it_was(out: Path, tmp_path: Path):
    path = tmp_path / ARCHIVE
    write_archive(path, run_folders(out))
    before = path.read_bytes()
    write(out, plan("one", 0), [[61, 100, 100, 5]])
    with pytest.raises(UsageError, match="has another record of one-d-human-e-s0"):
        write_archive(path, run_folders(out))
    assert path.read_bytes() == before


def test_runs_beside_an_archive_are_counted_once(out: Path):
    write_archive(out / ARCHIVE, run_folders(out))
    assert scores(out) == [(4, [pytest.approx(60), pytest.approx(61)], ("seed 2: out of memory",))]
    assert len(all_runs(out)) == 4
    (out / "runs" / plan("one", 0).folder / "record.json").unlink()  # and planned again: the archive has it finished
    assert [len(values) for _, values, _ in scores(out)] == [2]


def test_a_record_that_was_changed_in_an_archive_is_damaged(out: Path, tmp_path: Path, capsys):
    record = out / "runs" / plan("one", 0).folder / "record.json"
    record.write_text(record.read_text().replace('"correct": [60]', '"correct": [61]'))
    write_archive(tmp_path / ARCHIVE, run_folders(out))
    assert [len(values) for _, values, _ in scores(tmp_path)] == [1]
    assert f"in no mean: 1 run (in {tmp_path / ARCHIVE}: {plan('one', 0).folder})" in capsys.readouterr().err
    write_archive(out / ARCHIVE, [])
    assert [len(values) for _, values, _ in scores(out)] == [1]
    assert f"in no mean: 1 run (`bench status --out {out}` says which)" in capsys.readouterr().err


def test_what_was_unpacked_and_is_gone_or_changed_since_is_made_again(out: Path, home: Path, capsys):
    write_archive(out / ARCHIVE, run_folders(out))
    first, second, *_ = archived_runs(out)
    before = [path.read_bytes() for path in (first.path / "run.json", second.path / "record.json")]
    shutil.rmtree(first.path)
    (second.path / "record.json").write_text("{}")
    assert archived_runs(out)[0].path == first.path
    assert [path.read_bytes() for path in (first.path / "run.json", second.path / "record.json")] == before
    assert "and 2 more there: not what was written (checksum); made again" in capsys.readouterr().err
    archived_runs(out)
    assert not capsys.readouterr().err


def packed(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["runs/a/b/run.json", "runs/a/model.bin", "x.json", "runs/../run.json"])
def test_what_is_no_archive_of_records_is_refused_and_nothing_is_unpacked(tmp_path: Path, home: Path, name: str):
    (tmp_path / ARCHIVE).write_bytes(packed(("runs/a/run.json", b"{}"), (name, b"{}")))
    with pytest.raises(BenchError, match="is no part of an archive of records"):
        archived_runs(tmp_path)
    assert not home.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_archive_is_told_or_its_runs_are(out: Path, tmp_path: Path, at: float, byte: int, cut: bool):
    write_archive(tmp_path / ARCHIVE, run_folders(out))
    content = bytearray((tmp_path / ARCHIVE).read_bytes())
    where = int(at * len(content))
    if not cut and content[where] == byte:
        return
    content[where:] = b"" if cut else bytes([byte]) + content[where + 1 :]
    (tmp_path / "damaged").mkdir(exist_ok=True)
    (tmp_path / "damaged" / ARCHIVE).write_bytes(content)
    try:
        found = scores(tmp_path / "damaged")
    except BenchError:
        return
    assert found == scores(out)
