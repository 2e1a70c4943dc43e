"""What others than the paper printed of the data sets of the records: later papers, reproduction reports."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.metrics import METRICS
from bench.analysis.published import PublishedRow
from bench.analysis.systems import System
from bench.report.table import MISSING, Column, Table, TableCell, TableRow
from bench.report.tables.paper import PaperRows
from bench.report.tables.score_cells import printed_text

SCORES = ("f1", "ign_f1")
"""What most others print."""


def elsewhere_tables(systems: Sequence[System], rows: PaperRows) -> list[Table]:
    """One table per data set, best F1 first."""
    tables = []
    for dataset in dict.fromkeys(system.plan.dataset for system in systems):
        others = [
            row
            for row in rows.published.rows
            if row.dataset == dataset and row.source != rows.paper.source and "f1" in row.scores
        ]
        if not others:
            continue
        others.sort(key=lambda row: -row.scores["f1"].mean)
        scores = [METRICS[name].title for name in SCORES]
        titles = ("Model", "Setting", "Encoder", "Split", *scores, "Seeds", "Source", "Note")
        tables.append(
            Table(
                name=f"elsewhere-{dataset}",
                title=f"Published elsewhere: {dataset}",
                caption="As printed, in percent. `bench compare MODEL published:NAME` compares within a setting.",
                columns=tuple(Column(title, numeric=title in (*scores, "Seeds")) for title in titles),
                rows=tuple(map(_row, others)),
            )
        )
    return tables


def _row(row: PublishedRow) -> TableRow:
    cells = [TableCell(text, text) for text in (row.name, row.setting, row.encoder, row.split)]
    for score in map(row.scores.get, SCORES):
        cells.append(TableCell(printed_text(score), float(score.mean)) if score else TableCell(MISSING))
    cells.append(TableCell(str(row.seeds), row.seeds) if row.seeds else TableCell("not told"))
    return TableRow((*cells, *(TableCell(text, text or None) for text in (row.source, row.note))))
