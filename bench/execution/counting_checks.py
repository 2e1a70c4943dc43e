"""Whether a model without gradients keeps the promises of the interface, tried on generated documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.data import sample
from bench.data.documents import Document
from bench.execution.model_checks import BUILT, Check, recipe_notes, tried
from bench.inference.counting import predicted
from bench.interface import CountingModel, CountingTask
from bench.metrics.submission import Prediction

TRAIN, DEV, TEST = 40, 20, 20
"""Documents that it is tried on."""


@dataclass(frozen=True)
class _Trial:
    cls: type[CountingModel]
    train: Sequence[Document]
    dev: Sequence[Document]
    test: Sequence[Document]

    def build(self) -> CountingModel:
        relations = tuple(sorted(sample.RELATIONS))
        return self.cls(self.cls.Hyperparameters(), CountingTask(relations, sample.RELATIONS, {}, "sample"))

    def fitted(self) -> CountingModel:
        model = self.build()
        model.fit(self.train, self.dev, 0)
        return model

    def predictions(self, model: CountingModel, documents: Sequence[Document]) -> list[Prediction]:
        return predicted(model, documents, "the test documents")


def check_counting(cls: type[CountingModel]) -> Iterator[Check]:
    """Every claim in turn. One whose check raises does not hold, and ends the list."""
    if (yield from tried(BUILT, lambda: _prepare(cls), CHECKS)) is None:
        return
    yield from recipe_notes(cls)


def _prepare(cls: type[CountingModel]) -> _Trial:
    splits = sample.generate(seed=0)
    trial = _Trial(cls, splits["train"][:TRAIN], splits["dev"][:DEV], splits["test"][:TEST])
    trial.build()
    return trial


def _recipe(trial: _Trial) -> str:
    return "" if any(trial.cls.recipe.stages.values()) else "there is not one stage in it"


def _fits(trial: _Trial) -> str:
    before = list(trial.train)
    trial.fitted()
    return "" if before == list(trial.train) else "they were modified in place"


def _predicts(trial: _Trial) -> str:
    trial.predictions(trial.fitted(), trial.test)
    return ""


def _same_again(trial: _Trial) -> str:
    once, again = (sorted(trial.predictions(trial.fitted(), trial.test)) for _ in range(2))
    return "" if once == again else "fitted again on the same documents it predicts something else"


def _alone(trial: _Trial) -> str:
    model = trial.fitted()
    whole = sorted(trial.predictions(model, trial.test))
    alone = sorted(row for document in trial.test for row in trial.predictions(model, [document]))
    return "" if whole == alone else "predictions on a document depend on those beside it"


def _lonely(trial: _Trial) -> str:
    document = trial.test[0]
    lonely = replace(document, entities=document.entities[:1], labels=(), candidates=None)
    rows = trial.predictions(trial.fitted(), [lonely])
    return f"{len(rows)} of them" if rows else ""


def _decision(trial: _Trial) -> str:
    decision = trial.fitted().decision()
    wrong = [name for name, value in decision.items() if not (isinstance(name, str) and value == float(value))]
    return f"no numbers: {', '.join(map(str, wrong))}" if wrong else ""


CHECKS: dict[str, Callable[[_Trial], str]] = {
    "its recipe has stages": _recipe,
    "it can be fitted, and leaves the documents as they are": _fits,
    "its predictions are of the documents, their entities and the relations": _predicts,
    "fitted again, it predicts the same": _same_again,
    "a document's predictions are its own": _alone,
    "a document with one entity gives no predictions": _lonely,
    "what it chose is numbers by name": _decision,
}
"""Claim -> what is wrong with it, empty if it holds."""
