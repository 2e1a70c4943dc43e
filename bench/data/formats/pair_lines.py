"""Corpora in the tab-separated form of Christopoulou et al. (EMNLP 2019): BC5CDR (Li et al., 2016) and GDA.

GDA are the gene-disease associations of Wu et al. (RENET, RECOMB 2019). A line is a document: its PMID, its sentences
(joined by `|`, words by a space), and 17 columns for each pair of a chemical (or gene) and a disease:

     1 label (1:CID:2 or 1:GDA:2, 1:NR:2, not_include)    2-5 order and distance in the text (not read)
     6 id   7 names (|)   8 type   9 first words (:)   10 words past the end (:)   11 sentences (:)
    12-17 the same for the other entity

Words are counted over the whole document. The candidate pairs are those listed, chemical or gene first: the relation
holds from it to the disease, whichever the text names first. A pair marked not_include (BC5CDR alone has them) is no
candidate: its disease stands above another of the document in MeSH, and the corpus labels the more specific one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from pathlib import Path
from sys import intern
from typing import NamedTuple

from bench.data.documents import Document, Label, Mention, no_cycle_search
from bench.data.formats.document_checks import EMPTY_LABELS, NAME_DIFFERS, SHARED_SPANS
from bench.data.formats.scan import (
    Checker,
    DamagedGzipError,
    Note,
    Problem,
    Scan,
    nothing_read,
    open_source,
    shown,
)
from bench.errors import plural


@dataclass(frozen=True)
class Corpus:
    """A corpus in this form. relation: from an entity of type `head` to one of type `tail`.   form: its name here."""

    name: str
    form: str
    relation: str
    head: str
    tail: str = "Disease"

    @property
    def positive(self) -> str:
        """Column 1 of a pair that has the relation."""
        return f"1:{self.relation}:2"

    @property
    def labels(self) -> Mapping[str, bool]:
        """Column 1 of a pair -> whether the pair is a candidate."""
        return {self.positive: True, UNRELATED: True, "not_include": False}

    @property
    def types(self) -> frozenset[str]:
        """The types of the two entities of a pair."""
        return frozenset({self.head, self.tail})


UNRELATED = "1:NR:2"
"""Column 1 of a candidate without the relation."""
CDR = Corpus("BC5CDR", "cdr", "CID", "Chemical")
GDA = Corpus("GDA", "gda", "GDA", "Gene")
CORPORA = (CDR, GDA)

COLUMNS = 17
NOT_INCLUDED = Note(
    "pair marked not_include, left out of the candidates", "pairs marked not_include, left out of the candidates"
)
HEADER = Note("header line, left out", "header lines, left out")

_LABEL = re.compile(r"[0-9]+:[A-Za-z_]+:[0-9]+")
"""What column 1 of a pair looks like in any corpus of this form."""
_NUMBERS = re.compile(r"[0-9]{1,9}(:[0-9]{1,9})*")
_COLUMN = {"id": 6, "names": 7, "type": 8, "first words": 9, "words past the end": 10, "sentences": 11}


class _Entity(NamedTuple):
    """An entity of a document, and the six columns that it was read from, which every pair of it has again."""

    id: str
    mentions: tuple[Mention, ...]
    columns: tuple[str, ...]


def scan(
    path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False, corpus: Corpus = CDR
) -> Scan:
    """Read and check a whole file. Never raises for what the file is or contains: every problem is in the result.

    `relations`: the relations a label may have; None: the corpus's own.
    """
    blocks = open_source(path)
    if isinstance(blocks, str):
        return nothing_read(path, blocks)
    known = frozenset({corpus.relation} if relations is None else relations)
    checker = PairLineChecker(corpus, known, repeated_titles)
    broken: tuple[Problem, ...] = ()
    documents: list[Document] = []
    count = 0
    with no_cycle_search():
        try:
            for number, line in _without_headers(_lines(blocks), checker):
                document = checker.check(count, number, line)
                if document is not None:
                    documents.append(document)
                count += 1
        except _UnreadableError as error:
            broken = (Problem(None, "", error.field, error.expected),)
    source = blocks.finish()
    if broken:
        return Scan(path, 0, (), broken, Counter(), False, (source,))
    sound, problems = checker.finish(documents)
    notes, changes = +checker.notes, +checker.changes
    return Scan(path, count, sound, tuple(problems), notes, checker.labelled, (source,), changes, oddities=_oddities)


def _oddities(document: Document) -> Iterator[Note]:
    """What is odd about a sound document, once for each time."""
    owners: dict[tuple[int, int, int], set[int]] = {}
    for entity, mentions in enumerate(document.entities):
        for mention in mentions:
            owners.setdefault(mention[:3], set()).add(entity)
            if mention.name != " ".join(document.sentences[mention.sentence][mention.start : mention.end]):
                yield NAME_DIFFERS
    yield from [SHARED_SPANS for entities in owners.values() if len(entities) > 1]
    if not document.labels:
        yield EMPTY_LABELS


class _UnreadableError(Exception):
    """Where a file is no text of this form, and what was expected in its place."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(field, expected)
        self.field, self.expected = field, expected


