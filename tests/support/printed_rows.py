"""Rows as a paper prints them, for tests of what the audit makes of them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from bench.analysis.audit import audit_rows
from bench.analysis.metrics import PRINTED
from bench.analysis.published import Printed, PublishedRow

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"


def row(f1=None, ign_f1=None, p=None, r=None, seeds=5, **changed) -> PublishedRow:
    """A row; a score is `"80.1"` or `"80.1 0.2"` with its deviation."""
    scores = zip(PRINTED, (f1, ign_f1, p, r), strict=True)
    fields = {
        "source": "s", "table": "1", "dataset": "d", "split": "test", "slice": "all", "setting": "human", "model": "M",
        "variant": "", "encoder": "e", "seeds": seeds,
        "scores": {m.name: Printed(*map(Decimal, text.split())) for m, text in scores if text is not None},
    }  # fmt: skip
    return PublishedRow(**(fields | changed))


def kinds(rows) -> list[str]:
    return [finding.kind for finding in audit_rows(rows)]


def of_kind(findings, kind, severity=None):
    return [f for f in findings if f.kind == kind and severity in (None, f.severity)]
