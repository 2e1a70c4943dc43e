"""Slices whose precision was divided by all predictions, not by those in the slice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from bench.analysis.aggregate import ALL
from bench.analysis.audit.arithmetic import reach
from bench.analysis.audit.finding import Finding, Range, show
from bench.analysis.published import PublishedRow

_TWO_PARTS = {"intra": "inter", "below-25th-percentile": "not-below-25th-percentile"}


class _Sum(NamedTuple):
    """Two complementary slices of one model and the sum of their precisions.

    least: below neither slice's precision, in any seed.
    """

    parts: tuple[PublishedRow, PublishedRow]
    total: Range
    least: float

    @classmethod
    def of(cls, one: PublishedRow, two: PublishedRow) -> _Sum:
        ranges = [_precision(row) for row in (one, two)]
        least = min(_precision(row).low - reach(row, row.scores["precision"]) for row in (one, two))
        return cls((one, two), Range(sum(r.low for r in ranges), sum(r.high for r in ranges)), least)

    def is_overall(self, row: PublishedRow) -> bool:
        """Whether the sum is the precision of `row`, more closely than predictions divided by slices can make it."""
        overall = _precision(row)
        return self.total.meets(overall) and self.least > (self.total.high - self.total.low) + (
            overall.high - overall.low
        )

    def __str__(self) -> str:
        terms = [row.scores["precision"].mean for row in self.parts]
        named = [f"{show(term)} ({row.slice})" for term, row in zip(terms, self.parts, strict=True)]
        return f"{' + '.join(named)} = {show(sum(terms, start=terms[0] * 0))}"


class _Model(NamedTuple):
    """What a table tells of one model: sums of complementary slices, and rows of the whole split."""

    sums: list[_Sum]
    overall: list[PublishedRow]


def summing_slices(rows: Sequence[PublishedRow]) -> Iterator[Finding]:
    """Findings of models whose precisions of complementary slices sum to the overall one.

    Divided by the slice's own predictions, they lie on both sides of the overall one, so that their sum exceeds it by
    the smaller of them.
    """
    for table in _tables(rows):
        for model in table:
            known = [row for row in model.overall if all(pair.is_overall(row) for pair in model.sums)]
            if known:
                yield _finding(model.sums, f", the overall precision of {known[0].where}")
            elif not model.overall and _released([other.sums for other in table if not other.overall]):
                yield _finding(model.sums, _elsewhere(model.sums[0], rows))


def _tables(rows: Sequence[PublishedRow]) -> list[list[_Model]]:
    models: dict[tuple[str, ...], list[PublishedRow]] = defaultdict(list)
    for row in rows:
        if "precision" in row.scores:
            models[row.source, row.table, row.dataset, row.split, row.setting, row.name, row.encoder].append(row)
    tables: dict[tuple[str, ...], list[_Model]] = defaultdict(list)
    for key, group in models.items():
        if sums := _sums(group):
            tables[key[:5]].append(_Model(sums, [row for row in group if row.slice == ALL]))
    return list(tables.values())


def _sums(rows: Sequence[PublishedRow]) -> list[_Sum]:
    named = {row.slice.replace("_", "-"): row for row in rows}
    pairs = ((row, named.get(_complement(part))) for part, row in named.items())
    return [_Sum.of(row, other) for row, other in pairs if other is not None]


def _complement(part: str) -> str:
    """The slice that holds the rest of the split; empty where `part` is not the first of two that make it up."""
    return f"all-but-{part}" if part.startswith("top-") else _TWO_PARTS.get(part, "")


def _released(models: Sequence[Sequence[_Sum]]) -> bool:
    """Whether a table without overall precisions divides by all predictions, from the sums of each of its models.

    So it does if all pairs of slices of a model have one sum: the overall precision. For one model that could be
    chance; it is taken for none where two models or more have it, to the last digit, with sums that differ between the
    models and terms that differ between the pairs.
    """
    if len(models) < 2 or any(len(sums) < 2 for sums in models):
        return False
    agree = all(one.total.meets(two.total) for sums in models for one, two in combinations(sums, 2))
    possible = all(pair.total.low <= 100 and pair.least > 0 for sums in models for pair in sums)
    terms_differ = all(len({pair.parts[0].scores["precision"].mean for pair in sums}) > 1 for sums in models)
    models_differ = not any(one[0].total.meets(two[0].total) for one, two in combinations(models, 2))
    return agree and possible and terms_differ and models_differ


def _elsewhere(pair: _Sum, rows: Sequence[PublishedRow]) -> str:
    """What the same source prints as the model's overall precision, where it is none of those."""
    first = pair.parts[0]
    identity = ("source", "dataset", "split", "name", "encoder")
    same = [row for row in rows if all(getattr(row, name) == getattr(first, name) for name in identity)]
    printed = [row for row in same if row.slice == ALL and "precision" in row.scores]
    if not printed or any(pair.total.meets(_precision(row)) for row in printed):
        return ""
    precisions = dict.fromkeys(f"{show(row.scores['precision'].mean)} ({row.setting})" for row in printed)
    return f", which is none of the overall precisions of this model: {', '.join(precisions)}"


def _finding(sums: Sequence[_Sum], tail: str) -> Finding:
    first = sums[0].parts[0]
    what = f"precisions of slices were divided by all predictions: {'; '.join(map(str, sums))}{tail}"
    numbers = {row.slice: float(row.scores["precision"].mean) for pair in sums for row in pair.parts}
    return Finding("slice-precisions-sum", "error", first.where.removesuffix(f" {first.slice}"), what, numbers)


def _precision(row: PublishedRow) -> Range:
    return Range.of(row.scores["precision"].mean)
