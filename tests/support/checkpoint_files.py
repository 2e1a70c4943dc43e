"""Checkpoints in the form of the authors' programs: those that they made themselves, and ones of small runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from small_encoders import CONFIGS
from small_experiments import execute, plans
from transformers import AutoModel, BertTokenizer

from bench.data.catalog.dataset import Dataset, add_dataset, open_dataset
from bench.data.documents import Document
from bench.data.features.build import build_features
from bench.execution.exported_checkpoint import export_checkpoint
from bench.execution.imported_run import Checkpoint, ImportedRun, import_checkpoint
from bench.inference.load import predictor_of
from bench.nn.encoder_source import tiny_vocabulary
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder

SHARED = "golden/k_checkpoints"
Scored = Mapping[tuple[int, int, int], NDArray]


@dataclass(frozen=True)
class Scores:
    """Of each candidate pair (document, head, tail): its logits, what is decided, and its sentences of evidence."""

    logits: Scored
    decided: Scored
    evidence: Scored

    def of(self, pairs: NDArray) -> tuple[NDArray, NDArray]:
        """The logits and decisions of these pairs [N, 3], in their order."""
        rows = [tuple(pair) for pair in pairs.tolist()]
        return np.stack([self.logits[row] for row in rows]), np.stack([self.decided[row] for row in rows])


def scores_of(out: Path, run: str, documents: Sequence[Document], together: bool = False) -> Scores:
    """What the model of a run gives of documents, one in a batch or all in one."""
    plan = RunFolder(out, run).plan()
    assert plan is not None
    reader = predictor_of(out, plan, Interrupt()).reader
    features = list(build_features(documents, reader.source.words(), plan.relations, plan.stages[0].max_length))
    numbers = np.arange(len(documents))
    logits, decided, evidence = {}, {}, {}
    for scored in reader.batches(features, [numbers] if together else list(numbers[:, None])):
        decisions = reader.system.model.decode(scored.logits)
        ends = [(row, *pair) for row, d in zip(scored.rows, scored.batch.documents, strict=True) for pair in d.pairs]
        keys = [tuple(int(number) for number in end) for end in ends]
        logits |= dict(zip(keys, scored.logits.numpy(), strict=True))
        decided |= dict(zip(keys, decisions.numpy(), strict=True))
        if scored.evidence is not None:
            of_pairs = [of_pair.numpy() for of_document in scored.evidence for of_pair in of_document]
            evidence |= dict(zip(keys, of_pairs, strict=True))
    return Scores(logits, decided, evidence)


class Published:
    """The programs' own checkpoints, and a data set of their documents with its relations in another order."""

    def __init__(self, shared_file: Callable[[str], Path], folder: Path) -> None:
        self.find = lambda name: shared_file(f"{SHARED}/{name}")
        documents, self.relations = self.find("documents.json"), self.find("rel2id.json")
        order = folder / "order.json"
        order.write_text('{"P9006": 1, "P9003": 2, "P9001": 3, "P9005": 4, "P9004": 5, "P9002": 6}')
        splits = dict.fromkeys(("train", "dev", "test"), documents)
        add_dataset("published", splits, relations=[order], force=True, replace=True)
        self.out = folder / "out"

    @property
    def dataset(self) -> Dataset:
        return open_dataset("published")

    def checkpoint(self, model: str, **changes: object) -> Checkpoint:
        program = model.removesuffix("-released")
        return Checkpoint(
            self.find(f"{program}.pt"), model, self.relations, "human", str(self.find("encoder")), 66, changes
        )

    def imported(self, model: str, **changes: object) -> ImportedRun:
        return import_checkpoint(self.out, self.checkpoint(model, **changes), self.dataset)

    def recorded(self, model: str) -> Mapping[str, NDArray]:
        """What the program made of its checkpoint."""
        return np.load(self.find(f"{model.removesuffix('-released')}.npz"), allow_pickle=False)

    def columns(self, numbers: Mapping[str, int]) -> list[int]:
        """Which column of the program's logits each of ours is."""
        return [0, *(numbers[relation] for relation in self.dataset.relations)]


SIZES = {
    "kd_docre": ("axial_layers=2",),
    "kd_docre-released": ("axial_layers=2",),
    "ttmre-released": ("layers=2", "memory=5"),
}
"""What is set of models that would be large."""


def trained(out: Path, model: str, encoder: str = "tiny") -> RunPlan:
    """A small run of a model, trained for an epoch."""
    (plan,) = plans(model, "epochs=1", "encoder_lr=0.01", *SIZES.get(model, ()), encoder=encoder)
    assert not execute(out, [plan])
    return plan


def encoder_folder(kind: str, folder: Path) -> str:
    """A small encoder of a kind, with words of the documents of `small` in its vocabulary."""
    words = (word for d in open_dataset("small").documents("train") for sentence in d.sentences for word in sentence)
    vocabulary = tiny_vocabulary(words)
    config = deepcopy(CONFIGS[kind])
    config.vocab_size = len(vocabulary)
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    AutoModel.from_config(config).save_pretrained(folder)
    return str(folder)


def exported(out: Path, plan: RunPlan, model: str, to: Path) -> Checkpoint:
    """A run's checkpoint, its relations in another order than the data set's, and what is to be said of it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    order = to.parent / "order.json"
    order.write_text('{"Na": 0, "leads": 1, "knows": 2}')
    export_checkpoint(RunFolder.of(out, plan), model, to, order)
    return Checkpoint(to, model, to.parent / "rel2id.json", "human", plan.encoder, 66, {})


def changed(path: Path, change: Callable[[dict[str, torch.Tensor]], object], to: Path) -> Path:
    """A copy of a checkpoint with its tensors changed."""
    tensors = torch.load(path, weights_only=True)
    change(tensors)
    torch.save(tensors, to)
    return to
