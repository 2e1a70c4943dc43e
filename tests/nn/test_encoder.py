from __future__ import annotations

import pytest
import torch
from small_encoders import CONFIGS, SIZES, SOFTMAX_IN_FLOAT32, build, encoder_of
from transformers import BertConfig, FNetConfig, T5Config

from baselines.atlop import Atlop, AtlopHyperparameters
from bench.errors import UsageError
from bench.interface import Task
from bench.nn.attention_rows import ATTENTION
from bench.nn.encoder import Encoder, _together
from bench.nn.pooling import pool

pytestmark = pytest.mark.usefixtures("windows")

EXACT = {"rtol": 1e-9, "atol": 1e-11}
FLOAT32 = {"rtol": 1e-4, "atol": 1e-6}


def tolerance(name):
    return FLOAT32 if name in SOFTMAX_IN_FLOAT32 else EXACT


@pytest.fixture
def documents(layout):
    return [layout([[1, 8], [5], []], 20), layout([[3], [10, 12]], 13), layout([[2], [4], [6]], 30)]


def alone(model, batch, b, layers):
    """States [l, d] and attention rows [m, A, l] of document b, by the model's own output for it alone."""
    document = batch.documents[b]
    ids = batch.input_ids[b : b + 1, : document.length]
    output = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True, output_hidden_states=True
    )
    states = output.last_hidden_state if layers == 1 else torch.stack(output.hidden_states[-layers:]).mean(0)
    attention = torch.stack(output.attentions[-layers:]).mean(0)
    return states[0], attention[0][:, document.mention_position].transpose(0, 1)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_states_and_rows_are_those_of_the_model_run_eagerly_on_each_document(name, layers, documents, batch_of):
    batch = batch_of(documents, pad_id=CONFIGS[name].pad_token_id)
    reference = build(CONFIGS[name], "eager").double()
    with torch.no_grad():
        encodings = encoder_of(CONFIGS[name], layers=layers).double()(batch)
        for b, encoding in enumerate(encodings):
            states, attention = alone(reference, batch, b, layers)
            torch.testing.assert_close(encoding.states, states, **tolerance(name))
            torch.testing.assert_close(encoding.attention, attention, **tolerance(name))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_are_those_through_the_eager_maps(name, layers, documents, batch_of):
    batch = batch_of(documents, pad_id=CONFIGS[name].pad_token_id)
    reference = build(CONFIGS[name], "eager").double()
    encoder = encoder_of(CONFIGS[name], layers=layers).double()

    def scalar(pairs):
        random = torch.Generator().manual_seed(1)
        weighted = [x * torch.randn(x.shape, generator=random, dtype=x.dtype) for pair in pairs for x in pair]
        return sum(x.sum() for x in weighted)

    scalar(encoder(batch)).backward()
    scalar([alone(reference, batch, b, layers) for b in range(len(documents))]).backward()
    for (parameter_name, ours), theirs in zip(encoder.model.named_parameters(), reference.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), parameter_name
        if ours.grad is not None:
            # By the largest entry: small ones are differences of large ones.
            error = (ours.grad - theirs.grad).abs().max() / theirs.grad.abs().max().clamp(min=1e-3)
            assert error < tolerance(name)["rtol"], parameter_name


@pytest.mark.parametrize("name", CONFIGS)
def test_what_stands_at_padded_positions_makes_no_difference(name, documents, batch_of):
    batch = batch_of(documents, pad_id=CONFIGS[name].pad_token_id)
    encoder = encoder_of(CONFIGS[name])
    with torch.no_grad():
        clean = encoder(batch)
        batch.input_ids[batch.attention_mask == 0] = 49
        for ours, theirs in zip(encoder(batch), clean, strict=True):
            torch.testing.assert_close(ours.states, theirs.states, **FLOAT32)
            torch.testing.assert_close(ours.attention, theirs.attention, **FLOAT32)


