"""Getting a published data set: what has an address is downloaded, the rest is looked for and asked for by name."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path

from bench.data.catalog.register import DatasetFiles, register
from bench.data.catalog.registration import Registration, registration_path
from bench.data.catalog.releases import IDS, OFFICIAL, TABLE, Entry, OfficialFile, wrong_in
from bench.data.formats.detect import scan
from bench.data.formats.pubtator import read_table
from bench.data.formats.scan import SHOWN_PROBLEMS, Scan
from bench.errors import BenchError, UsageError, plural, unknown
from bench.filesystem import explain_disk, home, naming, sha256_of
from bench.locks import Lock, LockHeldError

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as lost."""
ATTEMPTS = 3
CHUNK = 1 << 18

Progress = Callable[[str, int, int | None], None]
"""(file name, bytes so far, bytes in all or None if the server does not say)."""


def downloads(name: str) -> Path:
    """Where the files of a published data set are downloaded to, or put by hand."""
    return home() / "downloads" / name


def fetch(
    name: str, force: bool = False, progress: Progress = lambda file, done, total: None
) -> tuple[Registration, list[str]]:
    """Get, verify and register a published data set; what is there already is not downloaded again.

    Returns its registration and notes. Raises UsageError for an unknown name or for files that only a person can
    get, saying which to put where; BenchError when a download fails.
    """
    if name not in OFFICIAL:
        raise unknown("published data set", name, OFFICIAL, "Your own files: bench data add NAME --train ...")
    entry, folder = OFFICIAL[name], downloads(name)
    lock = Lock(folder / ".lock")
    try:
        lock.acquire()
    except LockHeldError as held:
        raise UsageError(f"another `bench data fetch {name}` is running ({held})") from None
    try:
        failures = _download_missing(entry, folder, progress)
        absent = [file for file in entry.files if not (folder / file.filename).exists()]
        if any(file.required for file in absent):
            raise _incomplete(entry, folder, absent, failures)
        registration, notes = _register(entry, folder, force)
        notes += [f"optional, not there: {_where(folder, file)}" for file in absent]
        notes += [f"terms: {entry.terms}"] if entry.terms else []
        return registration, notes
    finally:
        lock.release()


def download(url: str, path: Path, verify: Callable[[Path], None], report: Callable[[int, int | None], None]) -> None:
    """Put what `url` serves at `path`, once `verify(part)` accepts it. `report(bytes so far, bytes in all)`.

    Bytes go to `path` + `.part`; a later call goes on where they end, if the server can (HTTP Range). Raises
    BenchError when the server cannot be reached, keeps breaking off, or serves what `verify` refuses.
    """
    part = path.with_name(path.name + ".part")
    resumed = part.exists() and part.stat().st_size > 0
    for attempt in range(ATTEMPTS):
        try:
            complete = _transfer(url, part, report)
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, OSError) and (trouble := explain_disk(error)):
                raise BenchError(trouble) from None
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise BenchError(f"{url}: the server answers {error.code} {error.reason}") from None
            if attempt == ATTEMPTS - 1:
                raise BenchError(f"{url}: {getattr(error, 'reason', None) or error}") from None
            continue
        if complete:
            break
    else:
        have = part.stat().st_size
        raise BenchError(
            f"{url}: broke off {ATTEMPTS} times, last after {have:,} bytes; run it again to go on from there"
        )
    try:
        verify(part)
    except BenchError:
        part.unlink()
        if not resumed:
            raise
        # The part may have been the beginning of an older file: once more, from nothing.
        download(url, path, verify, report)
        return
    part.replace(path)


