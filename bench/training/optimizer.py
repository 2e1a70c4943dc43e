"""AdamW with two learning rates, warmed up and decayed linearly."""

from __future__ import annotations

import math

import torch
from torch import nn

from bench.inference.document_model import DocumentModel
from bench.interface import Training


def make_optimizer(system: DocumentModel, training: Training, frozen: tuple[str, ...]) -> torch.optim.AdamW:
    """Two groups, the encoder's rate and the new layers'. Parameters of the model named in `frozen` stay as they are.

    Raises ValueError for a name that no parameter begins with: a misspelt freeze would train what should not be.
    """
    for prefix in (*frozen, *system.model.at_encoder_rate):
        if not any(name.startswith(prefix) for name, _ in system.model.named_parameters()):
            raise ValueError(f"{type(system.model).__name__} has no parameter whose name begins with {prefix!r}")
    slow: list[nn.Parameter] = []
    fast: list[nn.Parameter] = []
    for name, parameter in system.model.named_parameters():
        if frozen and name.startswith(frozen):
            parameter.requires_grad_(False)
        else:
            (slow if name.startswith(system.model.at_encoder_rate or ("\0",)) else fast).append(parameter)
    if system.encoder is not None:
        slow += [parameter for parameter in system.encoder.parameters() if parameter.requires_grad]
    groups = [{"params": slow, "peak": training.encoder_lr}, {"params": fast, "peak": training.head_lr}]
    # Fused: one kernel for all parameters, where the plain loop takes a tenth of a small model's step.
    return torch.optim.AdamW(groups, lr=0.0, eps=training.adam_epsilon, weight_decay=training.weight_decay, fused=True)


def set_learning_rates(optimizer: torch.optim.Optimizer, step: int, steps: int, warmup: float) -> dict[str, float]:
    """Set the rates of update `step` (from 0) of `steps`: up to the peak over the warm-up, then down to 0."""
    ramp = math.ceil(steps * warmup)
    share = step / ramp if step < ramp else (steps - step) / max(1, steps - ramp)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    return dict(zip(("encoder_lr", "head_lr"), (group["lr"] for group in optimizer.param_groups), strict=True))
