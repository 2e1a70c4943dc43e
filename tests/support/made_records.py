"""Plans and records made from given counts, without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.interface import Training
from bench.metrics.official import Counts
from bench.runs.plan import HARNESS_VERSION, ImportedWeights, OutsidePredictions, RunPlan, StagePlan
from bench.runs.record import DocumentCounts, RunRecord, Scores, SplitRecord, StageRecord
from bench.runs.run_folder import RunFolder


class Content(NamedTuple):
    """What a run is made from: checksums of its documents, facts and encoder, versions, epochs."""

    test: str = "x"
    facts: str = "y"
    train: str = "t"
    fingerprint: str = "f"
    metric: int = 1
    harness: int = HARNESS_VERSION
    epochs: int = 30


def plan(
    model: str = "m", seed: int = 0, setting: str = "human", dataset: str = "d", encoder: str = "e", variant: str = "",
    **changed: str | int,
) -> RunPlan:  # fmt: skip
    """changed: fields of `Content`."""
    content = Content(**changed)
    stage = StagePlan(
        harness=content.harness, model=model, reference=model, class_name="M", code=model, hyperparameters={},
        training=Training(epochs=content.epochs), freeze=(), data="human", dataset=dataset,
        train_checksum=content.train, select_checksum="s", relations=("r",), encoder=encoder,
        encoder_fingerprint=content.fingerprint, max_length=128, seed=seed, position=0, after=None,
    )  # fmt: skip
    return RunPlan(
        metric=content.metric, model=model, variant=variant, dataset=dataset, setting=setting, encoder=encoder,
        seed=seed, stages=(stage,), dev_checksum="v", test_checksum=content.test, facts_checksum=content.facts,
        distant_checksum=None,
    )  # fmt: skip


def of_weights(trained: RunPlan) -> RunPlan:
    """The same run with weights that were imported in the place of its training."""
    (stage,) = trained.stages
    weights = ImportedWeights(
        sha256=f"{trained.seed}",
        mapping="atlop",
        mapping_version=1,
        columns=("r",),
        setting=trained.setting,
        file="m.ckpt",
    )
    imported = stage.model_copy(update={"imported": weights, "train_checksum": "", "select_checksum": ""})
    return trained.model_copy(update={"variant": "imported", "stages": (imported,)})


def of_predictions(trained: RunPlan) -> RunPlan:
    """The same run with predictions that were imported in the place of its training and predicting."""
    outside = OutsidePredictions(predictions={"test": f"{trained.seed}"}, relations=trained.relations)
    return trained.model_copy(update={"variant": "outside", "encoder": "unstated", "stages": (), "outside": outside})


def split_record(counts: Sequence[Sequence[int]], slices: dict[str, Scores] | None = None) -> SplitRecord:
    """counts: [documents, 4], correct, predicted, gold, correct in facts."""
    rows = np.asarray(counts).tolist()
    correct, predicted, gold, seen = (list(column) for column in zip(*rows, strict=True))
    total = sum((Counts(*row) for row in rows), Counts())
    return SplitRecord(
        scores=Scores(f1=total.f1, ign_f1=total.ign_f1, precision=total.precision, recall=total.recall),
        macro_f1=total.f1,
        slices={"strict": slices or {}, "released": {}},
        relations={},
        documents=DocumentCounts(
            titles=[f"document {i}" for i in range(len(rows))],
            correct=correct, predicted=predicted, gold=gold, correct_in_facts=seen,
        ),
        mentions_cut=0,
    )  # fmt: skip


def record(of: RunPlan, counts: Sequence[Sequence[int]], splits: Sequence[str] = ("dev", "test")) -> RunRecord:
    """A record with the same counts on every split."""
    fields = ("key", "configuration", "model", "variant", "dataset", "setting", "encoder", "seed")
    return RunRecord(
        **{field: getattr(of, field) for field in fields},
        facts={},
        stages=[
            StageRecord(
                key=stage.key, data="human", dev_f1=[1.0], selected_epoch=1, documents=0 if stage.imported else 3,
                mentions_cut=0,
            )
            for stage in of.stages
        ],
        splits={split: split_record(counts) for split in splits},
    )  # fmt: skip


def write(out: Path, of: RunPlan, counts: Sequence[Sequence[int]] | None, **options: Sequence[str]) -> None:
    """Put the plan, and a record unless `counts` is None, where `bench run` would."""
    folder = RunFolder.of(out, of)
    folder.announce(of)
    if counts is not None:
        folder.write_record(record(of, counts, **options))
