"""What a trained memory adds to a pair: how much of a read is memory, and what is lost where all pairs read the same.

    python benchmarks/memory_read.py test.json results/runs/RUN...

The importance of a memory token does not depend on the pair (`ttmre.memory`). So after training all m tokens are, for
each of the r = 2 tokens that are read, one vector c and one number: `Z = (1 - s) c + s u`, where u is a mean of the
pair's own two tokens, and s, the share of the two in the softmax, is all that tells how much memory a pair takes.

own: s in percent, its median and its largest, over all pairs and both reads.   between: of the mean square of Z, how
much differs from pair to pair, percent.   Then all is predicted once more with the mean of Z over all pairs read by
every pair: triples: so many are predicted before and then.   changed: those that are no longer predicted, or newly.
F1: the documents are labelled.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench import api
from bench.errors import BenchError, UsageError
from bench.inference.finished_run import predict_file
from bench.inference.trust import Trust
from bench.metrics.submission import read_submission
from bench.report.figures.trained_memory import between_pairs
from ttmre.memory import MemoryRead

Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]


class Watched:
    """What the reads of one run gave, pair by pair; a hook of all modules.

    own: of each pair the share of its own two tokens in its reads, [P, r] in all.   read: what it read, [P, r, e].
    """

    def __init__(self) -> None:
        self.own: list[Tensor] = []
        self.read: list[Tensor] = []

    @torch.no_grad()
    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], read: Any) -> None:
        if not isinstance(module, MemoryRead):
            return
        (pair,), memory = arguments, module.memory_tokens
        if module.memory_positions is not None and module.pair_positions is not None:
            memory, pair = memory + module.memory_positions, pair + module.pair_positions
        of_memory, of_pair = module.importance(memory), module.importance(pair)
        everything = torch.cat([of_memory.logsumexp(0).expand(len(pair), 1, -1), of_pair], dim=1).softmax(1)
        self.own.append(everything[:, 1:].sum(1).cpu())
        self.read.append(read.float().cpu())


def predicted(run: Path, documents: Path, hook: Hook, trust: Trust) -> tuple[set[tuple[str, int, int, str]], float]:
    """The triples of a run, and their F1, with a hook that sees every module and what it returned."""
    with (
        tempfile.TemporaryDirectory() as folder,
        nn.modules.module.register_module_forward_hook(hook),
    ):
        to = Path(folder, "result.json")
        predict_file(run, documents, to, trust)
        return {row.triple for row in read_submission(to)}, api.evaluate(documents, to).scores["f1"]


def row(run: Path, documents: Path, trust: Trust) -> str:
    """A row of the table. Raises UsageError for a run that has no memory."""
    watched = Watched()
    triples, f1 = predicted(run, documents, watched, trust)
    if not watched.own:
        raise UsageError(f"{run}: nothing was read from a memory")
    own, read = 100 * torch.cat(watched.own), torch.cat(watched.read)
    mean = read.double().mean(0)

    def all_read_the_same(module: nn.Module, arguments: tuple[Any, ...], read: Any) -> Any:
        return mean.expand(read.shape).to(read) if isinstance(module, MemoryRead) else None

    others, f1_of_others = predicted(run, documents, all_read_the_same, trust)
    return (
        f"| {run.resolve().name} | {len(own):,} | {own.median():.2g} | {own.max():.2g} "
        f"| {100 * between_pairs(read):.3g} | {len(triples):,} | {len(others):,} | {len(triples ^ others):,} "
        f"| {f1:.2f} | {f1_of_others:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--trust-code", action="store_true", help="run code that the runs name")
    options = parser.parse_args()
    print("| run | pairs | own: median | largest | between | triples | then | changed | F1 | then |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for run in options.runs:
        try:
            print(row(run, options.documents, Trust(everything=options.trust_code)), flush=True)
        except BenchError as error:
            raise SystemExit(f"memory_read.py: {error}") from None


if __name__ == "__main__":
    main()
