from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from small_encoders import CONFIGS, SIZES, encoder_of
from torch import nn
from transformers import BertConfig

from bench.errors import UsageError
from bench.nn.encoder import NOT_REPEATABLE

WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture
def batch(layout, batch_of):
    return batch_of([layout([[1, 8], [5], []], 20), layout([[3], [10, 12]], 13)])


@pytest.fixture
def traced(monkeypatch):
    """torch.compile without its last step, which takes minutes."""
    compiling = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiling(self, backend="aot_eager", **options))


def test_a_compiled_encoder_gives_the_same_states_rows_and_gradients(batch, traced):
    encoder = encoder_of(BertConfig(**SIZES | WITHOUT_DROPOUT | {"num_hidden_layers": 1}, intermediate_size=24))
    encoder.model.pooler = None  # as when it is loaded
    encoder.train()
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


def test_the_model_is_compiled_as_one_piece_however_many_layers_it_has(batch, monkeypatch):
    pieces = []
    compiling = nn.Module.compile

    def keep(graph, inputs):
        pieces.append(graph)
        return graph.forward

    monkeypatch.setattr(
        nn.Module, "compile", lambda self, dynamic, mode: compiling(self, dynamic=dynamic, backend=keep)
    )
    encoder = encoder_of(BertConfig(**SIZES | WITHOUT_DROPOUT | {"num_hidden_layers": 4}, intermediate_size=24))
    encoder.compile_model()
    encoder.eval()(batch)
    assert not pieces  # too short a thing to pay for it
    encoder.train()(batch)
    assert len(pieces) == 1


def test_windows_are_filled_up_to_few_lengths_for_cuda_graphs_and_nothing_changes(batch, monkeypatch):
    lengths = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: None)
    monkeypatch.setattr("bench.nn.encoder._together", lambda lengths, device, worth: [slice(0, len(lengths))])
    encoder = encoder_of(BertConfig(**SIZES | WITHOUT_DROPOUT | {"num_hidden_layers": 1}, intermediate_size=24)).train()
    before = encoder(batch)
    encoder.compile_model(graphs=True)
    encoder.model.register_forward_hook(
        lambda model, args, kwargs, output: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    after = encoder(batch)
    assert lengths == [min(64, encoder.window)]
    for ours, theirs in zip(before, after, strict=True):
        for kind in ("states", "attention"):
            torch.testing.assert_close(getattr(ours, kind), getattr(theirs, kind))


def test_an_encoder_whose_rows_are_caught_in_passing_is_not_compiled():
    with pytest.raises(UsageError, match=r"compile: DebertaV2Model .*leave compile out"):
        encoder_of(CONFIGS["deberta-v3"]).compile_model()


def test_without_a_compiler_the_reason_is_told(batch, monkeypatch):
    def fail(graph, inputs):
        raise RuntimeError("no compiler here")

    compiling = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiling(self, backend=fail, **options))
    encoder = encoder_of(CONFIGS["bert"]).train()
    encoder.compile_model()
    with pytest.raises(UsageError, match=r"torch\.compile does not work here: .*no compiler here"):
        encoder(batch)


def test_an_operation_that_does_not_repeat_is_left_to_the_trainer(batch, monkeypatch):
    """It tries again with any kernel (`bench.training.repeatable`)."""

    def fail(graph, inputs):
        raise RuntimeError(f"some_op{NOT_REPEATABLE}, but you set ...")

    compiling = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiling(self, backend=fail, **options))
    encoder = encoder_of(CONFIGS["bert"]).train()
    encoder.compile_model()
    with pytest.raises(RuntimeError, match=NOT_REPEATABLE):
        encoder(batch)
