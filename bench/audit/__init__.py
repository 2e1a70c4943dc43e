"""What is wrong with a table of results, found from its numbers and from what is known of its runs.

A rule is silent on numbers that true counts can give, whatever the rounding and however the seeds vary: an alarm is a
defect of the table, not bad luck. Where a rule rests on an assumption, it says which. `bench.audit.records` holds our
own records to the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.audit.arithmetic import deviation, harmonic, ignored
from bench.audit.evidence import known_encoder, seeds_and_runs
from bench.audit.finding import KINDS, SEVERITIES, Finding, Severity, counted, in_order
from bench.audit.slices import summing_slices
from bench.audit.tables import borrowed_rows, disagreeing_places, mixed_encoders, repeated_rows
from bench.published import Published, TableRow

__all__ = ["KINDS", "SEVERITIES", "Finding", "Severity", "audit_published", "audit_rows", "counted"]


def audit_rows(rows: Sequence[TableRow]) -> list[Finding]:
    """What the numbers of rows tell by themselves, the gravest first, then by kind, in the order of the rows."""
    findings = [finding for rule in (harmonic, ignored, deviation) for row in rows for finding in rule(row)]
    for rule_of_tables in (summing_slices, repeated_rows, borrowed_rows, disagreeing_places):
        findings += rule_of_tables(rows)
    return in_order(findings)


def audit_published(published: Published) -> list[Finding]:
    """The same, and what is known of the rows' runs from elsewhere: encoders, seeds, single runs."""
    encoders = mixed_encoders(published.rows, lambda row: known_encoder(published, row))
    return in_order([*audit_rows(published.rows), *encoders, *seeds_and_runs(published)])
