"""Two systems of the records, or one and a published row: how far apart they are, and what may be said of it.

Systems are compared within one data set, setting and encoder. All comparisons asked for at once are one family: their p
values are adjusted together (Holm), since whoever looks at many differences finds some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from bench.analysis import stats
from bench.analysis.comparability import Difference, differences
from bench.analysis.metrics import METRICS
from bench.analysis.robust import Improvement, improvement
from bench.analysis.stats import Bootstrap, OverBoth, Permutation, Randomization, Summary, Welch
from bench.analysis.systems import Condition, System

ALPHA = 0.05
Test = Literal["welch", "permutation", "randomization", "bootstrap", "both"]
TESTS: tuple[Test, ...] = get_args(Test)


@dataclass(frozen=True)
class Question:
    """What is asked of the systems: which score, of which split, with how many resamples of its documents.

    metric: the name of one of `bench.analysis.metrics.COUNTED`.
    """

    metric: str = "f1"
    split: str = "test"
    resamples: int = stats.RESAMPLES

    @property
    def title(self) -> str:
        """The score in words: `test F1`."""
        return f"{self.split} {METRICS[self.metric].label}"


@dataclass(frozen=True)
class Comparison:
    """a against b; differences are a - b, in points of percent. A test that is None could not be done.

    improvement: how likely a seed of a scores higher than one of b.
    holm: the adjusted p of each test, over all comparisons asked for together.   family: how many those are.
    unlike: what the two should share and do not; `comparable` is False where their scores mean different things, and
    then there is neither a difference nor a test.
    """

    condition: Condition
    question: Question
    a: System
    b: System
    welch: Welch | None = None
    permutation: Permutation | None = None
    bootstrap: Bootstrap | None = None
    randomization: Randomization | None = None
    both: OverBoth | None = None
    improvement: Improvement | None = None
    unlike: tuple[Difference, ...] = ()
    holm: Mapping[Test, float] = field(default_factory=dict)
    family: int = 1

    @property
    def comparable(self) -> bool:
        """Whether the scores were counted in the same way on the same documents."""
        return _are_comparable(self.unlike)

    def summary(self, system: System) -> Summary | None:
        """What one of the two scored; None without a finished seed."""
        return system.summary(self.question.split, self.question.metric)

    @property
    def difference(self) -> float | None:
        """Of the means; None where one of the two has none, or where they cannot be compared."""
        a, b = self.summary(self.a), self.summary(self.b)
        return None if a is None or b is None or not self.comparable else a.mean - b.mean

    @property
    def p(self) -> dict[Test, float]:
        """The unadjusted p of each test that could be done."""
        tests = {name: self.test(name) for name in TESTS}
        return {name: test.p for name, test in tests.items() if test is not None}

    def test(self, name: Test) -> Welch | Permutation | Bootstrap | Randomization | OverBoth | None:
        """A test by its name; None where it could not be done."""
        found: Welch | Permutation | Bootstrap | Randomization | OverBoth | None = getattr(self, name)
        return found


def compare(condition: Condition, question: Question, a: System, b: System) -> Comparison:
    """Compare two systems by every test that their data allow; p values are not adjusted yet (`adjusted`)."""
    unlike = [] if a.published or b.published else _unlike(question, a, b)
    comparison = Comparison(condition, question, a, b, unlike=tuple(unlike))
    ours, theirs = comparison.summary(a), comparison.summary(b)
    if ours is None or theirs is None or not comparison.comparable:
        return comparison
    comparison = replace(comparison, welch=stats.welch_of_summaries(ours, theirs))
    of_a, of_b = (system.values(question.split, question.metric) for system in (a, b))
    if min(len(of_a), len(of_b)) > 1:
        comparison = replace(
            comparison,
            permutation=stats.permutation(of_a, of_b),
            improvement=improvement(np.array(of_a), np.array(of_b)),
        )
    counts_a, counts_b = a.counts(question.split), b.counts(question.split)
    same_documents = a.titles(question.split) == b.titles(question.split)
    if counts_a is not None and counts_b is not None and same_documents and counts_a.shape[1] > 1:
        bootstrap = stats.paired_bootstrap(counts_a, counts_b, question.metric, question.resamples)
        comparison = replace(
            comparison,
            bootstrap=bootstrap,
            randomization=stats.randomization(counts_a, counts_b, question.metric, question.resamples),
            both=stats.over_both(comparison.welch, bootstrap),
        )
    return comparison


def counted_alike(question: Question, a: System, b: System) -> bool:
    """Whether the scores of two systems of the records were counted in the same way on the same documents."""
    return _are_comparable(_unlike(question, a, b))


def most_alike(question: Question, systems: Sequence[System]) -> list[System]:
    """The most systems whose scores were counted in the same way on the same documents, in their order.

    Of groups of one size that of the first system.
    """
    groups: list[list[System]] = []
    for system in systems:
        group = next((group for group in groups if counted_alike(question, group[0], system)), None)
        if group is None:
            groups.append([system])
        else:
            group.append(system)
    return max(groups, key=len, default=[])


def _are_comparable(unlike: Sequence[Difference]) -> bool:
    return not any(difference.kind == "evaluation" for difference in unlike)


def _unlike(question: Question, a: System, b: System) -> list[Difference]:
    return [d for d in differences({a.name: a.plan, b.name: b.plan}) if _matters(d, question)]


def _matters(difference: Difference, question: Question) -> bool:
    """Whether what the two do not share is to be told: of their evaluation, only what the score asked for rests on."""
    if difference.kind != "evaluation":
        return True
    of_split = {"test documents": "test", "dev documents": "dev"}
    if difference.what in of_split:
        return question.split == of_split[difference.what]
    return difference.what != "facts for Ign F1" or question.metric == "ign_f1"


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with Holm's adjustment of each test's p over all of them, as one family."""
    holm: list[dict[Test, float]] = [{} for _ in comparisons]
    for test in TESTS:
        tested = [(i, c.p[test]) for i, c in enumerate(comparisons) if test in c.p]
        for (i, _), p in zip(tested, stats.holm([p for _, p in tested]), strict=True):
            holm[i][test] = p
    return [replace(c, holm=p, family=len(comparisons)) for c, p in zip(comparisons, holm, strict=True)]
