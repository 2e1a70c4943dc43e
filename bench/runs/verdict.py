"""What the files of a run amount to. By this one rule every command judges a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import gt

from bench.filesystem import DamagedFileError
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord, SplitRecord

DAMAGED = "damaged: "
NEWER = "made by a newer version of docre-bench: "
"""How what is wrong with a run begins where people read it (`Verdict.why`)."""

PROTOCOLS = ("strict", "released")
SCORED = ("dev", "test")


@dataclass(frozen=True)
class Verdict:
    """The plan and the record of a run, each None where it is not there or cannot be used.

    damage: what is not as it was written, or cannot be right.   newer: what of it only a newer version of the program
    can read. Such a run is kept as it is. Both are empty where there is nothing of the kind.
    """

    plan: RunPlan | None = None
    record: RunRecord | None = None
    damage: str = ""
    newer: str = ""

    @property
    def is_closed(self) -> bool:
        """Whether nothing is to be done for the run here: it is finished, or a newer version is at it."""
        return self.record is not None or bool(self.newer)

    @property
    def why(self) -> str:
        """Why there is no record although there is a file of one, in words; empty where there is nothing to tell."""
        if self.newer:
            return f"{NEWER}{self.newer}"
        return f"{DAMAGED}{self.damage}" if self.damage else ""


def check_record(record: RunRecord, plan: RunPlan) -> None:
    """Raise DamagedFileError, with the first thing that is wrong, for a record that cannot be of the planned run.

    Each number is within its bounds (`RunRecord` has them); here they are held to each other and to the plan. That the
    scores follow from the counts is for `bench audit` to look at.
    """
    problem = next(_problems(record, plan), None)
    if problem is not None:
        raise DamagedFileError(problem)


def _problems(record: RunRecord, plan: RunPlan) -> Iterator[str]:
    for field in ("model", "variant", "dataset", "setting", "encoder", "seed", "key", "configuration"):
        said, planned = getattr(record, field), getattr(plan, field)
        if said != planned:
            yield f"{field} is {said!r}, in run.json {planned!r}"
    if [stage.key for stage in record.stages] != [stage.key for stage in plan.stages]:
        yield "its stages are not those in run.json"
    for number, stage in enumerate(record.stages):
        if not 1 <= stage.selected_epoch <= len(stage.dev_f1):
            yield f"stages.{number}: epoch {stage.selected_epoch} selected of {len(stage.dev_f1)}"
    if not any(split in record.splits for split in SCORED):
        yield f"no scores of {' or '.join(SCORED)}"
    for name, split in record.splits.items():
        yield from (f"splits.{name}.{problem}" for problem in _problems_of_split(split))


def _problems_of_split(split: SplitRecord) -> Iterator[str]:
    if missing := [protocol for protocol in PROTOCOLS if protocol not in split.slices]:
        yield f"slices: none of the protocol {', '.join(missing)}"
    for relation, (correct, predicted, gold) in split.relations.items():
        if correct > min(predicted, gold):
            yield f"relations.{relation}: {correct} correct of {predicted} predicted and {gold} labelled"
    documents = split.documents
    columns = (documents.correct, documents.predicted, documents.gold, documents.correct_in_facts)
    lengths = [len(documents.titles), *map(len, columns)]
    if len(set(lengths)) > 1:
        yield f"documents: lists of {', '.join(map(str, lengths))} entries"
        return
    if not documents.titles:
        yield "documents: there are none"
    yield from _too_many(documents.titles, documents.correct, documents.predicted, "predicted")
    yield from _too_many(documents.titles, documents.correct, documents.gold, "labelled")
    yield from _too_many(documents.titles, documents.correct_in_facts, documents.correct, "correct")
    if split.gold_outside > sum(documents.gold):
        yield f"gold_outside: {split.gold_outside} of {sum(documents.gold)} labelled"


def _too_many(titles: list[str], part: list[int], whole: list[int], what: str) -> Iterator[str]:
    """Documents of which a part is more than the whole."""
    if any(map(gt, part, whole)):  # without a loop in Python: `bench status` does it for every run
        at = next(i for i in range(len(part)) if part[i] > whole[i])
        yield f"documents: {part[at]} of {whole[at]} {what} in {titles[at]!r}"
