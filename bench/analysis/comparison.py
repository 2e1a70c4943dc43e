"""Two systems of the records, or one and a published row: how far apart they are, and what may be said of it.

Systems are compared within one data set, setting and encoder. All comparisons asked for at once are one family: their p
values are adjusted together (Holm), since whoever looks at many differences finds some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from bench.analysis import stats
from bench.analysis.aggregate import Cell
from bench.analysis.comparability import Difference, differences
from bench.analysis.stats import Array, Bootstrap, Metric, Permutation, Summary, Welch

ALPHA = 0.05
TITLES: dict[Metric, str] = {"f1": "F1", "ign_f1": "Ign F1", "precision": "precision", "recall": "recall"}
Test = Literal["welch", "permutation", "randomization", "bootstrap"]


class Place(NamedTuple):
    """Where systems can be compared."""

    dataset: str
    setting: str
    encoder: str

    def __str__(self) -> str:
        return ", ".join(self)


@dataclass(frozen=True)
class Question:
    """What is asked of the systems: which score, of which split, with how many resamples of its documents."""

    metric: Metric = "f1"
    split: str = "test"
    resamples: int = stats.RESAMPLES

    @property
    def title(self) -> str:
        """`test F1`."""
        return f"{self.split} {TITLES[self.metric]}"


@dataclass(frozen=True)
class Side:
    """One system. summary: None without a finished seed.   expected: seeds planned, or claimed by who published it.

    values: one score per seed, empty where they are not told.   counts: [seeds, documents, 4], None where there are
    none.
    """

    name: str
    encoder: str
    summary: Summary | None
    expected: int | None
    values: tuple[float, ...] = ()
    counts: Array | None = None
    cell: Cell | None = None
    notes: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether it is somebody else's."""
        return self.cell is None

    @property
    def partial(self) -> bool:
        """Whether seeds that were planned are missing."""
        return not self.published and self.expected is not None and len(self.values) < self.expected

    def as_json(self) -> dict[str, Any]:
        """Everything but the documents' counts."""
        mean, std, n = self.summary or (None, None, 0)
        return {
            "name": self.name, "encoder": self.encoder, "published": self.published, "mean": mean, "std": std, "n": n,
            "expected": self.expected, "seeds": list(self.values), "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """a against b; differences are a - b, in points of percent. A test that is None could not be done.

    holm: the adjusted p of each test, over all comparisons asked for together.   family: how many those are.
    unlike: what the two should share and do not; `comparable` is False where their scores mean different things, and
    then there is neither a difference nor a test.
    """

    place: Place
    question: Question
    a: Side
    b: Side
    welch: Welch | None = None
    permutation: Permutation | None = None
    bootstrap: Bootstrap | None = None
    randomization: float | None = None
    unlike: tuple[Difference, ...] = ()
    holm: Mapping[Test, float] = field(default_factory=dict)
    family: int = 1

    @property
    def comparable(self) -> bool:
        """Whether the scores were counted in the same way on the same documents."""
        return not any(difference.kind == "evaluation" for difference in self.unlike)

    @property
    def difference(self) -> float | None:
        """Of the means; None where a side has none, or where they cannot be compared."""
        if self.a.summary is None or self.b.summary is None or not self.comparable:
            return None
        return self.a.summary.mean - self.b.summary.mean

    @property
    def p(self) -> dict[Test, float]:
        """The unadjusted p of each test that could be done."""
        tests: dict[Test, float | None] = {
            "welch": self.welch.p if self.welch else None,
            "permutation": self.permutation.p if self.permutation else None,
            "randomization": self.randomization,
            "bootstrap": self.bootstrap.p if self.bootstrap else None,
        }
        return {name: p for name, p in tests.items() if p is not None}


def compare(place: Place, question: Question, a: Side, b: Side) -> Comparison:
    """Every test of two systems that their data allow, unadjusted."""
    made = Comparison(place, question, a, b)
    if a.cell is not None and b.cell is not None:
        unlike = differences({a.name: a.cell.plans[0], b.name: b.cell.plans[0]})
        made = replace(made, unlike=tuple(d for d in unlike if d.kind != "evaluation" or _matters(d, question)))
    if a.summary is None or b.summary is None or not made.comparable:
        return made
    made = replace(made, welch=stats.welch_of_summaries(a.summary, b.summary))
    if min(len(a.values), len(b.values)) > 1:
        made = replace(made, permutation=stats.permutation(a.values, b.values))
    if a.counts is not None and b.counts is not None and a.counts.shape[1] > 1:
        made = replace(
            made,
            bootstrap=stats.paired_bootstrap(a.counts, b.counts, question.metric, question.resamples),
            randomization=stats.randomization(a.counts, b.counts, question.metric, question.resamples),
        )
    return made


def _matters(difference: Difference, question: Question) -> bool:
    """Whether what the two do not share has a part in the score that is asked for."""
    of_split = {"test documents": "test", "dev documents": "dev"}
    if difference.what in of_split:
        return question.split == of_split[difference.what]
    return difference.what != "facts for Ign F1" or question.metric == "ign_f1"


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same with Holm's adjustment of each test's p over all of them."""
    holm: list[dict[Test, float]] = [{} for _ in comparisons]
    tests: tuple[Test, ...] = ("welch", "permutation", "randomization", "bootstrap")
    for test in tests:
        tested = [(i, c.p[test]) for i, c in enumerate(comparisons) if test in c.p]
        for (i, _), p in zip(tested, stats.holm([p for _, p in tested]), strict=True):
            holm[i][test] = p
    return [replace(c, holm=p, family=len(comparisons)) for c, p in zip(comparisons, holm, strict=True)]
