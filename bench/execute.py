"""Carrying out planned runs in this process. Several processes may work on one output folder: locks divide the work."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from bench.data.cache import features_of, usable_processes
from bench.data.catalog import Dataset, open_dataset
from bench.data.documents import names_in
from bench.data.feature_file import FeatureFile
from bench.errors import BenchError, UsageError
from bench.evaluation import split_record
from bench.failures import explain
from bench.filesystem import home, write_json
from bench.interface import PairModel, Task
from bench.metrics.submission import write_submission
from bench.nn.load import EncoderSource, find_encoder
from bench.plan import SPLIT_OF, RunPlan, StagePlan
from bench.predicting import Predictor, Reading
from bench.records import RunFolder, RunRecord, StageRecord
from bench.registry import code_version, find
from bench.scores import scores_path
from bench.training.checkpoint import Checkpoints, load_tensors
from bench.training.encodings import in_bytes
from bench.training.interrupt import Interrupt, Interrupted
from bench.training.signals import SIGNAL_VERSION, SignalFile, make_signals
from bench.training.stage import (
    SELECTED,
    Progress,
    StageData,
    StageTrainer,
    assemble,
    finish_stage,
    selected_is_intact,
    stage_result,
    step_seed,
)
from bench.training.system import DocumentModel

# cuBLAS repeats a product to the bit only with a workspace of fixed size, asked for before it starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

POLL_SECONDS = 0.3
MODEL_STREAM = 1 << 32
"""Where the randomness of a model's first weights comes from: no update of a stage has this number."""

Listener = Callable[[RunFolder, dict[str, Any]], None]


@dataclass
class Materials:
    """What the runs of one (data set, encoder, length) share: documents, features, encoder."""

    dataset: Dataset
    source: EncoderSource
    max_length: int

    def features(self, split: str) -> FeatureFile:
        """The cached features of a split, built the first time anyone asks."""
        return features_of(
            self.dataset.chunks(split),
            self.dataset.checksum(split),
            self._words,
            self.source.fingerprint,
            self.dataset.relations,
            self.max_length,
            home() / "features",
            usable_processes(),
        )

    @cached_property
    def _words(self) -> Any:
        return self.source.words()

    def label_rates(self, split: str) -> tuple[float, ...]:
        """The share of the split's candidate pairs that carry each label, a pair's label counted once."""
        return self.features(split).label_rates(len(self.dataset.relations))


