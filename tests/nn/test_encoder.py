from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
    T5Config,
)

from baselines.atlop import Atlop, AtlopHyperparameters
from bench.interface import Task
from bench.nn.attention_rows import ATTENTION, attention_implementation
from bench.nn.encoder import Encoder
from bench.nn.pooling import pool

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
BERT_LIKE = SIZES | {"intermediate_size": 24, "max_position_embeddings": 64}
CONFIGS = {
    "bert": BertConfig(**BERT_LIKE),
    "roberta": RobertaConfig(**BERT_LIKE),
    "electra": ElectraConfig(**BERT_LIKE, embedding_size=8),
    "distilbert": DistilBertConfig(
        vocab_size=50, dim=16, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=64
    ),
    # Its last but one layer sees a neighbourhood of 2 pieces on each side only.
    "modernbert": ModernBertConfig(
        **BERT_LIKE, pad_token_id=1, cls_token_id=2, sep_token_id=3, local_attention=4, global_attn_every_n_layers=2
    ),
    "mpnet": MPNetConfig(**BERT_LIKE),
    "deberta-v2": DebertaV2Config(**BERT_LIKE, relative_attention=True, pos_att_type=["c2p", "p2c"]),
}
PLUGGABLE = {"bert", "roberta", "electra", "distilbert", "modernbert"}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-6}


def build(config, implementation=None):
    torch.manual_seed(0)
    config = deepcopy(config)  # a model writes its attention into its configuration
    model = AutoModel.from_config(config, attn_implementation=implementation or attention_implementation(config))
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)  # an untrained model attends almost uniformly
    return model.eval()


def encoder_of(config, implementation=None, layers=1, window=64):
    return Encoder(build(config, implementation), [2], [3], window=window, layers=layers)


@pytest.fixture
def documents(layout):
    return [layout([[1, 8], [5], []], 20), layout([[3], [10, 12]], 13), layout([[2], [4], [6]], 30)]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_fused_route_is_chosen_where_the_architecture_takes_it(name):
    assert attention_implementation(CONFIGS[name]) == (ATTENTION if name in PLUGGABLE else "eager")


def test_an_architecture_of_another_kind_runs_its_own_attention():
    assert attention_implementation(T5Config()) == "eager"


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", CONFIGS)
def test_states_and_attention_rows_are_those_of_the_model_run_eagerly_on_each_document(
    name, layers, documents, batch_of
):
    config = CONFIGS[name]
    reference = build(config, "eager")
    batch = batch_of(documents, pad_id=config.pad_token_id)
    with torch.no_grad():
        encodings = encoder_of(config, layers=layers)(batch)
        for b, (encoding, d) in enumerate(zip(encodings, documents, strict=True)):
            ids = batch.input_ids[b : b + 1, : d.length]
            alone = reference(
                input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True, output_hidden_states=True
            )
            states = alone.last_hidden_state if layers == 1 else torch.stack(alone.hidden_states[-layers:]).mean(0)
            attention = torch.stack(alone.attentions[-layers:]).mean(0)
            torch.testing.assert_close(encoding.states, states[0], **TOLERANCE)
            rows = attention[0][:, d.mention_position].transpose(0, 1)
            torch.testing.assert_close(encoding.attention, rows, **TOLERANCE)


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert"])
def test_recomputed_and_returned_attention_agree_on_documents_of_two_windows(name, documents, batch_of):
    config = CONFIGS[name]
    batch = batch_of(documents, pad_id=config.pad_token_id)
    with torch.no_grad():
        fused = encoder_of(config, window=18)(batch)
        eager = encoder_of(config, "eager", window=18)(batch)
    for ours, theirs, d in zip(fused, eager, documents, strict=True):
        assert ours.states.shape == (d.length, 16)
        assert ours.attention.shape == (len(d.mention_position), 2, d.length)
        torch.testing.assert_close(ours.states, theirs.states, **TOLERANCE)
        torch.testing.assert_close(ours.attention, theirs.attention, **TOLERANCE)
        torch.testing.assert_close(ours.attention.sum(-1), torch.ones(len(d.mention_position), 2))


@pytest.mark.parametrize("name", ["bert", "deberta-v2"])
def test_in_training_gradients_flow_through_the_attention_rows(name, documents, batch_of):
    encoder = encoder_of(CONFIGS[name]).train()
    sum((e.attention**2).sum() for e in encoder(batch_of(documents))).backward()
    touched = [n for n, p in encoder.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any("layer.2.attention" in n and ("query" in n or "key" in n) for n in touched)
    assert any("embeddings" in n for n in touched)


@pytest.mark.parametrize("name", ["bert", "mpnet"])
def test_in_training_the_attention_rows_carry_the_encoders_attention_dropout(name, documents, batch_of):
    settings = CONFIGS[name].to_dict() | {"attention_probs_dropout_prob": 0.5, "hidden_dropout_prob": 0.0}
    encoder = encoder_of(type(CONFIGS[name])(**settings))
    batch = batch_of(documents)
    assert all((e.attention > 0).all() for e in encoder(batch))
    encoder.train()
    weights = torch.cat([e.attention.flatten() for e in encoder(batch)])
    dropped = (weights == 0).float().mean()
    assert 0.4 < dropped < 0.6


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
