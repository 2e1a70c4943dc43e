"""BC5CDR (Li et al., 2016), chemical-induced disease, in the tab-separated form of Christopoulou et al. (EMNLP 2019).

A line is a document: its PMID, its sentences (joined by `|`, words by a space), and 17 columns for each
chemical-disease pair:

     1 label (1:CID:2, 1:NR:2, not_include)    2-5 order and distance in the text (not read)
     6 id   7 names (|)   8 type   9 first words (:)   10 words past the end (:)   11 sentences (:)
    12-17 the same for the other entity

Words are counted over the whole document. The candidate pairs are those listed, chemical first: CID holds from the
chemical to the disease, whichever the text names first. A pair marked not_include is no candidate: its disease
stands above another of the document in MeSH, and the corpus labels the more specific one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from sys import intern
from typing import NamedTuple

from bench.data.documents import Document, Label, Mention
from bench.data.formats.document_checks import EMPTY_LABELS, NAME_DIFFERS, SHARED_SPANS
from bench.data.formats.json_stream import BrokenJson, decode
from bench.data.formats.scan import Checker, Note, Problem, Scan, nothing_read, read_source, shown
from bench.errors import plural

RELATIONS = ("CID",)

LABELS = {"1:CID:2": True, "1:NR:2": True, "not_include": False}
"""Column 1 of a pair -> whether the pair is a candidate."""

COLUMNS = 17
NOT_INCLUDED = Note(
    "pair marked not_include, left out of the candidates", "pairs marked not_include, left out of the candidates"
)
HEADER = Note("header line, left out", "header lines, left out")

_LABEL = re.compile(r"[0-9]+:[A-Za-z_]+:[0-9]+")
"""What column 1 of a pair looks like in any corpus of this form: GDA's has 1:GDA:2."""
_NUMBERS = re.compile(r"[0-9]{1,9}(:[0-9]{1,9})*")
_COLUMN = {"id": 6, "names": 7, "type": 8, "first words": 9, "words past the end": 10, "sentences": 11}


class _Entity(NamedTuple):
    id: str
    mentions: tuple[Mention, ...]


