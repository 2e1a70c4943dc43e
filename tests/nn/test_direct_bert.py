"""Layers called directly, against transformers' own way through the model: equal to the bit."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from small_encoders import CONFIGS, encoder_of
from torch.nn.utils.rnn import pad_sequence

from bench.nn.devices import set_seed
from bench.nn.direct_bert import DirectBert
from bench.nn.encoder import Encoder

PAD = 0


@pytest.fixture
def batch(layout, batch_of):
    """Three documents, one of them of several windows; some of their pieces are that which pads."""
    made = batch_of([layout([[2, 9], [5]], 90), layout([[1], [3, 4]], 12), layout([[2], [6]], 20)])
    made.input_ids[:, 7] = PAD
    return made


def through_the_model(encoder: Encoder) -> Encoder:
    other = deepcopy(encoder)
    other._direct = None
    return other


def is_direct(encoder: Encoder) -> bool:
    return encoder._direct_for([slice(0, 1)], torch.device("cpu")) is not None


def after_a_step(encoder: Encoder, batch) -> list[torch.Tensor]:
    """Attention, states, what the next random number is, and all gradients."""
    torch.manual_seed(3)
    encodings = encoder(batch)
    drawn = torch.rand(1)
    if encodings[0].states.requires_grad:
        sum((e.attention**2).sum() + (e.states**3).sum() for e in encodings).backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    return [tensor.detach() for e in encodings for tensor in e] + [drawn, *gradients]


def are_equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("training", [True, False])
def test_states_rows_gradients_and_random_numbers_are_those_of_the_model(batch, layers, training):
    encoder = encoder_of(CONFIGS["bert"], layers=layers).train(training)
    assert is_direct(encoder)
    ours, theirs = after_a_step(encoder, batch), after_a_step(through_the_model(encoder), batch)
    assert len(ours) > 40
    assert are_equal(ours, theirs)


def test_a_frozen_encoder_gives_what_its_model_gives(batch):
    encoder = encoder_of(CONFIGS["bert"]).requires_grad_(False)
    assert are_equal(after_a_step(encoder, batch), after_a_step(through_the_model(encoder), batch))


def test_a_document_without_loss_leaves_the_gradients_of_the_others(batch):
    def of_the_second(encoder: Encoder) -> list[torch.Tensor]:
        set_seed(torch.device("cpu"), 1)
        encoder(batch)[1].states.sum().backward()
        return [p.grad for p in encoder.parameters() if p.grad is not None]

    encoder = encoder_of(CONFIGS["bert"]).train()
    assert are_equal(of_the_second(encoder), of_the_second(through_the_model(encoder)))


def test_in_half_precision_it_is_the_same_too(batch):
    encoder = encoder_of(CONFIGS["bert"]).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert are_equal(after_a_step(encoder, batch), after_a_step(through_the_model(encoder), batch))


def test_layers_that_are_recomputed_in_backward_are_left_to_the_model(batch):
    encoder = encoder_of(CONFIGS["bert"]).train()
    encoder.model.gradient_checkpointing_enable()
    assert not is_direct(encoder)


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - {"bert"}))
def test_no_other_architecture_is_run_directly(name):
    assert encoder_of(CONFIGS[name])._direct is None


def test_a_bert_that_computes_something_else_is_not_run_directly():
    model = encoder_of(CONFIGS["bert"]).model
    assert DirectBert.of(model, [2, 3]) is not None
    # As a newer transformers might: another order of the same additions, say.
    model.embeddings.forward = lambda input_ids, **given: model.embeddings.word_embeddings(input_ids)
    assert DirectBert.of(model, [2, 3]) is None


def test_trying_a_model_leaves_its_mode_and_the_random_numbers_alone():
    model = encoder_of(CONFIGS["bert"]).model
    for training in (True, False):
        model.train(training)
        torch.manual_seed(5)
        DirectBert.of(model, [2, 3])
        after = torch.rand(3)
        torch.manual_seed(5)
        assert torch.equal(after, torch.rand(3))
        assert all(module.training == training for module in model.modules())


def test_one_gradient_for_all_lookups_is_the_sum_of_theirs_to_the_bit():
    model = encoder_of(CONFIGS["bert"]).model
    table = model.embeddings.word_embeddings
    random = torch.Generator().manual_seed(0)
    windows = [torch.randint(0, 6, (1, length), generator=random) for length in (9, 30, 4)]
    weights = pad_sequence([torch.randn(len(w[0]), 16, generator=random) for w in windows], batch_first=True)

    def gradient(found) -> torch.Tensor:
        sum((w[: len(f[0])] * f[0]).sum() for w, f in zip(weights, found, strict=True)).backward()
        gradient, table.weight.grad = table.weight.grad, None
        return gradient

    together = gradient(DirectBert(model).words(windows))
    assert torch.equal(together, gradient([table(window) for window in windows]))
    assert together[1].any()
    assert not together[PAD].any()


def test_what_is_drawn_on_the_cpu_is_what_pytorch_would_draw_from_the_seed():
    set_seed(torch.device("cpu"), 2**62 + 1)
    ours, seed = torch.rand(4), torch.initial_seed()
    torch.manual_seed(2**62 + 1)
    assert torch.equal(ours, torch.rand(4))
    assert seed == 2**62 + 1
