"""What runs scored, for notebooks, as pandas data frames; and whether a model holds, for its tests.

    from bench import api

    runs = api.load_runs("results")
    runs.query("split == 'test' and slice == 'all' and metric == 'f1'").groupby(["model", "setting"])["value"].agg(
        ["mean", "std", "count"]
    )

Stable between releases, like `bench.interface`: columns are added, never renamed or removed. Scores are in percent and
unrounded. What the commands refuse raises `bench.errors.UsageError` here, with the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.aggregate import existing_cells, scores_of
from bench.analysis.claims import claim
from bench.analysis.comparison import TESTS, Comparison, Question
from bench.analysis.metrics import METRICS, scores_of_submission
from bench.analysis.pairing import PUBLISHED, Pairing
from bench.analysis.published import read_published
from bench.errors import UsageError, unknown
from bench.filesystem import fits_checksum
from bench.metrics.slices import PROTOCOLS
from bench.metrics.submission import read_submission
from bench.metrics.submission_scores import score_submission
from bench.runs.names import model_name
from bench.runs.plan import named_configuration

if TYPE_CHECKING:
    from bench.execution.model_checks import Check
    from bench.interface import Model

__all__ = ["Evaluation", "check_model", "compare", "evaluate", "load_predictions", "load_runs", "table"]

_CELL = ("model", "variant", "dataset", "setting", "encoder")


def check_model(cls: type[Model]) -> list[Check]:
    """What `bench models check` finds of a model, one claim after the other.

    Each has `claim`, `holds` and `detail`, what was seen. Nothing comes after a claim whose check raised.
    """
    from bench.execution.checks import check  # with torch, which nothing else here needs

    return list(check(cls))


def load_runs(out: str | Path = "results") -> pd.DataFrame:
    """Every number of every finished run in an output folder, one a row.

    Columns: model, variant, dataset, setting, encoder, configuration, seed; split (dev, test), slice ("all" or a part
    of the split; "released:..." in the released protocol, where a slice's precision is over all predictions), metric,
    value. Runs that are not finished, or damaged, have no rows; the latter are told on standard error.
    Raises UsageError for a folder without runs.
    """
    rows = [
        (
            *(getattr(score, name) for name in _CELL),
            *(named_configuration(score.configuration), int(seed), score.split, score.slice, score.metric, value),
        )
        for score in scores_of(existing_cells(Path(out)))
        for seed, value in score.seeds.items()
    ]
    return pd.DataFrame(rows, columns=[*_CELL, "configuration", "seed", "split", "slice", "metric", "value"])


def load_predictions(run: str | Path, split: str = "test") -> pd.DataFrame:
    """The predictions of a run, whose folder `run` is, on a split: title, head, tail, relation, evidence, score.

    evidence: a tuple of sentence numbers; evidence and score are None where there are none. Raises UsageError where the
    run has no such predictions, or they are not what was written.
    """
    path = Path(run) / f"predictions-{split}.json"
    if not path.is_file():
        raise UsageError(f"{path}: no such predictions")
    if not fits_checksum(path):
        raise UsageError(f"{path}: not what was written (checksum)")
    rows = read_submission(path)
    return pd.DataFrame(rows, columns=["title", "head", "tail", "relation", "evidence", "score"])


def table(
    out: str | Path = "results", split: str = "test", metrics: tuple[str, ...] = ("f1", "ign_f1")
) -> pd.DataFrame:
    """Mean, standard deviation (ddof 1) and number of seeds of whole splits, a row for each system.

    Indexed by dataset, setting, encoder, model (with what was changed of it) and configuration; columns are
    `f1`, `f1_std`, ... for each metric, `seeds` and `planned`. A number that no seed has is missing, not 0.
    Raises UsageError for a folder without runs, and a metric that there is not.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS)
    rows: dict[tuple[str, ...], dict[str, float | int | None]] = {}
    for score in scores_of(existing_cells(Path(out))):
        if (score.split, score.slice) != (split, "all") or score.metric not in metrics:
            continue
        name = model_name(score.model, score.variant)
        key = (score.dataset, score.setting, score.encoder, name, named_configuration(score.configuration))
        row = rows.setdefault(key, {"seeds": score.n, "planned": score.expected})
        row |= {score.metric: score.mean, f"{score.metric}_std": score.std}
    index = pd.MultiIndex.from_tuples(rows, names=["dataset", "setting", "encoder", "model", "configuration"])
    columns = [column for metric in metrics for column in (metric, f"{metric}_std")]
    return pd.DataFrame(list(rows.values()), index=index, columns=[*columns, "seeds", "planned"])


