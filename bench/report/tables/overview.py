"""The table of runs as a person reads it, on the terminal and as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.aggregate import (
    ALL,
    EVIDENCE,
    Cell,
    NotApplicable,
    Row,
    labels,
    mean_and_std,
    not_applicable,
    rows_of,
)
from bench.report.tables.notes import documents_notes

COLUMNS = (("f1", "F1"), ("ign_f1", "Ign F1"), ("precision", "Precision"), ("recall", "Recall"))
EVIDENCE_COLUMN = (EVIDENCE + "f1", "Evi F1")


@dataclass(frozen=True)
class Block:
    """One table: a data set and a setting, one line per model. lines: name, cells, complete or not."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def blocks(cells: Sequence[Cell], splits: Sequence[str] = ("dev", "test")) -> list[Block]:
    """The cells as tables. Cells with fewer seeds than planned are marked with *, never silently averaged."""
    grouped: dict[tuple[str, str], list[tuple[Cell, str]]] = defaultdict(list)
    for cell, label in zip(cells, labels(cells), strict=True):
        grouped[cell.plans[0].dataset, cell.plans[0].setting].append((cell, label))
    impossible = not_applicable(cells)
    return [
        _block(*place, group, [none for none in impossible if (none.dataset, none.setting) == place], splits)
        for place, group in grouped.items()
    ]


def _block(
    dataset: str,
    setting: str,
    cells: Sequence[tuple[Cell, str]],
    impossible: Sequence[NotApplicable],
    splits: Sequence[str],
) -> Block:
    columns = (*COLUMNS, EVIDENCE_COLUMN) if any(_has_evidence(cell) for cell, _ in cells) else COLUMNS
    header = ["Model", "Encoder", *(f"{split} {title}" for split in splits for _, title in columns), "Seeds"]
    lines, notes = [], []
    for cell, label in cells:
        plan = cell.plans[0]
        numbers = {(row.split, row.metric): row for row in rows_of([cell]) if row.slice == ALL}
        partial = len(cell.records) < cell.expected
        name = plan.model + (f" ({plan.variant})" if plan.variant else "") + label
        values = [_shown(numbers.get((split, metric))) for split in splits for metric, _ in columns]
        lines.append((name, plan.encoder, *values, f"{len(cell.records)} of {cell.expected}{'*' if partial else ''}"))
        notes += [f"{name}, {error}" for error in cell.errors]
    if any(line[-1].endswith("*") for line in lines):
        notes.insert(0, "* not all planned seeds are there: the mean is over those that are")
    for none in impossible:
        name = none.model + (f" ({none.variant})" if none.variant else "")
        lines.append((name, none.encoder, *(["n/a"] * (len(header) - 2))))
        notes.append(f"{none.model} has no {setting!r}: {none.reason}")
    notes += dict.fromkeys(note for cell, _ in cells for note in documents_notes(cell, splits))
    return Block(f"{dataset}, {setting}", tuple(header), tuple(lines), tuple(notes))


def _has_evidence(cell: Cell) -> bool:
    return any(split.evidence is not None for record in cell.records for split in record.splits.values())


def _shown(row: Row | None) -> str:
    return "—" if row is None else mean_and_std(row)
