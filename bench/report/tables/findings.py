"""What the audit finds, as tables: of the report, and of `bench audit`, whose lines have less room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from bench.analysis.audit import KINDS, SEVERITIES, Finding, counted
from bench.errors import plural
from bench.report.table import Column, Table, TableCell, TableRow


def findings_table(name: str, title: str, audited: str, findings: Sequence[Finding]) -> Table:
    """A table of every finding in the order given. audited: what was looked at."""
    titles = ("Severity", "Kind", "Where", "What")
    return Table(
        name=name,
        title=title,
        caption=f"{audited}: {plural(len(findings), 'finding')}, by arithmetic and by what is known.",
        columns=tuple(Column(heading, numeric=False) for heading in titles),
        rows=tuple(_texts(finding.severity, finding.kind, finding.where, finding.what) for finding in findings),
    )


def tables_by_kind(findings: Sequence[Finding]) -> Iterator[Table]:
    """A table for each severity and kind, in the order of the findings."""
    for (severity, kind), of_kind in groupby(findings, key=lambda finding: (finding.severity, finding.kind)):
        yield Table(
            name=f"audit-{severity}-{kind}",
            title=f"{severity}: {KINDS[kind]} ({kind})",
            caption="",
            columns=(Column("Where", numeric=False), Column("What", numeric=False)),
            rows=tuple(_texts(finding.where, finding.what) for finding in of_kind),
        )


def counts_table(name: str, title: str, findings: Sequence[Finding]) -> Table:
    """A table of how many findings there are of each kind and severity, with what the kinds are."""
    columns = [Column("Kind", numeric=False), Column("What it is", numeric=False)]
    columns += [Column(severity.capitalize() + "s") for severity in SEVERITIES] + [Column("All")]
    rows = [
        TableRow((TableCell(kind, kind), TableCell(KINDS[kind], KINDS[kind]), *numbers))
        for kind, numbers in _counts(findings)
    ]
    caption = "Errors contradict themselves, warnings mislead, notes are good to know."
    return Table(name, title, caption, tuple(columns), tuple(rows))


def short_counts_table(findings: Sequence[Finding]) -> Table:
    """A table of how many findings there are of each kind and severity, for a terminal: without title and words."""
    columns = [Column("Kind", numeric=False), *map(Column, SEVERITIES), Column("all")]
    rows = [TableRow((TableCell(kind, kind), *numbers)) for kind, numbers in _counts(findings)]
    return Table("audit-counts", "", "", tuple(columns), tuple(rows))


def _counts(findings: Sequence[Finding]) -> Iterator[tuple[str, list[TableCell]]]:
    """Each kind with its findings of each severity, and all of them; nothing instead of 0."""
    for kind, counts in counted(findings).items():
        numbers = [counts.get(severity, 0) for severity in SEVERITIES]
        yield kind, [TableCell(str(number) if number else "", number) for number in [*numbers, sum(numbers)]]


def _texts(*texts: str) -> TableRow:
    return TableRow(tuple(TableCell(text, text) for text in texts))
