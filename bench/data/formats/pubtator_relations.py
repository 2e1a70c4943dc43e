"""PubTator's lines with the relations among the mentions, as BC5CDR and BioRED have them.

    227508|t|Title
    227508|a|Abstract
    227508 <tab> start <tab> end <tab> mention <tab> type <tab> id [<tab> individual mentions]
    227508 <tab> relation <tab> id <tab> id [<tab> novelty]

A title begins a document, whether an empty line stands before it or not; empty lines mean nothing. Offsets count the
title, one space, the abstract. The seventh column of BC5CDR's composite mentions names the mention of each concept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bench.data.formats.concepts import Abstract, RawMention, RawRelation
from bench.data.formats.pubtator import headline
from bench.data.formats.scan import Problem, short
from bench.errors import plural

_NUMBER = re.compile(r"[0-9]{1,9}")
_MENTION = "6 columns (id, start, end, mention, type, concept) or 7 (individual mentions)"
_RELATION = "4 columns (id, relation, concept, concept) or 5 (novelty)"


def abstracts_of(text: str) -> Iterator[Abstract | Problem]:
    """The documents of the text, and problems of lines. Lines before the first title are one problem."""
    current: Abstract | None = None
    index = -1
    lost = False
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        docid, kind, passage = headline(line)
        if kind == "t" and (current is None or docid != current.docid or _is_complete(current)):
            if current is not None:
                yield current
            current, index = Abstract(docid, [(0, passage)]), index + 1
            continue
        if current is None:
            if not lost:
                expected = "expected a title (id|t|title) at the beginning"
                yield Problem(None, "", f"line {number} = {short(line)}", expected)
            lost = True
            continue
        if expected := _add(current, line, number):
            yield Problem(index, current.docid, f"line {number} = {short(line)}", expected)
    if current is not None:
        yield current


def _is_complete(current: Abstract) -> bool:
    """Whether more than a title was seen of a document: another title with its id is then another document's."""
    return bool(len(current.passages) > 1 or current.mentions or current.relations)


def _add(current: Abstract, line: str, number: int) -> str:
    """Add a line to its document. Returns what is wrong with it, '' for nothing."""
    docid, kind, passage = headline(line)
    if kind == "t":
        return "expected one title for a document"
    if kind == "a":
        if docid != current.docid:
            return f"the abstract of another document than {current.docid}"
        if _is_complete(current):
            return "expected one abstract, before mentions and relations"
        current.passages.append((len(current.passages[0][1]) + 1, passage))
        return ""
    docid, *columns = line.split("\t")
    if not columns:
        return "expected an abstract (id|a|abstract), or a mention or relation (columns with tabs)"
    if docid != current.docid:
        return f"a line of another document than {current.docid}, which has no title before it"
    is_mention = re.fullmatch(r"[-0-9]+", columns[0])
    return (_add_mention if is_mention else _add_relation)(current, columns, f"line {number}")


def _add_mention(current: Abstract, columns: Sequence[str], place: str) -> str:
    if len(columns) not in (5, 6):
        return f"expected {_MENTION}, found {plural(len(columns) + 1, 'column')}"
    start, end, text, type_, ids, *individual = columns
    if not (_NUMBER.fullmatch(start) and _NUMBER.fullmatch(end)):
        return "expected whole numbers as start and end"
    names = individual[0].split("|") if individual and individual[0] else []
    if names and len(names) != (count := ids.count("|") + 1):
        return f"expected an individual mention for each of {plural(count, 'concept')}, found {len(names)}"
    current.mentions.append(RawMention(place, ((int(start), int(end)),), text, type_, ids))
    return ""


def _add_relation(current: Abstract, columns: Sequence[str], place: str) -> str:
    if len(columns) not in (3, 4) or not all(columns):
        return f"expected {_RELATION}, none of them empty, found {plural(len(columns) + 1, 'column')}"
    current.relations.append(RawRelation(place, *columns))
    return ""
