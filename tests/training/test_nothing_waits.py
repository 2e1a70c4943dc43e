"""On a GPU the host must run ahead: nothing in a training step may read a number back from the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sample_documents import sample_splits
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data import sample
from bench.data.batching import collate
from bench.data.features.build import build_features
from bench.inference.document_model import document_model
from bench.interface import Task, Training
from bench.nn.encoder_source import find_encoder
from bench.registry import find
from bench.training.optimizer import make_optimizer

RELATIONS = sorted(sample.RELATIONS)
TOKEN_MODELS = ["bran", "pubmedbert", "pubmedbert-bran"]
MODELS = ["atlop", "ssrpu", "kd_docre", "kd_docre-released", "dreeam", "ttmre", "ttmre-released", *TOKEN_MODELS]
READS_BACK = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "unique", "repeat_interleave")


class ReadingBack(TorchDispatchMode):
    """Notes the operations whose result, or its size, the host would have to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = [x for x in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()) if x is not None]
        by_mask = name.startswith("index") and any(isinstance(x, Tensor) and x.dtype == torch.bool for x in masks)
        if by_mask or name.startswith(READS_BACK):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


# Windows one at a time (for encoders that let padding into states) are the encoder's matter, whatever the model.
@pytest.mark.parametrize(
    ("name", "together"), [*((name, True) for name in MODELS), ("atlop", False)], ids=[*MODELS, "one window at a time"]
)
@pytest.mark.parametrize("share", [1.0, 0.7], ids=["one window", "two windows"])
def test_no_step_waits_for_the_device(name, together, share, monkeypatch):
    if together:  # as on a GPU
        monkeypatch.setattr("bench.nn.encoder._together", lambda lengths, device, worth: [slice(0, len(lengths))])
    documents = sample_splits()["train"][:3]
    source = find_encoder("tiny", documents)
    batch = collate(list(build_features(documents, source.words(), RELATIONS, 512)), len(RELATIONS), source.pad_id)
    cls = find(name).cls
    sizes = {} if name in TOKEN_MODELS else {"pair_size": 64, "block_size": 16}
    task = Task(source.config.hidden_size, tuple(RELATIONS), (0.01,) * len(RELATIONS), len(source.tokenizer))
    system = document_model(source, cls(cls.Hyperparameters(**sizes), task), pretrained=True)
    if system.encoder is not None:
        system.encoder.window = int(share * max(d.length for d in batch.documents))
    optimizer = make_optimizer(system, Training(), ())
    with ReadingBack() as reading:
        logits, inputs = system.train().scored(batch)
        torch.stack(list(system.model.batch_loss(logits, inputs, batch).values())).sum().backward()
        nn.utils.clip_grad_norm_(list(system.parameters()), 1.0)
    optimizer.step()  # fused on the GPU; on the CPU it may look at what it likes
    assert reading.seen == []


def test_what_would_wait_is_seen():
    values = torch.tensor([1.0, -1.0])
    with ReadingBack() as reading:
        values[values > 0].sum().item()
    assert reading.seen == ["index", "_local_scalar_dense"]
