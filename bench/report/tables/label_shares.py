"""F1 by the share of the training labels: the numbers of the curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.label_shares import ShareCurves, ShareLine, SharePoint
from bench.label_share import shown_percent
from bench.report.table import MISSING, Column, Table, TableCell, TableRow
from bench.report.tables.notes import prior_notes

HOW = "Labels are left out of the training documents by the rule {rule}; dev and test have all of theirs."


def label_share_tables(curves: Sequence[ShareCurves]) -> list[Table]:
    """A table for each figure: a row for each model, a column for each share, and what is left of F1."""
    return [_table(of) for of in curves]


def notes_of(curves: ShareCurves) -> Iterator[str]:
    """What the points are to be read with: seeds that are missing, what is changed at one share alone, priors."""
    points = [(line.name, point) for line in curves.lines for point in line.points]
    for name, point in points:
        percent = shown_percent(point.share.percent)
        if point.changes:
            yield f"{name} at {percent}: {', '.join(point.changes)}"
        if point.system.is_partial(curves.split):
            yield f"{name} at {percent}: {point.system.seeds_with(curves.split)} seeds"
    yield from prior_notes([point.system for _, point in points])


def _table(curves: ShareCurves) -> Table:
    shares = curves.shares
    first, last = (shown_percent(share.percent) for share in (shares[0], shares[-1]))
    return Table(
        name=curves.name,
        title=f"Shares of labels: {curves.heading}",
        caption=(
            f"{curves.split.capitalize()} F1, percent, mean ± sample standard deviation over seeds, by the share of "
            f"labels kept. {HOW.format(rule=curves.rule)} Left: F1 at {first} in percent of F1 at {last}."
        ),
        columns=(
            Column("Model", numeric=False),
            *(Column(shown_percent(share.percent), "Labels kept") for share in shares),
            Column("Left"),
        ),
        rows=tuple(_row(line, curves) for line in curves.lines),
        notes=tuple(dict.fromkeys(notes_of(curves))),
    )


def _row(line: ShareLine, curves: ShareCurves) -> TableRow:
    by_percent = {point.share.percent: point for point in line.points}
    points = [by_percent.get(share.percent) for share in curves.shares]
    first, last = points[0], points[-1]
    left = TableCell(MISSING)
    if first and last and last.summary.mean:
        share = 100 * first.summary.mean / last.summary.mean
        left = TableCell(f"{share:.1f}", share)
    return TableRow((TableCell(line.name, line.name), *map(_cell, points), left))


def _cell(point: SharePoint | None) -> TableCell:
    if point is None:
        return TableCell(MISSING)
    mean, std, seeds = point.summary
    low, high = point.interval or (None, None)
    text = f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"
    return TableCell(text, mean, data={"std": std, "low": low, "high": high, "seeds": float(seeds)})
