"""ChemDisGene as its authors publish it: abstracts in PubTator's form and triples in a table beside, gzipped or not.

    10226872|t|Title            PMID <tab> relation <tab> subject id <tab> object id
    10226872|a|Abstract
    10226872 <tab> start <tab> end <tab> mention <tab> type <tab> id

One document after the other, an empty line after each; the line of the abstract is missing where there is none. A
data set names the file of abstracts; its tables are found beside it (`tables_of`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.documents import Document
from bench.data.formats.chemdisgene import AbstractChecker
from bench.data.formats.json_stream import BrokenJson, decode
from bench.data.formats.scan import Problem, Scan, Source, nothing_read, read_source, short
from bench.errors import plural

_CURATED = ("approved_relns_ctd_v1.tsv", "approved_relns_new_v1.tsv")
"""The tables beside the curated abstracts: the triples of CTD that curators approved, and those they added."""

_MENTION_COLUMNS = ("docid", "start", "end", "mention", "type", "id")
_TRIPLE_COLUMNS = ("docid", "relation", "subject id", "object id")
_NUMBER = re.compile(r"[0-9]{1,9}")


class _Line(NamedTuple):
    """A line of a file, numbered from 1."""

    number: int
    text: str


@dataclass
class _Abstract:
    """The lines of one document. `lines[i]`: the line number of mention i."""

    docid: str
    title: str
    abstract: str = ""
    mentions: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass
class _Table:
    """A table of triples: by document, with the place of each."""

    source: Source
    triples: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def scan(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a file of abstracts and the tables beside it. As `bench.data.formats.chemdisgene.scan`.

    Without a table the documents have no labels, as a blind test file.
    """
    checker = AbstractChecker(relations, repeated_titles)
    content = read_source(path)
    if isinstance(content, str):
        return nothing_read(path, content)
    raw, source = content
    text = decode(raw, "abstracts in PubTator's form")
    if isinstance(text, BrokenJson):
        return Scan(path, 0, (), (Problem(None, "", *text),), checker.notes, False, (source,))
    tables = []
    for table_path in tables_of(path):
        table, wrong = read_table(table_path)
        checker.problems += wrong
        if table is not None:
            tables.append(table)
    documents: list[Document] = []
    count = 0
    seen = set()
    relation_lines: list[_Line] = []
    for part in _abstracts(text, relation_lines):
        if isinstance(part, Problem):
            checker.problems.append(part)
            continue
        seen.add(part.docid)
        document = checker.check(count, *_as_json(part, tables))
        if document is not None:
            documents.append(document)
        count += 1
    if relation_lines:
        return Scan(path, count, (), (_another_corpus(relation_lines),), Counter(), False, (source,))
    for table in tables:
        for docid in sorted(table.triples.keys() - seen):
            expected = f"document {short(docid)} is not among the abstracts"
            checker.problems += [Problem(None, "", place, expected) for place in table.places[docid]]
    sound, problems = checker.finish(documents)
    sources = (source, *(table.source for table in tables))
    return Scan(
        path,
        count,
        sound,
        tuple(problems),
        +checker.notes,
        checker.labelled,
        sources,
        +checker.changes,
        "" if tables else f"no table of triples beside it, expected {path.parent / _table_names(path)[0]}.gz",
    )


def tables_of(path: Path) -> list[Path]:
    """The tables of triples that belong to a file of abstracts: those there are, gzipped or not.

    `x_abstracts.txt.gz` has `x_relationships.tsv.gz`; the curated `abstracts.txt.gz` the two tables of its folder.
    """
    choices = ((path.with_name(f"{name}.gz"), path.with_name(name)) for name in _table_names(path))
    return [table for pair in choices if (table := next((one for one in pair if one.is_file()), None)) is not None]


def _table_names(path: Path) -> Sequence[str]:
    before, middle, _ = path.name.partition("abstracts")
    return [f"{before}relationships.tsv"] if before or not middle else _CURATED


def read_table(path: Path) -> tuple[_Table | None, list[Problem]]:
    """A table of triples and what is wrong with it. None where it could not be read at all."""
    content = read_source(path)
    if isinstance(content, str):
        return None, [Problem(None, "", path.name, content)]
    raw, source = content
    table = _Table(source)
    text = decode(raw, "a table of triples")
    if isinstance(text, BrokenJson):
        return table, [Problem(None, "", ", ".join(part for part in (path.name, text.field) if part), text.expected)]
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path.name}, line {number}"
        columns = line.removesuffix("\r").split("\t")
        if len(columns) != len(_TRIPLE_COLUMNS):
            problems.append(Problem(None, "", place, _columns_expected(columns, _TRIPLE_COLUMNS)))
            continue
        docid, relation, subject, object_ = columns
        table.triples[docid].append({"type": relation, "subj": subject, "obj": object_})
        table.places[docid].append(place)
    return table, problems


