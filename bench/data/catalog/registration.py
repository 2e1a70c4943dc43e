"""What the project knows of a data set: where its files are, what was in them, and the rules they had to pass.

A registration is a small JSON file under `home()/datasets`. The documents stay where they are; their size, time of
change and sha256 are kept, and a file that changed since is refused rather than silently used under the old name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.data.formats.detect import FORMATS, Format, detect, scan
from bench.data.formats.docred import read_facts, titles
from bench.data.formats.json_stream import kind_of, read_json
from bench.data.formats.scan import SHOWN_PROBLEMS, Scan, Source
from bench.errors import UsageError, unknown
from bench.filesystem import home, sha256_of, write_atomically

SPLITS = ("train", "dev", "test", "distant", "ext", "dev_ext")
NO_RELATION = frozenset({"na", "n/a", "no_relation"})
"""Names (lower case) under which a rel2id file lists the threshold class, which is no relation."""


class FileRecord(BaseModel):
    """A file as it was when it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int
    mtime_ns: int
    sha256: str

    def verify(self, again: str) -> None:
        """Raise UsageError if the file is gone or its content changed. `again`: what the user can do about it.

        Size and time of change first, the hash only when they differ: a copied or touched file is still the file.
        """
        try:
            stat = os.stat(self.path)
            if (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns):
                return
            changed = stat.st_size != self.size or sha256_of(Path(self.path)) != self.sha256
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read: {error.strerror or error}\n{again}") from None
        if changed:
            raise UsageError(f"{self.path}: has changed since it was registered\n{again}")


class SplitFile(FileRecord):
    """A file of documents. `documents`, `labels`: what of it is used; `left_out`: documents that are not.

    companions: other files read along with it (PubTator's tables of triples).
    """

    documents: int
    labels: int
    labelled: bool
    left_out: int = 0
    companions: tuple[FileRecord, ...] = ()

    @property
    def checksum(self) -> str:
        """sha256 (hex) of what was read: the file's own, or of those of the file and its companions."""
        return checksum_of([self.sha256, *(file.sha256 for file in self.companions)])

    def verify(self, again: str) -> None:
        """As FileRecord's, of the file and its companions."""
        super().verify(again)
        for file in self.companions:
            file.verify(again)


class Registration(BaseModel):
    """A data set. `relations[r]` is column r + 1 of a model's logits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    name: str
    relations: tuple[str, ...]
    relation_names: dict[str, str]
    splits: dict[str, SplitFile]
    facts: FileRecord | None = None
    ext_seed: int = 0
    format: Literal["docred", "chemdisgene", "cdr"] = "docred"

    @property
    def form(self) -> Format:
        """The form of its files."""
        return FORMATS[self.format]

    @property
    def what_to_do(self) -> str:
        """The hint of an error about one of its files."""
        return f"Put the file back, or register the new one: bench data add {self.name} ... --replace"

    def save(self, path: Path) -> None:
        """Write it, in one step."""
        write_atomically(path, (json.dumps(self.model_dump(mode="json"), indent=2) + "\n").encode("ascii"))


@dataclass(frozen=True)
class FileFacts:
    """What registering needs of a file once it is read; the documents themselves are let go."""

    record: SplitFile
    titles: frozenset[str]
    relations: Counter[str]
    notes: tuple[str, ...]


def checksum_of(sha256s: Sequence[str]) -> str:
    """One sha256 for several: of a single file its own."""
    return sha256s[0] if len(sha256s) == 1 else hashlib.sha256("\n".join(sha256s).encode("ascii")).hexdigest()


def registration_path(name: str) -> Path:
    """Where the data set of that name is registered."""
    return home() / "datasets" / f"{name}.json"


def registered_names() -> list[str]:
    """The names registered in `home()`, sorted."""
    folder = home() / "datasets"
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def load_registration(path: Path) -> Registration:
    """Read a registration. Raises UsageError if it is damaged or of another version."""
    try:
        return Registration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{path}: not a registration this version reads ({reason})\nDelete it and add it again"
        ) from None


def read_relations(paths: Sequence[Path]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The relations, in order, and their names, from files in two forms.

    rel2id, `{"P1": 3, ..., "Na": 0}`, gives the order (by number; "Na", the threshold class, is no relation);
    rel_info, `{"P1": "name", ...}`, gives names, and the order (sorted) if no rel2id does. Raises UsageError.
    """
    order: tuple[str, ...] | None = None
    names: dict[str, str] = {}
    for path in paths:
        value = read_json(path)
        if not isinstance(value, dict) or not value:
            raise UsageError(f"{path}: expected an object of relations, found {kind_of(value) if value else 'none'}")
        if all(type(number) is int for number in value.values()):
            if len(set(value.values())) < len(value):
                raise UsageError(f"{path}: two relations have the same number")
            order = tuple(r for r in sorted(value, key=lambda r: value[r]) if r.casefold() not in NO_RELATION)
        elif all(isinstance(name, str) for name in value.values()):
            names.update(value)
        else:
            raise UsageError(f'{path}: expected {{"P1": number, ...}} (rel2id) or {{"P1": "name", ...}} (rel_info)')
    if order is None:
        order = tuple(sorted(names))
    return order, {relation: names.get(relation, relation) for relation in order}


