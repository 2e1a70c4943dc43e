"""The tables of runs: one for each data set and setting, one row per model; on the terminal and in `tables/runs.md`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.analysis.aggregate import Cell, NotApplicable, mean_and_std, not_applicable
from bench.analysis.metrics import COLUMNS, Metric
from bench.analysis.systems import System, systems_of
from bench.report.table import MISSING, Column, Table, TableCell, TableRow
from bench.report.tables.notes import documents_notes, notes_on, zero_notes
from bench.runs.names import model_name


def overview_tables(cells: Sequence[Cell], splits: Sequence[str] = ("dev", "test")) -> list[Table]:
    """The cells as tables. Cells with fewer seeds than planned are marked with *, never silently averaged."""
    groups: dict[tuple[str, str], list[System]] = defaultdict(list)
    for system in systems_of(cells):
        groups[system.plan.dataset, system.plan.setting].append(system)
    impossible: dict[tuple[str, str], list[NotApplicable]] = defaultdict(list)
    for absent in not_applicable(cells):
        impossible[absent.dataset, absent.setting].append(absent)
    return [_table(*group, systems, impossible[group], splits) for group, systems in groups.items()]


def shown_metrics(cells: Sequence[Cell]) -> list[Metric]:
    """The scores that have a column: those that a run has, on whichever split; those of counts while there is none."""
    records = [split for cell in cells for record in cell.records for split in record.splits.values()]
    if not records:
        return [metric for metric in COLUMNS if metric.counted]
    return [metric for metric in COLUMNS if any(metric.of_split(record) is not None for record in records)]


def _table(
    dataset: str,
    setting: str,
    systems: Sequence[System],
    impossible: Sequence[NotApplicable],
    splits: Sequence[str],
) -> Table:
    cells = [system.cell for system in systems]
    metrics = shown_metrics(cells)
    scores = [(split, metric) for split in splits for metric in metrics]
    lines, notes, marked = [], [], False
    for system in systems:
        values = [_shown(system, split, metric.name) for split, metric in scores]
        few = system.lacks_seeds((split, metric.name) for split, metric in scores)
        marked |= few
        lines.append((system.name, system.encoder, *values, f"{system.seeds}{'*' if few else ''}"))
        notes += [f"{system.name}, {note}" for note in system.notes]
    if marked:
        notes.insert(0, "* not all planned seeds are there: the mean is over those that are")
    for absent in impossible:
        name = model_name(absent.model, absent.variant)
        lines.append((name, absent.encoder, *["n/a"] * (len(scores) + 1)))
        notes.append(f"{absent.model} has no {setting!r}: {absent.reason}")
    notes += [note for system in systems for note in zero_notes(system, splits)]
    notes += dict.fromkeys(note for cell in cells for note in documents_notes(cell, splits))
    notes += notes_on(systems, splits)
    title = f"{dataset}, {setting}"
    return Table(
        name=title,
        title=title,
        caption="Percent, mean ± sample standard deviation over seeds.",
        columns=(
            *(Column(heading, numeric=False) for heading in ("Model", "Encoder")),
            *(Column(metric.title, split) for split, metric in scores),
            Column("Seeds"),
        ),
        rows=tuple(TableRow(tuple(map(TableCell, line))) for line in lines),
        notes=tuple(notes),
    )


def _shown(system: System, split: str, metric: str) -> str:
    score = system.score(split, metric)
    return MISSING if score is None else mean_and_std(score)
