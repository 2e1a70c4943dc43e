"""From run folders to what the explorer shows: documents, and what each run made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.data.catalog.dataset import Dataset, open_dataset
from bench.data.documents import Document, Fact
from bench.errors import BenchError, UsageError, plural
from bench.filesystem import fits_checksum
from bench.inference.model_code import UnusableModelError
from bench.inference.trust import INSTALLED_ONLY, Trust
from bench.metrics.submission import Prediction, read_submission
from bench.runs.names import made_anew
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord
from bench.runs.run_folder import RunFolder, not_finished, predictions_path
from bench.runs.triple_scores import SplitScores, has_newer_scores, load_scores, scores_path
from bench.runs.verdict import Verdict

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
class LeftOut:
    """A run that was asked for and is not on the page, and why."""

    folder: str
    why: str


@dataclass(frozen=True)
class Exploration:
    """Runs on one split of one data set. relations: their names, by id.   facts: those that Ign F1 leaves out."""

    dataset: str
    split: Split
    documents: tuple[Document, ...]
    relations: dict[str, str]
    facts: frozenset[Fact]
    runs: tuple[ExploredRun, ...]
    left_out: tuple[LeftOut, ...] = ()


def explore(
    folders: Sequence[RunFolder],
    split: Split,
    make_scores: bool = True,
    on_message: Callable[[str], None] = print,
    trust: Trust = INSTALLED_ONLY,
    doing: Callable[[str, float, float], None] = lambda what, done, of: None,
) -> Exploration:
    """Read what is shown of finished runs: predictions, scores and the documents they are of.

    make_scores: give runs that lack scores theirs, from their weights.   trust: whose code these models may be.
    doing: told whose files are read, how many runs are done, and of how many.
    on_message: is given notes for the user, such as why a damaged run is left out or shown without scores.
    Raises UsageError for runs that are not finished, of different documents, or a data set that is not here; BenchError
    where all are left out.
    """
    finished = [(folder, *_finished(folder)) for folder in folders]
    if not any(found.record for _, _, found in finished):
        raise UsageError(_nothing_to_show([_left_out(folder, found.why, plan) for folder, plan, found in finished]))
    dataset = _shared_dataset([plan for _, plan, _ in finished], split)
    documents = dataset.documents(split)
    if not dataset.is_labelled(split):
        raise UsageError(f"the {split} documents of {dataset.name!r} have no labels to compare with: try --split dev")
    runs: list[ExploredRun] = []
    left_out: list[LeftOut] = []
    for number, (folder, plan, found) in enumerate(finished):
        doing(folder.name, number, len(finished))
        try:
            if found.record is None:
                raise BenchError(found.why)
            if plan.outside and split not in plan.outside.predictions:
                raise BenchError(f"no predictions on {split} were imported")
            path = predictions_path(folder.path, split)
            if not fits_checksum(path):
                raise BenchError(f"{path}: not what was written (checksum)")
            predictions = read_submission(path)
            by_row, nowhere = _by_row(predictions, documents, dataset.relations)
            if nowhere and not plan.outside:
                is_known = nowhere[0].relation in dataset.relations
                lacks = "which no document of the data set has" if is_known else "of a relation that the data set lacks"
                raise BenchError(f"{folder.path}: predicts {nowhere[0].triple}, {lacks}")
        except BenchError as error:
            left_out.append(_left_out(folder, str(error), plan))
            on_message(f"{folder.name}: left out: {left_out[-1].why}")
            continue
        if nowhere:
            on_message(
                f"{folder.name}: {plural(len(nowhere), 'prediction')} of nothing that is in the documents: not shown"
            )
        scores, why = _kept_scores(folder, plan, split, documents)
        makes_scores = make_scores and plan.last is not None and not plan.last.is_counted
        if scores is None and makes_scores and not has_newer_scores(folder.path, split):
            on_message(f"{folder.name}: {why}; making them from its weights, once")
            why = _made_scores(folder, plan, split, documents, predictions, on_message, trust)
            scores, why = (None, why) if why else _kept_scores(folder, plan, split, documents)
        runs.append(ExploredRun(folder.name, plan, found.record, by_row, scores, why))
    if not runs:
        raise BenchError(_nothing_to_show(left_out))
    names = {relation: dataset.relation_names.get(relation, relation) for relation in dataset.relations}
    facts = dataset.facts() or frozenset()
    return Exploration(dataset.name, split, documents, names, facts, tuple(runs), tuple(left_out))


def _left_out(folder: RunFolder, why: str, plan: RunPlan) -> LeftOut:
    return LeftOut(folder.name, f"{why}\n{made_anew(folder.path.parent.parent, folder.name, plan.origin)}")


def _nothing_to_show(left_out: Sequence[LeftOut]) -> str:
    return "\n".join(["none of the runs can be shown", *(f"{run.folder}: {run.why}" for run in left_out)])


def _finished(folder: RunFolder) -> tuple[RunPlan, Verdict]:
    """The plan of a run, and what its files amount to: its record may be damaged. Raises UsageError for other runs."""
    found = folder.verdict()
    if found.plan is None or not (found.record or found.damage):
        raise UsageError(f"{folder.name} is not a finished run: {not_finished(folder)}")
    return found.plan, found


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
    predictions: Sequence[Prediction], documents: Sequence[Document], relations: Sequence[str]
) -> tuple[dict[int, list[Prediction]], list[Prediction]]:
    """Predictions by the row of their document; and those of a document, entity or relation that there is not."""
    rows = {document.title: row for row, document in enumerate(documents)}
    known = frozenset(relations)
    by_row: dict[int, list[Prediction]] = defaultdict(list)
    nowhere: list[Prediction] = []
    for prediction in predictions:
        row = rows.get(prediction.title, -1)
        there = row >= 0 and max(prediction.head, prediction.tail) < len(documents[row].entities)
        if there and prediction.relation in known:
            by_row[row].append(prediction)
        else:
            nowhere.append(prediction)
    return by_row, nowhere


def _kept_scores(
    folder: RunFolder, plan: RunPlan, split: Split, documents: Sequence[Document]
) -> tuple[SplitScores | None, str]:
    """The scores beside a run's predictions, or None and why there are none."""
    scores = load_scores(folder.path, split)
    if scores is None:
        if has_newer_scores(folder.path, split):
            return None, "a newer version of docre-bench has kept them"
        damaged = scores_path(folder.path, split).exists()
        return None, "the scores beside its predictions are damaged" if damaged else "none were kept"
    relations = len(plan.relations)
    for row, triples in scores.documents.items():
        entities = len(documents[row].entities) if 0 <= row < len(documents) else 0
        if any(not (min(s[:3]) >= 0 and max(s[:2]) < entities and s.relation < relations) for s in triples):
            return None, "the scores beside its predictions are of other documents"
    return scores, ""


def _made_scores(
    folder: RunFolder,
    plan: RunPlan,
    split: Split,
    documents: Sequence[Document],
    predictions: Sequence[Prediction],
    on_message: Callable[[str], None],
    trust: Trust,
) -> str:
    """Make the scores that a run lacks, from its weights; returns why that could not be done, or nothing."""
    from bench.inference.finished_run import score_again
    from bench.inference.reader import NotFiniteError

    try:
        score_again(folder, plan, split, documents, predictions, trust)
    except (UnusableModelError, NotFiniteError, OSError) as error:
        on_message(f"{folder.name}: shown without scores: {error}")
        return str(error).partition("\n")[0]
    return ""
