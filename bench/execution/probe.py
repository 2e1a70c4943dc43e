"""How long a stage takes per document on this machine: a few steps of its own trainer, on its own documents."""

from __future__ import annotations

import hashlib
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch

from bench.data.catalog.dataset import Dataset
from bench.data.features.cache import PartMaker, features_of
from bench.data.features.feature_file import FeatureFile
from bench.data.formats.chunks import DocumentChunks
from bench.errors import plural
from bench.filesystem import home, read_sealed, write_sealed
from bench.inference.encodings import encoded
from bench.inference.load import encoder_size, reads_words, task_of, untrained
from bench.inference.model_code import model_code
from bench.inference.predict import predict
from bench.inference.reader import Reader
from bench.inference.signals import SignalFile, make_signals
from bench.nn.devices import device_name, this_device
from bench.nn.encoder_source import EncoderSource
from bench.nn.precision import settled_precision
from bench.runs.interrupt import Interrupt
from bench.runs.plan import StagePlan
from bench.training.trainer import Progress, StageData, StageTrainer, Surroundings

PROBE_VERSION = 3
"""Part of every kept pace's key: raise it when a probe measures something else."""
STEPS = 4
SECONDS = 4.0
READ = 8
"""A probe takes this many steps, or as many as fit into the seconds, and evaluates this many documents."""
PIECES = 200
"""Word pieces of a document, near enough to tell how many documents some steps take."""


@dataclass(frozen=True)
class Pace:
    """Seconds per document: of training, of evaluating, and of encoding it once for a frozen encoder."""

    train: float
    read: float
    encode: float = 0.0


class _EnoughError(Exception):
    """Raised out of a trainer when the steps that were wanted are done."""


