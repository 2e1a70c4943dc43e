"""All runs of an output folder: as a table of the report, and as tidy CSV for pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from bench.analysis.metrics import METRICS, Metric
from bench.analysis.systems import System
from bench.report.spreadsheet import as_text
from bench.report.table import MISSING, Column, Table, TableCell, TableRow
from bench.runs.names import IMPORTED, model_name
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord
from bench.runs.verdict import DAMAGED, NEWER

RUNS = "runs"
FIELDS = ("model", "variant", "dataset", "setting", "encoder", "seed")
ABOUT = (*FIELDS, "configuration", "key", "folder", "status", "error", "split")
COUNTS = (
    "documents", "gold", "predicted", "correct", "gold_outside", "mentions_cut", "epochs", "selected_epoch",
)  # fmt: skip


def runs_table(systems: Sequence[System]) -> Table:
    """A table with a row for each planned run: whether it is finished, its F1, its error, its folder."""
    rows = []
    for plan, record, error in _runs(systems):
        status = _finished(plan) if record else without_record(error)
        headline = record.headline.rpartition(" ")[2] if record else ""
        name = model_name(plan.model, plan.variant)
        cells = [TableCell(name, name), *(TableCell(text, text) for text in (plan.dataset, plan.setting, plan.encoder))]
        cells += [TableCell(str(plan.seed), plan.seed), TableCell(status, status)]
        cells += [
            TableCell(headline, float(headline)) if headline else TableCell(MISSING),
            TableCell(error, error or None),
        ]
        cells.append(TableCell(plan.folder, plan.folder))
        rows.append(TableRow(tuple(cells)))
    titles = ("Model", "Data", "Setting", "Encoder", "Seed", "Status", "F1", "Error", "Folder")
    return Table(
        name=RUNS,
        title="Runs",
        caption="Every run that was planned in this folder, F1 of test (of dev where it has none of test) in percent.",
        columns=tuple(Column(title, numeric=title in ("Seed", "F1")) for title in titles),
        rows=tuple(rows),
    )


def runs_csv(systems: Sequence[System]) -> str:
    """One row per run and split, unrounded: `pandas.read_csv` reads it as it is. A run without a record is one row."""
    file = io.StringIO()
    splits = [split for system in systems for record in system.cell.records for split in record.splits.values()]
    metrics = [m for m in METRICS.values() if not m.later or any(m.of_split(split) is not None for split in splits)]
    columns = (*ABOUT, *(metric.name for metric in metrics), *COUNTS)
    writer = csv.DictWriter(file, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for plan, record, error in _runs(systems):
        line: dict[str, object] = {field: getattr(plan, field) for field in FIELDS}
        line |= {"configuration": plan.configuration_name, "key": plan.key, "folder": plan.folder, "error": error}
        if record is None:
            writer.writerow(_as_texts(line | {"status": without_record(error)}))
            continue
        line["status"] = _finished(plan)
        if plan.learnt:
            last = record.stages[-1]
            line |= {"epochs": len(last.dev_f1), "selected_epoch": last.selected_epoch}
        for split in record.splits:
            writer.writerow(_as_texts(line | _scores(record, split, metrics)))
    return file.getvalue()


def _finished(plan: RunPlan) -> str:
    return "finished" if plan.origin == "trained" else IMPORTED


def without_record(error: str) -> str:
    """How a run stands that has no record which can be used. error: why, empty where nobody knows."""
    if error.startswith(NEWER):
        return "newer"
    if error.startswith(DAMAGED):
        return "damaged"
    return "failed" if error else "not finished"


def _as_texts(line: Mapping[str, object]) -> dict[str, object]:
    return {name: as_text(value) for name, value in line.items()}


def _scores(record: RunRecord, split: str, metrics: Sequence[Metric]) -> dict[str, object]:
    scored = record.splits[split]
    documents = scored.documents
    return {
        "split": split, **{metric.name: metric.of_split(scored) for metric in metrics},
        "documents": len(documents.titles), "gold": sum(documents.gold),
        "predicted": sum(documents.predicted) + scored.unknown_titles,
        "correct": sum(documents.correct), "gold_outside": scored.gold_outside, "mentions_cut": scored.mentions_cut,
    }  # fmt: skip


def _runs(systems: Sequence[System]) -> Iterator[tuple[RunPlan, RunRecord | None, str]]:
    for system in systems:
        records = {record.seed: record for record in system.cell.records}
        errors = dict(error.removeprefix("seed ").split(": ", 1) for error in system.cell.errors)
        for plan in system.cell.plans:
            yield plan, records.get(plan.seed), errors.get(str(plan.seed), "")
