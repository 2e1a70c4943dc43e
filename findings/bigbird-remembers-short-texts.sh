#!/usr/bin/env bash
# transformers 5.23.0, BigBird: after one short input the same long input gives other states, in evaluation mode.
#
# Expected: a model in evaluation mode is a function of its input, so that the order of documents does not matter.
# Seen: BigBirdModel begins with block-sparse attention. The first input that is too short for that (768 pieces are enough
# for it with the default blocks, 6 are not) switches the model object to full attention, and it stays there: what it
# gives of a long document depends on whether a short one was read before. A warning is logged; the configuration goes on
# saying block_sparse.
#
#   first long input again after another long one: same states
#   first long input again after a short one:      other states (largest difference 1.5 with these weights)
#   attention_type of the configuration, of the model: block_sparse, original_full
#
# What it means here: rows and scores of a document would depend on the documents before it. The probe of encoders sees
# that (bench/nn/encoder_probe.py, `changes`) and holds such a model to windows of 512 word pieces.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers import BigBirdConfig, BigBirdModel

assert transformers.__version__ == "5.23.0", transformers.__version__
torch.manual_seed(0)
config = BigBirdConfig(
    vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
    max_position_embeddings=1024,
)
model = BigBirdModel(config).eval()
for parameter in model.parameters():
    if parameter.dim() > 1:
        parameter.data.normal_(std=0.3)
long, other, short = (torch.randint(5, 64, (1, length)) for length in (768, 768, 6))


def states(ids):
    with torch.no_grad():
        return model(ids).last_hidden_state


first = states(long)
states(other)
after_long = float((states(long) - first).abs().max())
states(short)
after_short = float((states(long) - first).abs().max())
print(f"after another long input: {after_long:.2g}; after a short one: {after_short:.2g}")
print(f"configuration: {config.attention_type}; model: {model.attention_type}")
if not (after_long < 1e-5 < 1e-3 < after_short and model.attention_type == "original_full"):
    sys.exit("transformers behaves otherwise now")
PYTHON