class Bench:
    """Executes runs one after another, keeping what they share in memory."""

    def __init__(self, out: Path, interrupt: Interrupt, listener: Listener, checkpoint_seconds: float = 60.0) -> None:
        self.out, self.interrupt, self.listener = out, interrupt, listener
        self.checkpoint_seconds = checkpoint_seconds
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._materials: dict[tuple[str, str, int], Materials] = {}

    def execute(self, plans: Sequence[RunPlan], until: str | None = None) -> list[RunPlan]:
        """Do every run that nobody has done; the ones that failed. Raises `Interrupted`.

        until: the folder of a stage after which to stop, without evaluating.
        A run or stage that another process is at is put off, and looked at again when there is nothing else to do.
        """
        waiting, failed = list(plans), []
        while waiting:
            postponed = []
            for plan in waiting:
                self.interrupt.check()
                outcome = self._attempt(plan, until)
                if outcome == "busy":
                    postponed.append(plan)
                elif outcome == "failed":
                    failed.append(plan)
            if len(postponed) == len(waiting):
                time.sleep(POLL_SECONDS)
            waiting = postponed
        return failed

    def _attempt(self, plan: RunPlan, until: str | None) -> str:
        folder = RunFolder.of(self.out, plan)
        if folder.record() is not None:
            return "done"
        try:
            with FileLock(folder.path / "lock", blocking=False):
                if folder.record() is None:  # not finished by another process since
                    self._run(plan, folder, until)
                return "done"
        except Timeout:
            return "busy"
        except Interrupted:
            self._tell(folder, state="interrupted")
            raise
        except Exception as error:
            message = explain(error)
            try:
                folder.write_error(message, traceback.format_exc())
                self._tell(folder, state="failed", error=message)
            except OSError as unwritable:  # a full disk takes no error either
                print(f"bench: {folder.name}: {message}\n(not written down: {unwritable})", file=sys.stderr, flush=True)
            return "failed"

    def _run(self, plan: RunPlan, folder: RunFolder, until: str | None) -> None:
        folder.clear_error()
        began, started = time.monotonic(), datetime.now(UTC)
        materials = self._materials_of(plan)
        _check_unchanged(plan, materials)
        stages = []
        for stage in plan.stages:
            stages.append(self._stage(stage, plan.stage_before(stage), materials, folder))
            if stage.folder == until:
                return
        record = self._evaluate(plan, materials, stages, folder)
        write_json(folder.path / "provenance.json", _provenance(self.device, started, time.monotonic() - began), 1)
        folder.write_record(record)
        self._tell(folder, state="finished", result=record.headline, seconds=time.monotonic() - began)

    def _materials_of(self, plan: RunPlan) -> Materials:
        key = (plan.dataset, plan.encoder, plan.stages[0].max_length)
        if key not in self._materials:
            dataset = open_dataset(plan.dataset)
            source = find_encoder(plan.encoder, dataset.documents("train"))
            self._materials[key] = Materials(dataset, source, plan.stages[0].max_length)
        return self._materials[key]

    def _stage(self, plan: StagePlan, before: StagePlan | None, materials: Materials, run: RunFolder) -> StageRecord:
        """Train a stage, from the weights or signals of `before`, unless it has been: it may be another run's too."""
        folder = stage_folder(self.out, plan)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", blocking=False):
            if stage_result(folder) is None or not selected_is_intact(folder):
                self._train(plan, before, folder, materials, run)
            result = stage_result(folder)
            if result is None:
                raise BenchError(f"the model of {folder} could not be read back after training")
            Checkpoints(folder / "checkpoints").drop()
        return StageRecord(
            key=plan.key,
            data=plan.data,
            dev_f1=result["dev_f1"],
            selected_epoch=result["selected_epoch"],
            documents=result["documents"],
            mentions_cut=result["mentions_cut"],
        )

    def _train(
        self, plan: StagePlan, before: StagePlan | None, folder: Path, materials: Materials, run: RunFolder
    ) -> None:
        self._tell(run, state="running", stage=plan.data, doing="reading documents")
        data = StageData(
            train=materials.features(SPLIT_OF[plan.data]),
            select=materials.features(plan.training.select_on),
            select_documents=materials.dataset.documents(plan.training.select_on),
            signals=self._signals(plan, before, materials, run) if plan.signal and before else None,
        )
        write_json(folder / "stage.json", plan.model_dump(mode="json"), 1)
        materials.source.save(folder / "encoder")
        last_told, began = 0.0, None

        def on_progress(progress: Progress) -> None:
            nonlocal last_told, began
            now = time.monotonic()
            began = began or (now, progress.step)
            if now - last_told > POLL_SECONDS or progress.step == progress.steps:
                last_told = now
                pace = (now - began[0]) / max(1, progress.step - began[1])
                eta = pace * (progress.steps - progress.step) if progress.step > began[1] else None
                self._tell(run, state="running", stage=plan.data, eta=eta, **vars(progress))

        start = load_tensors(stage_folder(self.out, before) / SELECTED)[0] if plan.after and before else None
        task = task_of(plan, materials.source, materials.label_rates(SPLIT_OF[plan.data]))
        trainer = StageTrainer(
            plan,
            build_model(plan, task),
            materials.source,
            data,
            folder,
            start,
            self.device,
            self.interrupt,
            on_progress,
            self.checkpoint_seconds,
        )
        if plan.training.freeze_encoder:
            reading = Reading(trainer.system, plan, materials.source, self.device, self.interrupt)
            train, select = (self._encoded(split, reading, run, plan.data) for split in (data.train, data.select))
            trainer.data = replace(data, train=train, select=select)
        finish_stage(plan, folder, trainer.run(), data)

    def _encoded(self, features: FeatureFile, reading: Reading, run: RunFolder, stage: str) -> FeatureFile:
        """`features` as a system reads them: with what its encoder gives of them, where that is frozen and kept."""

        def told(done: int, size: int) -> None:
            doing = f"encoding once and for all: {in_bytes(size)}"
            self._tell(run, state="running", stage=stage, step=done, steps=len(features), doing=doing)

        return reading.encoded(features, told)

    def _signals(self, student: StagePlan, teacher: StagePlan, materials: Materials, run: RunFolder) -> SignalFile:
        """What the teacher says of the student's documents, made here unless it has been."""
        assert student.signal is not None
        reading = self._reading(teacher, materials)
        features = self._encoded(materials.features(SPLIT_OF[student.data]), reading, run, student.data)
        speak = partial(reading.signals, features, student.signal)

        def told(done: int) -> None:
            status = {"step": done, "steps": len(features), "doing": f"{student.signal} of the teacher"}
            self._tell(run, state="running", stage=student.data, **status)

        folder = signal_folder(self.out, student)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", blocking=False):
            return make_signals(folder, features, speak, told)

    def _evaluate(self, plan: RunPlan, materials: Materials, stages: list[StageRecord], folder: RunFolder) -> RunRecord:
        last = plan.stages[-1]
        predictor = Predictor.of(plan, self._reading(last, materials))
        dataset, model = materials.dataset, predictor.reading.system.model
        names = names_in(dataset.documents("dev")) | names_in(dataset.documents("test"))
        facts, distant_facts = dataset.facts(), dataset.distant_facts(names)
        self._tell(folder, state="running", stage="evaluation", doing="evaluating dev")
        decision = model.decision() | predictor.tune(dataset.documents(last.training.select_on))
        splits = {}
        for split in ("dev", "test"):
            self._tell(folder, state="running", stage="evaluation", doing=f"evaluating {split}")
            documents, features = dataset.documents(split), materials.features(split)
            if predictor.inference is None:
                features = self._encoded(features, predictor.reading, folder, "evaluation")
            keeper = predictor.keeper(documents)
            found = predictor.predict(documents, features, decision, keeper)
            write_submission(folder.path / f"predictions-{split}.json", found)
            keeper.write(scores_path(folder.path, split))
            if dataset.is_labelled(split):
                splits[split] = split_record(
                    found, documents, facts, distant_facts, features.mentions_cut, model.predicts_evidence
                )
        return RunRecord(
            key=plan.key,
            configuration=plan.configuration,
            model=plan.model,
            variant=plan.variant,
            dataset=plan.dataset,
            setting=plan.setting,
            encoder=plan.encoder,
            seed=plan.seed,
            facts=dataset.facts_source(),
            stages=stages,
            splits=splits,
            decision=decision,
        )

    def _reading(self, stage: StagePlan, materials: Materials) -> Reading:
        system = load_system(self.out, stage, materials.source, self.device)
        return Reading(system, stage, materials.source, self.device, self.interrupt)

    def _tell(self, folder: RunFolder, **status: Any) -> None:
        status |= {"time": time.time(), "pid": os.getpid(), "host": platform.node(), **_job()}
        folder.write_status(status)
        self.listener(folder, status)


