"""Whether a model of any kind keeps the promises of the interface."""

from __future__ import annotations

from collections.abc import Iterator

from bench.execution.counting_checks import check_counting
from bench.execution.model_checks import Check, check_model
from bench.experiment.losses import ResolvedLoss
from bench.interface import CountingModel, Model, PairModel


def check(cls: type[Model], loss: ResolvedLoss | None = None) -> Iterator[Check]:
    """Every claim about a model in turn; after one whose check raises there are no more. loss: another than its own."""
    if issubclass(cls, CountingModel):
        return check_counting(cls)
    assert issubclass(cls, PairModel)
    return check_model(cls, loss)