def register(
    name: str,
    files: Mapping[str, Path],
    *,
    form: Format | None = None,
    facts: Path | None = None,
    relations: Sequence[Path] = (),
    ext_seed: int = 0,
    force: bool = False,
    check: Callable[[str, Scan], list[str]] = lambda split, result: [],
) -> tuple[Registration, list[str]]:
    """Read and check every file of a data set; return its registration (not saved) and notes for the user.

    `files`: path by split (SPLITS); train, dev and test at least. `form`: that of the files (None: the one in which
    the training file begins). `check(split, scan)`: further problems, one line each. Raises one UsageError with the
    problems of all files together.

    Leaks: no file but test's may hold a document of test, by title, unless `force`. SSR-PU's `dev_ext.json` covers all
    of DocRED's dev set, in which the test set of Re-DocRED lies, so dev_ext is first cut to the titles of dev: the rest
    is left out, counted, and said in a note. What remains is held to the same rule.
    """
    for split in files:
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
    missing = [split for split in ("train", "dev", "test") if split not in files]
    if missing:
        raise UsageError(f"a data set needs train, dev and test; missing: {', '.join(missing)}")
    form = form or detect(files["train"])
    complaints: list[str] = []
    order: tuple[str, ...] | None = form.relations
    names: dict[str, str] = {relation: form.relation_names.get(relation, relation) for relation in order or ()}
    fact_record: FileRecord | None = None
    try:
        if relations:
            order, names = read_relations(relations)
    except UsageError as error:
        complaints.append(str(error))
    try:
        if facts and not form.ign_f1:
            raise UsageError(f"{facts}: facts are for Ign F1, which {form.name} data sets do not have")
        if facts:
            fact_record = _fact_file(facts)
    except UsageError as error:
        complaints.append(str(error))
    found: dict[str, FileFacts] = {}
    for split in (split for split in SPLITS if split in files):
        # Predictions name documents by title: where there are none, titles need not tell documents apart.
        result = scan(_absolute(files[split]), form, order, repeated_titles=split == "distant")
        if result.problems:
            complaints.append(result.report(at_most=SHOWN_PROBLEMS))
        elif wrong := check(split, result):
            complaints.append("\n".join([f"{result.path}: not the file expected", *(f"  {line}" for line in wrong)]))
        elif not result.labels and split != "test":
            why = f": {result.no_labels}" if result.no_labels else ""
            complaints.append(f"{result.path}: no labels (only a test file may be without){why}")
        else:
            found[split] = _facts_of_file(split, result, found)
            if not found[split].record.documents:
                complaints.append(f"{result.path}: none of its documents is in dev (compared by title)")
    if not force:
        complaints += _leaks(found)
    if complaints:
        raise UsageError(f"data set {name!r} not registered\n" + "\n".join(complaints))
    if order is None:
        order = tuple(sorted(set().union(*(item.relations for item in found.values()))))
        names = {relation: relation for relation in order}
    registration = Registration(
        name=name,
        relations=order,
        relation_names=names,
        splits={split: item.record for split, item in found.items()},
        facts=fact_record,
        ext_seed=ext_seed,
        format=form.name,
    )
    return registration, [note for item in found.values() for note in item.notes] + _overlaps(found, force)


