"""An inference and the keeper of scores read a document once between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.data.documents import Document
from bench.inference.predictor import Predictor
from bench.interface import DocumentScores

DOCUMENTS = [Document(str(i), (("a",),), (), ()) for i in range(3)]


class Keeper:
    """What it is given, by title."""

    def __init__(self) -> None:
        self.given: dict[str, DocumentScores] = {}

    def read(self, score, predictions) -> None:
        self.given = {d.title: s for d, s in zip(DOCUMENTS, score(DOCUMENTS), strict=True)}


def predicted(asks: Any, keeper: Keeper | None) -> tuple[list[str], list[DocumentScores]]:
    """Which documents are read, and what is said of them, where an inference asks for `asks` of the documents."""
    read: list[str] = []
    said: list[DocumentScores] = []

    def score(documents: Sequence[Document]):
        for document in documents:
            read.append(document.title)
            said.append(DocumentScores(np.zeros((0, 2), np.int64), np.zeros((0, 2), np.float32), None))
            yield said[-1]

    inference = SimpleNamespace(predict=lambda score, documents, decision: [len(list(score(asks(documents))))])
    predictor = Predictor(SimpleNamespace(score=score), inference)  # type: ignore[arg-type]
    assert predictor.predict(DOCUMENTS, None, {}, keeper) == [len(asks(DOCUMENTS))]  # type: ignore[arg-type]
    return read, said


def test_what_the_inference_was_told_is_what_is_kept():
    keeper = Keeper()
    read, said = predicted(lambda documents: documents, keeper)
    assert read == ["0", "1", "2"]
    assert all(keeper.given[title] is scores for title, scores in zip(read, said, strict=True))


@pytest.mark.parametrize("asks", [
    lambda documents: documents[:2],
    lambda documents: [],
    lambda documents: [replace(document) for document in documents],  # equal, and not what was asked about
])  # fmt: skip
def test_where_the_inference_did_not_ask_for_all_they_are_read_for_the_keeper(asks):
    keeper = Keeper()
    read, said = predicted(asks, keeper)
    assert read[-3:] == ["0", "1", "2"]
    assert [keeper.given[title] for title in "012"] == said[-3:]


def test_other_documents_may_be_asked_for_as_well():
    keeper = Keeper()
    read, said = predicted(lambda documents: [*documents, Document("part", (("a",),), (), ()), documents[0]], keeper)
    assert read == ["0", "1", "2", "part", "0"]
    assert keeper.given["0"] is said[-1]


def test_without_a_keeper_nothing_is_read_again():
    assert predicted(lambda documents: documents[:1], None)[0] == ["0"]
