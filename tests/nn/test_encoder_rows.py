"""How the attention rows are had: which way for which architecture, and that no more is kept than must be."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from copy import deepcopy

import pytest
import torch
from small_encoders import BERT_LIKE, CAUGHT, CONFIGS, PICKED, RECOMPUTED, build, encoder_of
from transformers import LongformerConfig, T5Config, XLNetConfig

from bench.errors import UsageError
from bench.nn.attention_rows import (
    ATTENTION,
    CaughtRows,
    PickedRows,
    RecomputedRows,
    attention_implementation,
    row_source,
)

pytestmark = pytest.mark.usefixtures("windows")


@pytest.fixture
def batch(layout, batch_of):
    return batch_of([layout([[1, 8], [5], []], 20), layout([[3], [10, 12]], 13)])


@contextmanager
def layers_asked(model):
    """Of which layers the attention is asked for its map."""
    asked = set()

    def note(layer):
        return lambda module, args, kwargs: asked.add(layer) if kwargs.get("output_attentions") else None

    layers = enumerate(model.encoder.layer)
    hooks = [layer.attention.register_forward_pre_hook(note(i), with_kwargs=True) for i, layer in layers]
    yield asked
    for hook in hooks:
        hook.remove()


def maps_left(encoder, batch):
    """How many whole maps the layers made, and how many of them are alive when the model has returned."""
    made, left = [], []

    def note(module, args, output):
        made.append(weakref.ref(output[1]))

    hooks = [layer.attention.register_forward_hook(note) for layer in encoder.model.encoder.layer]
    hooks += [encoder.model.register_forward_hook(lambda *_: left.extend(m for m in made if m() is not None))]
    encoder(batch)
    for hook in hooks:
        hook.remove()
    return len(made), len(left)


def test_every_architecture_is_in_one_group():
    assert {*CONFIGS} == RECOMPUTED | CAUGHT | PICKED


@pytest.mark.parametrize("name", CONFIGS)
def test_the_fused_route_is_chosen_where_the_architecture_takes_it(name):
    assert attention_implementation(CONFIGS[name]) == (ATTENTION if name in RECOMPUTED else "eager")


def test_an_architecture_of_another_kind_runs_its_own_attention():
    assert attention_implementation(T5Config()) == "eager"


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_each_architecture_gives_its_rows_in_the_leanest_way_it_takes(name, layers):
    kind = RecomputedRows if name in RECOMPUTED else CaughtRows if name in CAUGHT else PickedRows
    assert type(encoder_of(CONFIGS[name], layers=layers).row_source) is kind


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_only_the_last_layers_are_asked_for_their_maps(name, layers, batch):
    encoder = encoder_of(CONFIGS[name], layers=layers)
    with layers_asked(encoder.model) as asked:
        encoder(batch)
    assert asked == set(range(3 - layers, 3))


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_no_map_outlives_its_layer(name, batch):
    encoder = encoder_of(CONFIGS[name], layers=3)
    with torch.no_grad():
        made, left = maps_left(encoder, batch)
        assert (made % 3, left) == (0, 0)
        encoder.row_source = PickedRows(3)
        assert maps_left(encoder, batch) == (made, made)


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_in_training_the_rows_are_of_the_map_the_layer_attends_with(name, batch):
    encoder = encoder_of(CONFIGS[name], layers=2).train()  # with a tenth of the weights dropped
    whole = deepcopy(encoder)
    whole.row_source = PickedRows(2)

    def after_backward(encoder):
        torch.manual_seed(3)
        encodings = encoder(batch)
        sum((e.attention**2).sum() + e.states.sum() for e in encodings).backward()
        return [e.attention for e in encodings] + [p.grad for p in encoder.parameters() if p.grad is not None]

    for ours, theirs in zip(after_backward(encoder), after_backward(whole), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["bert", "roberta", "deberta-v3"])
def test_layers_recomputed_in_backward_give_the_same_rows_and_gradients(name, batch):
    encoder = encoder_of(CONFIGS[name], layers=2).train()
    recomputing = deepcopy(encoder)
    recomputing.model.gradient_checkpointing_enable()
    assert any(getattr(m, "gradient_checkpointing", False) for m in recomputing.modules())

    def after_backward(encoder):
        torch.manual_seed(3)
        encodings = encoder(batch)
        sum((e.attention**2).sum() + e.states.sum() for e in encodings).backward()
        return [e.attention for e in encodings] + [p.grad for p in encoder.parameters() if p.grad is not None]

    for ours, theirs in zip(after_backward(recomputing), after_backward(encoder), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["bert", "deberta-v3", "splinter"])
def test_a_copy_of_an_encoder_reads_its_own_layers(name, batch):
    encoder = encoder_of(CONFIGS[name])
    copy = deepcopy(encoder)
    for parameter in encoder.parameters():
        parameter.data.zero_()
    fresh = encoder_of(CONFIGS[name])
    with torch.no_grad():
        for ours, theirs in zip(copy(batch), fresh(batch), strict=True):
            torch.testing.assert_close(ours.attention, theirs.attention, rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_the_model_is_left_as_it_was(name, batch):
    model = build(CONFIGS[name]).train()
    before = torch.random.get_rng_state()
    source = row_source(model, 1, [2, 3])
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(IndexError):
        source(model, {"input_ids": torch.full((1, 4), 10**6), "attention_mask": torch.ones(1, 4).long()}, [])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_maps_laid_out_otherwise_inside_the_model_are_taken_from_what_it_returns():
    # XLNet's layers return [L, L, W, A].
    model = build(XLNetConfig(vocab_size=50, d_model=16, n_layer=2, n_head=2, d_inner=24))
    source = row_source(model, 1, [2, 3])
    assert source == PickedRows(1)
    ids = torch.arange(10, 19)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    _, [[rows]] = source(model, inputs, [torch.tensor([4])])
    expected = model(**inputs, output_attentions=True).attentions[-1]
    torch.testing.assert_close(rows[0], expected[0, :, 4])
    torch.testing.assert_close(rows.sum(-1), torch.ones(1, 2))


def test_an_architecture_that_attends_to_a_neighbourhood_only_is_refused():
    config = LongformerConfig(**BERT_LIKE, attention_window=4, pad_token_id=1)
    with pytest.raises(UsageError, match=r"'longformer'.*1 x 7 pieces it gave a tensor of shape \(1, 2, 7, 5\)"):
        row_source(build(config), 1, [2, 3])


def test_configurations_that_ask_for_all_maps_by_themselves_do_not_get_them(batch):
    encoder = encoder_of(CONFIGS["deberta-v3"])
    encoder.model.config.output_attentions = True
    with layers_asked(encoder.model) as asked:
        encoder(batch)
    assert asked == {2}
