"""Where the project keeps what it downloads, registers and generates, and how it writes there: whole files or none."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bench.processes import writers_mark


def home() -> Path:
    """BENCH_HOME, or `docre-bench` in the user's cache folder. Read anew at every call; not created here."""
    chosen = os.environ.get("BENCH_HOME")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "docre-bench"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "docre-bench"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "docre-bench"


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`, in one step: a reader sees the old file or the new one, never a part.

    Makes the folder. Raises OSError (full disk, no permission) with the path; the old file is then as it was.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # What a killed process leaves is known by this name (`bench.leftovers`).
        prefix = f".{path.name}.{writers_mark()}-"
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".tmp")
        _write_and_replace(handle, temporary, path, content)


def _write_and_replace(handle: int, temporary: str, path: Path, content: bytes) -> None:
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files only their owner can read; a shared BENCH_HOME needs the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in an OSError of this block: what fails while bytes are written does not say of which file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def explain_disk(error: OSError) -> str | None:
    """What to do about a full disk, or a place where no file can be written; None for an error of another kind."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" (no space left on {error.filename})" if error.filename else ""
        return f"the disk is full{where}: what was saved before is intact; make room, then run the same command again"
    if error.filename and error.errno == errno.EISDIR:
        return f"{error.filename}: a folder, where a file of this program belongs: remove it, or move it away"
    if error.filename and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        if Path(error.filename).is_relative_to(home()):
            return (
                f"{error.filename}: {error.strerror}. What BENCH_HOME ({home()}) lacks is made there: run this once as "
                "somebody who can write to it, or set BENCH_HOME to a folder of your own"
            )
        if error.errno == errno.EROFS:
            return f"{error.filename}: {error.strerror}. Choose a folder that can be written to"
    return None


def sha256_of(path: Path) -> str:
    """The sha256 (hex) of a file's bytes. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """The sha256 (hex) of a file's bytes, read the first time that this process asks and when it has changed since.

    The time of an inode's change counts, too, which nobody can set. Raises OSError.
    """
    stat = path.stat()
    return _sha256(path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@cache
def _sha256(path: Path, *state: int) -> str:
    return sha256_of(path)


PartState = Literal["intact", "damaged", "absent"]
"""Of a part: what was written; something else; not there, or without its checksum."""


def write_part(path: Path, content: bytes, **more: Any) -> None:
    """Write a part of an artifact and then, in a JSON file beside it, its checksum and `more`: a reader needs both."""
    write_atomically(path, content)
    write_sealed(path.with_suffix(".json"), "part", {"sha256": hashlib.sha256(content).hexdigest(), **more})


def part_state(path: Path) -> PartState:
    """Whether a part is what `write_part` wrote. All of it is read the first time that this process asks."""
    seal = read_sealed(path.with_suffix(".json"), "part")
    try:
        if seal is None or not path.exists():
            return "absent"
        return "intact" if sha256_once(path) == seal["sha256"] else "damaged"
    except OSError:  # it cannot be read, so it is not what was written
        return "damaged"


def tell_made_again(damaged: Sequence[Path]) -> None:
    """Say in one line on standard error that these parts were damaged."""
    if damaged:
        others = f" and {len(damaged) - 1:,} more there" if len(damaged) > 1 else ""
        print(f"bench: {damaged[0]}{others}: not what was written (checksum); made again", file=sys.stderr, flush=True)


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write `value` to `path` as JSON, in one step."""
    write_atomically(path, (json.dumps(value, ensure_ascii=False, indent=indent) + "\n").encode())


def read_json(path: Path) -> Any:
    """The JSON in `path`, or None where the file is absent, truncated or not JSON, or a folder is in its place."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None


def last_text(path: Path, size: int = 4096) -> str:
    """The end of a text file, at most `size` bytes of it; nothing where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def write_sealed(path: Path, name: str, content: Any) -> None:
    """Write `content` to a JSON file under the key `name`, with its checksum beside it, in one step."""
    write_json(path, {"sha256": _checksum(content), name: content})


def read_sealed(path: Path, name: str) -> Any:
    """What `write_sealed` wrote, or None where the file is absent or not what was written."""
    stored = read_json(path)
    if not isinstance(stored, dict) or name not in stored or _checksum(stored[name]) != stored.get("sha256"):
        return None
    return stored[name]


CHECKSUM = "checksum"
"""The field that `write_checked` adds."""


def write_checked(path: Path, content: Mapping[str, Any], indent: int | None = None) -> None:
    """Write an object to a JSON file with the checksum of its fields as one more, in one step."""
    write_json(path, {**content, CHECKSUM: digest(content)}, indent)


def read_checked(path: Path) -> dict[str, Any] | None:
    """What `write_checked` wrote, or None where the file is absent or not what was written.

    Versions before wrote these objects without a checksum; of one that has none nothing is claimed.
    """
    stored = read_json(path)
    return checked(stored) if isinstance(stored, dict) else None


def checked(stored: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of an object that `write_checked` wrote, or None where they are not those."""
    content = {name: value for name, value in stored.items() if name != CHECKSUM}
    return content if stored.get(CHECKSUM) in (None, digest(content)) else None


def checksum_path(path: Path) -> Path:
    """Where `write_checksum` writes the checksum of a file."""
    return path.with_name(f"{path.name}.sha256")


def write_checksum(path: Path) -> None:
    """Write the checksum of a file, which is complete, into one beside it, as `sha256sum` does."""
    write_atomically(checksum_path(path), f"{sha256_of(path)}  {path.name}\n".encode())


def fits_checksum(path: Path) -> bool:
    """Whether a file is what it was when `write_checksum` was called; of one without a checksum nothing is claimed."""
    beside = checksum_path(path)
    try:
        return not beside.exists() or beside.read_bytes() == f"{sha256_of(path)}  {path.name}\n".encode()
    except OSError:
        return False


def _checksum(content: Any) -> str:
    # A damaged file may hold half a surrogate pair, which has no other encoding.
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest(value: Any) -> str:
    """16 hex digits of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class DamagedFileError(Exception):
    """A file that is not what was written, or cannot be what the program writes: truncated, changed, incomplete."""


def load_state(path: Path) -> dict[str, Any]:
    """The `state` that `save_tensors` wrote for `path`, with `tensors_sha256`. Raises DamagedFileError."""
    state = read_sealed(path.with_suffix(".json"), "state")
    if not isinstance(state, dict) or "tensors_sha256" not in state:
        raise DamagedFileError(f"{path}: no readable description beside it")
    return state