def build_model(plan: StagePlan, task: Task) -> PairModel:
    """The model of a stage with its first weights, which the seed decides."""
    cls = find(plan.reference).cls
    torch.manual_seed(step_seed(plan.seed, plan.position, MODEL_STREAM))
    return cls(cls.Hyperparameters(**plan.hyperparameters), task)


def load_system(out: Path, plan: StagePlan, source: EncoderSource, device: torch.device) -> DocumentModel:
    """The selected model of a finished stage. Raises `DamagedFileError`."""
    folder = stage_folder(out, plan)
    weights, _ = load_tensors(folder / SELECTED)
    # Rates only matter to a loss; any will do for predicting.
    model = build_model(plan, task_of(plan, source, (0.0,) * len(plan.relations)))
    system = assemble(source, model, pretrained=False, frozen=plan.training.freeze_encoder)
    system.load_state_dict(weights)
    return system.to(device)


def task_of(plan: StagePlan, source: EncoderSource, label_rates: tuple[float, ...]) -> Task:
    """What the model of a stage is built for."""
    return Task(source.config.hidden_size, plan.relations, label_rates, vocabulary=len(source.tokenizer))


def stage_folder(out: Path, plan: StagePlan) -> Path:
    """Where a stage's log, checkpoints and selected model are."""
    return out / "stages" / plan.folder


def signal_folder(out: Path, student: StagePlan) -> Path:
    """Where the signals are that a stage learns from: those of a teacher on some documents, whoever the student is."""
    identity = json.dumps([SIGNAL_VERSION, student.teacher, student.signal, student.train_checksum])
    return out / "signals" / f"{student.signal}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def announce(out: Path, plans: Iterable[RunPlan]) -> None:
    """Write all plans down before any is carried out."""
    for plan in plans:
        RunFolder.of(out, plan).announce(plan)


def _check_unchanged(plan: RunPlan, materials: Materials) -> None:
    """Data, encoder and code must be those that were planned with: the run's key says so. Raises UsageError."""
    dataset = materials.dataset
    same = {
        "the dev documents": dataset.checksum("dev") == plan.dev_checksum,
        "the test documents": dataset.checksum("test") == plan.test_checksum,
        "the facts for Ign F1": dataset.facts_source()["sha256"] == plan.facts_checksum,
    }
    for stage in plan.stages:
        same |= {
            f"the {stage.data} documents": dataset.checksum(SPLIT_OF[stage.data]) == stage.train_checksum,
            f"the {stage.training.select_on} documents": (
                dataset.checksum(stage.training.select_on) == stage.select_checksum
            ),
            "the relations": dataset.relations == stage.relations,
            f"the encoder {plan.encoder!r}": materials.source.fingerprint == stage.encoder_fingerprint,
            f"the code of {stage.model}": code_version(find(stage.reference).cls) == stage.code,
        }
    changed = [what for what, holds in same.items() if not holds]
    if changed:
        raise UsageError(
            f"changed since this run was planned: {', '.join(changed)} (data set {plan.dataset!r}). "
            "Run the same command again to plan it anew"
        )


def _job() -> dict[str, str]:
    """The SLURM job this process is, if it is one."""
    if "SLURM_ARRAY_JOB_ID" not in os.environ:
        return {}
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return {"job": job, "node": os.environ.get("SLURMD_NODENAME", "")}


def _provenance(device: torch.device, started: datetime, seconds: float) -> dict[str, Any]:
    return {
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "host": platform.node(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("docre-bench", "torch", "transformers", "numpy")},
    }