def check_name(name: str, reserved: Sequence[str], replace: bool) -> None:
    """Raise UsageError unless a data set may be registered under `name`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(f"{name!r} cannot name a data set: letters, digits, '.', '_', '-', a letter or digit first")
    if name.casefold() in {other.casefold() for other in reserved}:
        raise UsageError(
            f"{name!r} is a data set of its own; choose another name. Taken: {', '.join(sorted(reserved))}"
        )
    if not replace and registration_path(name).exists():
        raise UsageError(f"{name!r} is already registered; --replace registers these files in its place")


def _absolute(path: Path) -> Path:
    absolute = os.path.abspath(path)
    try:
        absolute.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"{absolute!r}: the path is not UTF-8 and cannot be registered; rename it") from None
    return Path(absolute)


def _fact_file(path: Path) -> FileRecord:
    path = _absolute(path)
    if not read_facts(path):
        raise UsageError(f"{path}: no facts")
    return _record(Source(path, path.stat().st_size, sha256_of(path)))


def _record(source: Source) -> FileRecord:
    mtime = source.path.stat().st_mtime_ns
    return FileRecord(path=str(source.path), size=source.size, mtime_ns=mtime, sha256=source.sha256)


def _facts_of_file(split: str, result: Scan, found: Mapping[str, FileFacts]) -> FileFacts:
    notes = []
    for what, found_odd in (("kept as they are", result.notes), ("changed", result.changes)):
        if found_odd:
            oddities = "; ".join(f"{count:,} {oddity}" for oddity, count in sorted(found_odd.items()))
            notes.append(f"{result.path}: {what}: {oddities}")
    documents = result.documents
    if split == "dev_ext" and "dev" in found:
        documents = tuple(document for document in documents if document.title in found["dev"].titles)
        left_out = titles(result.documents) - found["dev"].titles
        if left_out:
            of_test = len(left_out & found["test"].titles) if "test" in found else 0
            notes.append(
                f"{result.path}: {len(left_out):,} of {result.count:,} documents are not in dev and are left out"
                + (f" ({of_test:,} of them are test documents)" if of_test else "")
            )
    own, *others = map(_record, result.sources)
    record = SplitFile(
        **own.model_dump(),
        companions=tuple(others),
        documents=len(documents),
        labels=sum(len(document.labels) for document in documents),
        labelled=result.labelled,
        left_out=result.count - len(documents),
    )
    relations = Counter(label.relation for document in documents for label in document.labels)
    return FileFacts(record, titles(documents), relations, tuple(notes))


def _leaks(found: Mapping[str, FileFacts]) -> list[str]:
    if "test" not in found:
        return []
    return [
        f"{item.record.path} ({split}): {len(shared):,} of {len(item.titles):,} documents are also in the test file, "
        f"{found['test'].record.path}: what is trained or selected on them leaks the test labels\n{_named(shared)}\n"
        "  Leave them out of that file (--force accepts them, and no number on this test file means anything then)"
        for split, item in found.items()
        if split != "test" and (shared := item.titles & found["test"].titles)
    ]


def _overlaps(found: Mapping[str, FileFacts], force: bool) -> list[str]:
    """Overlaps that are allowed and worth knowing."""
    notes = []
    if force:
        notes += [f"forced although: {leak}" for leak in _leaks(found)]
    for split in ("train", "ext", "distant"):
        shared = found[split].titles & found["dev"].titles if split in found else frozenset()
        if shared:
            notes.append(
                f"{split} and dev share {len(shared):,} documents: selection on dev sees them\n{_named(shared)}"
            )
    if "ext" in found and (others := found["ext"].titles - found["train"].titles):
        notes.append(f"{len(others):,} documents of ext are not in train")
    return notes


def _named(some: frozenset[str], at_most: int = 20) -> str:
    names = [repr(title) for title in sorted(some)]
    more = f" and {len(names) - at_most:,} more" if len(names) > at_most else ""
    return f"  {', '.join(names[:at_most])}{more}"