class _Clock:
    """Listens to a trainer: the seconds of its steps but the first, which makes what is made once."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._at: float | None = None

    def __call__(self, progress: Progress) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if progress.doing != "training":
            self._at = None
            return
        if self._at is not None:
            self.seconds.append(now - self._at)
        self._at = now
        if len(self.seconds) == STEPS or sum(self.seconds) > SECONDS:
            raise _EnoughError


def probed_device() -> str:
    """The device that a run would take; without a GPU with the number of threads."""
    device = this_device()
    threads = "" if device.type == "cuda" else f", {plural(torch.get_num_threads(), 'thread')}"
    return f"{device_name(device)}{threads}"


def pace(
    plan: StagePlan,
    teacher: StagePlan | None,
    dataset: Dataset,
    source: EncoderSource,
    on_probe: Callable[[str], None] = lambda message: None,
) -> Pace:
    """The pace of a stage here: measured now, unless it was before (`home()/probes`).

    Nothing is compiled for it: that would take minutes, and the first passes of a compiled model are not its pace.
    on_probe: is given, in words, what is going to be measured.
    """
    plan, teacher = _uncompiled(plan), teacher and _uncompiled(teacher)
    path = home() / "probes" / f"{_key(plan, teacher)}.json"
    measured = read_sealed(path, "pace")
    if measured is None:
        on_probe(f"a few steps of {plan.model} on {plan.data}")
        failed = f"the pace of {plan.model} on {plan.data} cannot be measured"
        with tempfile.TemporaryDirectory() as scratch, model_code(failed):
            measured = asdict(_measured(plan, teacher, dataset, source, Path(scratch)))
        with suppress(OSError):  # where BENCH_HOME cannot be written, it is measured again next time
            write_sealed(path, "pace", measured)
    return Pace(**measured)


def _uncompiled(plan: StagePlan) -> StagePlan:
    return plan.model_copy(update={"training": plan.training.model_copy(update={"compile": False})})


def _settled(plan: StagePlan, source: EncoderSource, device: torch.device) -> StagePlan:
    return plan.in_precision(settled_precision(plan.training.precision, device, encoder_size(plan, source)))


def _key(plan: StagePlan, teacher: StagePlan | None) -> str:
    """The key of a measured pace: everything that decides how long a step takes; seeds and learning rates do not."""
    content = plan.model_dump(mode="json")
    fields = ("harness", "code", "class_name", "hyperparameters", "freeze", "train_checksum", "signal")
    identity: list[Any] = [PROBE_VERSION, torch.__version__, probed_device(), platform.node()]
    identity += [content[name] for name in (*fields, "encoder_fingerprint", "max_length")]
    apart = {"epochs", "encoder_lr", "head_lr", "warmup", "patience", "select", "select_on"}
    identity.append({name: value for name, value in content["training"].items() if name not in apart})
    identity.append(_key(teacher, None) if teacher else None)
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]


def _measured(
    plan: StagePlan, teacher: StagePlan | None, dataset: Dataset, source: EncoderSource, scratch: Path
) -> Pace:
    device = this_device()
    plan, teacher = _settled(plan, source, device), teacher and _settled(teacher, source, device)
    chunks, training = dataset.chunks(plan.train_split), plan.training
    per_batch = training.tokens_per_batch // PIECES if training.tokens_per_batch else training.batch_size
    count = max(READ, (STEPS + 1) * max(1, per_batch) * training.accumulate)
    documents = list(islice(chain.from_iterable(chunk.documents() for chunk in chunks), count))
    rows = _features(documents, plan, source, scratch / "train")
    few = _features(documents[:READ], plan, source, scratch / "few")
    signals = _signals(plan, teacher, rows, source, device, scratch) if teacher else None
    data = StageData(train=rows, select=few, select_documents=tuple(documents[:READ]), signals=signals)
    reader = _untrained(plan, rows, source, device)
    clock = _Clock()
    surroundings = Surroundings(device, Interrupt(), checkpoint_seconds=1e9, on_progress=clock)
    trainer = StageTrainer(plan, reader.system, source, data, scratch / "stage", surroundings)
    # In a folder of its own: a small data set has no other documents, and they are to be encoded again.
    select, encode = encoded(few, reader, under=scratch / "few"), 0.0  # warms up as well
    times = [time.perf_counter()]
    for _ in range(2 if plan.training.freeze_encoder else 1):  # the second finds them made: what is left is not theirs
        train = encoded(rows, reader, under=scratch)
        times.append(time.perf_counter())
    if plan.training.freeze_encoder:
        encode = max(0.0, times[1] - times[0] - (times[2] - times[1])) / len(rows)
    trainer.data = replace(data, train=train, select=select)
    began = time.perf_counter()
    with suppress(_EnoughError):
        trainer.run()
    # A stage of a single step has no other to go by.
    step = statistics.fmean(clock.seconds or [time.perf_counter() - began])
    per_update = len(rows) / len(trainer.schedule.updates(0))
    began = time.perf_counter()
    predict(reader, trainer.data.select)
    return Pace(step / per_update, (time.perf_counter() - began) / len(few), encode)


def _features(documents: list[Any], plan: StagePlan, source: EncoderSource, folder: Path) -> FeatureFile:
    chunks = DocumentChunks(lambda: documents)
    maker = PartMaker(folder, source.words(), "", plan.relations, plan.max_length, reads_words(plan))
    return features_of(chunks, "", maker)


def _signals(
    plan: StagePlan, teacher: StagePlan, rows: FeatureFile, source: EncoderSource, device: torch.device, scratch: Path
) -> SignalFile:
    """Signals of a teacher that has learnt nothing: they take as long to learn from as any."""
    assert plan.signal is not None
    signals_of = partial(_untrained(teacher, rows, source, device).signals, rows, plan.signal)
    return make_signals(scratch / "signals", rows, signals_of)


def _untrained(stage: StagePlan, rows: FeatureFile, source: EncoderSource, device: torch.device) -> Reader:
    """The model of a stage as it begins without a predecessor, on the device."""
    task = task_of(stage, source, rows.label_rates(len(stage.relations)), rows.entity_types())
    return Reader(untrained(stage, source, task, pretrained=True).to(device), stage, source, device, Interrupt())
