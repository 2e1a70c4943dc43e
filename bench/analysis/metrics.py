"""The scores of runs, listed once: what shows, compares or writes scores takes names, order and headings from here.

Another score is a field of `bench.runs.record.Scores` (or of another part of `SplitRecord`) and a line of `METRICS`.
With that it is among the numbers of `bench table --json`, a column of the tables (on the terminal, in `tables/runs.md`
and in the report in all its forms) wherever a run has it, a column of `runs.csv`, and a column that files of published
numbers may have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.metrics.submission_scores import SubmissionScores
    from bench.runs.record import Scores, SplitRecord


@dataclass(frozen=True)
class Metric:
    """A score of a split, or of a slice of it, in percent.

    name: what records, JSON and CSV files call it.   title: the heading of its column; empty where tables of results
    leave it out.   label: what sentences call it.   part: the field of `SplitRecord` that holds it, with whose name its
    own may begin; empty for a field of `SplitRecord` itself.
    counted: whether it follows from the counts of documents (`bench.metrics.arithmetic`). Such scores can be compared
    over documents, every table of results has a column for them, and the audit checks them against the counts.
    later: whether records of the first release lack it. CSV files have a column for it only where a run has the score.
    """

    name: str
    title: str
    label: str
    part: str = "scores"
    counted: bool = False
    later: bool = False

    def of_split(self, record: SplitRecord) -> float | None:
        """The score of the whole split; None where the run has none."""
        scores = getattr(record, self.part) if self.part else record
        value: float | None = getattr(scores, self.name.removeprefix(f"{self.part}_"), None)
        return value

    def of_slice(self, scores: Scores) -> float | None:
        """The score of a slice, if tables show it; None where slices have none."""
        value: float | None = getattr(scores, self.name) if self.part == "scores" and self.title else None
        return value


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("f1", "F1", "F1", counted=True),
        Metric("ign_f1", "Ign F1", "Ign F1", counted=True),
        Metric("ign_f1_distant", "", "Ign F1 (distant)"),
        Metric("precision", "Precision", "precision", counted=True),
        Metric("recall", "Recall", "recall", counted=True),
        Metric("auc", "", "AUC", later=True),
        Metric("ign_auc", "", "Ign AUC", later=True),
        Metric("macro_f1", "", "macro F1", part=""),
        Metric("evidence_f1", "Evi F1", "evidence F1", part="evidence"),
        Metric("evidence_precision", "", "evidence precision", part="evidence"),
        Metric("evidence_recall", "", "evidence recall", part="evidence"),
    )
}
"""Every score by its name, in the order of tables and files."""

COUNTED = tuple(metric for metric in METRICS.values() if metric.counted)
"""What can be compared: the scores that follow from the counts of documents."""

COLUMNS = tuple(metric for metric in METRICS.values() if metric.title)
"""What tables of results have columns for."""

PRINTED = tuple(metric for metric in COLUMNS if metric.part == "scores")
"""What published tables print."""


def scores_of_submission(scored: SubmissionScores) -> dict[str, float | None]:
    """By name, in their order, those of the scores of runs that follow from predictions and labels; in percent."""
    evaluation, ranking = scored.evaluation, scored.ranking
    scores: dict[str, float | None] = {name: getattr(evaluation, name) for name in METRICS if hasattr(evaluation, name)}
    scores["auc"] = ranking.auc if ranking else None
    scores["ign_auc"] = ranking.ign_auc if ranking and evaluation.has_facts else None
    return {name: scores[name] for name in METRICS if name in scores}
