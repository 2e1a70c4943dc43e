"""Records of many runs in one small file, to be committed or sent: `records.tar.xz` of an output folder.

It holds of each run the plan, the record where it is finished and the error where it failed, as they are in the run's
folder, byte for byte, with their checksums in them. Tables, comparisons and reports of a folder take in what its
archive has beside what its `runs/` has. Weights, predictions and scores are not in it.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from lzma import LZMAError
from pathlib import Path

from bench.errors import BenchError, UsageError
from bench.filesystem import home, naming, tell_made_again, write_atomically
from bench.runs.run_folder import PLAN, RECORD, RunFolder, run_folders

ARCHIVE = "records.tar.xz"
ERROR = "error.json"
_MEMBER = re.compile(rf"runs/([^/\\]+)/({re.escape(PLAN)}|{re.escape(RECORD)}|{re.escape(ERROR)})")
_MOST = 1 << 28
"""Bytes of one file of an archive: a record of 500 documents has 40,000."""

Files = dict[str, dict[str, bytes]]
"""Of each run, by the name of its folder: its files by name."""


def archived_runs(out: Path) -> list[RunFolder]:
    """The runs in the archive of an output folder, by name; none where it has no archive.

    They are unpacked once, under BENCH_HOME; a file there that is gone or another by now is made again, and told.
    Raises BenchError for an archive that is damaged, or is none.
    """
    path = out / ARCHIVE
    if not path.is_file():
        return []
    content = path.read_bytes()
    files = _files_in(path, content)
    unpacked = home() / "records" / hashlib.sha256(content).hexdigest()[:32]
    if unpacked.is_dir():
        _make_again(files, unpacked)
    else:
        _unpack(files, unpacked)
    return [RunFolder(unpacked, run) for run in sorted(files)]


def all_runs(out: Path) -> list[RunFolder]:
    """Every run that was ever planned in `out`, by name, those of its archive among them.

    One that is in both is that of the folder, unless that of the archive alone is finished. Raises BenchError.
    """
    runs = {folder.name: folder for folder in archived_runs(out)}
    for folder in run_folders(out):
        if folder.name not in runs or (folder.path / RECORD).exists() or not (runs[folder.name].path / RECORD).exists():
            runs[folder.name] = folder
    return [runs[name] for name in sorted(runs)]


def is_in(folder: RunFolder, out: Path) -> bool:
    """Whether a run is in `runs/` of an output folder, not in its archive alone."""
    return folder.path.parent.parent == out


def nothing_planned(out: Path) -> str:
    """What to say of an output folder in whose `runs/` there is nothing."""
    if (out / ARCHIVE).is_file():
        return (
            f"{out} has an archive of records and no runs of its own: `bench table`, `compare`, `report` and `audit` "
            "read it"
        )
    return f"nothing has been planned in {out} (`bench run` does; --out says where)"


def write_archive(path: Path, folders: Iterable[RunFolder]) -> tuple[int, int]:
    """Put runs into an archive, beside those that it has; returns how many it has, and how many of them are finished.

    A finished run takes the place of the same run unfinished. Raises UsageError where one is in it already with
    another record, since one of the two is not what it says, and nothing is written; BenchError where the archive
    cannot be read.
    """
    files: Files = _files_in(path, path.read_bytes()) if path.exists() else {}
    for folder in folders:
        new, old = _files_of(folder), files.get(folder.name, {})
        if RECORD in old and RECORD in new and old[RECORD] != new[RECORD]:
            raise UsageError(
                f"{path} has another record of {folder.name}: the same run on another machine, or one of them was "
                "changed. Remove one, or write another file (--to)"
            )
        if RECORD not in old:
            files[folder.name] = new
    write_atomically(path, _packed(files))
    return len(files), sum(RECORD in of for of in files.values())


def _files_of(folder: RunFolder) -> dict[str, bytes]:
    """What an archive has of a run: of a finished one no error of an earlier try."""
    content = {name: (folder.path / name) for name in (PLAN, RECORD, ERROR)}
    present = {name: path.read_bytes() for name, path in content.items() if path.is_file()}
    return {name: data for name, data in present.items() if name != ERROR or RECORD not in present}


def _packed(files: Mapping[str, Mapping[str, bytes]]) -> bytes:
    """The same bytes for the same files, whoever packs them and when."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", format=tarfile.PAX_FORMAT, preset=9) as archive:
        # Records beside records: what is alike is nearer than the window of the compression is wide.
        for name in (PLAN, RECORD, ERROR):
            for run in sorted(files):
                if name in files[run]:
                    member = tarfile.TarInfo(f"runs/{run}/{name}")
                    member.size = len(files[run][name])
                    archive.addfile(member, io.BytesIO(files[run][name]))
    return buffer.getvalue()


def _files_in(path: Path, content: bytes) -> Files:
    """The files of an archive. Raises BenchError where it is damaged, or holds what no archive of records does."""
    files: Files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as archive:
            for member in archive:
                found = _MEMBER.fullmatch(member.name)
                if found is None or found[1] in (".", "..") or not member.isreg() or member.size > _MOST:
                    raise BenchError(f"{path}: {member.name!r} is no part of an archive of records")
                file = archive.extractfile(member)
                assert file is not None  # of a regular member
                files.setdefault(found[1], {})[found[2]] = file.read()
    except (tarfile.TarError, LZMAError, EOFError) as error:
        raise BenchError(f"{path}: not an archive of records, or damaged ({error})") from error
    return files


def _make_again(files: Files, folder: Path) -> None:
    """Write what the unpacked files lack: a cluster that clears old files away leaves folders without some of them."""
    damaged = []
    for run, of_run in files.items():
        for name, content in of_run.items():
            path = folder / "runs" / run / name
            if not path.is_file() or path.read_bytes() != content:
                write_atomically(path, content)
                damaged.append(path)
    tell_made_again(damaged)


def _unpack(files: Files, folder: Path) -> None:
    """Write the files under the folder, which is there when all of them are."""
    with naming(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".", suffix=".tmp"))
        try:
            for run, of_run in files.items():
                (temporary / "runs" / run).mkdir(parents=True)
                for name, content in of_run.items():
                    (temporary / "runs" / run / name).write_bytes(content)
            temporary.replace(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not folder.is_dir():  # or another process was first
                raise
