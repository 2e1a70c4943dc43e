"""What others than the paper printed of the data sets of the records: later papers, reproduction reports."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.published import TableRow
from bench.analysis.systems import System
from bench.report.table import MISSING, Cell, Column, Row, Table
from bench.report.tables.paper import PublishedRows
from bench.report.tables.score_cells import printed_text


def elsewhere_tables(systems: Sequence[System], rows: PublishedRows) -> list[Table]:
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
        titles = ("Model", "Setting", "Encoder", "Split", "F1", "Ign F1", "Seeds", "Source", "Note")
        tables.append(
            Table(
                name=f"elsewhere-{dataset}",
                title=f"Published elsewhere: {dataset}",
                caption="As printed, in percent. `bench compare MODEL published:NAME` compares within a setting.",
                columns=tuple(Column(title, numeric=title in ("F1", "Ign F1", "Seeds")) for title in titles),
                rows=tuple(map(_row, others)),
            )
        )
    return tables


def _row(row: TableRow) -> Row:
    cells = [Cell(text, text) for text in (row.name, row.setting, row.encoder, row.split)]
    for score in (row.scores.get("f1"), row.scores.get("ign_f1")):
        cells.append(Cell(printed_text(score), float(score.mean)) if score else Cell(MISSING))
    cells.append(Cell(str(row.seeds), row.seeds) if row.seeds else Cell("not told"))
    return Row((*cells, *(Cell(text, text or None) for text in (row.source, row.note))))
