"""Registering a data set: every file read and checked, their problems told together, leaks of the test file refused."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bench.data.catalog.leaks import Identities, identities, named, named_pairs, titles_alike, under_other_titles
from bench.data.catalog.registration import SPLITS, Registration
from bench.data.catalog.relations import Relations, read_relations
from bench.data.catalog.split_file import FileRecord, Selection, SplitFile, read_ids, record_of
from bench.data.formats.detect import Format, detect, scan, with_order, without_hypernyms
from bench.data.formats.docred import read_facts, titles
from bench.data.formats.hypernyms import read_mesh_tree
from bench.data.formats.pair_order import Order
from bench.data.formats.scan import SHOWN_PROBLEMS, Scan, Source
from bench.errors import UsageError, plural, unknown
from bench.filesystem import sha256_of


@dataclass(frozen=True)
class DatasetFiles:
    """The files of a data set, as whoever registers it names them.

    splits: path by split (`SPLITS`); train, dev and test at least.   form: that of the files (None: the one in which
    the training file begins).   facts: of Ign F1 (None: computed from train).   relations: rel2id and rel_info files.
    ext_seed: of a derived ext split.   pairs, hypernyms: how candidate pairs are to be made, where that may be chosen
    (`with_order`, `without_hypernyms` of `bench.data.formats.detect`).   ids: by split, a list of the documents that
    it has of its file. Train and dev may be of one file, then what is in the list of one is not in the other.
    """

    splits: Mapping[str, Path]
    form: Format | None = None
    facts: Path | None = None
    relations: Sequence[Path] = ()
    ext_seed: int = 0
    pairs: Order | None = None
    hypernyms: Path | None = None
    ids: Mapping[str, Path] = field(default_factory=dict)

    def with_dev(self) -> DatasetFiles:
        """With the dev documents in the file of train, where a list of ids tells them apart and no file is given."""
        if "dev" in self.splits or not self.ids.keys() & {"train", "dev"} or "train" not in self.splits:
            return self
        return replace(self, splits={**self.splits, "dev": self.splits["train"]})

    def listed(self, split: str) -> tuple[Path, bool] | None:
        """The list of ids that tells the documents of a split, and whether they are those in it or the others."""
        if split in self.ids:
            return self.ids[split], True
        other = {"train": "dev", "dev": "train"}.get(split)
        shared = other in self.ids and self.splits.get("train") == self.splits.get("dev")
        return (self.ids[other], False) if other and shared else None


@dataclass(frozen=True)
class FileFacts:
    """What registering needs of a file once it is read; the documents themselves are let go."""

    record: SplitFile
    identities: Identities
    relations: Counter[str]
    notes: tuple[str, ...]


Check = Callable[[str, Scan], list[str]]
"""Given a split and what was read of its file: what else is wrong with it, one line each."""


def register(
    name: str,
    files: DatasetFiles,
    force: bool = False,
    check: Check = lambda split, result: [],
    doing: Callable[[str], None] = lambda what: None,
) -> tuple[Registration, list[str]]:
    """Read and check every file of a data set; return its registration (not saved) and notes for the user.

    doing: told which file is read.   Raises one UsageError with the problems of all files together.

    Leaks: no file but test's may hold a document of test, by title or by text, unless `force`. SSR-PU's `dev_ext.json`
    covers all of DocRED's dev set, in which the test set of Re-DocRED lies, so dev_ext is first cut to the titles of
    dev: the rest is left out, counted, and said in a note. What remains is held to the same rule.
    """
    files = files.with_dev()
    _check_splits(files.splits)
    form = without_hypernyms(files.form or detect(files.splits["train"]), files.hypernyms)
    reading = _Reading(with_order(form, files.pairs), check, files)
    hypernyms = None if files.hypernyms is None else _mesh_file(files.hypernyms)
    reading.read_relations(files.relations)
    facts = reading.read_facts(files.facts)
    for split in (split for split in SPLITS if split in files.splits):
        doing(f"reading {split}: {files.splits[split].name}")
        reading.read_split(split, files.splits[split])
    doing("comparing the documents of all files")
    if not force:
        reading.complaints += _leaks(reading.facts_of)
    if reading.complaints:
        raise UsageError(f"data set {name!r} not registered\n" + "\n".join(reading.complaints))
    relations = reading.all_relations()
    registration = Registration(
        name=name,
        relations=relations.order,
        relation_names=relations.names,
        relation_descriptions=relations.descriptions,
        splits={split: of_file.record for split, of_file in reading.facts_of.items()},
        facts=facts,
        ext_seed=files.ext_seed,
        format=reading.form.name,
        pairs=files.pairs,
        hypernyms=hypernyms,
    )
    notes = [*reading.notes, *(note for of_file in reading.facts_of.values() for note in of_file.notes)]
    notes += [registration.uneven_labels] if registration.uneven_labels else []
    return registration, notes + _overlaps(reading.facts_of, force)


def _check_splits(splits: Mapping[str, Path]) -> None:
    for split in splits:
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
    missing = [split for split in ("train", "dev", "test") if split not in splits]
    if missing:
        named = (
            "\nDev documents in the file of train: name them (--dev-ids FILE), or those to train on (--train-ids FILE)"
        )
        raise UsageError(
            f"a data set needs train, dev and test; missing: {', '.join(missing)}{named * (missing == ['dev'])}"
        )


@dataclass
class _Reading:
    """What is known of a data set while its files are read, one after another.

    complaints: what is wrong, with the file's name.   notes: what is worth knowing of the files of relations.
    facts_of: by split, of the files that nothing is wrong with.
    """

    form: Format
    check: Check
    files: DatasetFiles
    complaints: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    facts_of: dict[str, FileFacts] = field(default_factory=dict)
    relations: Relations | None = None
    _read_last: Scan | None = None

    def read_relations(self, paths: Sequence[Path]) -> None:
        """Take the relations from these files, or from the form where it has its own."""
        try:
            if paths:
                self.relations = read_relations(paths)
                self.notes = self.relations.notes
            elif (order := self.form.relations) is not None:
                names = {relation: self.form.relation_names.get(relation, relation) for relation in order}
                self.relations = Relations(order, names, {}, ())
        except UsageError as error:
            self._complain(str(error))

    def read_facts(self, path: Path | None) -> FileRecord | None:
        """The record of a fact file, if there is one and it is needed."""
        try:
            if path and not self.form.ign_f1:
                raise UsageError(f"{path}: facts are for Ign F1, which {self.form.name} data sets do not have")
            return _fact_file(path) if path else None
        except UsageError as error:
            self._complain(str(error))
            return None

    def read_split(self, split: str, path: Path) -> None:
        """Read the documents of a split."""
        known = None if self.relations is None else self.relations.order
        # Predictions name documents by title: where there are none, titles need not tell documents apart.
        result = self._scan(_absolute(path), split, known)
        if result.problems:
            self._complain("\n".join([result.report(at_most=SHOWN_PROBLEMS), *self._other_form(result.path)]))
        elif wrong := self.check(split, result):
            lines = [f"{result.path}: not the file expected", *(f"  {line}" for line in wrong)]
            self._complain("\n".join(lines))
        elif not result.labels and split != "test":
            why = f": {result.no_labels}" if result.no_labels else ""
            self._complain(f"{result.path}: no labels (only a test file may be without){why}")
        else:
            self._take(split, result)

    def _complain(self, what: str) -> None:
        """Of a file or a list that several splits are taken from, what is wrong is said once."""
        if what not in self.complaints:
            self.complaints.append(what)

    def _other_form(self, path: Path) -> list[str]:
        """A line on what a file looks like that is not in the form of the others; none where nothing says."""
        seen = detect(path)
        if self.files.form is not None or seen.name in (
            self.form.name,
            "docred",
        ):  # which is what nothing speaks against
            return []
        return [f"  it looks like {seen.name}, and the training file is {self.form.name}: one data set has one form"]

    def _scan(self, path: Path, split: str, known: Sequence[str] | None) -> Scan:
        """Read a file; one that holds several splits once for those that come one after the other."""
        form, last = self.form.of_split(split), self._read_last
        if split == "distant" or last is None or last.path != path or form is not self.form:
            last = scan(path, form, known, repeated_titles=split == "distant")
            again = sum(_absolute(other) == path for other in self.files.splits.values()) > 1
            self._read_last = last if again and form is self.form else None
        return last

    def _take(self, split: str, result: Scan) -> None:
        """Take the documents of a split from what was read of its file."""
        try:
            selection = self._selection(split, result)
        except UsageError as error:
            self._complain(str(error))
            return
        chosen = result.documents if selection is None else selection.of(result.documents, result.parts)
        taken = _facts_of_file(split, replace(result, documents=chosen), self.facts_of, selection)
        if not taken.record.documents:
            why = f"is {selection}" if selection else "is in dev (compared by title)"
            self._complain(f"{result.path}: none of its documents {why}")
        self.facts_of[split] = taken

    def _selection(self, split: str, result: Scan) -> Selection | None:
        """Which documents of its file a split has, None for all. Raises UsageError."""
        part: Literal["", "train", "test"] = ""
        if len(set(result.parts.values())) > 1:  # of a file with documents for one purpose all are meant
            part = "test" if split == "test" else "train"
        listed = self.files.listed(split)
        if listed is None:
            return Selection(part=part) if part else None
        path, takes = listed
        ids = read_ids(path := _absolute(path))
        if unknown := ids - titles(result.documents):
            count = f"{len(unknown):,} of {plural(len(ids), 'id')} {_are(unknown)}"
            raise UsageError(f"{path}: {count} of no document of {result.path}\n{named(unknown)}")
        if part and (others := {id_ for id_ in ids if result.parts.get(id_, part) != part}):
            count = f"{len(others):,} of {plural(len(ids), 'id')} {_are(others)}"
            raise UsageError(f"{path}: {count} of documents that {result.path} does not mark {part}\n{named(others)}")
        record = record_of(Source(path, path.stat().st_size, sha256_of(path)))
        return Selection(part=part, ids=record, named=takes)

    def all_relations(self) -> Relations:
        """The relations: those that were given, or all that the files have, sorted."""
        if self.relations is not None:
            return self.relations
        order = tuple(sorted(set().union(*(of_file.relations for of_file in self.facts_of.values()))))
        return Relations(order, {relation: relation for relation in order}, {}, ())


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
    return record_of(Source(path, path.stat().st_size, sha256_of(path)))


def _mesh_file(path: Path) -> FileRecord:
    path = _absolute(path)
    read_mesh_tree(path)
    return record_of(Source(path, path.stat().st_size, sha256_of(path)))


def _facts_of_file(
    split: str, result: Scan, facts_of: Mapping[str, FileFacts], selection: Selection | None
) -> FileFacts:
    notes = []
    if selection is not None:
        count = plural(result.count, "document")
        notes.append(f"{result.path}: {len(result.documents):,} of {count} are {split}'s: {selection}")
    for what, counts in (("kept as they are", result.notes), ("changed", result.changes)):
        if counts:
            oddities = "; ".join(oddity.of(count) for oddity, count in sorted(counts.items()))
            notes.append(f"{result.path}: {what}: {oddities}")
    documents = result.documents
    if split == "dev_ext" and "dev" in facts_of:
        in_dev = facts_of["dev"].identities.titles
        documents = tuple(document for document in documents if document.title in in_dev)
        left_out = titles(result.documents) - in_dev
        if left_out:
            of_test = left_out & facts_of["test"].identities.titles if "test" in facts_of else frozenset()
            notes.append(
                f"{result.path}: {len(left_out):,} of {plural(result.count, 'document')} {_are(left_out)} not in dev "
                f"and {_are(left_out)} left out" + (f" ({len(of_test):,} of them in test)" if of_test else "")
            )
    own, *others = map(record_of, result.sources)
    record = SplitFile(
        **own.model_dump(),
        companions=tuple(others),
        documents=len(documents),
        labels=sum(len(document.labels) for document in documents),
        labelled=result.labelled,
        left_out=result.count - len(documents),
        selection=selection,
    )
    relations = Counter(label.relation for document in documents for label in document.labels)
    return FileFacts(record, identities(documents), relations, tuple(notes))


def _leaks(facts_of: Mapping[str, FileFacts]) -> list[str]:
    """What stands in other files of the documents of test, by title or by text."""
    if "test" not in facts_of:
        return []
    test = facts_of["test"]
    leaks = []
    for split, item in facts_of.items():
        if split == "test":
            continue
        where = f"{item.record.path} ({split})"
        count = plural(item.record.documents, "document")
        if shared := item.identities.titles & test.identities.titles:
            leaks.append(
                f"{where}: {len(shared):,} of {count} {_are(shared)} also in the test file, {test.record.path}: "
                f"{_LEAK}\n{named(shared)}\n{_LEAVE_OUT}"
            )
        if renamed := under_other_titles(item.identities, test.identities):
            leaks.append(
                f"{where}: {len(renamed):,} of {count} {'has' if len(renamed) == 1 else 'have'} the text of a test "
                f"document under another title, compared without case and white space ({test.record.path}): "
                f"{_LEAK}\n{named_pairs(renamed)}\n{_LEAVE_OUT}"
            )
    return leaks


_LEAK = "what is trained or selected on them leaks the test labels"
_LEAVE_OUT = "  Leave them out of that file (--force accepts them, and no number on this test file means anything then)"


def _overlaps(facts_of: Mapping[str, FileFacts], force: bool) -> list[str]:
    """Overlaps that are allowed and worth knowing."""
    notes = []
    if force:
        notes += [f"forced although: {leak}" for leak in _leaks(facts_of)]
    dev, test = facts_of["dev"].identities, facts_of["test"].identities
    for split in (split for split in ("train", "ext", "distant") if split in facts_of):
        own = facts_of[split].identities
        if shared := own.titles & dev.titles:
            notes.append(
                f"{split} and dev share {plural(len(shared), 'document')}: selection on dev sees them\n{named(shared)}"
            )
        if renamed := under_other_titles(own, dev):
            notes.append(
                f"{plural(len(renamed), 'document')} of {split} with the text of a dev document under another title: "
                f"selection on dev sees them\n{named_pairs(renamed)}"
            )
    for split in (split for split in facts_of if split != "test"):
        own = facts_of[split].identities
        same_text = under_other_titles(own, test)
        if alike := {t: other for t, other in titles_alike(own, test).items() if t not in same_text}:
            notes.append(
                f"{plural(len(alike), 'title')} of {split} in test but for case or white space, with another text: "
                f"see that they are other documents\n{named_pairs(alike)}"
            )
    if "ext" in facts_of and (others := facts_of["ext"].identities.titles - facts_of["train"].identities.titles):
        notes.append(f"{len(others):,} of {plural(facts_of['ext'].record.documents, 'document')} of ext not in train")
    return notes


def _are(some: Sized) -> str:
    return "is" if len(some) == 1 else "are"
