"""A model without gradients, fitted: it keeps no weights, so it is fitted again wherever it is to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.data.catalog.dataset import Dataset
from bench.data.documents import Document
from bench.errors import UsageError
from bench.inference.model_code import UnusableModelError, model_code
from bench.interface import CountingModel, CountingTask
from bench.metrics.submission import Prediction
from bench.registry import code_version, find
from bench.runs.plan import RunPlan, StagePlan


def made(stage: StagePlan, dataset: Dataset) -> CountingModel:
    """The model of a stage, not fitted yet. Raises `UnusableModelError`."""
    cls = find(stage.reference).cls
    if not issubclass(cls, CountingModel):
        raise UnusableModelError(f"{stage.reference} is a model with gradients now")
    task = CountingTask(stage.relations, dataset.relation_names, dataset.relation_descriptions, dataset.name)
    with model_code(f"{stage.model} cannot be built"):
        return cls(cls.Hyperparameters(**stage.hyperparameters), task)


def fit(model: CountingModel, stage: StagePlan, dataset: Dataset) -> None:
    """Fit a model on the documents of a stage. Raises `UnusableModelError`."""
    documents, dev = dataset.documents(stage.train_split), dataset.documents(stage.select_split)
    with model_code(f"{stage.model} failed on {stage.data}"):
        model.fit(documents, dev, stage.seed)


def predicted(model: CountingModel, documents: Sequence[Document], what: str) -> list[Prediction]:
    """Its predictions on documents, whose labels it does not see. what: they are called so in a message.

    Raises `UnusableModelError`, also for predictions that are of none of the documents.
    """
    with model_code(f"the model failed on {what}"):
        predictions = list(model.predict([replace(document, labels=()) for document in documents]))
    entities = {document.title: len(document.entities) for document in documents}
    relations = frozenset(model.task.relations)
    for row in predictions:
        if not isinstance(row, Prediction):
            raise UnusableModelError(f"the model's predictions on {what} are no Predictions: {row!r}")
        ends = (row.head, row.tail)
        if not (min(ends) >= 0 and max(ends) < entities.get(row.title, 0) and row.relation in relations):
            raise UnusableModelError(f"the model predicts {row.triple} on {what}, where there is no such thing")
    return predictions


def fitted_again(plan: RunPlan, dataset: Dataset) -> CountingModel:
    """The model of a run, fitted on what it was. Raises `UnusableModelError` where that or its code has changed."""
    model = None
    for stage in plan.stages:
        for what, split, checksum in (
            (stage.data, stage.train_split, stage.train_checksum),
            (stage.training.select_on, stage.select_split, stage.select_checksum),
        ):
            if dataset.checksum(split) != checksum:
                raise UnusableModelError(f"it is fitted anew, and the {what} documents of {dataset.name!r} changed")
        try:
            if code_version(find(stage.reference).cls) != stage.code:
                raise UnusableModelError(f"the code of {stage.model} has changed since it was fitted")
        except UsageError as error:
            raise UnusableModelError(f"its model cannot be used: {error}") from error
        model = model or made(stage, dataset)
        fit(model, stage, dataset)
    assert model is not None
    return model
