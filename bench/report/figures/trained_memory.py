"""Reading the memory of a trained model: the one thing in a report that takes torch, a model and documents."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.data.catalog.dataset import open_dataset
from bench.errors import BenchError
from bench.inference.load import predictor_of
from bench.inference.model_code import model_code
from bench.inference.trust import INSTALLED_ONLY, Trust
from bench.report.figures.projection import DOCUMENTS, Projection, principal
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan


def project(out: Path, plan: RunPlan, trust: Trust = INSTALLED_ONLY) -> Projection | None:
    """The memory of a run's model; None where it has none.

    trust: whose code the model may be. Raises BenchError where the model is damaged or gone, or of code that may not be
    run, or the documents are not here.
    """
    reader = predictor_of(out, plan, Interrupt(), trust).reader
    memory = _memory_of(reader.system.model)
    if memory is None:
        return None
    module, tokens = memory
    dataset = open_dataset(plan.dataset)
    if dataset.checksum("test") != plan.test_checksum:
        raise BenchError(f"the test documents of {plan.dataset} here are not those of the run")
    seen: list[Tensor] = []
    read: list[Tensor] = []

    def see(_: nn.Module, arguments: tuple[Tensor, ...], output: object) -> None:
        seen.append(arguments[0][:, 0].float().cpu())
        if isinstance(output, Tensor) and len(output) == len(arguments[0]):
            read.append(output.detach().float().cpu())

    hook = module.register_forward_hook(see)
    with torch.no_grad(), model_code("its model failed on the test documents"):
        for _ in reader.score(dataset.documents("test")[:DOCUMENTS]):
            pass
    hook.remove()
    if not any(map(len, seen)):  # the memory was not read, or no document has a pair
        return None
    between = between_pairs(torch.cat(read)) if len(read) == len(seen) else math.nan
    return principal(torch.cat(seen).numpy(), tokens.detach().float().cpu().numpy(), between)


def between_pairs(read: Tensor) -> float:
    """Of the mean square of what P pairs read, [P, ...], the share that differs from pair to pair; NaN of one pair."""
    read = read.double()
    return math.nan if len(read) < 2 else float((read - read.mean(0)).square().sum() / read.square().sum())


def _memory_of(model: nn.Module) -> tuple[nn.Module, Tensor] | None:
    for module in model.modules():
        tokens = getattr(module, "memory_tokens", None)
        if isinstance(tokens, Tensor) and tokens.dim() == 2:
            return module, tokens
    return None
