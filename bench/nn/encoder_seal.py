"""The seal of a saved encoder: the checksums of its tokenizer and configuration, in a file beside their folder."""

from __future__ import annotations

from pathlib import Path

from bench.filesystem import DamagedFileError, read_sealed, sha256_of, write_sealed


def seal(folder: Path) -> None:
    """Write down what is in the folder of a saved encoder, which is complete."""
    write_sealed(_seal_of(folder), "files", _checksums(folder))


def check_seal(folder: Path) -> None:
    """Raise DamagedFileError where a folder is not what was sealed; of one that has no seal nothing is claimed.

    Versions before there were seals left such folders.
    """
    path = _seal_of(folder)
    if not folder.is_dir():
        raise DamagedFileError(f"{folder} is gone")
    if not path.exists():
        return
    sealed = read_sealed(path, "files")
    if sealed is None:
        raise DamagedFileError(f"{path}: not what was written (checksum)")
    found = _checksums(folder)
    for name in sorted({*sealed, *found}):
        if name not in found:
            raise DamagedFileError(f"{folder / name} is missing")
        if found[name] != sealed.get(name):
            what = "the content" if name in sealed else "a file"
            raise DamagedFileError(f"{folder / name}: not {what} that was written there (checksum)")


def is_intact(folder: Path) -> bool:
    """Whether the folder of a saved encoder is there and, where it was sealed, as it was then."""
    try:
        check_seal(folder)
    except DamagedFileError:
        return False
    return True


def _seal_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _checksums(folder: Path) -> dict[str, str]:
    # Hidden files are those of file systems and desktops; no tokenizer has any.
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    try:
        return {path.name: sha256_of(path) for path in files}
    except OSError as error:
        raise DamagedFileError(f"{error.filename or folder}: {error.strerror}") from error
