"""Carrying out planned runs in this process. Several processes may work on one output folder: locks divide the work."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from bench.data.catalog.dataset import open_dataset
from bench.data.documents import names_in
from bench.data.features.feature_file import FeatureFile
from bench.errors import BenchError
from bench.execution.evaluate import split_record
from bench.execution.inputs import Materials, check_unchanged
from bench.filesystem import write_json
from bench.inference.encodings import in_bytes
from bench.inference.load import build_model, load_system, signal_folder, task_of
from bench.inference.predictor import Predictor, Reading
from bench.inference.signals import SignalFile, make_signals
from bench.interrupt import Interrupt, Interrupted
from bench.metrics.submission import write_submission
from bench.nn.devices import this_device
from bench.nn.encoder_source import find_encoder
from bench.nn.weights import load_tensors
from bench.runs.plan import SPLIT_OF, RunPlan, StagePlan
from bench.runs.record import RunRecord, StageRecord
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import SELECTED, stage_folder, stage_result
from bench.runs.status import RunStatus
from bench.runs.triple_scores import scores_path
from bench.training.checkpoint import Checkpoints
from bench.training.failures import explain
from bench.training.team import Alone, Group, PeerLostError, Team
from bench.training.trainer import Progress, StageData, StageTrainer, finish_stage, selected_is_intact

POLL_SECONDS = 0.3

Listener = Callable[[RunFolder, RunStatus], None]


class Bench:
    """Executes runs one after another, keeping what they share in memory.

    team: the processes that train with this one, of which it is the leader (or, for `help`, another).
    """

    def __init__(
        self,
        out: Path,
        interrupt: Interrupt,
        listener: Listener,
        checkpoint_seconds: float = 60.0,
        team: Team | None = None,
    ) -> None:
        self.out, self.interrupt, self.listener, self.team = out, interrupt, listener, team
        self.checkpoint_seconds = checkpoint_seconds
        self.device = this_device()
        self._materials: dict[tuple[str, str, int], Materials] = {}

    def execute(self, plans: Sequence[RunPlan], until: str | None = None) -> list[RunPlan]:
        """Do every run that nobody has done; the ones that failed. Raises `Interrupted`, or PeerLostError.

        until: the folder of a stage after which to stop, without evaluating.
        A failure that breaks the team is the last thing it does.
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
                    if self.team and self.team.broken:
                        return failed
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
        except (Interrupted, PeerLostError):
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
        check_unchanged(plan, materials)
        stages = []
        for stage in plan.stages:
            stages.append(self._stage(stage, plan.stage_before(stage), materials, folder))
            if stage.folder == until:
                return
        record = self._evaluate(plan, materials, stages, folder)
        write_json(folder.path / "provenance.json", self._provenance(started), 1)
        folder.write_record(record)
        self._tell(folder, state="done", result=record.headline, seconds=time.monotonic() - began)

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
        started = datetime.now(UTC)
        self._tell(run, state="running", stage=plan.data, doing="reading documents")
        signals = self._signals(plan, before, materials, run) if plan.signal and before else None
        data = materials.stage_data(plan, signals)
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

        work = {"run": run.name, "stage": plan.key}
        with self.team.stage(work) if self.team else nullcontext(Alone()) as group:
            trainer = self._trainer(plan, before, materials, data, group, on_progress, run)
            finish_stage(plan, folder, trainer.run(), data)
        write_json(folder / "provenance.json", self._provenance(started), 1)

    def help(self, work: dict[str, Any]) -> Callable[[Group], object]:
        """In a process that does not lead its team: a stage the leader is at, ready to be trained (`Team.follow`)."""
        run = RunFolder(self.out, work["run"]).plan()
        plan = next((stage for stage in run.stages if stage.key == work["stage"]), None) if run else None
        if run is None or plan is None:
            raise BenchError(f"{self.out / 'runs' / work['run']}: no readable plan with the stage {work['stage']}")
        materials = self._materials_of(run)
        check_unchanged(run, materials)
        features = materials.features(SPLIT_OF[plan.data])
        signals = SignalFile(signal_folder(self.out, plan), features) if plan.signal else None
        data = materials.stage_data(plan, signals)
        before = run.stage_before(plan)
        return lambda group: self._trainer(plan, before, materials, data, group).run()

    def _trainer(
        self,
        plan: StagePlan,
        before: StagePlan | None,
        materials: Materials,
        data: StageData,
        group: Group,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        told: RunFolder | None = None,
    ) -> StageTrainer:
        start = load_tensors(stage_folder(self.out, before) / SELECTED)[0] if plan.after and before else None
        task = task_of(plan, materials.source, materials.label_rates(SPLIT_OF[plan.data]))
        trainer = StageTrainer(
            plan,
            build_model(plan, task),
            materials.source,
            data,
            stage_folder(self.out, plan),
            start,
            self.device,
            self.interrupt,
            on_progress,
            self.checkpoint_seconds,
            group,
        )
        if plan.training.freeze_encoder:
            reading = Reading(trainer.system, plan, materials.source, self.device, self.interrupt)
            train, select = (self._encoded(split, reading, told, plan.data) for split in (data.train, data.select))
            trainer.data = replace(data, train=train, select=select)
        return trainer

    def _encoded(self, features: FeatureFile, reading: Reading, run: RunFolder | None, stage: str) -> FeatureFile:
        """`features` as a system reads them: with what its encoder gives of them, where that is frozen and kept.

        run: is told how far it is; None in a process that only helps with it.
        """

        def told(done: int, size: int) -> None:
            doing = f"encoding once and for all: {in_bytes(size)}"
            if run is not None:
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

    def _provenance(self, started: datetime) -> dict[str, Any]:
        """What a result may depend on to rounding, and by the draw of dropout, but is no part of what was planned."""
        gpu = self.device.type == "cuda"
        return {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
            "host": platform.node(),
            "device": torch.cuda.get_device_name(self.device) if gpu else platform.processor() or "cpu",
            "threads": torch.get_num_threads(),
            "processes": self.team.size if self.team else 1,
            "versions": {name: version(name) for name in ("docre-bench", "torch", "transformers", "numpy")},
        }

    def _tell(self, folder: RunFolder, **fields: Any) -> None:
        status = RunStatus(time=time.time(), pid=os.getpid(), host=platform.node(), **_job(), **fields)
        folder.write_status(status)
        self.listener(folder, status)


def _job() -> dict[str, str]:
    """The SLURM job this process is, if it is one."""
    if "SLURM_ARRAY_JOB_ID" not in os.environ:
        return {}
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return {"job": job, "node": os.environ.get("SLURMD_NODENAME", "")}