def _lines(blocks: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers: GDA's have some 100 MB together."""
    number, rest = 0, b""
    try:
        for block in blocks:
            *whole, rest = (rest + block).split(b"\n")
            for raw in whole:
                number += 1
                yield number, _decoded(number, raw)
    except DamagedGzipError as error:
        raise _UnreadableError("", str(error)) from None
    yield number + 1, _decoded(number + 1, rest)


def _decoded(number: int, raw: bytes) -> str:
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")  # the mark some Windows editors put before UTF-8
    try:
        return raw.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise _UnreadableError(f"line {number}", f"not UTF-8 (byte 0x{raw[error.start]:02x})") from None


def _without_headers(lines: Iterator[tuple[int, str]], checker: PairLineChecker) -> Iterator[tuple[int, str]]:
    """The lines of the documents; files that were put together have a header in the middle as well.

    Raises _UnreadableError where there is none.
    """
    lines = ((number, line) for number, line in lines if line.strip())
    first = list(islice(lines, 2))
    if not first:
        raise _UnreadableError("", "empty file: expected a document in each line: PMID, text, 17 columns a pair")
    if first[0][1].lstrip().startswith(("[", "{")):
        expected = "a document in each line, found JSON: it is of another form (`--format docred`, or leave it out)"
        raise _UnreadableError("", f"expected {expected}")
    header = first[0][1] if _is_header(*(line for _, line in first)) else None
    documents = 0
    for number, line in chain(first, lines):
        if line == header or _names_columns(line):
            checker.changes[HEADER] += 1
        else:
            documents += 1
            yield number, line
    if not documents:
        checker.problems.append(Problem(None, "", "", "expected a document in each line, found a header line alone"))


def corpus_in(lines: Iterable[str]) -> Corpus | None:
    """Which corpus these lines are of, by the labels and types of their pairs; None where they have no pairs.

    BC5CDR also where they are of a corpus that is not known: its reader says so.
    """
    found = None
    for line in lines:
        columns = line.split("\t")
        for start in range(2, len(columns), COLUMNS):
            pair = columns[start : start + COLUMNS]
            if pair[0] not in CDR.labels and not _LABEL.fullmatch(pair[0]):
                break
            found = found or CDR
            types = frozenset(pair[7:14:6])
            for corpus in CORPORA:
                if pair[0] == corpus.positive or types == corpus.types:
                    return corpus
    return found


def _is_header(first: str, second: str = "1") -> bool:
    """Whether the first of two lines names columns: no PMID and no pair, where the second has a PMID."""
    pmids = [line.partition("\t")[0].strip() for line in (first, second)]
    return not pmids[0].isdecimal() and pmids[1].isdecimal() and corpus_in([first]) is None


def _names_columns(line: str) -> bool:
    """Whether a line names columns wherever it stands: no number in it, and one word in place of a text.

    Less would do for a document whose line is broken in two, whose second half has no PMID and no pair at its place.
    """
    columns = line.split("\t")
    return len(columns) > 1 and " " not in columns[1].strip() and not re.search(r"\d", line)


class PairLineChecker(Checker):
    """Turns lines into Documents and collects problems and notes over one file.

    A file all of whose pairs are of another corpus in the same form has one problem, which says so.
    """

    def __init__(self, corpus: Corpus, relations: frozenset[str], repeated_titles: bool = False) -> None:
        super().__init__(relations, repeated_titles)
        self.corpus = corpus
        self._labels = corpus.labels
        self._types = sorted(corpus.types)
        self._known = relations
        self._pairs = 0
        self._other_pairs: Counter[str] = Counter()
        self._found: set[str | frozenset[str]] = set()

    def finish(self, documents: Sequence[Document]) -> tuple[tuple[Document, ...], list[Problem]]:
        """As of any file; where the corpus is another one, nothing but that."""
        if self._pairs or not self._other_pairs:
            return super().finish(documents)
        self.notes.clear()
        self.changes.clear()
        pairs = ", ".join(f"{plural(count, 'pair')} {kind}" for kind, count in self._other_pairs.items())
        unlike = (corpus for corpus in CORPORA if corpus is not self.corpus)
        others = [corpus for corpus in unlike if self._found & {corpus.positive, corpus.types}]
        named = f"looks like {others[0].name}" if others else f"looks like another corpus than {self.corpus.name}"
        way = f"`--format {others[0].form}` reads it" if others else "bring it into DocRED's JSON form"
        corpus = self.corpus
        expected = f"expected {corpus.positive} or {UNRELATED} between a {corpus.head} and a {corpus.tail}; {way}"
        return (), [Problem(None, "", f"{named}, in the same form of {COLUMNS} columns ({pairs})", expected)]

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
            label, head, tail = labelled
            if (head, tail) in listed:
                self.problem(field, f"{head} and {tail} are listed before")
            listed.add((head, tail))
            pair = (order.setdefault(head, len(order)), order.setdefault(tail, len(order)))
            if self._labels[label]:
                candidates[pair] = None
            else:
                self.changes[NOT_INCLUDED] += 1
            if label == self.corpus.positive:
                labels.append(Label(*pair, self.corpus.relation))
        if len(self.problems) > before:
            return None
        assert title is not None
        document = Document(
            title, sentences, tuple(entities[id_].mentions for id_ in order), tuple(labels), tuple(candidates)
        )
        self.passed.append(index)
        return document

    def _pair(
        self,
        field: str,
        columns: Sequence[str],
        sentences: Sequence[Sequence[str]],
        entities: dict[str, _Entity],
    ) -> tuple[str, str, str] | None:
        """(label, head's id, tail's id) of a pair, whose entities are added to `entities`."""
        before = len(self.problems)
        corpus, label, types = self.corpus, columns[0], (columns[7], columns[13])
        if (other := self._of_another_corpus(label, types)) is not None:
            self._other_pairs[other] += 1
            self._found |= {label, frozenset(types)}
        else:
            self._pairs += 1
        if label not in self._labels:
            self.problem(shown(f"{field}, column 1", label), f"expected one of {', '.join(self._labels)}")
        if sorted(types) != self._types:
            expected = f"expected a {corpus.head} and a {corpus.tail}"
            self.problem(f"{field}, columns 8 and 14 = {', '.join(types)}", expected)
        if label == corpus.positive and corpus.relation not in self._known:
            self.problem(shown(f"{field}, column 1", label), f"{corpus.relation} is not a relation of this data set")
        ids = []
        for first in (5, 11):
            own = tuple(columns[first : first + 6])
            before_it = entities.get(own[0])
            entity = before_it if before_it and before_it.columns == own else self._entity(field, first, own, sentences)
            if entity is None:
                continue
            if entities.setdefault(entity.id, entity).mentions != entity.mentions:
                self.problem(
                    shown(f"{field}, column {first + 1}", entity.id), "differs from how an earlier pair has it"
                )
            ids.append(entity.id)
        if len(self.problems) > before:
            return None
        head, tail = ids if types[0] == corpus.head else reversed(ids)
        if head == tail:
            self.problem(field, f"{head} with itself")
            return None
        return label, head, tail

    def _entity(
        self, field: str, first: int, columns: tuple[str, ...], sentences: Sequence[Sequence[str]]
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
        return _Entity(intern(id_), tuple(mentions), columns)

    def _of_another_corpus(self, label: str, types: tuple[str, str]) -> str | None:
        """What shows that a pair is of another corpus, its label or its types; None where nothing does."""
        if label not in self._labels and _LABEL.fullmatch(label):
            return f"marked {label}"
        known = self.corpus.types.intersection(types)
        another = len(known) == 1 and types[0] != types[1] and all(types)
        return f"of {' and '.join(sorted(types))}" if another else None
