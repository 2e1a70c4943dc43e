"""Runs of models without gradients: fitted and evaluated in one go, with nothing to go on from but the record."""

from __future__ import annotations

from bench.data.catalog.dataset import open_dataset
from bench.data.documents import names_in
from bench.execution.context import Context
from bench.execution.inputs import check_unchanged
from bench.filesystem import write_checksum
from bench.inference.counting import fit, made, predicted
from bench.metrics.official import document_counts
from bench.metrics.split_record import split_record
from bench.metrics.submission import write_submission
from bench.runs.names import NO_ENCODER
from bench.runs.plan import SPLIT_OF, RunPlan
from bench.runs.record import RunRecord, StageRecord
from bench.runs.run_folder import RunFolder, predictions_path
from bench.runs.verdict import SCORED


def counted_run(context: Context, run: RunPlan) -> RunRecord:
    """Fit the model of a run on the documents of its stages, predict dev and test, and score that.

    Returns the record, which is not written yet. A stop is heeded between two stages and two splits.
    Raises `UnusableModelError` for what the model raises, UsageError where data or code are not what was planned.
    """
    folder, dataset = RunFolder.of(context.out, run), open_dataset(run.dataset)
    check_unchanged(run, dataset, NO_ENCODER)
    model, stages = made(run.stages[0], dataset), []
    for stage in run.stages:
        context.interrupt.check()
        context.report(folder, state="running", stage=stage.data, doing="fitting")
        fit(model, stage, dataset)
        select_on = dataset.documents(stage.training.select_on)
        rows = predicted(model, select_on, stage.training.select_on)
        f1 = document_counts([row.triple for row in rows], select_on).total.f1
        documents = len(dataset.documents(SPLIT_OF[stage.data]))
        stages.append(
            StageRecord(
                key=stage.key, data=stage.data, dev_f1=[f1], selected_epoch=1, documents=documents, mentions_cut=0
            )
        )
    facts = dataset.facts()
    distant_facts = dataset.distant_facts(names_in(dataset.documents("dev")) | names_in(dataset.documents("test")))
    splits = {}
    for split in SCORED:
        context.interrupt.check()
        context.report(folder, state="running", stage="evaluation", doing=f"evaluating {split}")
        of_split = dataset.documents(split)
        rows = predicted(model, of_split, split)
        path = predictions_path(folder.path, split)
        write_submission(path, rows)
        write_checksum(path)
        if dataset.is_labelled(split):
            evidence = any(row.evidence is not None for row in rows)
            splits[split] = split_record(rows, of_split, facts, distant_facts, 0, evidence)
    return RunRecord.of(run, dataset.facts_source(), stages, splits, model.decision(), dataset.conventions())
