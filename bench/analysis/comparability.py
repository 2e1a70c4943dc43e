"""What runs must have in common for their numbers to be comparable: documents, facts, metric, trainer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.runs.plan import RunPlan


@dataclass(frozen=True)
class Difference:
    """Something that runs of one table do not share.

    evaluation: their scores mean different things.   data: they learned from different documents of one name.
    training: they were trained by different rules.   groups: value -> names of the runs that have it.
    """

    kind: Literal["evaluation", "data", "training"]
    what: str
    groups: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        groups = "; ".join(f"{', '.join(names)}: {value}" for value, names in self.groups.items())
        return f"different {self.what} ({groups})"


def differences(plans: Mapping[str, RunPlan]) -> list[Difference]:
    """What the named runs, of one data set and setting, do not share although they should."""
    values: dict[tuple[Literal["evaluation", "data", "training"], str], dict[str, list[str]]]
    values = defaultdict(lambda: defaultdict(list))
    for name, plan in plans.items():
        for kind, what, value in _shared(plan):
            values[kind, what][value].append(name)
    return [
        Difference(kind, what, {value: tuple(dict.fromkeys(names)) for value, names in by_value.items()})
        for (kind, what), by_value in values.items()
        if len(by_value) > 1
    ]


def _shared(plan: RunPlan) -> Iterator[tuple[Literal["evaluation", "data", "training"], str, str]]:
    yield "evaluation", "test documents", _digest(plan.test_checksum)
    yield "evaluation", "dev documents", _digest(plan.dev_checksum)
    yield "evaluation", "facts for Ign F1", _digest(plan.facts_checksum)
    yield "evaluation", "versions of the metric", str(plan.metric)
    if plan.origin != "trained":
        return  # how it came about is not known, which its row says
    for stage in plan.stages:
        yield "data", f"{stage.data} training documents", _digest(stage.train_checksum)
    last = plan.stages[-1]
    yield "data", "documents to select the model on", _digest(last.select_checksum)
    yield "training", "versions of the harness", str(last.harness)
    if last.is_counted:
        return
    # Of one name: rows with encoders of different names say so themselves.
    yield "training", f"weights of {plan.encoder}", _digest(plan.stages[0].encoder_fingerprint)
    yield "training", "limits in word pieces", str(last.max_length)


def _digest(checksum: str) -> str:
    return checksum[:8]
