"""Features against the plain formulation of reading (benchmarks/plain/reader.py), on real and on made-up documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plain.reader import PlainDocument, read
from recombined import recombined
from sample_documents import sample_splits

from bench.data.batching import collate
from bench.data.features.build import Features, WordPieces, build_features
from bench.data.formats.docred import read_documents, write_documents
from bench.nn.encoder_source import find_encoder


@pytest.fixture(scope="module")
def words() -> WordPieces:
    return find_encoder("minilm", ()).words()


def assert_same(found: Features, expected: PlainDocument, relations: int) -> None:
    assert found.title == expected.title
    assert found.input_ids.tolist() == expected.input_ids
    markers = [found.mention_position[found.mention_entity == e].tolist() for e in range(found.entities)]
    assert markers == expected.markers
    labels = {tuple(pair): row for pair, row in zip(expected.pairs, expected.labels, strict=True)}
    wanted = [labels[tuple(pair)] for pair in found.candidates().tolist()]
    assert len(labels) == len(wanted)
    assert np.array_equal(collate([found], relations, 0).labels.numpy(), np.array(wanted).reshape(-1, relations) > 0)


@pytest.mark.parametrize("max_length", [1024, 128])
def test_features_of_real_documents_are_those_of_the_plain_reader(words, shared_file, max_length):
    path = shared_file("data/redocred-small/dev.json")
    documents = read_documents(path)
    relations = sorted({label.relation for d in documents for label in d.labels})
    built = build_features(documents, words, relations, max_length)
    for found, expected in zip(built, read(path, words.tokenizer, relations, max_length), strict=True):
        assert_same(found, expected, len(relations))


def test_features_of_recombined_documents_are_those_of_the_plain_reader(words, tmp_path: Path):
    documents = list(recombined(sample_splits()["train"][:20], 30))
    path = tmp_path / "documents.json"
    write_documents(path, documents)
    relations = sorted({label.relation for d in documents for label in d.labels})
    built = build_features(documents, words, relations, 512)
    for found, expected in zip(built, read(path, words.tokenizer, relations, 512), strict=True):
        assert_same(found, expected, len(relations))
