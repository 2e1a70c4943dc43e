"""What an audit finds, and what a rounded number may have been."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

KINDS = {
    "f1-not-of-p-and-r": "F1 that its precision and recall cannot give",
    "ign-f1-above-f1": "Ign F1 above F1, which leaving out right predictions cannot give",
    "slice-precisions-sum": "precisions of complementary slices that sum to the overall one",
    "single-run": "one run's scores, printed as means with deviations",
    "scores-not-of-counts": "scores of a record that its documents' counts do not give",
    "mixed-encoders": "models compared with different encoders",
    "mixed-evaluation": "models compared on different documents, facts or metrics",
    "mixed-data": "models trained on different documents of one name",
    "mixed-training": "models trained by different rules",
    "fewer-seeds": "fewer seeds than claimed or planned",
    "deviation-of-f1": "a deviation of F1 that those of precision and recall cannot give",
    "repeated-row": "the same numbers more than once",
    "places-disagree": "different numbers for one model in one setting",
    "borrowed-rows": "rows that are not the source's own runs",
    "several-configurations": "one name for several configurations, side by side",
}
"""What can be found."""

FAR = 0.5
"""Points of percent: beyond this, what does not fit changes a ranking, and is an error."""
_FLOAT = 1e-9


@dataclass(frozen=True)
class Finding:
    """One defect. error: the numbers contradict each other. warning: they mislead. note: good to know.

    kind: one of `KINDS`.   where: the row or table.   what: a sentence.   numbers: those it rests on, in percent where
    they are scores.
    """

    kind: str
    severity: Severity
    where: str
    what: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All fields, as `bench audit --json` prints them."""
        return asdict(self)


class Range(NamedTuple):
    """What a printed number may have been before it was rounded."""

    low: float
    high: float

    @classmethod
    def of(cls, printed: Decimal) -> Range:
        """Of a printed number: half a unit of its last digit to both sides, never below zero."""
        exponent = printed.as_tuple().exponent
        half = 0.5 * 10.0**exponent if isinstance(exponent, int) else 0.0
        return cls(max(0.0, float(printed) - half - _FLOAT), float(printed) + half + _FLOAT)

    def meets(self, other: Range) -> bool:
        """Whether the two may have been one number."""
        return self.low <= other.high and other.low <= self.high


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with the gravest first, then by kind; within a kind in the order they come in."""
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.kind))


def counted(findings: Iterable[Finding]) -> dict[str, dict[Severity, int]]:
    """How many findings there are of each kind, and of each severity among them; kinds in the order given."""
    counts: dict[str, dict[Severity, int]] = {}
    for finding in findings:
        of_kind = counts.setdefault(finding.kind, {})
        of_kind[finding.severity] = of_kind.get(finding.severity, 0) + 1
    return counts


def show(score: Decimal) -> str:
    """A score as it was printed; one that was not rounded, with two decimals."""
    exponent = score.as_tuple().exponent
    return str(score) if isinstance(exponent, int) and exponent >= -4 else f"{score:.2f}"
