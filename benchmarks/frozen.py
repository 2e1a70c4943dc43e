"""An epoch with a frozen encoder, against one that trains it: seconds on real documents, for each model.

    python benchmarks/frozen.py --documents train.json --models atlop,ssrpu,ttmre --steps 12

The same batches in both: `--steps` of those of a first epoch, drawn evenly from it, one step with the encoder and the
same step without it in turn. What the frozen encoder gives is made before, and its time and size are told. An epoch is
the mean step times the number of steps; evaluation is left out on both sides. Seconds are those of the process's CPU,
which on one thread are those of the clock on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from bench.data.batching import collate, training_order
from bench.data.features.cache import PartMaker, features_of
from bench.data.features.feature_file import FeatureFile
from bench.data.formats.chunks import DocumentChunks
from bench.data.formats.docred import read_documents
from bench.inference.document_model import DocumentModel, document_model
from bench.inference.encodings import encoded
from bench.inference.reader import Reader
from bench.interface import Task
from bench.nn.encoder_source import EncoderSource, find_encoder
from bench.registry import find
from bench.runs.interrupt import Interrupt
from bench.runs.plan import StagePlan
from bench.runs.recipe import Training
from bench.training.optimizer import make_optimizer, set_learning_rates

CPU = torch.device("cpu")


def features(path: Path, source: EncoderSource, folder: Path) -> tuple[FeatureFile, list[str]]:
    documents = read_documents(path)
    relations = sorted({label.relation for document in documents for label in document.labels})
    chunks = DocumentChunks(lambda: documents)
    return features_of(
        chunks, "", PartMaker(folder, source.words(), source.fingerprint, tuple(relations), 1024)
    ), relations


def system(model: str, source: EncoderSource, rows: FeatureFile, relations: list[str], frozen: bool) -> DocumentModel:
    cls = find(model).cls
    torch.manual_seed(0)
    task = Task(source.config.hidden_size, tuple(relations), rows.label_rates(len(relations)), len(source.tokenizer))
    return document_model(source, cls(cls.Hyperparameters(), task), pretrained=True, frozen=frozen)


class Stepper:
    """Training steps of one system."""

    def __init__(self, built: DocumentModel, rows: FeatureFile, relations: int, pad_id: int) -> None:
        self.system, self.rows, self.relations, self.pad_id = built, rows, relations, pad_id
        self.optimizer = make_optimizer(built, Training(), ())

    def seconds(self, batch: list[int]) -> float:
        """One step from reading the features to the new weights."""
        began = time.process_time()
        self.system.train()
        set_learning_rates(self.optimizer, 1, 100, 0.06)
        made = collate([self.rows[i] for i in batch], self.relations, self.pad_id)
        logits, inputs = self.system.scored(made)
        torch.stack(list(self.system.model.batch_loss(logits, inputs, made).values())).sum().backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return time.process_time() - began


def measure(model: str, source: EncoderSource, rows: FeatureFile, relations: list[str], steps: int) -> None:
    frozen = system(model, source, rows, relations, frozen=True)
    sizes: list[int] = []
    began = time.process_time()
    stage = StagePlan.model_construct(training=Training(precision="fp32"))
    kept = encoded(rows, Reader(frozen, stage, source, CPU, Interrupt()), lambda done, size: sizes.append(size))
    encoding = time.process_time() - began
    count = len(relations)
    without = Stepper(frozen, kept, count, source.pad_id)
    whole = Stepper(system(model, source, rows, relations, frozen=False), rows, count, source.pad_id)
    order = [batch.tolist() for batch in training_order(rows.lengths, 4, seed=0, epoch=0)]
    chosen = order[:: max(1, len(order) // steps)][:steps]
    for stepper in (whole, without):
        stepper.seconds(chosen[0])  # the first step makes the optimizer's state
    pairs = [(whole.seconds(batch), without.seconds(batch)) for batch in chosen]
    slow, fast = (statistics.fmean(seconds) * len(order) for seconds in zip(*pairs, strict=True))
    print(
        f"| {model} | {slow:.0f} | {fast:.0f} | **{slow / fast:.1f}** | {encoding:.0f} | {sizes[-1] / 1e6:.0f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--models", default="atlop,ssrpu,ttmre")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    source = find_encoder(options.encoder, ())
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["BENCH_HOME"] = scratch
        rows, relations = features(options.documents, source, Path(scratch))
        print("| model | epoch (s) | frozen (s) | times | encoding once (s) | size (MB) |\n|" + "---|" * 6)
        for model in options.models.split(","):
            measure(model, source, rows, relations, options.steps)
    print(f"\n{len(rows)} documents, {torch.get_num_threads()} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
