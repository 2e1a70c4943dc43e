"""What a model is given: pairs, token states or word pieces, and no more than it reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sample_documents import sample_splits
from torch import Tensor, nn

from bench.data import sample
from bench.data.batching import collate
from bench.data.features.build import build_features
from bench.inference.document_model import document_model
from bench.interface import PairModel
from bench.nn.encoder_source import find_encoder
from bench.nn.pooling import Pairs
from bench.nn.tokens import Tokens

RELATIONS = sorted(sample.RELATIONS)


class Reader(PairModel):
    """Keeps what it is given, and has a logit of 0 for everything."""

    def __init__(self, reads: Any) -> None:
        super().__init__()
        self.reads = reads  # type: ignore[misc]
        self.given: Any = None
        self.parameter = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Any) -> Tensor:
        self.given = inputs
        documents = inputs.documents if isinstance(inputs, Tokens) else ()
        rows = len(inputs) if isinstance(inputs, Pairs) else sum(len(d.pairs) for d in documents)
        return self.parameter.expand(rows, 1)


@pytest.fixture(scope="module")
def documents():
    return sample_splits()["train"][:2]


@pytest.mark.parametrize("reads", ["pairs", "tokens", "pieces"])
def test_a_model_is_given_what_it_reads_and_the_rest_is_not_computed(documents, reads):
    source = find_encoder("tiny", documents)
    system = document_model(source, Reader(reads), pretrained=True)
    batch = collate(list(build_features(documents, source.words(), RELATIONS, 512)), len(RELATIONS), source.pad_id)
    assert len(system(batch)) == len(batch.labels)
    given = system.model.given
    assert isinstance(given, Pairs if reads == "pairs" else Tokens)
    assert (system.encoder is None) == (reads == "pieces")
    if reads == "tokens":
        assert system.encoder.row_source is None
        assert [len(states) for states in given.states] == [d.length for d in given.documents]
    elif reads == "pieces":
        assert given.states is None


def test_more_layers_than_the_encoder_has_are_all_of_them(documents):
    model = Reader("pairs")
    model.encoder_layers = 3
    assert document_model(find_encoder("tiny", documents), model, pretrained=True).encoder.layers == 2
