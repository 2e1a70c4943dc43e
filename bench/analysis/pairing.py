"""Which systems are compared with which: named as tables show them, in every condition that they share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.analysis.aggregate import ALL, Cell
from bench.analysis.comparison import Comparison, Question, adjusted, compare
from bench.analysis.metrics import METRICS
from bench.analysis.published import Published, PublishedRow
from bench.analysis.systems import Condition, System, by_condition, same_encoder, systems_of
from bench.errors import UsageError, unknown

PUBLISHED = "published:"

_NAME = re.compile(r"(?P<model>[^:(#]+?)\s*(?:\((?P<shown>.*)\)|:(?P<typed>[^#]*))?\s*(?:#x?(?P<configuration>\w+))?")
"""A configuration may be typed as tables show it, `#1a2b`, or as CSV and JSON do, `#x1a2b` (`named_configuration`)."""


class Pairing:
    """The systems of some records, and published rows, by condition; compares those that are asked for by name.

    published: None where no published row is asked for.
    left_out: which systems, in which conditions, have nothing to be compared by, and why: sentences, each once.
    """

    def __init__(self, cells: Sequence[Cell], published: Published | None, question: Question) -> None:
        self.question = question
        self.published = published
        self.conditions = by_condition(systems_of(cells))
        self.left_out: list[str] = []

    def limit(self, dataset: str | None, setting: str | None, encoder: str | None) -> None:
        """Leave only what is of the data set, setting and encoder. Raises UsageError for one that no run has."""
        for name, wanted in (("dataset", dataset), ("setting", setting), ("encoder", encoder)):
            if wanted is None:
                continue
            known = {getattr(condition, name) for condition in self.conditions}
            if wanted not in known:
                raise unknown(f"{name} of these runs", wanted, known)
            self.conditions = {c: systems for c, systems in self.conditions.items() if getattr(c, name) == wanted}

    def pair(self, a: str, b: str) -> list[Comparison]:
        """a against b, in every condition that both are in. Raises UsageError where there is none."""
        if a.startswith(PUBLISHED) and b.startswith(PUBLISHED):
            raise UsageError("two published rows: one of the two has to be a model of the records")
        for name in (a, b):
            self._check(name)
        comparisons = []
        for condition in self.conditions:
            of_a, of_b = (self._scored(self._find(name, condition), condition) for name in (a, b))
            comparisons += [compare(condition, self.question, x, y) for x in of_a for y in of_b]
        if not comparisons:
            self._fail_where_left_out()
            whereabouts = "\n".join(f"{name}: {self._whereabouts(name)}" for name in (a, b))
            raise UsageError(f"{a} and {b} have no data set, setting and encoder in common\n{whereabouts}")
        return _comparable(comparisons)

    def against(self, reference: str, names: Sequence[str] = ()) -> list[Comparison]:
        """Each of the named systems, or all, against one, in every condition that it is in.

        Raises UsageError where there is nothing to compare it with.
        """
        for name in (reference, *names):
            self._check(name)
        comparisons = []
        for condition in self.conditions:
            for other in self._scored(self._find(reference, condition), condition):
                named = [system for name in names for system in self._find(name, condition)]
                systems = self._scored(named if names else self.conditions[condition], condition)
                comparisons += [compare(condition, self.question, s, other) for s in systems if s.name != other.name]
        if not comparisons:
            self._fail_where_left_out()
            raise UsageError(f"nothing to compare with {reference}, which is in {self._whereabouts(reference)}")
        return _comparable(comparisons)

    def _check(self, name: str) -> None:
        """Raise UsageError for a name that no system has."""
        if any(self._find(name, condition) for condition in self.conditions):
            return
        if name.startswith(PUBLISHED):
            rows = [row for condition in self.conditions for row in self._rows(condition)]
            if not rows:
                published = {f"{row.dataset}, {row.setting}" for row in (self.published.rows if self.published else ())}
                places = "; ".join(map(str, self.conditions)) or "no place"
                raise UsageError(
                    f"no published row has {self.question.title} in {places}: numbers are comparable on the same data "
                    f"and setting alone. There are rows of {'; '.join(sorted(published))}"
                )
            raise unknown(
                "published row",
                name.removeprefix(PUBLISHED),
                {row.name for row in rows},
                f"These have {self.question.title} in {'; '.join(map(str, self.conditions)) or 'no place'}",
            )
        raise unknown("model", name, {system.name for systems in self.conditions.values() for system in systems})

    def _whereabouts(self, name: str) -> str:
        return "; ".join(str(condition) for condition in self.conditions if self._find(name, condition))

    def _find(self, name: str, condition: Condition) -> list[System]:
        if name.startswith(PUBLISHED):
            return self._find_published(name.removeprefix(PUBLISHED), condition)
        of_condition = self.conditions[condition]
        systems = [s for s in of_condition if _is(name, s.plan.model, s.plan.variant, s.cell.configuration)]
        # Without its variant, where there is but one, a name says enough: EP-RSR is EP-RSR (outside).
        systems = systems or [s for s in of_condition if _is(name, s.plan.model, "", s.cell.configuration)]
        if len({system.plan.variant for system in systems}) > 1:
            which = ", ".join(repr(system.name) for system in systems)
            raise UsageError(f"{name} was run in {len(systems)} variants in {condition}: say which, {which}")
        if len(systems) > 1:
            which = ", ".join(f"{name}#{system.cell.configuration[:4]}" for system in systems)
            raise UsageError(f"{name} was run in {len(systems)} configurations in {condition}: say which, {which}")
        return systems

    def _scored(self, systems: Sequence[System], condition: Condition) -> list[System]:
        """Those of which a finished seed has the score that is asked for, or none is finished."""
        reasons = {system: self._why_not(system) for system in systems}
        told = [f"{why} ({condition})" for why in reasons.values() if why]
        self.left_out += [each for each in told if each not in self.left_out]
        return [system for system in systems if not reasons[system]]

    def _why_not(self, system: System) -> str:
        """Why a system cannot be compared: no record of it has the score that is asked for; else empty."""
        records, split = system.cell.records, self.question.split
        having = [record.splits[split] for record in records if split in record.splits]
        if records and not having:
            others = ", ".join(dict.fromkeys(name for record in records for name in record.splits))
            return f"{system.name} has no scores of {split!r}: --split {others}"
        if having and all(METRICS[self.question.metric].of_split(scored) is None for scored in having):
            return f"{system.name} has no {self.question.title}: there were no training facts to ignore"
        return ""

    def _fail_where_left_out(self) -> None:
        """Raise UsageError with what left systems out, if anything did."""
        if self.left_out:
            raise UsageError("\n".join(self.left_out))

    def _rows(self, condition: Condition) -> list[PublishedRow]:
        """Published rows that could be compared in a condition; a row that is printed in two tables once."""
        rows: dict[tuple[object, ...], PublishedRow] = {}
        for row in self.published.rows if self.published else ():
            score = row.scores.get(self.question.metric)
            where = (row.dataset, row.setting, row.split, row.slice)
            if score is not None and where == (condition.dataset, condition.setting, self.question.split, ALL):
                rows.setdefault((row.source, row.name, row.encoder, score), row)
        return list(rows.values())

    def _find_published(self, name: str, condition: Condition) -> list[System]:
        """Rows with the encoder of the condition where it has some; else those with others, which the claim tells."""
        model, _, source = name.partition("@")
        rows = [
            row
            for row in self._rows(condition)
            if _is(model, row.model, row.variant) and source.lower() in f"{row.source} {row.place}".lower()
        ]
        rows = [row for row in rows if same_encoder(row.encoder, condition.encoder)] or rows
        return [System.of_row(row, self._doubts(row)) for row in rows]

    def _doubts(self, row: PublishedRow) -> list[str]:
        return [
            f"{row.name} claims {row.seeds} seeds, what was released runs {len(known.seeds)} ({known.where})"
            for known in (self.published.evidence(row) if self.published else ())
            if known.seeds and len(known.seeds) < (row.seeds or 0)
        ]


def _comparable(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons, adjusted together. Raises UsageError if in none of them the scores mean the same."""
    if not any(comparison.comparable for comparison in comparisons):
        reasons = (f"{c.a.name} and {c.b.name} have {'; '.join(map(str, c.unlike))}" for c in comparisons)
        raise UsageError("these cannot be compared:\n" + "\n".join(reasons))
    return adjusted(comparisons)


def _is(name: str, model: str, variant: str, configuration: str = "") -> bool:
    """Whether `ttmre`, `ttmre:layers=2`, `ttmre (layers=2)`, or one of them with `#1a2b`, is the name of a system."""
    parsed = _NAME.fullmatch(name.strip())
    if parsed is None or parsed["model"] != model or not configuration.startswith(parsed["configuration"] or ""):
        return False
    return _parts(parsed["shown"] or parsed["typed"] or "") == _parts(variant)


def _parts(variant: str) -> set[str]:
    return {part.strip() for part in re.split("[,:]", variant) if part.strip()}