def scan(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a whole file. Never raises for what the file is or contains: every problem is in the result.

    `relations`: the relations a label may have; None: CID.
    """
    content = read_source(path)
    if isinstance(content, str):
        return nothing_read(path, content)
    raw, source = content
    checker = PairLineChecker(frozenset(RELATIONS if relations is None else relations), repeated_titles)
    text = decode(raw, "a document in each line: PMID, text, 17 columns a pair")
    if isinstance(text, BrokenJson):
        return Scan(path, 0, (), (Problem(None, "", *text),), checker.notes, False, (source,))
    if text.lstrip().startswith(("[", "{")):
        expected = "a document in each line, found JSON: it is of another form (`--format docred`, or leave it out)"
        return Scan(path, 0, (), (Problem(None, "", "", f"expected {expected}"),), checker.notes, False, (source,))
    documents = []
    count = 0
    lines = [(number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if _is_header(*(line for _, line in lines[:2])):
        checker.changes[HEADER] += 1
        del lines[0]
        if not lines:
            checker.problems.append(
                Problem(None, "", "", "expected a document in each line, found a header line alone")
            )
    for number, line in lines:
        document = checker.check(count, number, line)
        if document is not None:
            documents.append(document)
        count += 1
    sound, problems = checker.finish(documents)
    return Scan(path, count, sound, tuple(problems), +checker.notes, checker.labelled, (source,), +checker.changes)


def in_this_form(lines: Iterable[str]) -> bool:
    """Whether one of these lines has a pair in its first 17 columns, be it of another corpus than BC5CDR."""
    rows = (line.split("\t", 3) for line in lines)
    return any(len(row) > 2 and (row[2] in LABELS or _LABEL.fullmatch(row[2])) for row in rows)


def _is_header(first: str, second: str = "1") -> bool:
    """Whether the first of two lines names columns: no PMID and no pair, where the second has a PMID."""
    pmids = [line.partition("\t")[0].strip() for line in (first, second)]
    return not pmids[0].isdecimal() and pmids[1].isdecimal() and not in_this_form([first])


class PairLineChecker(Checker):
    """Turns lines into Documents and collects problems and notes over one file.

    A file all of whose pairs are of another corpus in the same form has one problem, which says so.
    """

    def __init__(self, relations: frozenset[str] | None, repeated_titles: bool = False) -> None:
        super().__init__(relations, repeated_titles)
        self._pairs = 0
        self._other_pairs: Counter[str] = Counter()

    def finish(self, documents: Sequence[Document]) -> tuple[tuple[Document, ...], list[Problem]]:
        """As of any file; where the corpus is another than BC5CDR, nothing but that."""
        if self._pairs or not self._other_pairs:
            return super().finish(documents)
        self.notes.clear()
        self.changes.clear()
        pairs = ", ".join(f"{plural(count, 'pair')} {kind}" for kind, count in self._other_pairs.items())
        field = f"looks like GDA, or another corpus in BC5CDR's form of {COLUMNS} columns ({pairs})"
        expected = "expected 1:CID:2 or 1:NR:2 between a Chemical and a Disease; bring it into DocRED's JSON form"
        return (), [Problem(None, "", field, expected)]

    def check(self, index: int, number: int, line: str) -> Document | None:
        """The document of a line, or None after noting its problems."""
        before = len(self.problems)
        self.begin(index)
        self.mark_labelled(True)
        place = f"line {number}"
        columns = line.split("\t")
        pairs, left_over = divmod(len(columns) - 2, COLUMNS)
        if len(columns) < 2 or left_over:
            expected = f"expected PMID, text and {COLUMNS} columns for each pair"
            self.problem(place, f"{expected}, found {plural(len(columns), 'column')}")
            return None
        title = self.title(columns[0], f"{place}, PMID")
        sentences = tuple(tuple(map(intern, part.split(" "))) for part in columns[1].split("|"))
        if not all(all(words) for words in sentences):
            self.problem(f"{place}, text", "expected sentences joined by '|', words by one space, none of them empty")
            return None
        entities: dict[str, _Entity] = {}
        order: dict[str, int] = {}
        labels: list[Label] = []
        candidates: dict[tuple[int, int], None] = {}
        listed: set[tuple[str, str]] = set()
        for at in range(pairs):
            start = 2 + at * COLUMNS
            field = f"{place}, pair {at + 1}"
            labelled = self._pair(field, columns[start : start + COLUMNS], sentences, entities)
            if labelled is None:
                continue
            label, chemical, disease = labelled
            if (chemical, disease) in listed:
                self.problem(field, f"{chemical} and {disease} are listed before")
            listed.add((chemical, disease))
            pair = (order.setdefault(chemical, len(order)), order.setdefault(disease, len(order)))
            if LABELS[label]:
                candidates[pair] = None
            else:
                self.changes[NOT_INCLUDED] += 1
            if label == "1:CID:2":
                labels.append(Label(*pair, RELATIONS[0]))
        if len(self.problems) > before:
            return None
        assert title is not None
        document = Document(
            title, sentences, tuple(entities[id_].mentions for id_ in order), tuple(labels), tuple(candidates)
        )
        self._note_oddities(document)
        self.passed.append(index)
        return document

    def _pair(
        self,
        field: str,
        columns: Sequence[str],
        sentences: Sequence[Sequence[str]],
        entities: dict[str, _Entity],
    ) -> tuple[str, str, str] | None:
        """(label, chemical id, disease id) of a pair, whose entities are added to `entities`."""
        before = len(self.problems)
        label, types = columns[0], (columns[7], columns[13])
        if (other := _of_another_corpus(label, types)) is not None:
            self._other_pairs[other] += 1
        else:
            self._pairs += 1
        if label not in LABELS:
            self.problem(shown(f"{field}, column 1", label), f"expected one of {', '.join(LABELS)}")
        if sorted(types) != ["Chemical", "Disease"]:
            self.problem(f"{field}, columns 8 and 14 = {', '.join(types)}", "expected a Chemical and a Disease")
        if label == "1:CID:2" and self.relations is not None and RELATIONS[0] not in self.relations:
            self.problem(shown(f"{field}, column 1", label), "CID is not a relation of this data set")
        ids = []
        for first in (5, 11):
            entity = self._entity(field, first, columns[first : first + 6], sentences)
            if entity is None:
                continue
            if entities.setdefault(entity.id, entity) != entity:
                self.problem(
                    shown(f"{field}, column {first + 1}", entity.id), "differs from how an earlier pair has it"
                )
            ids.append(entity.id)
        if len(self.problems) > before:
            return None
        chemical, disease = ids if types[0] == "Chemical" else reversed(ids)
        if chemical == disease:
            self.problem(field, f"{chemical} with itself")
            return None
        return label, chemical, disease

    def _entity(
        self, field: str, first: int, columns: Sequence[str], sentences: Sequence[Sequence[str]]
    ) -> _Entity | None:
        id_, joined, type_, *numbers = columns

        def wrong(what: str, value: str, expected: str) -> None:
            self.problem(shown(f"{field}, column {_COLUMN[what] + first - 5} ({what})", value), expected)

        if not id_:
            wrong("id", id_, "expected the id of a concept")
            return None
        for what, value in zip(("first words", "words past the end", "sentences"), numbers, strict=True):
            if not _NUMBERS.fullmatch(value):
                wrong(what, value, "expected whole numbers joined by ':'")
                return None
        starts, ends, places = ([int(part) for part in value.split(":")] for value in numbers)
        names = joined.split("|")
        if not len(names) == len(starts) == len(ends) == len(places):
            counts = f"{len(names)}, {len(starts)}, {len(ends)}, {len(places)}"
            wrong("names", joined, f"as many names, first words, words past the end and sentences, found {counts}")
            return None
        before = [0, *accumulate(map(len, sentences))]
        mentions = []
        for name, start, end, sentence in zip(names, starts, ends, places, strict=True):
            if sentence >= len(sentences):
                wrong(
                    "sentences",
                    numbers[2],
                    f"{sentence} is outside the document ({plural(len(sentences), 'sentence')})",
                )
                return None
            if not before[sentence] <= start < end <= before[sentence + 1]:
                span = f"words {start} to {end}, expected start < end inside of sentence {sentence}"
                wrong("first words", numbers[0], f"{span} (words {before[sentence]} to {before[sentence + 1]})")
                return None
            mentions.append(Mention(sentence, start - before[sentence], end - before[sentence], name, intern(type_)))
        return _Entity(intern(id_), tuple(mentions))

    def _note_oddities(self, document: Document) -> None:
        owners: dict[tuple[int, int, int], set[int]] = {}
        for entity, mentions in enumerate(document.entities):
            for mention in mentions:
                owners.setdefault(mention[:3], set()).add(entity)
                words = document.sentences[mention.sentence][mention.start : mention.end]
                self.notes[NAME_DIFFERS] += mention.name != " ".join(words)
        self.notes[SHARED_SPANS] += sum(len(entities) > 1 for entities in owners.values())
        self.notes[EMPTY_LABELS] += not document.labels


def _of_another_corpus(label: str, types: tuple[str, str]) -> str | None:
    """What shows that a pair is of another corpus, its label or its types; None where nothing does."""
    if label not in LABELS and _LABEL.fullmatch(label):
        return f"marked {label}"
    known = set(types) & {"Chemical", "Disease"}
    return f"of {' and '.join(sorted(types))}" if len(known) == 1 and types[0] != types[1] and all(types) else None
