from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from small_encoders import CONFIGS, SIZES, encoder_of
from torch import nn
from transformers import BertConfig

from bench.errors import UsageError


@pytest.fixture
def batch(layout, batch_of):
    return batch_of([layout([[1, 8], [5], []], 20), layout([[3], [10, 12]], 13)])


@pytest.fixture
def traced(monkeypatch):
    """torch.compile without its last step, which takes minutes."""
    compiling = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiling(self, backend="aot_eager", **options))


def test_a_compiled_encoder_gives_the_same_states_rows_and_gradients(batch, traced):
    encoder = encoder_of(BertConfig(**SIZES | {"num_hidden_layers": 1}, intermediate_size=24))
    compiled = deepcopy(encoder)
    compiled.compile_model()

    def after_backward(encoder):
        encodings = encoder(batch)
        sum((e.attention**2).sum() + e.states.sum() for e in encodings).backward()
        tensors = [x for e in encodings for x in e]
        return tensors + [p.grad for p in encoder.parameters() if p.grad is not None]

    for ours, theirs in zip(after_backward(compiled), after_backward(encoder), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert compiled.state_dict().keys() == encoder.state_dict().keys()


def test_an_encoder_whose_rows_are_caught_in_passing_is_not_compiled():
    with pytest.raises(UsageError, match=r"compile: DebertaV2Model .*leave compile out"):
        encoder_of(CONFIGS["deberta-v3"]).compile_model()


def test_without_a_compiler_the_reason_is_told(monkeypatch):
    def fail(graph, inputs):
        raise RuntimeError("no compiler here")

    compiling = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiling(self, backend=fail, **options))
    with pytest.raises(UsageError, match=r"torch\.compile does not work here: .*no compiler here"):
        encoder_of(CONFIGS["bert"]).compile_model()
