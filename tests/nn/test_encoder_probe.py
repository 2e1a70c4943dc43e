"""What a probe sees of an architecture, against what its models compute at full size."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest
import torch
from small_encoders import BERT_LIKE, CAUGHT, CAUSAL, CONFIGS, PICKED, RECOMPUTED, SIZES, SPECIALS, build
from transformers import (
    BartConfig,
    BertConfig,
    CanineConfig,
    CLIPTextConfig,
    ConvBertConfig,
    DPRConfig,
    FNetConfig,
    FunnelConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GptOssConfig,
    LayoutLMConfig,
    MobileBertConfig,
    ModernBertDecoderConfig,
    NystromformerConfig,
    Qwen3Config,
    SqueezeBertConfig,
    T5Config,
    XLNetConfig,
    XmodConfig,
)

from bench.nn import attention_rows, encoder_traits
from bench.nn.attention_rows import ATTENTION, PickedRows, RecomputedRows, row_source
from bench.nn.cpu_attention import dropout_attention
from bench.nn.encoder import Encoder
from bench.nn.encoder_probe import examine, without_pooler
from bench.nn.encoder_traits import PLAIN, Traits, traits_of

LLAMA_LIKE = BERT_LIKE | SPECIALS | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4}
BACKWARDS = {
    "qwen3": Qwen3Config(**LLAMA_LIKE),
    "modernbert-decoder": ModernBertDecoderConfig(
        **BERT_LIKE, pad_token_id=1, cls_token_id=2, sep_token_id=3, local_attention=8
    ),
    "clip_text": CLIPTextConfig(**BERT_LIKE, **SPECIALS),
    "bert as a decoder": BertConfig(**BERT_LIKE, is_decoder=True),
    "gemma2": Gemma2Config(**LLAMA_LIKE, sliding_window=4),
    "gpt_oss": GptOssConfig(**LLAMA_LIKE, num_local_experts=2, num_experts_per_tok=1, sliding_window=4),
}
PADDED = {
    "convbert": ConvBertConfig(**BERT_LIKE, embedding_size=16),
    "mobilebert": MobileBertConfig(**BERT_LIKE, embedding_size=16, true_hidden_size=16, intra_bottleneck_size=16),
    "nystromformer": NystromformerConfig(**BERT_LIKE),
    "canine": CanineConfig(**BERT_LIKE | {"max_position_embeddings": 128}, local_transformer_stride=128),
    "funnel": FunnelConfig(
        vocab_size=50, block_sizes=[1, 1], d_model=16, n_head=2, d_head=8, d_inner=24, architectures=["FunnelModel"]
    ),
}
UNLIKE = {
    "layoutlm": LayoutLMConfig(**BERT_LIKE),
    "gemma3, both ways": Gemma3TextConfig(**LLAMA_LIKE, sliding_window=4, use_bidirectional_attention=True),
    "xlnet": XLNetConfig(vocab_size=50, d_model=16, n_layer=3, n_head=2, d_inner=24),
}
USABLE = CONFIGS | BACKWARDS | PADDED | UNLIKE


def pad_of(config):
    return config.pad_token_id or 0


def traits(config, window=64):
    return examine(config, pad_of(config), window)


@cache
def seen_of(name):
    return traits(USABLE[name])


def as_traits_say(config, seen, layers=1):
    """An encoder with random weights that is run as its traits say, and the same model run eagerly."""
    model = build(config, ATTENTION if seen.rows == "recomputed" else "eager")
    return Encoder(without_pooler(model, seen.calls_pooler), [2], [3], 64, layers, traits=seen), build(config, "eager")


@pytest.mark.parametrize("name", USABLE)
def test_rows_and_states_are_the_models_own_in_the_way_that_the_probe_has_found(name, layout, batch_of):
    config = USABLE[name]
    seen = seen_of(name)
    assert (seen.unusable, seen.without_rows) == ("", "")
    encoder, model = as_traits_say(config, seen)
    batch = batch_of([layout([[1, 8], [5], [18]], 20)], pad_id=pad_of(config))
    with torch.no_grad():
        encoding = encoder.eval()(batch)[0]
        output = model(batch.input_ids, attention_mask=torch.ones_like(batch.input_ids), output_attentions=True)
    torch.testing.assert_close(encoding.states, output.last_hidden_state[0], rtol=1e-5, atol=2e-6)
    rows = output.attentions[-1][0][:, [1, 8, 5, 18]].transpose(0, 1)
    torch.testing.assert_close(encoding.attention, rows, rtol=1e-5, atol=1e-6)
    assert max(seen.state_difference, seen.row_difference) < 1e-5


@pytest.mark.parametrize("name", USABLE)
def test_what_looks_only_backwards_is_seen_by_its_states(name):
    assert seen_of(name).causal == (name in CAUSAL or name in BACKWARDS)


@pytest.mark.parametrize("name", sorted(CAUSAL | {"qwen3", "modernbert-decoder", "bert as a decoder"}))
def test_rows_of_what_looks_only_backwards_lie_on_what_it_sees(name, layout, batch_of):
    config = USABLE[name]
    encoder, _ = as_traits_say(config, seen_of(name))
    row = encoder(batch_of([layout([[4]], 20)], pad_id=pad_of(config)))[0].attention[0]
    assert (row[:, 5:] == 0).all()
    torch.testing.assert_close(row[:, :5].sum(-1), torch.ones(len(row)))


def test_in_training_a_model_with_attention_dropout_looks_no_less_backwards(layout, batch_of):
    config = deepcopy(CONFIGS["gpt2"])
    config.attn_pdrop, config.resid_pdrop, config.embd_pdrop = 1e-4, 0.0, 0.0  # drops nothing of so few weights
    encoder, model = as_traits_say(config, traits(config))
    batch = batch_of([layout([[4]], 20)])
    torch.manual_seed(0)
    encoding = encoder.train()(batch)[0]
    expected = model(batch.input_ids).last_hidden_state[0]
    torch.testing.assert_close(encoding.states, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", USABLE)
def test_what_lets_padding_into_states_is_seen_even_where_a_fresh_model_hides_it(name):
    assert seen_of(name).alone == (name in PADDED)


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("name", PADDED)
def test_such_a_model_gives_of_a_document_the_same_beside_longer_ones(name, layout, batch_of):
    config = PADDED[name]
    encoder, _ = as_traits_say(config, seen_of(name))
    with torch.no_grad():
        long, short = layout([[1]], 30), layout([[2, 5]], 13)
        together = batch_of([long, short])
        alone = batch_of([short])
        alone.input_ids[:] = together.input_ids[1:, :13]
        beside, by_itself = encoder.eval()(together)[1], encoder(alone)[0]
    torch.testing.assert_close(beside.states, by_itself.states, rtol=0, atol=0)
    torch.testing.assert_close(beside.attention, by_itself.attention, rtol=0, atol=0)


def test_a_model_that_reads_padding_is_not_recorded_with_lengths_filled_up(monkeypatch):
    encoder, _ = as_traits_say(CONFIGS["bert"], Traits(rows="recomputed", alone=True))
    monkeypatch.setattr(encoder.model, "compile", lambda **_: None)
    encoder.compile_model(graphs=True)
    assert (encoder.compiled, encoder.graphs) == (True, False)


@pytest.mark.parametrize("name", CONFIGS)
def test_encoders_that_were_right_are_run_as_they_were(name):
    seen = seen_of(name)
    way = "recomputed" if name in RECOMPUTED else "caught" if name in CAUGHT else "picked"
    assert {*CONFIGS} == RECOMPUTED | CAUGHT | PICKED
    assert (seen.rows, seen.longest, seen.calls_pooler) == (way, 64 if name in {"roberta", "mpnet"} else None, False)
    assert seen.treatment == ({"causal": True} if name in CAUSAL else {})


@pytest.mark.parametrize("name", ["gpt_oss", "gemma2"])
def test_rows_that_fused_attention_does_not_have_are_taken_from_the_models_maps(name):
    # Sinks take a share of every row of the one; the other caps its scores.
    assert seen_of(name).rows == "picked"


def test_recomputed_rows_that_are_not_the_models_own_are_not_used(monkeypatch):
    honest = attention_rows._recomputed_rows
    monkeypatch.setattr(attention_rows, "_recomputed_rows", lambda *a: [row.roll(1, 0) for row in honest(*a)])
    seen = traits(CONFIGS["bert"])
    assert seen.rows == "picked"
    assert seen.treatment == {"rows": "picked"}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=24, num_layers=3, num_heads=2), "a decoder behind it"),
        (BartConfig(vocab_size=50, d_model=16), "a decoder behind it"),
        (DPRConfig(**BERT_LIKE), "gives no states of word pieces, only pooler_output, hidden_states, attentions"),
        (
            NystromformerConfig(**BERT_LIKE, num_landmarks=4, segment_means_seq_len=8),
            "does not run on word pieces alone: RuntimeError: shape",
        ),
    ],
    ids=["t5", "bart", "dpr", "nystromformer"],
)
def test_what_gives_no_states_is_refused_with_its_reason(config, reason):
    assert reason in traits(config).unusable


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (FNetConfig(**SIZES, intermediate_size=24, max_position_embeddings=64), "does not return its attention"),
        (SqueezeBertConfig(**BERT_LIKE, embedding_size=16), "are no weights: some are below 0, or come to more than 1"),
    ],
    ids=["fnet", "squeezebert"],
)
def test_what_gives_states_without_weights_of_attention_is_refused_for_rows_alone(config, reason):
    seen = traits(config)
    assert seen.unusable == ""
    assert reason in seen.without_rows


def test_positions_numbered_from_one_past_the_padding_are_no_part_of_the_window():
    config = deepcopy(CONFIGS["roberta"])
    assert (traits(config, window=66).longest, traits(config, window=66).unusable) == (64, "")
    assert (traits(XmodConfig(**BERT_LIKE, languages=["a"], default_language="a"), window=64).longest) == 62


def test_positions_that_a_configuration_states_and_a_model_does_not_have_are_an_error_before_anything_is_read():
    assert "does not run on 65 word pieces" in traits(CONFIGS["bert"], window=65).unusable


def test_a_model_that_remembers_what_it_has_read_is_held_to_the_window_at_which_it_does_not(monkeypatch):
    class Remembers(torch.nn.Module):
        def forward(self, x):
            self.short = getattr(self, "short", False) or x.shape[1] < 600
            return x if self.short else 2 * x

    def remembering(model, calls_pooler):
        model.embeddings.LayerNorm = torch.nn.Sequential(model.embeddings.LayerNorm, Remembers())
        return without_pooler(model, calls_pooler)

    monkeypatch.setattr("bench.nn.encoder_probe.without_pooler", remembering)
    seen = traits(BertConfig(**BERT_LIKE | {"max_position_embeddings": 2048}), window=2048)
    assert (seen.longest, seen.unusable, seen.rows) == (512, "", "recomputed")


def test_a_probe_leaves_random_numbers_and_the_configuration_as_they_were():
    config = deepcopy(CONFIGS["bert"])
    before, stated = torch.random.get_rng_state(), config.to_dict()
    traits(config)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert config.to_dict() == stated


def test_a_probe_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    seen = traits_of(CONFIGS["mpnet"], 1, 64)
    assert seen == traits(CONFIGS["mpnet"])
    monkeypatch.setattr("bench.nn.encoder_probe.examine", lambda *_: PLAIN)
    assert traits_of(CONFIGS["mpnet"], 1, 64) == seen
    monkeypatch.setattr(encoder_traits, "PROBE_VERSION", 0)
    assert traits_of(CONFIGS["mpnet"], 1, 64) == PLAIN


def test_a_vocabulary_without_special_tokens_is_enough_to_try_a_model_with():
    model = build(CONFIGS["mpnet"], "eager")
    assert Encoder(model, [], [], window=64).row_source == row_source(model, 1, [2, 3])


def test_dropout_attention_takes_a_causal_mask():
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4, generator=random) for _ in range(3))
    mask = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 1, -1, -1)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.7)
    torch.testing.assert_close(dropout_attention(query, key, value, mask, 0.7, 0.0), expected)


def test_the_two_ways_of_having_rows_agree_where_heads_share_keys():
    config = CONFIGS["eurobert"]
    model, own = build(config), build(config, "eager")
    inputs = {"input_ids": torch.arange(5, 25)[None], "attention_mask": None}
    at = [torch.tensor([3, 11])]
    with torch.no_grad():
        _, ours = RecomputedRows(3)(model, dict(inputs), at)
        _, theirs = PickedRows(3)(own, dict(inputs), at)
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine[0], its[0], rtol=0, atol=1e-6)
