"""What the audit finds, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.audit import KINDS, SEVERITIES, Finding, counted
from bench.report.table import Cell, Column, Row, Table


def findings_table(name: str, title: str, audited: str, findings: Sequence[Finding]) -> Table:
    """Every finding, the gravest first. audited: what was looked at."""
    rows = tuple(
        Row((Cell(f.severity, f.severity), Cell(f.kind, f.kind), Cell(f.where, f.where), Cell(f.what, f.what)))
        for f in findings
    )
    titles = ("Severity", "Kind", "Where", "What")
    return Table(
        name=name,
        title=title,
        caption=f"{audited}: {len(findings)} finding{'s' * (len(findings) != 1)}, by arithmetic and by what is known.",
        columns=tuple(Column(heading, numeric=False) for heading in titles),
        rows=rows,
    )


def counts_table(name: str, title: str, findings: Sequence[Finding]) -> Table:
    """How many findings there are of each kind and severity."""
    rows = []
    for kind, counts in counted(findings).items():
        numbers = [counts.get(severity, 0) for severity in SEVERITIES]
        cells = [Cell(kind, kind), Cell(KINDS[kind], KINDS[kind])]
        rows.append(
            Row((*cells, *(Cell(str(number) if number else "", number) for number in [*numbers, sum(numbers)])))
        )
    columns = [Column("Kind", numeric=False), Column("What it is", numeric=False)]
    columns += [Column(severity.capitalize() + "s") for severity in SEVERITIES] + [Column("All")]
    return Table(
        name,
        title,
        "Errors contradict themselves, warnings mislead, notes are good to know.",
        tuple(columns),
        tuple(rows),
    )
