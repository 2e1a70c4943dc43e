"""What is wrong with a table of results, found from its numbers and from what is known of its runs.

A rule is silent on numbers that true counts can give, whatever the rounding and however the seeds vary: an alarm is a
defect of the table, not bad luck. Where a rule rests on an assumption, it says which. `bench.analysis.audit.records`
holds our own records to the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.audit.arithmetic import deviation, harmonic, ignored
from bench.analysis.audit.evidence import seeds_and_runs
from bench.analysis.audit.finding import KINDS, SEVERITIES, Finding, Severity, counted, in_order
from bench.analysis.audit.rows import borrowed_rows, disagreeing_places, mixed_encoders, repeated_rows
from bench.analysis.audit.slices import summing_slices
from bench.analysis.published import Published, PublishedRow, known_encoder

__all__ = ["KINDS", "SEVERITIES", "Finding", "Severity", "audit_published", "audit_rows", "counted"]


def audit_rows(rows: Sequence[PublishedRow]) -> list[Finding]:
    """What the numbers of rows tell by themselves, the gravest first, then by kind, in the order of the rows."""
    findings = [finding for rule in (harmonic, ignored, deviation) for row in rows for finding in rule(row)]
    for rule_of_tables in (summing_slices, repeated_rows, borrowed_rows, disagreeing_places):
        findings += rule_of_tables(rows)
    return in_order(findings)


def audit_published(published: Published) -> list[Finding]:
    """The same, and what is known of the rows' runs from elsewhere: encoders, seeds, single runs."""
    encoders = mixed_encoders(published.rows, lambda row: known_encoder(published, row))
    return in_order([*audit_rows(published.rows), *encoders, *seeds_and_runs(published)])
