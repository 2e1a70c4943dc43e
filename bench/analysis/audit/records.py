"""Our own records, held to the same rules as published tables, and to those that only records can be held to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import numpy as np

from bench.analysis import stats
from bench.analysis.aggregate import ALL, RELEASED, Cell, Score, labels, load_cells, scores_of
from bench.analysis.audit import audit_rows
from bench.analysis.audit.finding import Finding, Severity, in_order
from bench.analysis.audit.rows import mixed_encoders
from bench.analysis.comparability import differences
from bench.analysis.metrics import COUNTED, PRINTED
from bench.analysis.published import Printed, PublishedRow
from bench.runs.archive import all_runs
from bench.runs.names import NO_ENCODER, model_name
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord

_CLOSE = 1e-6
"""Points of percent: scores and counts of one record are equal up to the last digits of a float."""


def audit_records(out: Path) -> list[Finding]:
    """The rules of `audit_rows` on the records of an output folder, and those that only records can be held to."""
    cells = load_cells(out)
    return audit_cells(cells, record_rows(cells, out), out)


def audit_cells(cells: Sequence[Cell], rows: Sequence[PublishedRow], out: Path) -> list[Finding]:
    """`audit_records` of cells that are loaded already. rows: theirs (`record_rows`)."""
    return in_order([*audit_rows(rows), *cells_apart(cells, rows), *unreadable(out)])


def unreadable(out: Path) -> Iterator[Finding]:
    """Runs whose plan cannot be read: they are in no row, and no row counts them as missing."""
    for folder in all_runs(out):
        found = folder.verdict()
        if found.plan is None:
            yield Finding("fewer-seeds", "warning", folder.name, f"{found.why}: it is in no row", {})


def record_rows(cells: Sequence[Cell], out: Path) -> list[PublishedRow]:
    """The cells' scores as rows of tables, unrounded: strict slices and the whole of each split."""
    rows: list[PublishedRow] = []
    for cell, label in zip(cells, labels(cells), strict=True):
        scores = [score for score in scores_of([cell]) if not score.slice.startswith(RELEASED)]
        for _, of_slice in groupby(scores, key=lambda score: (score.split, score.slice)):
            rows += _row(list(of_slice), label, out)
    return rows


def _row(scores: Sequence[Score], label: str, out: Path) -> Iterator[PublishedRow]:
    """The scores of one split and slice as a row; none if there is not one number among them."""
    by_metric = {score.metric: score for score in scores}
    printed = {}
    for metric in PRINTED:
        score = by_metric.get(metric.name)
        if score is not None and score.mean is not None:
            std = None if score.std is None else Decimal(repr(score.std))
            printed[metric.name] = Printed(Decimal(repr(score.mean)), std)
    if printed:
        first = scores[0]
        yield PublishedRow(
            source=str(out), table=first.dataset, dataset=first.dataset, split=first.split, slice=first.slice,
            setting=first.setting, model=first.model, variant=first.variant + label, encoder=first.encoder,
            scores=printed, seeds=first.n,
        )  # fmt: skip


def cells_apart(cells: Sequence[Cell], rows: Sequence[PublishedRow]) -> Iterator[Finding]:
    """What the numbers do not tell: missing seeds, what rows of one table do not share, scores that no count gives."""
    having = [row for row in rows if row.slice == ALL and row.encoder != NO_ENCODER]
    yield from mixed_encoders(having, lambda row: row.encoder)
    for cell, label in zip(cells, labels(cells), strict=True):
        plan = cell.plans[0]
        where = f"{plan.dataset}, {plan.setting}, {_name(plan, label)}"
        if len(cell.records) < cell.expected:
            finished = ", ".join(str(record.seed) for record in cell.records)
            what = f"{len(cell.records)} of {cell.expected} seeds are there" + (f" ({finished})" if finished else "")
            errors = f": {'; '.join(cell.errors)}" if cell.errors else ""
            numbers = {"claimed": cell.expected, "found": len(cell.records)}
            yield Finding("fewer-seeds", "warning", where, what + errors, numbers)
        for record in cell.records:
            yield from _not_of_counts(record, where)
    yield from _not_comparable(cells)


def _name(plan: RunPlan, label: str) -> str:
    return f"{model_name(plan.model, plan.variant)}{label}, {plan.encoder}"


def _not_of_counts(record: RunRecord, where: str) -> Iterator[Finding]:
    """A record's scores follow from the counts of its documents; if they do not, one of them is damaged."""
    for split, recorded in record.splits.items():
        counts = recorded.documents
        columns = (counts.correct, counts.predicted, counts.gold, counts.correct_in_facts)
        total = np.array([sum(column) for column in columns], dtype=float)
        total[1] += recorded.unknown_titles  # predicted, but of no document
        for metric in COUNTED:
            stored = metric.of_split(recorded)
            counted = float(stats.score(total, metric.name))
            if stored is not None and abs(stored - counted) > _CLOSE:
                what = (
                    f"the record's {metric.name} of {split} is {stored:.2f}, its documents' counts give {counted:.2f}"
                )
                numbers = {"recorded": stored, "counted": counted}
                yield Finding("scores-not-of-counts", "error", f"{where}, seed {record.seed}", what, numbers)


def _not_comparable(cells: Sequence[Cell]) -> Iterator[Finding]:
    tables: dict[tuple[str, str], dict[str, RunPlan]] = defaultdict(dict)
    for cell, label in zip(cells, labels(cells), strict=True):
        plan = cell.plans[0]
        tables[plan.dataset, plan.setting][_name(plan, label)] = plan
    for (dataset, setting), plans in tables.items():
        for difference in differences(plans):
            severity: Severity = "warning" if difference.kind == "training" else "error"
            yield Finding(f"mixed-{difference.kind}", severity, f"{dataset}, {setting}", str(difference))
        again = Counter((plan.model, plan.variant, plan.encoder) for plan in plans.values())
        for (model, variant, encoder), count in again.items():
            if count > 1:
                names = ", ".join(
                    n for n, p in plans.items() if (p.model, p.variant, p.encoder) == (model, variant, encoder)
                )
                what = f"{count} configurations of {model} ({encoder}) stand side by side, not averaged: {names}"
                yield Finding("several-configurations", "note", f"{dataset}, {setting}", what)
