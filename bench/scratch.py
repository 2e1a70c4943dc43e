"""Copies, on a node's own disk, of what its jobs read again and again from the file system that all nodes share.

A copy is read only if it is what was copied (checksum); where one cannot be made, the file itself is. Nothing is
written here but copies: a folder for each job, which the last of its processes removes, and where it was killed the
next job on the node.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import plural
from bench.filesystem import digest, read_sealed, sha256_once, write_atomically
from bench.locks import waiting_for

SCRATCH = "BENCH_SCRATCH"
"""Set by the batch script of a job whose profile has `scratch`: the folder on the node's disk."""
IN_USE = "in-use"
"""The processes of a job hold a lock on this file of its folder, which ends with them."""
SPARE = 256 << 20
"""So many bytes are left free on the disk."""
AT_ONCE = 8 << 20
OF_WEIGHTS = (".json", ".safetensors", ".bin")
"""Files of an encoder's folder that its weights are read from."""


@contextmanager
def scratch_in(place: str | None) -> Iterator[None]:
    """Within this block files are read from copies below the folder `place`, if there is one and it can be had.

    Outside of such a block, and with None, each file is read where it is. Says in a line why a place cannot be used.
    """
    if place is None:
        yield
        return
    global _scratch
    try:
        _scratch = scratch = _Scratch(place, os.environ.get("SLURM_JOB_ID", str(os.getpid())))
    except OSError as error:
        why = f"{error.filename or place or 'it is empty'}: {error.strerror or error}"
        _say(f"no scratch ({why}): everything is read from where it is")
        yield
        return
    try:
        yield
    finally:
        _scratch = None
        scratch.leave()


def nearby(path: Path, sha256: str | None = None) -> Path:
    """Where to read a file: a copy of it in the scratch of this job, or where there is none the file itself.

    sha256: of its content, where that is known; a file that has another is not copied.
    """
    return path if _scratch is None else _scratch.copy_of(path, sha256)


def nearby_part(path: Path) -> Path:
    """The same of a part that `write_part` wrote, with its checksum beside it."""
    if _scratch is None:
        return path
    beside = path.with_suffix(".json")
    seal = read_sealed(beside, "part")
    if not isinstance(seal, dict) or not isinstance(seal.get("sha256"), str):
        return path
    copy = _scratch.copy_of(path, seal["sha256"])
    if copy != path and read_sealed(copy.with_suffix(".json"), "part") != seal:
        try:
            write_atomically(copy.with_suffix(".json"), beside.read_bytes())
        except OSError as error:
            _scratch.cannot(error)
            return path
    return copy


def nearby_weights(folder: Path) -> Path:
    """The same of the files in an encoder's folder: one with copies of all that are read, or the folder itself."""
    if _scratch is None:
        return folder
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix in OF_WEIGHTS)
    if any(file.suffix == ".safetensors" for file in files):
        files = [file for file in files if file.suffix != ".bin"]
    key = digest([_state(file) for file in files])
    with telling(f"the encoder in {folder}"):
        copies = [_scratch.copy_of(file, None, key) for file in files]
    return copies[0].parent if copies and not set(copies) & set(files) else folder


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Say after this block what it has copied, if anything: how many files, their size and the time it took."""
    scratch = _scratch
    before = scratch.copied if scratch else (0, 0, 0.0)
    yield
    if scratch is None or scratch.copied[0] == before[0]:
        return
    files, size, seconds = (now - then for now, then in zip(scratch.copied, before, strict=True))
    _say(f"{what}: {plural(int(files), 'file')}, {size / 1e6:,.1f} MB, copied to {scratch.root} in {seconds:.1f} s")


class _Scratch:
    """The copies of one job on one node. copied: by this process: files, bytes, seconds."""

    def __init__(self, place: str, job: str) -> None:
        folder = Path(os.path.abspath(place))
        self.root = folder / f"{_prefix()}{job}"
        self.copied: tuple[int, int, float] = (0, 0, 0.0)
        self._told = False
        if not place or not folder.is_dir():  # the variable that names it is not set
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place)
        self._in_use = self._enter()
        _remove_abandoned(folder, self.root)

    def _enter(self) -> int:
        import fcntl

        while True:
            self.root.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):  # removed by the last process of an earlier attempt just now
                descriptor = os.open(self.root / IN_USE, os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                if (self.root / IN_USE).exists() and os.fstat(descriptor).st_nlink:
                    return descriptor
                os.close(descriptor)

    def leave(self) -> None:
        """Let go of the copies, and remove them if no other process of the job has them."""
        import fcntl

        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.root, ignore_errors=True)
        except BlockingIOError:
            pass  # the other process does it
        finally:
            os.close(self._in_use)

    def copy_of(self, path: Path, sha256: str | None, key: str = "") -> Path:
        """As `nearby`. key: the name of the copy's folder, where several files are to be in one."""
        try:
            copy = self.root / (key or (sha256[:32] if sha256 else digest(_state(path)))) / path.name
            told = copy.with_name(f".{copy.name}.sha256")
            if not told.exists():
                with waiting_for(self.root / "lock"):  # what another process is copying is copied once
                    if not told.exists():
                        self._copy(path, copy, told, sha256)
            expected = sha256 or told.read_text()
            if sha256_once(copy) != expected:
                raise OSError(errno.EIO, "not what was copied", str(copy))
        except OSError as error:
            self.cannot(error)
            return path
        return copy

    def _copy(self, path: Path, copy: Path, told: Path, sha256: str | None) -> None:
        began, size = time.monotonic(), path.stat().st_size
        copy.parent.mkdir(exist_ok=True)
        if shutil.disk_usage(self.root).free - size < SPARE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copy))
        temporary = copy.with_name(f".{copy.name}.tmp")
        try:
            read = hashlib.sha256()
            with path.open("rb") as source, temporary.open("wb") as target:
                while piece := source.read(AT_ONCE):
                    read.update(piece)
                    target.write(piece)
            if sha256 is not None and read.hexdigest() != sha256:
                raise OSError(errno.EIO, "not what its checksum says", str(path))
            os.replace(temporary, copy)
            write_atomically(told, read.hexdigest().encode())
        finally:
            temporary.unlink(missing_ok=True)
        files, so_far, seconds = self.copied
        self.copied = files + 1, so_far + size, seconds + time.monotonic() - began

    def cannot(self, error: OSError) -> None:
        """Say, the first time, that a file is read from where it is, and why."""
        if not self._told:
            self._told = True
            why = f"{error.filename or self.root}: {error.strerror or error}"
            _say(f"scratch: {why}; it, and whatever else cannot be copied, is read from where it is")


_scratch: _Scratch | None = None
"""The scratch of this process; None where there is none."""


def _prefix() -> str:
    # With the node's name: should the folder be one that several share, none removes another's.
    return f"docre-bench-{os.getuid()}-{platform.node()}-"


def _remove_abandoned(place: Path, own: Path) -> None:
    """Remove the copies of this user's jobs that were killed: of folders that no process uses any more."""
    import fcntl

    for folder in place.glob(f"{_prefix()}*"):
        if folder == own:
            continue
        with suppress(OSError):  # in use, or another process was first
            descriptor = os.open(folder / IN_USE, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _state(path: Path) -> Sequence[str | int]:
    """What tells a file from others, and from what it was before."""
    stat = path.stat()
    return str(path.resolve()), path.name, stat.st_size, stat.st_mtime_ns


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
