"""BioC: parts of composite mentions, mentions in pieces, and what of a collection is not as expected."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from annotated import Written, as_collection, as_xml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data.formats.concepts import IN_PIECES, PART_OF_COMPOSITE
from bench.data.formats.corpora import Bc5cdrScanner
from bench.data.formats.scan import Scan

WRITTEN = Written(
    "1",
    "Zorinol <and> ocular",
    "or renal palkitis & more.",
    ((0, 7, "Chemical", "D1"), (14, 38, "Disease", "D5|D6")),
    (("CID", "D1", "D5"),),
)


def collection() -> dict[str, Any]:
    return as_collection([WRITTEN])


def read(tmp_path: Path, content: str | dict[str, Any]) -> Scan:
    path = tmp_path / "x"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return Bc5cdrScanner()(path)


def mentions(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for passage in content["documents"][0]["passages"] for one in passage["annotations"]]


def annotation(text: str, *locations: tuple[int, int], **infons: str) -> dict[str, Any]:
    places = [{"offset": offset, "length": length} for offset, length in locations]
    return {"id": "9", "infons": infons, "text": text, "locations": places}


def test_the_parts_of_a_composite_mention_are_left_out_and_the_whole_is_one_of_each_concept(tmp_path: Path) -> None:
    plain, content = read(tmp_path, collection()), collection()
    passage = content["documents"][0]["passages"][0]
    part = annotation("ocular palkitis", (14, 6), (30, 8), type="Disease", MESH="D5", CompositeRole="IndividualMention")
    passage["annotations"].append(part)
    for form in (content, as_xml(content)):
        result = read(tmp_path, form)
        assert result.documents == plain.documents
        assert result.changes[PART_OF_COMPOSITE] == 1
    assert [[mention.name for mention in entity] for entity in plain.documents[0].entities] == [
        ["Zorinol"],
        ["ocular or renal palkitis"],
        ["ocular or renal palkitis"],
    ]


def test_a_mention_in_pieces_goes_from_the_first_to_the_last(tmp_path: Path) -> None:
    content = collection()
    content["documents"][0]["passages"][1]["annotations"].append(
        annotation("ocular palkitis", (30, 8), (14, 6), type="Disease", MESH="D9")
    )
    for form in (content, as_xml(content)):
        result = read(tmp_path, form)
        assert not result.problems, result.report()
        (document,) = result.documents
        (mention,) = next(entity for entity in document.entities if entity[0].name == "ocular palkitis")
        assert document.sentences[0][mention.start : mention.end] == ("ocular", "or", "renal", "palkitis")
        assert result.changes[IN_PIECES] == 1


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = collection()
    change(content)
    return content


def document(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["documents"][0]
    return found


PROBLEMS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda c: c.pop("documents"), "expected a BioC collection (an object with documents), found an object with the"),
    (lambda c: c["documents"].append(3), "document 1: 3: expected a document (an object with id and passages)"),
    (lambda c: document(c).pop("id"), "document 0: id: missing, expected a string"),
    (lambda c: document(c).pop("passages"), "passages: missing, expected a list of passages"),
    (lambda c: document(c)["passages"].insert(0, 1), "passages[0] = 1: expected a passage"),
    (lambda c: document(c)["passages"][1].update(offset=2), "passages[1].offset = 2: expected 21, one space past"),
    (lambda c: document(c)["passages"][1].update(offset=10**9), "passages[1].offset = 1000000000: expected 21"),
    (lambda c: document(c)["passages"][1].pop("text"), "passages[1].text: missing, expected a string"),
    (lambda c: mentions(c)[0].pop("locations"), "passages[0].annotations[0].locations: missing, expected a list"),
    (lambda c: mentions(c)[0].update(locations=[]), "passages[0].annotations[0].locations: expected at least one"),
    (lambda c: mentions(c)[0]["locations"][0].update(offset="x"), "locations[0].offset = 'x': expected an offset"),
    (lambda c: mentions(c)[0]["locations"][0].update(offset=-1), "locations[0].offset = -1: expected at least 0"),
    (
        lambda c: mentions(c)[0].update(text="Zori"),
        "passages[0].annotations[0], mention = 'Zori': the text from 0 to 7",
    ),
    (lambda c: mentions(c)[0]["infons"].pop("type"), "passages[0].annotations[0].infons.type: missing"),
    (
        lambda c: document(c)["relations"][0]["infons"].pop("Disease"),
        "relations[0].infons: expected type (or relation), entity1 and entity2 (or Chemical and Disease), found rel",
    ),
    (lambda c: document(c)["relations"].append([]), "relations[1] = []: expected a relation (an object with infons)"),
    (lambda c: c["documents"].append(deepcopy(document(c))), "document 1 '1': id already used by document 0"),
]


@pytest.mark.parametrize(("change", "message"), PROBLEMS, ids=[message[:50] for _, message in PROBLEMS])
def test_a_part_that_is_not_as_expected_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    assert message in read(tmp_path, changed(change)).report()


XML = as_xml(collection())
BROKEN_XML = [
    (XML[:-20], "line 1: not XML: unclosed token"),
    (XML.replace("<text>", "<text>&nbsp;", 1), "entity 'nbsp' is not declared in the file"),
    (
        XML.replace('"BioC.dtd"', '"BioC.dtd" [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]'),
        "entity 'a' is declared; BioC needs none",
    ),
    (XML.replace("<offset>0<", "<offset>nought<"), "passages[0].offset = 'nought': expected an offset (an integer)"),
    (XML.replace("UTF-8", "TF-8"), "line 1: encoding 'TF-8' is not read"),
    (XML.replace("UTF-8", "gb2312"), "line 1: encoding 'gb2312' is not read"),
    (XML.replace("<text>", "<text><collection/>", 1), "line 1: a collection in the collection"),
    (XML.replace(" length=", " documents="), "length: missing, expected a number of characters"),
    ("<html><p>no collection</p></html>", "expected a BioC collection (an object with documents), found null"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN_XML, ids=[message[:40] for _, message in BROKEN_XML])
def test_xml_that_is_not_bioc_or_says_more_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in read(tmp_path, text).report()


def test_an_encoding_of_single_bytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "collection.xml"
    path.write_bytes(XML.replace("UTF-8", "windows-1252").replace("ocular", "óculär").encode("windows-1252"))
    assert "óculär" in Bc5cdrScanner()(path).documents[0].sentences[0]


def test_a_key_given_twice_in_json_is_refused(tmp_path: Path) -> None:
    text = json.dumps(collection()).replace('"offset": 0, "text"', '"offset": 0, "offset": 0, "text"', 1)
    assert "documents[0].passages[0].offset: given twice in one object" in read(tmp_path, text).report()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_collections_garbled_anywhere_are_read_or_refused_never_crashed_on(tmp_path: Path, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([XML, json.dumps(collection())]))
    at = data.draw(st.integers(0, len(text) - 1))
    garbled = (
        text[:at]
        + data.draw(st.sampled_from(["", "<", '"', "{", "7", "]", "</text>", "<collection/>", "<infon>"]))
        + text[at + 1 :]
    )
    result = read(tmp_path, garbled)
    assert result.problems or result.documents
