"""What a trained memory adds to a pair: how much of each read is memory, and how much that differs between pairs.

    python benchmarks/memory_read.py test.json results/runs/RUN...

The importance of a memory token does not depend on the pair (`ttmre.memory`). So after training all m tokens are, for
each of the r = 2 tokens that are read, one vector c and one number: `Z = (1 - s) c + s u`, where u is a mean of the
pair's own two tokens and s, the share of the two in the softmax, is all that tells how much memory a pair takes. Were s
the same for all pairs, the memory would be a bias. Of all pairs of the documents, for each of the two reads:

- own: s, its 5th, 50th and 95th percentile, percent;
- moved: of what the memory part `(1 - s) c` is, root mean square, how much changes from pair to pair, percent;
- of pairs: of the variance of Z over pairs, how much there is where the memory part is held at its mean, percent.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.inference.finished_run import predict_file
from bench.inference.trust import Trust
from ttmre.memory import MemoryRead


class Watched:
    """What the reads of one run gave, pair by pair; a hook of all modules."""

    def __init__(self) -> None:
        self.own: list[Tensor] = []
        self.of_pair: list[Tensor] = []
        self.constant = torch.empty(0)

    @torch.no_grad()
    def __call__(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if not isinstance(module, MemoryRead):
            return
        (pair,), memory = arguments, module.memory_tokens
        if module.memory_positions is not None and module.pair_positions is not None:
            memory, pair = memory + module.memory_positions, pair + module.pair_positions
        with torch.autocast(pair.device.type, enabled=False):
            of_memory, of_pair = module.importance(memory), module.importance(pair.float())
            self.constant = of_memory.softmax(0).T @ memory  # [r, e]
            everything = torch.cat([of_memory.logsumexp(0).expand(len(pair), 1, -1), of_pair], dim=1).softmax(1)
        weights = everything[:, 1:]  # [P, 2, r]
        self.own.append(weights.sum(1))
        self.of_pair.append(torch.einsum("ptr,pte->pre", weights, pair.float()))

    def rows(self) -> list[str]:
        """A cell of a table for each of the two reads."""
        own, of_pair = torch.cat(self.own), torch.cat(self.of_pair)
        from_memory = (1 - own)[:, :, None] * self.constant
        read = from_memory + of_pair
        cells = []
        for r in range(own.shape[1]):
            low, middle, high = torch.quantile(own[:, r].double(), torch.tensor([0.05, 0.5, 0.95]).double()).tolist()
            mean_square = from_memory[:, r].square().sum(-1).mean()
            moved = (_variance(from_memory[:, r]) / mean_square).sqrt()
            alone = _variance(of_pair[:, r]) / _variance(read[:, r])
            cells.append(
                f"{100 * low:.1f}, {100 * middle:.1f}, {100 * high:.1f} | {100 * moved:.1f} | {100 * alone:.1f}"
            )
        return cells


def _variance(vectors: Tensor) -> Tensor:
    """The mean squared distance of vectors [P, e] from their mean."""
    return (vectors - vectors.mean(0)).square().sum(-1).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    print("| run | pairs | read | own | moved | of pairs |\n|---|---|---|---|---|---|")
    for run in options.runs:
        watched = Watched()
        with tempfile.TemporaryDirectory() as folder, nn.modules.module.register_module_forward_pre_hook(watched):
            predict_file(run, options.documents, Path(folder, "result.json"), Trust(everything=True))
        for name, cells in zip(("head", "tail"), watched.rows(), strict=True):
            print(f"| {run.resolve().name} | {sum(map(len, watched.own)):,} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