@pytest.mark.parametrize("name", ["bert", "mpnet", "deberta-v3", "splinter"])
def test_in_training_gradients_flow_through_the_attention_rows(name, documents, batch_of):
    encoder = encoder_of(CONFIGS[name]).train()
    sum((e.attention**2).sum() for e in encoder(batch_of(documents))).backward()
    touched = [n for n, p in encoder.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any("layer.2.attention" in n and any(q in n for q in ("query", "attn.q")) for n in touched)
    assert any("embeddings" in n for n in touched)


@pytest.mark.parametrize("name", ["bert", "mpnet", "deberta-v3"])
def test_in_training_the_attention_rows_carry_the_encoders_attention_dropout(name, documents, batch_of):
    settings = CONFIGS[name].to_dict() | {"attention_probs_dropout_prob": 0.5, "hidden_dropout_prob": 0.0}
    encoder = encoder_of(type(CONFIGS[name])(**settings))
    batch = batch_of(documents)
    assert all((e.attention > 0).all() for e in encoder(batch))
    encoder.train()
    weights = torch.cat([e.attention.flatten() for e in encoder(batch)])
    dropped = (weights == 0).float().mean()
    assert 0.4 < dropped < 0.6


# transformers' first DeBERTa (not v2, v3) fails in bfloat16 by itself.
@pytest.mark.parametrize("name", sorted({*CONFIGS} - {"deberta"}))
def test_under_bfloat16_autocast_rows_are_float32_and_near_those_of_full_precision(name, documents, batch_of):
    batch = batch_of(documents, pad_id=CONFIGS[name].pad_token_id)
    encoder = encoder_of(CONFIGS[name])
    full = encoder(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = encoder(batch)
    for ours, theirs in zip(half, full, strict=True):
        assert ours.attention.dtype == torch.float32
        torch.testing.assert_close(ours.states.float(), theirs.states, rtol=0.1, atol=0.1)
        torch.testing.assert_close(ours.attention, theirs.attention, rtol=0.2, atol=0.02)
    sum(e.states.float().sum() + (e.attention**2).sum() for e in half).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.mark.parametrize("name", ["bert", "deberta-v3", "splinter"])
def test_without_attention_the_states_are_the_same_and_there_are_no_rows(name, documents, batch_of):
    batch = batch_of(documents)
    with torch.no_grad():
        for window in (18, 64):
            whole = encoder_of(CONFIGS[name], window=window)(batch)
            states_only = encoder_of(CONFIGS[name], window=window, attention=False)(batch)
            for ours, theirs, d in zip(states_only, whole, documents, strict=True):
                torch.testing.assert_close(ours.states, theirs.states, rtol=0, atol=0)
                assert ours.attention.shape == (len(d.mention_position), 0, d.length)


def test_an_encoder_without_attention_is_refused_by_its_type_but_gives_states(documents, batch_of):
    config = FNetConfig(**SIZES, intermediate_size=24, max_position_embeddings=64)
    with pytest.raises(UsageError, match=r"'fnet' \(FNetModel\) does not return its attention between all word pieces"):
        encoder_of(config)
    assert encoder_of(config, attention=False)(batch_of(documents))[0].states.shape == (20, 16)


def test_a_model_that_needs_more_than_word_pieces_is_refused():
    config = T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=24, num_layers=3, num_heads=2)
    with pytest.raises(UsageError, match=r"'t5' \(T5Model\) does not run on word pieces alone"):
        encoder_of(config)


@pytest.mark.parametrize("attention", [True, False])
def test_more_layers_than_the_encoder_has_are_refused(attention):
    config = BertConfig(**SIZES | {"num_hidden_layers": 2})
    with pytest.raises(UsageError, match="last 3 layers is asked of an encoder that has 2"):
        encoder_of(config, layers=3, attention=attention)


def test_a_model_loaded_with_a_route_its_class_ignores_is_refused(documents, batch_of):
    model = build(CONFIGS["mpnet"], "eager")
    model.config._attn_implementation = ATTENTION
    encoder = Encoder(model, [2], [3], window=64)
    with pytest.raises(RuntimeError, match="MPNetModel did not run its attention"):
        encoder(batch_of(documents))


def test_the_width_of_the_states_is_known_by_whatever_name_the_configuration_has_for_it():
    assert {encoder_of(config).size for config in CONFIGS.values()} == {16}


def test_pair_logits_do_not_depend_on_the_other_documents_of_the_batch(documents, batch_of):
    encoder = encoder_of(CONFIGS["bert"])
    model = Atlop(AtlopHyperparameters(pair_size=8, block_size=4), Task(16, ("a", "b"), (0.1, 0.1))).eval()
    batch = batch_of(documents)

    def logits(batch):
        with torch.no_grad():
            return model(pool(encoder(batch), batch))

    together = logits(batch).split([len(d.pairs) for d in documents])
    for b, d in enumerate(documents):
        alone = batch_of([d])
        alone.input_ids[:] = batch.input_ids[b : b + 1, : d.length]
        torch.testing.assert_close(logits(alone), together[b], rtol=1e-4, atol=1e-5)


def test_documents_without_entities_pairs_or_surviving_mentions_go_through(layout, batch_of):
    odd = [layout([], 9), layout([[2]], 7), layout([[], []], 5), layout([[1], [3]], 6)]
    encoder = encoder_of(CONFIGS["bert"])
    model = Atlop(AtlopHyperparameters(pair_size=8, block_size=4), Task(16, ("a", "b"), (0.1, 0.1)))
    for documents in (odd, odd[:1], odd[:2]):
        batch = batch_of(documents)
        logits = model(pool(encoder(batch), batch))
        assert logits.shape == (sum(len(d.pairs) for d in documents), 3)
        loss = sum(model.loss(logits, torch.zeros(len(logits), 2, dtype=torch.bool)).values())
        loss.backward()
        assert torch.isfinite(loss)


def test_in_evaluation_a_documents_numbers_are_the_same_to_the_bit_whatever_is_beside_it_on_a_cpu(
    layout, batch_of, request
):
    if "at once" in request.node.callspec.id:
        pytest.skip("as on a GPU: equal to rounding there")
    documents = [layout([[1, 8], [5]], 20), layout([[3], [10, 12]], 19)]
    encoder, batch = encoder_of(CONFIGS["bert"]).eval(), batch_of(documents)
    for b, encoding in enumerate(encoder(batch)):
        (alone,) = encoder(batch.alone(b))
        assert torch.equal(alone.states, encoding.states)
        assert torch.equal(alone.attention, encoding.attention)


@pytest.mark.parametrize(
    ("lengths", "worth", "joined"),
    [
        ([30, 28, 29, 30], 500, [[30, 28, 29, 30]]),
        ([30, 28, 29, 30], 0, [[30], [28], [29], [30]]),
        ([30, 30, 29], 0, [[30, 30], [29]]),
        ([30, 28, 10, 30], 3, [[30, 28], [10], [30]]),
        # The second costs 2, and the fourth would cost all before it: 3 times 10 for 3 calls.
        ([30, 28, 30, 40], 9, [[30, 28, 30], [40]]),
        ([], 5, []),
        ([30, 30], None, [[30], [30]]),
    ],
)
def test_on_a_cpu_windows_are_joined_where_padding_costs_less_than_a_call(lengths, worth, joined):
    parts = _together(lengths, torch.device("cpu"), worth)
    assert [lengths[part] for part in parts] == joined
