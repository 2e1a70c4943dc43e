from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.data.catalog.statistics import label_statistics, relation_counts, split_statistics
from bench.data.documents import Document, Label, Mention
from bench.data.formats.docred import read_documents

MENTION = Mention(0, 0, 1, "a", "PER")


def test_averages_are_per_document_and_a_triple_given_twice_counts_once() -> None:
    labels = (Label(0, 1, "P1"), Label(0, 1, "P1", (0,)), Label(0, 1, "P2"), Label(1, 2, "P2"))
    some = [
        Document("x", (("a", "b"), ("c",)), ((MENTION, MENTION), (MENTION,), (MENTION,)), labels),
        Document("y", (("a",),), ((MENTION,),)),
    ]
    found = split_statistics(some)
    assert (found.documents, found.entities, found.mentions, found.triples) == (2, 2.0, 2.5, 1.5)
    assert (found.sentences, found.words, found.pairs, found.pairs_with_relation, found.relations) == (1.5, 2, 3, 1, 2)
    assert list(relation_counts(some, ["P0", "P1", "P2"]).items()) == [("P2", 2), ("P1", 1), ("P0", 0)]


def test_of_labels_alone_triples_types_and_documents_without_any_are_counted() -> None:
    labels = (Label(0, 1, "P1"), Label(0, 1, "P1", (0,)), Label(1, 0, "P1"), Label(1, 2, "P2"))
    some = [Document("x", (), ((), (), ()), labels), Document("y", (), ((), ()), labels[:1]), Document("z", (), ())]
    found = label_statistics(some)
    assert (found.documents, found.triples, found.types, found.relations, found.unlabelled) == (3, 4, 3, 2, 1)


def test_no_documents_have_averages_of_zero() -> None:
    assert split_statistics([]).triples == 0


def test_the_real_test_file_gives_the_papers_table_1(shared_file: Callable[[str], Path]) -> None:
    found = split_statistics(read_documents(shared_file("data/redocred-small/test.json")))
    assert found.documents == 500
    assert (round(found.entities, 1), round(found.triples, 1), round(found.sentences, 1)) == (19.6, 34.9, 7.9)
