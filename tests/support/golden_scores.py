"""Fixtures with recorded scores of the published evaluation scripts, and what they were made from."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.data.documents import Document, Fact, Label, Mention, Triple
from bench.data.formats.docred import read_facts
from bench.metrics.submission import read_submission


@functools.cache
def load(path: Path) -> tuple[Document, ...]:
    """A reader of the tests' own, so that a defect of the project's reader cannot hide one of its metrics."""
    return tuple(
        Document(
            title=row["title"],
            sentences=tuple(map(tuple, row["sents"])),
            entities=tuple(
                tuple(Mention(m["sent_id"], *m["pos"], m["name"], m["type"]) for m in entity)
                for entity in row["vertexSet"]
            ),
            labels=tuple(Label(label["h"], label["t"], label["r"]) for label in row["labels"]),
        )
        for row in json.loads(path.read_text(encoding="utf-8"))
    )


@functools.cache
def facts_in(path: Path) -> frozenset[Fact]:
    return read_facts(path)


@functools.cache
def triples_in(path: Path) -> tuple[Triple, ...]:
    return tuple(row.triple for row in read_submission(path))


@pytest.fixture
def revised_test(shared_file: Callable[[str], Path]) -> tuple[Document, ...]:
    return load(shared_file("data/redocred-small/test.json"))


@pytest.fixture
def annotated_facts(shared_file: Callable[[str], Path]) -> frozenset[Fact]:
    return facts_in(shared_file("data/official/train_annotated.fact"))


@pytest.fixture
def distant_facts(shared_file: Callable[[str], Path]) -> frozenset[Fact]:
    return facts_in(shared_file("golden/i_distant_small.fact"))


@pytest.fixture
def predictions(shared_file: Callable[[str], Path]) -> Callable[[str], list[Triple]]:
    return lambda kind: list(triples_in(shared_file(f"golden/i_pred_{kind}_titles.json")))


@pytest.fixture
def expected(shared_file: Callable[[str], Path]) -> dict[str, Any]:
    return json.loads(shared_file("golden/i_eval_expected.json").read_text(encoding="utf-8"))
