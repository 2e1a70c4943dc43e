"""From run folders to what the explorer shows: documents, and what each run made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.data.catalog.dataset import Dataset, open_dataset
from bench.data.documents import Document, Fact
from bench.errors import BenchError, UsageError
from bench.metrics.submission import Prediction, read_submission
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord
from bench.runs.run_folder import RunFolder, not_finished
from bench.runs.triple_scores import SplitScores, has_newer_scores, load_scores

Split = Literal["dev", "test"]
CHECKSUMS: dict[Split, str] = {"dev": "dev_checksum", "test": "test_checksum"}


@dataclass(frozen=True)
class ExploredRun:
    """One run on the split. predictions: of each document, by its row.

    scores: None where there are none, for the reason in `unscored`.
    """

    folder: str
    plan: RunPlan
    record: RunRecord
    predictions: dict[int, list[Prediction]]
    scores: SplitScores | None
    unscored: str = ""


@dataclass(frozen=True)
class Exploration:
    """Runs on one split of one data set. relations: their names, by id.   facts: those that Ign F1 leaves out."""

    dataset: str
    split: Split
    documents: tuple[Document, ...]
    relations: dict[str, str]
    facts: frozenset[Fact]
    runs: tuple[ExploredRun, ...]


def explore(
    folders: Sequence[RunFolder], split: Split, make_scores: bool = True, on_message: Callable[[str], None] = print
) -> Exploration:
    """Read what is shown of finished runs: predictions, scores and the documents they are of.

    make_scores: give runs that lack scores theirs, from their weights.   on_message: is given notes for the user.
    Raises UsageError for runs that are not finished, of different documents, or a data set that is not here.
    """
    finished = [_finished(folder) for folder in folders]
    plans = [plan for plan, _ in finished]
    dataset = _shared_dataset(plans, split)
    documents = dataset.documents(split)
    if not dataset.is_labelled(split):
        raise UsageError(f"the {split} documents of {dataset.name!r} have no labels to compare with: try --split dev")
    runs = []
    for folder, (plan, record) in zip(folders, finished, strict=True):
        predictions = read_submission(folder.path / f"predictions-{split}.json")
        by_row = _by_row(predictions, documents, folder.path)
        scores, why = load_scores(folder.path, split), ""
        if scores is None:
            why = "none were kept"
            if has_newer_scores(folder.path, split):
                why = "a newer version of docre-bench has kept them"
            elif make_scores:
                why = _made_scores(folder, plan, split, documents, predictions, on_message)
            scores = load_scores(folder.path, split)
        runs.append(ExploredRun(folder.name, plan, record, by_row, scores, why))
    names = {relation: dataset.relation_names.get(relation, relation) for relation in dataset.relations}
    return Exploration(dataset.name, split, documents, names, dataset.facts() or frozenset(), tuple(runs))


def _finished(folder: RunFolder) -> tuple[RunPlan, RunRecord]:
    found = folder.verdict()
    if found.plan is None or found.record is None:
        raise UsageError(f"{folder.name} is not a finished run: {not_finished(folder)}")
    return found.plan, found.record


def _shared_dataset(plans: Sequence[RunPlan], split: Split) -> Dataset:
    """The one data set of all the runs, with the documents they were evaluated on."""
    checksums = {getattr(plan, CHECKSUMS[split]): plan.dataset for plan in plans}
    if len(checksums) > 1:
        listed = "\n".join(f"  {plan.dataset} ({getattr(plan, CHECKSUMS[split])[:8]}): {plan.folder}" for plan in plans)
        raise UsageError(
            f"these runs were evaluated on different {split} documents, one page can show only one:\n{listed}"
        )
    ((checksum, name),) = checksums.items()
    dataset = open_dataset(name)
    if dataset.checksum(split) != checksum:
        raise UsageError(
            f"the {split} documents of {name!r} are not those that these runs were evaluated on. "
            f"Register those again: bench data add {name} --replace ..."
        )
    return dataset


def _by_row(
    predictions: Sequence[Prediction], documents: Sequence[Document], folder: Path
) -> dict[int, list[Prediction]]:
    """Predictions by the row of their document. Raises BenchError for any that cannot be of these documents."""
    rows = {document.title: row for row, document in enumerate(documents)}
    by_row: dict[int, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        row = rows.get(prediction.title, -1)
        if row < 0 or max(prediction.head, prediction.tail) >= len(documents[row].entities):
            raise BenchError(f"{folder}: predicts {prediction.triple}, which no document of the data set has")
        by_row[row].append(prediction)
    return by_row


def _made_scores(
    folder: RunFolder,
    plan: RunPlan,
    split: Split,
    documents: Sequence[Document],
    predictions: Sequence[Prediction],
    on_message: Callable[[str], None],
) -> str:
    """Make the scores that a run lacks, from its weights; returns why that could not be done, or nothing."""
    from bench.inference.finished_run import score_again
    from bench.inference.load import UnusableModelError
    from bench.inference.reader import NotFiniteError

    on_message(f"{folder.name}: no scores beside its predictions; making them from its weights, once")
    try:
        score_again(folder, plan, split, documents, predictions)
    except (UnusableModelError, NotFiniteError) as error:
        on_message(f"{folder.name}: shown without scores: {error}")
        return str(error).partition("\n")[0]
    return ""
