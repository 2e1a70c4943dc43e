"""Encoders of the kinds that matter, a few numbers wide."""

from __future__ import annotations

from copy import deepcopy

import torch
from transformers import (
    AutoModel,
    BertConfig,
    DebertaConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    EuroBertConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
    SplinterConfig,
)

from bench.nn.attention_rows import attention_implementation
from bench.nn.encoder import Encoder

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
BERT_LIKE = SIZES | {"intermediate_size": 24, "max_position_embeddings": 64}
SPECIALS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
DEBERTA_V3 = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "max_relative_positions": -1,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}
"""What microsoft/deberta-v3-large sets, with fewer buckets so that documents of a few pieces reach beyond them."""

CONFIGS = {
    "bert": BertConfig(**BERT_LIKE),
    # Its positions begin after the padding id, 1.
    "roberta": RobertaConfig(**BERT_LIKE | {"max_position_embeddings": 66}),
    "electra": ElectraConfig(**BERT_LIKE, embedding_size=8),
    "distilbert": DistilBertConfig(
        vocab_size=50, dim=16, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=64
    ),
    # Its last but one layer sees a neighbourhood of 2 pieces on each side only.
    "modernbert": ModernBertConfig(
        **BERT_LIKE, pad_token_id=1, cls_token_id=2, sep_token_id=3, local_attention=4, global_attn_every_n_layers=2
    ),
    "mpnet": MPNetConfig(**BERT_LIKE | {"max_position_embeddings": 66}),
    "deberta": DebertaConfig(**BERT_LIKE, relative_attention=True, pos_att_type=["c2p", "p2c"]),
    "deberta-v2": DebertaV2Config(**BERT_LIKE, relative_attention=True, pos_att_type=["c2p", "p2c"]),
    "deberta-v2-xlarge": DebertaV2Config(**BERT_LIKE | DEBERTA_V3, conv_kernel_size=3, conv_act="gelu"),
    "deberta-v3": DebertaV2Config(**BERT_LIKE | DEBERTA_V3),
    "splinter": SplinterConfig(**BERT_LIKE),
    # Two query heads share a key head.
    "eurobert": EuroBertConfig(**BERT_LIKE | {"num_attention_heads": 4, "num_key_value_heads": 2}, **SPECIALS),
    # These look only backwards; the second at most 4 pieces far, in all layers but the last.
    "llama": LlamaConfig(**BERT_LIKE | {"num_attention_heads": 4, "num_key_value_heads": 2}, **SPECIALS),
    "gemma3": Gemma3TextConfig(
        **BERT_LIKE | {"num_key_value_heads": 1, "head_dim": 8, "query_pre_attn_scalar": 8},
        **SPECIALS,
        sliding_window=4,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
    ),
    "gpt2": GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=2, n_inner=24, n_positions=64, **SPECIALS),
}
RECOMPUTED = {"bert", "roberta", "electra", "distilbert", "modernbert", "eurobert", "llama", "gemma3", "gpt2"}
CAUSAL = {"llama", "gemma3", "gpt2"}
SOFTMAX_IN_FLOAT32 = {"modernbert", "splinter", "eurobert", "llama", "gemma3"}
"""Whose own eager attention is no more exact than that, whatever the weights are in."""
CAUGHT = {"mpnet", "deberta", "deberta-v2", "deberta-v2-xlarge", "deberta-v3"}
PICKED = {"splinter"}


def build(config, implementation=None):
    torch.manual_seed(0)
    config = deepcopy(config)  # a model writes its attention into its configuration
    model = AutoModel.from_config(config, attn_implementation=implementation or attention_implementation(config))
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)  # an untrained model attends almost uniformly
    return model.eval()


def encoder_of(config, implementation=None, layers=1, window=64, **options):
    return Encoder(build(config, implementation), [2], [3], window=window, layers=layers, **options)
