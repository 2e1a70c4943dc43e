"""KD-DocRE's released program: its values on two documents, its weights under our names, and matrices of pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from baselines.kd_docre import KdDocRe
from bench.interface import Task
from bench.nn.pooling import Pairs

EXACT = {"rtol": 1e-9, "atol": 1e-12}
LARGEST = 42
"""The released program fills the matrix of every document up to this many entities."""
ENTITIES = (7, 5)
"""Of the two documents of the golden sets."""


def model_of(
    encoder_size: int = 32, relations: int = 96, cls: type[KdDocRe] = KdDocRe, **hyperparameters: int
) -> KdDocRe:
    torch.manual_seed(0)
    hp = cls.Hyperparameters(**{"pair_size": 64, "block_size": 16} | hyperparameters)
    return cls(hp, Task(encoder_size, tuple(f"r{i}" for i in range(relations)), (0.01,) * relations)).double()


def released_weights(golden) -> dict[str, torch.Tensor]:
    """The released program's parameters under our names."""
    theirs = {name[6:]: torch.tensor(golden[name]) for name in golden.files if name.startswith("param.")}
    ours = {
        f"features.{side}.linear.{kind}": theirs.pop(f"{side}_extractor.{kind}")
        for side in ("head", "tail")
        for kind in ("weight", "bias")
    }
    ours["projection.weight"] = theirs.pop("projection.weight").view(32, 4, 16, 16)
    for kind in ("weight", "bias"):
        ours[f"classifier.{kind}"] = theirs.pop(f"classifier.{kind}")
        for i in range(6):
            ours[f"axial.layers.{i}.linear.{kind}"] = theirs.pop(f"axial_transformer.ffns.{i}.{kind}")
            ours[f"axial.layers.{i}.norm.{kind}"] = theirs.pop(f"axial_transformer.lns.{i}.{kind}")
    for i in range(6):
        for axis, along in enumerate(("column", "row")):
            attention = f"axial_transformer.axial_attns.{i}.axial_attentions.{axis}.fn."
            parts = [theirs.pop(f"{attention}{part}.weight") for part in ("to_q", "to_kv")]
            ours[f"axial.layers.{i}.{along}.query_key_value.weight"] = torch.cat(parts)
            for kind in ("weight", "bias"):
                ours[f"axial.layers.{i}.{along}.output.{kind}"] = theirs.pop(f"{attention}to_out.{kind}")
    assert not theirs
    return ours


class Golden:
    """The released program's two documents: its matrices of 42 x 42 pairs, and what it makes of them."""

    def __init__(self, shared_file: Callable[[str], Path], cls: type[KdDocRe] = KdDocRe) -> None:
        self.of = np.load(shared_file("golden/e_head_kd.npz"), allow_pickle=False)
        pooled = np.load(shared_file("golden/d_hrt.npz"), allow_pickle=False)
        self.model = model_of(cls=cls).eval()
        self.model.load_state_dict(released_weights(self.of))
        matrices = {name: torch.zeros(2, LARGEST, LARGEST, 32).double() for name in ("hs", "ts", "rs")}
        inside = torch.zeros(2, LARGEST, LARGEST).bool()
        for document, n in enumerate(ENTITIES):
            inside[document, :n, :n] = True
            for name, matrix in matrices.items():
                matrix[document, :n, :n] = torch.tensor(pooled[f"kd_{name}_doc{document}"])
        heads, tails, contexts = (matrices[name].flatten(0, 2) for name in ("hs", "ts", "rs"))
        cells = torch.arange(len(contexts))
        # Every pair brings its own two entities, since those of the padding have no entity of the document.
        self.padded = Pairs(
            entities=torch.cat([heads, tails]),
            context=contexts,
            head=cells,
            tail=cells + len(cells),
            sizes=(LARGEST**2,) * 2,
            token_attention=(),
            candidates=inside.flatten().nonzero()[:, 0],
        )
        self.off_diagonal = torch.cat([~torch.eye(n).bool().flatten() for n in ENTITIES])
        self.labels = torch.tensor(self.of["labels"][:, 1:]).bool()

    @property
    def own(self) -> Pairs:
        """The pairs of the documents' own entities, without what the program fills their matrices up with."""
        inside = self.padded.candidates
        return replace(
            self.padded,
            context=self.padded.context[inside],
            head=self.padded.head[inside],
            tail=self.padded.tail[inside],
            sizes=tuple(n * n for n in ENTITIES),
            candidates=torch.arange(len(inside)),
        )

    def logits(self) -> torch.Tensor:
        """As the released program has them: those of the diagonal are 0."""
        return torch.where(self.off_diagonal[:, None], self.model(self.padded).detach(), 0.0)


def grids(*entities: int, size: int = 16, seed: int = 0) -> Pairs:
    """Documents of so many entities each, with all their pairs as candidates that are not of the diagonal."""
    random = torch.Generator().manual_seed(seed)
    heads, tails, candidates, first_entity, first_pair = [], [], [], 0, 0
    for n in entities:
        pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n)).view(-1, 2)
        heads.append(pairs[:, 0] + first_entity)
        tails.append(pairs[:, 1] + first_entity)
        candidates.append((pairs[:, 0] != pairs[:, 1]).nonzero()[:, 0] + first_pair)
        first_entity, first_pair = first_entity + n, first_pair + n * n
    drawn = [torch.randn(rows, size, generator=random, dtype=torch.float64) for rows in (first_entity, first_pair)]
    sizes = tuple(n * n for n in entities)
    return Pairs(*drawn, torch.cat(heads), torch.cat(tails), sizes, (), torch.cat(candidates))


def document_of(pairs: Pairs, i: int) -> Pairs:
    """One document of a batch of whole grids."""
    n, rows = math.isqrt(pairs.sizes[i]), slice(sum(pairs.sizes[:i]), sum(pairs.sizes[: i + 1]))
    first = sum(math.isqrt(size) for size in pairs.sizes[:i])
    own = (pairs.candidates >= rows.start) & (pairs.candidates < rows.stop)
    return Pairs(
        entities=pairs.entities[first : first + n],
        context=pairs.context[rows],
        head=pairs.head[rows] - first,
        tail=pairs.tail[rows] - first,
        sizes=(n * n,),
        token_attention=(),
        candidates=pairs.candidates[own] - rows.start,
    )
