"""What `gpu.py` checks of a step before it measures any: waits, kernels, repetition, and gradients of CUDA graphs."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gpu_steps import DONE, GRAPHS
from torch._dynamo.utils import counters

from bench.data.batching import Batch

if TYPE_CHECKING:
    from gpu_steps import Bench, Step


def check(bench: Bench, model: str) -> None:
    """Whether a step waits for the GPU, whether it repeats to the bit, and how many kernels it launches."""
    found: dict[str, Any] = {}
    step = bench.step(bench.system(model))
    with bench.kernels:
        bench.kernels.do(step, bench.batches[0])
        if bench.device.type == "cuda":
            found["waits"] = whether_it_waits(lambda: step(bench.batches[1]))
            found |= parts(bench, step, bench.batches[1])
        found["same_bits"] = same_bits(step, bench.batches[0])
    bench.results["checks"][model] = found
    bench.write()
    print(model, found, flush=True)


def whether_it_waits(run: Callable[[], None]) -> str:
    """ "no", or where it does."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        run()
    except RuntimeError as error:
        where = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        return f"{str(error).splitlines()[0]} at {' < '.join(reversed(where[-6:]))}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "no"


def parts(bench: Bench, step: Step, batch: Batch) -> dict[str, dict[str, Any]]:
    """Of each part of a step: milliseconds until the GPU is through with it, and the kernels it launches."""
    rounds: list[dict[str, float]] = []
    for _ in range(5):
        rounds.append({})
        at = time.perf_counter()

        def timed(part: str) -> None:
            nonlocal at
            bench.wait()
            rounds[-1][part], at = 1000 * (time.perf_counter() - at), time.perf_counter()

        step(batch, timed)
    launched, slowest = kernels(lambda: step(batch, ended))
    milliseconds = {part: round(float(np.median([row[part] for row in rounds])), 1) for part in rounds[0]}
    return {"milliseconds": milliseconds, "launched": launched, "slowest": slowest}


def ended(part: str) -> None:
    """Let a profile show that a part is done."""
    with torch.profiler.record_function(DONE + part):
        pass


def kernels(run: Callable[[], None]) -> tuple[dict[str, int], dict[str, float]]:
    """How many each part of a step launches, and the operators that take most time on the GPU (milliseconds)."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        run()
        torch.cuda.synchronize()
    ends = sorted((e.time_range.start, e.name.removeprefix(DONE)) for e in profile.events() if e.name.startswith(DONE))
    launching = ("cudaLaunchKernel", "cuLaunchKernel")  # with their newer forms
    launches = [e.time_range.start for e in profile.events() if e.name.startswith(launching)]
    launched, began = {}, 0.0
    for end, part in ends:
        launched[part] = sum(began <= at < end for at in launches)
        began = end
    taken = {e.key: e.self_device_time_total / 1000 for e in profile.key_averages() if e.key.startswith("aten::")}
    return launched, {name: round(taken[name], 2) for name in sorted(taken, key=lambda name: -taken[name])[:8]}


def gradients_of(step: Step, batch: Batch) -> dict[str, torch.Tensor]:
    """What a pass with one seed leaves."""
    torch.manual_seed(7)
    step.gradients(batch)
    found = {name: p.grad.clone() for name, p in step.system.named_parameters() if p.grad is not None}
    step.optimizer.zero_grad(set_to_none=True)
    return found


def same_bits(step: Step, batch: Batch, times: int = 2) -> bool | list[str]:
    """Whether passes with the same seed leave the same gradients; else the parameters where they differ."""
    first = gradients_of(step, batch)
    for _ in range(times - 1):
        again = gradients_of(step, batch)
        differ = [name for name, grad in first.items() if not torch.equal(grad, again[name])]
        if differ:
            return differ[:5]
    return True


def check_compiled(bench: Bench) -> None:
    """Whether CUDA graphs repeat to the bit, and how far their gradients are from those in float32, without dropout.

    The first pass of a shape is not recorded, the second is, and the others are replayed: all are to be the same, and
    as far from float32 as those of the encoder as it is. `skipped`: of how many graphs torch made none after all.
    """
    found: dict[str, Any] = {"same_bits": [], "off_float32": []}
    with bench.kernels:
        step = bench.step(bench.system("atlop", bench.compiled[GRAPHS]))
        for batch in bench.batches[:3]:
            found["same_bits"].append(same_bits(step, batch, 5))
        still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        graphs = bench.new_encoder(**still)
        graphs.compile_model(graphs=True)
        as_it_is = bench.system("atlop", bench.new_encoder(**still))
        exact, ours = (bench.step(as_it_is, precision=precision) for precision in ("fp32", "bf16"))
        its = bench.step(bench.system("atlop", graphs))
        for batch in [*bench.batches[:3]] * 3:
            right, *others = (gradients_of(s, batch) for s in (exact, ours, its))
            found["off_float32"].append([distance(other, right) for other in others])
    found["skipped"] = counters["inductor"]["cudagraph_skips"] if bench.device.type == "cuda" else "all: no GPU"
    bench.results["checks"][GRAPHS] = found
    bench.write()
    print(GRAPHS, found, f" [{bench.left():.0f} s left]", flush=True)


def distance(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> dict[str, float]:
    """Relative to the others: of all gradients together, and the median parameter's."""
    off = {name: float((some[name] - other).double().norm()) for name, other in others.items()}
    size = {name: float(other.double().norm()) for name, other in others.items()}
    together = float(np.hypot.reduce(list(off.values())) / np.hypot.reduce(list(size.values())))
    median = float(np.median([off[name] / max(size[name], 1e-30) for name in off]))
    return {"together": round(together, 5), "median": round(median, 5)}