def compare(
    a: str,
    b: str,
    out: str | Path = "results",
    *,
    metric: str = "f1",
    split: str = "test",
    dataset: str | None = None,
    setting: str | None = None,
    encoder: str | None = None,
    resamples: int = 10_000,
) -> pd.DataFrame:
    """Two systems by name, as `bench compare` names them, in every condition that both are in: a row each.

    Columns: dataset, setting, encoder, a, b, mean_a, mean_b, difference (a - b), its 95 % intervals over seeds
    (welch_low, welch_high) and over documents (bootstrap_low, bootstrap_high), p of each test (welch_p, permutation_p,
    randomization_p, bootstrap_p; missing where it cannot be done), and claim, what may be said in words.
    Raises UsageError for names that there are not, or that cannot be compared.
    """
    asks_published = any(name.startswith(PUBLISHED) for name in (a, b))
    pairing = Pairing(
        existing_cells(Path(out)), read_published(None) if asks_published else None, Question(metric, split, resamples)
    )
    pairing.limit(dataset, setting, encoder)
    return pd.DataFrame([_compared(comparison) for comparison in pairing.pair(a, b)])


def _compared(comparison: Comparison) -> dict[str, object]:
    ours, theirs = comparison.summary(comparison.a), comparison.summary(comparison.b)
    welch, bootstrap, both = comparison.welch, comparison.bootstrap, comparison.both
    return {
        **comparison.condition._asdict(),
        "a": comparison.a.name,
        "b": comparison.b.name,
        "mean_a": ours.mean if ours else None,
        "mean_b": theirs.mean if theirs else None,
        "difference": comparison.difference,
        "welch_low": welch.low if welch else None,
        "welch_high": welch.high if welch else None,
        "bootstrap_low": bootstrap.low if bootstrap else None,
        "bootstrap_high": bootstrap.high if bootstrap else None,
        "both_low": both.low if both else None,
        "both_high": both.high if both else None,
        **{f"{test}_p": comparison.p.get(test) for test in TESTS},
        "claim": claim(comparison),
    }


@dataclass(frozen=True)
class Evaluation:
    """A submission beside labelled documents.

    scores: by metric, in percent, None where there is none.   counts: correct, predicted, gold.
    slices: a row for each part of the documents' triples and protocol: slice, protocol, gold, f1, ign_f1, precision,
    recall.   notes: what is odd about the submission, in sentences.
    """

    scores: dict[str, float | None]
    counts: dict[str, int]
    slices: pd.DataFrame
    notes: tuple[str, ...]


def evaluate(
    gold: str | Path, pred: str | Path, train_facts: str | Path | None = None, distant_facts: str | Path | None = None
) -> Evaluation:
    """Score a submission file against a labelled file, as `bench evaluate` does.

    train_facts, distant_facts: .fact files or documents, for Ign F1. Raises UsageError for files that cannot be used.
    """
    train, distant = (None if path is None else Path(path) for path in (train_facts, distant_facts))
    scored = score_submission(Path(gold), Path(pred), train, distant)
    total = scored.evaluation.counts.total
    rows = []
    for protocol in PROTOCOLS:
        for part in scored.sliced.slices:
            of = part.total(protocol)
            ign_f1 = of.ign_f1 if scored.evaluation.has_facts else None
            rows.append((part.name, protocol, of.gold, of.f1, ign_f1, of.precision, of.recall))
    return Evaluation(
        scores=scores_of_submission(scored) | {"evidence_f1": scored.evidence_f1},
        counts={"correct": total.correct, "predicted": total.predicted, "gold": total.gold},
        slices=pd.DataFrame(rows, columns=["slice", "protocol", "gold", "f1", "ign_f1", "precision", "recall"]),
        notes=tuple(scored.notes),
    )
