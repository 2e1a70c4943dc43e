"""Whole documents to predicted triples, in turns in one process: as `bench predict` does it, and plainly.

    OMP_NUM_THREADS=1 python benchmarks/predictions.py --documents test.json --count 20

Seconds of the processor, features and weights in memory; medians of `--repeats` rounds after one to warm up, which is
printed too, since oneDNN makes a kernel for every length it has not met. "ours, MKL" leaves float32 products to MKL
(`bench.nn.linear`). The weights of the heads are random, and the threshold class is raised until some triples a
document are above it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from documents import RELATIONS, described, system_of
from speed import MODELS, baselines, named
from steps import formulation

from bench.data import sample
from bench.data.batching import Batch, collate, evaluation_order
from bench.data.documents import Document
from bench.data.features.build import Features, build_features
from bench.data.formats.docred import read_documents
from bench.inference.document_model import DocumentModel
from bench.inference.predict import predict
from bench.inference.reader import Reader
from bench.nn.encoder_source import EncoderSource, find_encoder
from bench.runs.interrupt import Interrupt

BATCH = 4
TRIPLES = 20
"""A document's, about."""


class Rows(list[Features]):
    """Features in memory as `predict` takes them."""

    @property
    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Word pieces of each document."""
        return np.array([len(row) for row in self], dtype=np.int64)


def documents_of(path: Path | None, count: int) -> list[Document]:
    """So many documents, from all over the file."""
    documents = list(read_documents(path) if path else sample.generate(seed=0)["train"])
    return documents[:: max(1, len(documents) // count)][:count]


def predicting(system: DocumentModel, source: EncoderSource, rows: Rows, precision: str) -> int:
    """Predict all documents as `bench predict` does; the number of triples."""
    # Of a stage, what a reader looks at.
    training = SimpleNamespace(batch_size=BATCH, precision=precision)
    stage: Any = SimpleNamespace(training=training, relations=(None,) * RELATIONS, max_length=1024)
    reader = Reader(system, stage, source, torch.device("cpu"), Interrupt())
    return len(predict(reader, rows).document)  # type: ignore[arg-type]


def predicting_by_mkl(system: DocumentModel, source: EncoderSource, rows: Rows) -> int:
    """As `predicting` in float32, every product by MKL."""
    with mock.patch("bench.nn.linear._by_onednn", return_value=False):
        return predicting(system, source, rows, "fp32")


@torch.no_grad()
def predicting_plainly(system: DocumentModel, rows: Rows, which: str, pad_id: int) -> int:
    """As `predicting`, by a plain formulation, in the same batches."""
    system.eval()
    of, triples = formulation(system, which), 0
    for order in evaluation_order(rows.lengths, BATCH):
        batch = collate([rows[int(i)] for i in order], RELATIONS, pad_id)
        triples += int(system.model.decode(of.head(of.pool(of.encode(batch), batch), batch)).sum())
    return triples


@torch.no_grad()
def raise_threshold(system: DocumentModel, batch: Batch) -> None:
    """Add to the threshold class what leaves about `TRIPLES` triples of a document above it."""
    logits = system.eval()(batch)
    margins = (logits[:, 1:] - logits[:, :1]).flatten().sort(descending=True).values
    system.model.classifier.bias[0] += margins[TRIPLES * len(batch.documents)]  # type: ignore[union-attr, index, operator]


def measured(runs: dict[str, Callable[[], int]], repeats: int) -> dict[str, tuple[float, float, int]]:
    """Of each run the seconds of the first time, the median of the others, and how many triples it gave."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    triples = {}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            began = time.process_time()
            triples[name] = run()
            seconds[name].append(time.process_time() - began)
    return {name: (row[0], statistics.median(row[1:]), triples[name]) for name, row in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, help="a DocRED-form file; without it the generated sample")
    parser.add_argument("--count", type=int, default=20, help="of its documents")
    parser.add_argument("--models", default=",".join(MODELS), help="such as atlop,ttmre:layers=1")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    documents = documents_of(options.documents, options.count)
    source = find_encoder(options.encoder, documents)
    relations = sorted({label.relation for document in documents for label in document.labels})
    rows = Rows(build_features(documents, source.words(), relations, 1024))
    everything = collate(rows, RELATIONS, source.pad_id)
    print("| model | formulation | first (s) | then (s) | of ours in float32 | triples |\n|---|---|---|---|---|---|")
    for model in options.models.split(","):
        name, settings = named(model)
        system = system_of(name, source, everything, **settings)
        raise_threshold(system, collate(rows[:BATCH], RELATIONS, source.pad_id))
        runs: dict[str, Callable[[], int]] = {
            "ours": lambda: predicting(system, source, rows, "fp32"),  # noqa: B023
            "ours, bf16": lambda: predicting(system, source, rows, "bf16"),  # noqa: B023
            "ours, MKL": lambda: predicting_by_mkl(system, source, rows),  # noqa: B023
        }
        for which in baselines(model):
            runs[which] = lambda which=which: predicting_plainly(system, rows, which, source.pad_id)  # type: ignore[misc]  # noqa: B023
        found = measured(runs, options.repeats)
        for which, (first, then, triples) in found.items():
            print(
                f"| {model} | {which} | {first:.2f} | {then:.2f} | {then / found['ours'][1]:.2f} | {triples} |",
                flush=True,
            )
    print(f"\n{described(everything)}, torch {torch.__version__}, one thread")


if __name__ == "__main__":
    main()