def _columns_expected(columns: Sequence[str], names: Sequence[str]) -> str:
    return f"expected {len(names)} columns ({', '.join(names)}), found {plural(len(columns), 'column')}"


def _as_json(part: _Abstract, tables: Sequence[_Table]) -> tuple[dict[str, Any], Any]:
    """The document as the JSON form has it, and how messages call its parts: by line."""
    item: dict[str, Any] = {
        "docid": part.docid,
        "title": part.title,
        "abstract": part.abstract,
        "entity": part.mentions,
    }
    triple_places: list[str] = []
    if tables:
        item["relation"] = [triple for table in tables for triple in table.triples.get(part.docid, ())]
        triple_places = [place for table in tables for place in table.places.get(part.docid, ())]

    def place(of: str, at: int, name: str) -> str:
        line = f"line {part.lines[at]}" if of == "entity" else triple_places[at]
        return f"{line}, {name}" if name else line

    return item, place


def _another_corpus(lines: Sequence[_Line]) -> Problem:
    """That a file has relations among its mentions, as the PubTator files of other corpora do: one problem for all."""
    number, first = lines[0]
    relation_lines = plural(len(lines), "line") + " of relations among the mentions"
    expected = f"another corpus ({relation_lines}): ChemDisGene's triples are in a table beside the abstracts"
    todo = "BC5CDR and BioRED have them so, and are read with --format bc5cdr or biored; other corpora in DocRED's JSON"
    return Problem(None, "", f"line {number} = {short(first)}", f"{expected}; {todo}")


def _is_relation(line: str) -> bool:
    """Whether a line is a relation in the PubTator form of BC5CDR (4 columns) or BioRED (5), without offsets."""
    columns = line.split("\t")
    return len(columns) in (4, 5) and all(columns) and not re.match(r"[-0-9]", columns[1])


def _abstracts(text: str, relation_lines: list[_Line]) -> Iterator[_Abstract | Problem]:
    """The documents of the text, and problems of its form. A document that breaks off is a problem, and left out.

    relation_lines: where to note lines that are relations of another corpus, which are no problems of their own.
    """
    current: _Abstract | None = None
    index = 0
    skipping = False
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line:
            if current is not None:
                yield current
                index += 1
            current, skipping = None, False
            continue
        if skipping:
            continue
        problem = ""
        if current is None:
            docid, kind, title = headline(line)
            if kind == "t":
                current = _Abstract(docid, title)
            else:
                problem = "expected a title (PMID|t|title) at the beginning and after an empty line"
                skipping = True
        else:
            problem = _add(current, line, number)
            if problem and _is_relation(line):
                relation_lines.append(_Line(number, line))
                continue
        if problem:
            document, title = (None, "") if current is None else (index, current.docid)
            yield Problem(document, title, f"line {number} = {short(line)}", problem)
    if current is not None:
        yield current


def headline(line: str) -> tuple[str, str, str]:
    """(PMID, t or a, text) of a line of title or abstract; empty strings where it is neither."""
    docid, _, rest = line.partition("|")
    kind, bar, text = rest.partition("|")
    if bar and kind in ("t", "a") and "\t" not in docid:
        return docid, kind, text
    return "", "", ""


def _add(current: _Abstract, line: str, number: int) -> str:
    """Add a line to its document. Returns what is wrong with it, '' for nothing."""
    docid, kind, text = headline(line)
    if kind == "t":
        return "expected an empty line before the title of the next document"
    if kind == "a":
        if docid != current.docid:
            return f"the abstract of another document than {current.docid}"
        if current.mentions or current.abstract:
            return "expected one abstract, before the mentions"
        current.abstract = text
        return ""
    columns = line.split("\t")
    if len(columns) != len(_MENTION_COLUMNS):
        return _columns_expected(columns, _MENTION_COLUMNS)
    docid, start, end, name, type_, id_ = columns
    if docid != current.docid:
        return f"a mention of another document than {current.docid}"
    if not (_NUMBER.fullmatch(start) and _NUMBER.fullmatch(end)):
        return "expected whole numbers as start and end"
    current.mentions.append({"start": int(start), "end": int(end), "mention": name, "type": type_, "id": id_})
    current.lines.append(number)
    return ""
