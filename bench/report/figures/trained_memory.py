"""Reading the memory of a trained model: the one thing in a report that takes torch, a model and documents."""

from __future__ import annotations

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
    hook = module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0][:, 0].float().cpu()))
    with torch.no_grad(), model_code("its model failed on the test documents"):
        for _ in reader.score(dataset.documents("test")[:DOCUMENTS]):
            pass
    hook.remove()
    return principal(torch.cat(seen).numpy(), tokens.detach().float().cpu().numpy()) if seen else None


def _memory_of(model: nn.Module) -> tuple[nn.Module, Tensor] | None:
    for module in model.modules():
        tokens = getattr(module, "memory_tokens", None)
        if isinstance(tokens, Tensor) and tokens.dim() == 2:
            return module, tokens
    return None