def _transfer(url: str, part: Path, report: Callable[[int, int | None], None]) -> bool:
    """One connection's worth. Returns whether the file is complete."""
    have = part.stat().st_size if part.exists() else 0
    # Compressed transfers would make lengths and ranges mean something else than bytes of the file.
    headers = {"User-Agent": "docre-bench", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing after `have`: complete (the server says how long it is) or longer than the file, so another one's.
        total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if total is not None and int(total[1]) == have:
            return True
        part.unlink()
        return False
    with response:
        content_range = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        resumes = response.status == 206 and content_range is not None and int(content_range[1]) == have
        if response.status == 206 and not resumes:
            raise ValueError("the server sends another part of the file than was asked for")
        done = have if resumes else 0
        length = response.headers.get("Content-Length")
        total_bytes = done + int(length) if length is not None else None
        with open(part, "ab" if resumes else "wb") as file:
            while chunk := response.read(CHUNK):
                with naming(part):
                    file.write(chunk)
                    file.flush()
                done += len(chunk)
                report(done, total_bytes)
    # A connection that breaks ends the body early without an error: the length tells.
    return total_bytes is None or done == total_bytes


def _download_missing(entry: Entry, folder: Path, progress: Progress) -> list[str]:
    failures = []
    for file in entry.files:
        path = folder / file.filename
        if path.exists() or file.url is None:
            continue
        try:
            verify = partial(_verify, file=file, entry=entry)
            download(file.url, path, verify, partial(progress, file.filename))
        except BenchError as error:
            failures.append(str(error))
    return failures


def _verify(path: Path, file: OfficialFile, entry: Entry) -> None:
    if file.split == "relations" or file.split.endswith(IDS):
        if file.sha256 is not None and sha256_of(path) != file.sha256:
            raise BenchError(f"{file.url}: not the published file (sha256 differs)")
        return
    if file.split == TABLE:
        if problems := read_table(path)[1]:
            raise BenchError("\n".join([f"{file.url}: what came is not usable", *map(str, problems[:SHOWN_PROBLEMS])]))
        return
    result = scan(path, entry.form, repeated_titles=file.split == "distant")
    if result.problems:
        raise BenchError(f"{file.url}: what came is not usable\n{result.report(at_most=SHOWN_PROBLEMS)}")
    if wrong := wrong_in(file, entry.relations, result):
        raise BenchError("\n".join([f"{file.url}: what came is not the published file", *(f"  {x}" for x in wrong)]))


def _register(entry: Entry, folder: Path, force: bool) -> tuple[Registration, list[str]]:
    paths = {file.split: folder / file.filename for file in entry.files if (folder / file.filename).exists()}
    relations = paths.pop("relations", None)
    paths.pop(TABLE, None)  # found beside the abstracts
    ids = {split.removesuffix(IDS): paths.pop(split) for split in tuple(paths) if split.endswith(IDS)}

    def check(split: str, result: Scan) -> list[str]:
        return wrong_in(entry.expected(split), entry.relations, result)

    files = DatasetFiles(paths, entry.form, relations=[relations] if relations else [], ids=ids)
    registration, notes = register(entry.name, files, force, check)
    registration.save(registration_path(entry.name))
    return registration, notes


def _incomplete(entry: Entry, folder: Path, absent: list[OfficialFile], failures: list[str]) -> BenchError:
    lines = [f"data set {entry.name!r} is not complete", *failures]
    # Once, where a folder has the documents of two splits.
    lines += dict.fromkeys(f"put {_where(folder, file)}" for file in absent if file.required)
    lines += [f"optional: {_where(folder, file)}" for file in absent if not file.required]
    lines.append(f"and run `bench data fetch {entry.name}` again")
    if entry.terms:
        lines.append(f"terms: {entry.terms}")
    # Only misuse if nothing could have been downloaded: a failed download is a failed run.
    return BenchError("\n".join(lines)) if failures else UsageError("\n".join(lines))


def _where(folder: Path, file: OfficialFile) -> str:
    what = [plural(file.documents, "document")] if file.documents else []
    if file.triples:
        what.append(f"{file.triples} triples per document")
    facts = f" ({', '.join(what)})" if what else ""
    return f"{folder / file.filename}{facts} from {file.source}"
