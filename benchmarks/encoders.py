"""Which architectures of transformers can be encoders here: a table, from small models with random weights.

    python benchmarks/encoders.py > table.md

Each is probed as the harness probes an encoder before anything is planned with it (`bench.nn.encoder_probe`). What the
probe takes then encodes three documents of different length side by side, as on a GPU, and the largest differences of
states and attention rows from the model's own eager output for each document by itself are printed.
"""

from __future__ import annotations

import sys
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModel, PreTrainedConfig
from transformers.utils import logging

from bench.data.batching import Batch, DocumentLayout
from bench.nn.attention_rows import ATTENTION
from bench.nn.encoder import Encoder
from bench.nn.encoder_probe import examine, fill, in_short, without_pooler
from bench.nn.encoder_traits import Traits

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
EXPERTS = GROUPED | {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
FROM_ONE = {"pad_token_id": 1, "max_position_embeddings": 130}
"""Of those that number positions from one past the padding."""
WITHOUT = {"funnel": ("num_hidden_layers",), "xlnet": ("max_position_embeddings",)}
"""Sizes that a configuration does not let be set."""

ARCHITECTURES: dict[str, dict[str, Any]] = {
    # Encoders of text.
    "albert": {"embedding_size": 16},
    "bert": {},
    "bert-generation": {},
    "big_bird": {"attention_type": "block_sparse", "max_position_embeddings": 1024},
    "bros": {},
    "camembert": FROM_ONE,
    "canine": {},
    "convbert": {"embedding_size": 16},
    "data2vec-text": FROM_ONE,
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8},
    "distilbert": {},
    "dpr": {},
    "electra": {"embedding_size": 16},
    "ernie": {},
    "esm": {"position_embedding_type": "rotary", "mask_token_id": 4},
    "eurobert": GROUPED,
    "flaubert": {"emb_dim": 32, "n_layers": 3, "n_heads": 4},
    "fnet": {},
    "funnel": {"d_head": 8, "block_sizes": [1, 1]},
    "gte": {},
    "ibert": FROM_ONE,
    "jina_embeddings_v3": {},
    "layoutlm": {},
    "layoutlmv3": FROM_ONE | {"coordinate_size": 4, "shape_size": 8},
    "lilt": FROM_ONE | {"hidden_size": 48},
    "longformer": FROM_ONE | {"attention_window": 4},
    "luke": FROM_ONE | {"entity_vocab_size": 10, "entity_emb_size": 16},
    "markuplm": FROM_ONE,
    "megatron-bert": {},
    "mobilebert": {"embedding_size": 16, "true_hidden_size": 16, "intra_bottleneck_size": 16},
    "modernbert": {"cls_token_id": 2, "sep_token_id": 3, "local_attention": 8},
    "mpnet": FROM_ONE,
    "mra": {},
    "nomic_bert": {},
    "nystromformer": {},
    "openai_privacy_filter": GROUPED | {"num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 4},
    "perceiver": {},
    "reformer": {
        "axial_pos_embds": False,
        "attention_head_size": 8,
        "feed_forward_size": 48,
        "lsh_attn_chunk_length": 16,
    }
    | {"local_attn_chunk_length": 16, "num_buckets": 2},
    "rembert": {"input_embedding_size": 16},
    "roberta": FROM_ONE,
    "roberta-prelayernorm": FROM_ONE,
    "roc_bert": {},
    "roformer": {"embedding_size": 32},
    "splinter": {},
    "squeezebert": {"embedding_size": 32},
    "tapas": {},
    "ultrabert": GROUPED,
    "visual_bert": {},
    "xlm": {"emb_dim": 32, "n_layers": 3, "n_heads": 4},
    "xlm-roberta": FROM_ONE,
    "xlm-roberta-xl": FROM_ONE,
    "xlnet": {"d_head": 8},
    "xmod": FROM_ONE | {"languages": ["en"], "default_language": "en"},
    "yoso": {},
    "clip_text_model": {},
    "gemma3_text (both ways)": GROUPED | {"use_bidirectional_attention": True, "sliding_window": 8},
    # Encoders that a decoder stands behind.
    "bart": {},
    "led": {},
    "m2m_100": {},
    "mbart": {},
    "mt5": {},
    "pegasus": {},
    "t5": {},
    "umt5": {},
    # Decoders, which look only backwards.
    "bert (is_decoder)": {"is_decoder": True},
    "biogpt": {},
    "bloom": {},
    "codegen": {"rotary_dim": 4},
    "cohere": GROUPED,
    "ctrl": {"dff": 48},
    "falcon": {},
    "gemma": GROUPED,
    "gemma2": GROUPED | {"sliding_window": 8},
    "gemma3_text": GROUPED | {"sliding_window": 8},
    "glm4": GROUPED,
    "gpt2": {},
    "gpt_bigcode": {},
    "gpt_neo": {
        "attention_types": [[["global", "local", "global"], 1]],
        "num_layers": 3,
        "num_heads": 4,
        "window_size": 8,
    },
    "gpt_neox": {},
    "gpt_oss": GROUPED | {"num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 8},
    "gptj": {"rotary_dim": 4},
    "granite": GROUPED,
    "helium": GROUPED,
    "llama": GROUPED,
    "mamba": {},
    "mistral": GROUPED | {"sliding_window": 8},
    "mixtral": EXPERTS,
    "modernbert-decoder": {"cls_token_id": 2, "sep_token_id": 3, "local_attention": 8},
    "mpt": {},
    "nemotron": GROUPED,
    "olmo2": GROUPED,
    "openai-gpt": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "phi": {},
    "phi3": GROUPED,
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "qwen3_moe": EXPERTS,
    "rwkv": {},
    "smollm3": GROUPED,
    "stablelm": GROUPED,
    "starcoder2": GROUPED,
    "xglm": {"ffn_dim": 48, "attention_heads": 4, "num_layers": 3},
}


@dataclass(frozen=True)
class Line:
    """A line of the table. differences: of states and rows, None for what is refused."""

    architecture: str
    verdict: str
    how: str
    differences: tuple[float, float] | None


def config_of(name: str) -> PreTrainedConfig:
    cls = CONFIG_MAPPING[name.split(" (")[0]]
    sizes = {size: value for size, value in (SIZES | ARCHITECTURES[name]).items() if size not in WITHOUT.get(name, ())}
    config: PreTrainedConfig = cls(**sizes)
    if name == "funnel":
        config.architectures = ["FunnelModel"]
    return config


def documents(pad_id: int) -> Batch:
    """Three documents of different length with markers in them, padded with `pad_id`."""
    lengths, random = (20, 13, 30), torch.Generator().manual_seed(0)
    ids, mask = torch.full((3, 30), pad_id), torch.zeros(3, 30, dtype=torch.long)
    layouts = []
    for row, length in enumerate(lengths):
        ids[row, :length], mask[row, :length] = torch.randint(5, 60, (length,), generator=random), 1
        at = torch.tensor([2, length // 2, length - 2])
        entity, none = torch.arange(3), torch.zeros(0, 2, dtype=torch.long)
        layouts.append(DocumentLayout("", length, 3, entity, at, at + 1, none, torch.tensor([[1, length - 1]])))
    return Batch(ids, mask, tuple(layouts), torch.zeros(0, 1, dtype=torch.bool), ())


@torch.no_grad()
def differences(config: PreTrainedConfig, traits: Traits) -> tuple[float, float]:
    """Of an encoder with random weights from its model's own eager output: states (relative to the largest), rows."""
    torch.manual_seed(0)
    own = AutoModel.from_config(deepcopy(config), attn_implementation="eager")
    fill(own)
    own = without_pooler(own, traits.calls_pooler).eval()
    implementation = ATTENTION if traits.rows == "recomputed" else "eager"
    model = without_pooler(
        AutoModel.from_config(deepcopy(config), attn_implementation=implementation), traits.calls_pooler
    )
    model.load_state_dict(own.state_dict())
    encoder = Encoder(model.eval(), [2], [3], 128, traits=traits).eval()
    batch = documents(config.pad_token_id or 0)
    with mock.patch("bench.nn.encoder._together", lambda lengths, device, worth: [slice(0, len(lengths))]):
        encodings = encoder(batch)
    states = rows = 0.0
    for row, (document, encoding) in enumerate(zip(batch.documents, encodings, strict=True)):
        ids = batch.input_ids[row : row + 1, : document.length]
        output = own(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True)
        expected, at = output.last_hidden_state[0], document.mention_position
        apart = (encoding.states - expected).abs().max() / expected.abs().max()
        maps = output.attentions[-1][0][:, at].transpose(0, 1)
        states, rows = max(states, float(apart)), max(rows, float((encoding.attention - maps).abs().max()))
    return states, rows


def line_of(name: str) -> Line:
    try:
        config = config_of(name)
    except Exception as error:
        return Line(name, "not tried", in_short(error), None)
    pad_id = config.pad_token_id or 0
    positions = (SIZES | ARCHITECTURES[name])["max_position_embeddings"]
    traits = examine(config, pad_id, positions - pad_id - 1 if pad_id else positions)
    if traits.unusable:
        return Line(name, "refused", traits.unusable, None)
    if traits.without_rows:
        return Line(name, "refused, but for its states", traits.without_rows.split("\n")[0], None)
    verdict = "works, one window at a time" if traits.alone else "works"
    try:
        far = differences(config, traits)
    except Exception as error:
        return Line(name, "fails", in_short(error), None)
    return Line(name, verdict + (", causal" if traits.causal else ""), traits.rows, far)


def main() -> None:
    logging.set_verbosity_error()
    lines = []
    for name in ARCHITECTURES:
        print(name, file=sys.stderr, flush=True)
        lines.append(line_of(name))
    print(f"{len(lines)} architectures, transformers {transformers.__version__}, torch {torch.__version__}\n")
    print("| architecture | | attention rows, or why not | states | rows |\n|---|---|---|--:|--:|")
    for line in lines:
        far = ("", "") if line.differences is None else tuple(f"{x:.0e}" for x in line.differences)
        print(f"| {line.architecture} | {line.verdict} | {line.how} | {far[0]} | {far[1]} |")
    counts = Counter(line.verdict for line in lines)
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    known = [line.differences for line in lines if line.differences]
    print(f"largest difference of states {max(x for x, _ in known):.0e}, of rows {max(x for _, x in known):.0e}")


if __name__ == "__main__":
    main()
