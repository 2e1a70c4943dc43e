"""Submissions of others as runs: scored by the data set's rules, with records like those of trained ones.

One file is one seed on one split. Files that are imported under one name are seeds of one system; a file that
contradicts what is there under that name belongs to a new edition of it, and the two are never averaged.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.catalog.dataset import Dataset
from bench.errors import NewerVersionError, UsageError
from bench.filesystem import fits_checksum
from bench.locks import waiting_for
from bench.metrics import submission_checks
from bench.metrics.official import judge
from bench.metrics.split_record import split_record
from bench.metrics.submission import Prediction, either_way_round, keep_submission, read_submission, submission_bytes
from bench.outside.scores import has_scores, keep_scores
from bench.runs.archive import ARCHIVE, all_runs, is_in
from bench.runs.names import OUTSIDE, made_anew
from bench.runs.plan import METRIC_VERSION, OutsidePredictions, RunPlan
from bench.runs.record import RunRecord, SplitRecord
from bench.runs.run_folder import RunFolder, kept_from_newer, predictions_path
from bench.runs.settings import RunSetting
from bench.runs.verdict import SCORED

UNSTATED = "unstated"
"""The encoder of a system of which nobody has said any."""

TAKEN = ":(#"
"""What a name may not have: `bench compare` takes it for the beginning of something else."""
LONGEST_NAME = 100

Rows = tuple[Prediction, ...]


@dataclass(frozen=True)
class OutsideSystem:
    """What somebody says of a system that was made elsewhere. encoder: UNSTATED where it has none, or nobody knows."""

    name: str
    setting: RunSetting
    encoder: str = UNSTATED
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class Imported:
    """What became of the predictions of a seed: its run, whether that is new, and what is odd about them."""

    run: str
    seed: int
    record: RunRecord
    is_new: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """A run of the system that is there already."""

    folder: RunFolder
    plan: RunPlan
    outside: OutsidePredictions


def import_predictions(
    out: Path, system: OutsideSystem, dataset: Dataset, split: str, predictions: Mapping[int, Sequence[Prediction]]
) -> list[Imported]:
    """Make or complete the runs of a system in `out`, one for each seed. predictions: on `split`, by seed.

    What is there already, and as it was written, stays as it is. Raises UsageError for a split that cannot be scored,
    and for a run that lacks this split and whose predictions on the other one are damaged; NewerVersionError where a
    newer version has made the run.
    """
    _check_name(system.name)
    if split not in SCORED:
        raise UsageError(f"--split {split}: predictions are scored on {' or '.join(SCORED)}")
    if not dataset.is_labelled(split):
        raise UsageError(f"the {split} documents of {dataset.name!r} have no labels to score predictions with")
    if dataset.form.unordered:
        predictions = {seed: either_way_round(rows, dataset.documents(split)) for seed, rows in predictions.items()}
    rows: dict[int, Rows] = {seed: tuple(sorted(of_seed, key=_order)) for seed, of_seed in predictions.items()}
    checksums = {seed: hashlib.sha256(submission_bytes(of_seed)).hexdigest() for seed, of_seed in rows.items()}
    there = list(_runs_of(out, system, dataset))
    edition = _edition(there, split, checksums, system.name)
    imported = []
    for seed in sorted(rows):
        before = next((f for f in there if f.outside.edition == edition and f.plan.seed == seed), None)
        known = (before.outside.predictions if before else {}) | {split: checksums[seed]}
        outside = OutsidePredictions(
            predictions={name: known[name] for name in SCORED if name in known},
            relations=dataset.relations,
            edition=edition,
            source=system.source or (before.outside.source if before else ""),
            note=system.note or (before.outside.note if before else ""),
        )
        plan = _plan(system, dataset, seed, outside)
        of_seed = _import(out, plan, dataset, split, rows[seed], before)
        alike = sorted(_same(there, edition, split, checksums, seed))
        if alike:
            told = f"the same predictions as seed{'s' * (len(alike) > 1)} {', '.join(map(str, alike))}"
            of_seed = replace(of_seed, notes=(*of_seed.notes, f"{told}: no spread over seeds can be had of them"))
        imported.append(of_seed)
    return imported


def _same(there: Sequence[_Found], edition: int, split: str, checksums: Mapping[int, str], seed: int) -> set[int]:
    """Other seeds of an edition that have the same predictions on the split."""
    known = {f.plan.seed: f.outside.predictions.get(split) for f in there if f.outside.edition == edition}
    return {other for other, checksum in {**known, **checksums}.items() if checksum == checksums[seed]} - {seed}


def _check_name(name: str) -> None:
    """Raise UsageError for a name that tables could not show in a line, or `bench compare` would read otherwise."""
    taken = sorted({character for character in name if character in TAKEN or not character.isprintable()})
    if taken or not name.strip() or len(name) > LONGEST_NAME:
        what = f"with {', '.join(map(repr, taken))}" if taken else "empty" if not name.strip() else f"{name[:20]}..."
        raise UsageError(
            f"NAME {what}: a system is called by up to {LONGEST_NAME} printable characters, none of {' '.join(TAKEN)} "
            "(which `bench compare` reads as changes of a model and as a configuration)"
        )


def _order(prediction: Prediction) -> tuple[object, ...]:
    """The order of rows in which two files with the same predictions are one."""
    score = prediction.score
    return (*prediction.triple, prediction.evidence or (), score is not None, score or 0.0)


def _runs_of(out: Path, system: OutsideSystem, dataset: Dataset) -> Iterator[_Found]:
    """The runs in `out`, its archive among them, of the same name, data, setting and encoder, by their plans."""
    wanted = _cell(_plan(system, dataset, 0, OutsidePredictions(predictions={}, relations=dataset.relations)))
    for folder in all_runs(out):
        plan = folder.plan()
        if plan is not None and plan.outside is not None and _cell(plan) == wanted:
            yield _Found(folder, plan, plan.outside)


def _cell(plan: RunPlan) -> tuple[object, ...]:
    evaluated = (plan.dev_checksum, plan.test_checksum, plan.facts_checksum, plan.distant_checksum, plan.metric)
    return (plan.model, plan.dataset, plan.setting, plan.encoder, *evaluated)


def _edition(there: Sequence[_Found], split: str, checksums: Mapping[int, str], name: str) -> int:
    """The edition of a system in which none of the seeds has other predictions on the split, or a new one.

    Raises UsageError where several editions could take them, and none of these has them already.
    """
    for edition in sorted({found.outside.edition for found in there}):
        of_edition = {
            found.plan.seed: found.outside.predictions.get(split) for found in there if found.outside.edition == edition
        }
        if all(of_edition.get(seed) == checksum for seed, checksum in checksums.items()):
            return edition
    contradicted = {
        found.outside.edition
        for found in there
        if found.plan.seed in checksums
        and found.outside.predictions.get(split, checksums[found.plan.seed]) != checksums[found.plan.seed]
    }
    fitting = {found.outside.edition: found.plan for found in there if found.outside.edition not in contradicted}
    if len(fitting) > 1:
        rows = ", ".join(f"{name}#{plan.configuration[:4]}" for plan in fitting.values())
        raise UsageError(
            f"which of the rows of {name} do these belong to? {rows}. Import each under a name of its own, or "
            "`bench remove` the runs of the one that is not wanted"
        )
    return next(edition for edition in range(len(there) + 1) if edition not in contradicted)


def _plan(system: OutsideSystem, dataset: Dataset, seed: int, outside: OutsidePredictions) -> RunPlan:
    has_distant = "distant" in dataset.splits and dataset.form.ign_f1
    return RunPlan(
        metric=METRIC_VERSION,
        model=system.name,
        variant=OUTSIDE,
        dataset=dataset.name,
        setting=system.setting,
        encoder=system.encoder,
        seed=seed,
        stages=(),
        dev_checksum=dataset.checksum("dev"),
        test_checksum=dataset.checksum("test"),
        facts_checksum=dataset.facts_source()["sha256"],
        distant_checksum=dataset.checksum("distant") if has_distant else None,
        outside=outside,
    )


def _import(out: Path, plan: RunPlan, dataset: Dataset, split: str, rows: Rows, before: _Found | None) -> Imported:
    documents = dataset.documents(split)
    judged = judge((row.triple for row in rows), documents)
    checks = submission_checks.check(rows, documents, judged)
    notes = tuple(submission_checks.notes(checks, rows, documents, f"{split} of {dataset.name}"))
    folder = RunFolder.of(out, plan)
    record = _whole_record(folder, plan)
    if record is not None:
        return Imported(folder.name, plan.seed, record, False, notes)
    if newer := kept_from_newer(out, plan):
        raise NewerVersionError(f"{folder.path} was made by a newer version of docre-bench ({newer}), and is kept")
    others = {} if before is None else _other_splits(before, split, out)
    with waiting_for(folder.path / "lock"):
        record = _write(folder, plan, dataset, others | {split: rows})
    if before is not None and before.folder.name != folder.name:
        shutil.rmtree(before.folder.path)  # all of it is in the new one
    return Imported(folder.name, plan.seed, record, True, notes)


def _whole_record(folder: RunFolder, plan: RunPlan) -> RunRecord | None:
    """The record of a run all of whose files are as they were written."""
    assert plan.outside is not None
    intact = all(fits_checksum(predictions_path(folder.path, split)) for split in plan.outside.predictions)
    return folder.record() if intact else None


def _other_splits(before: _Found, split: str, out: Path) -> dict[str, Rows]:
    """The predictions of a run on its other splits. Raises UsageError where they are damaged, or only archived."""
    others = {}
    for other, checksum in before.outside.predictions.items():
        if other == split:
            continue
        path = predictions_path(before.folder.path, other)
        if not is_in(before.folder, out):
            raise UsageError(
                f"{before.folder.name} is in {out / ARCHIVE}, which has scores on {other} and no predictions, and so "
                f"cannot be completed with {split}: import both into another folder (--out)"
            )
        rows = tuple(read_submission(path)) if path.is_file() else ()
        if hashlib.sha256(submission_bytes(rows)).hexdigest() != checksum:
            how = made_anew(before.folder.path.parent.parent, before.folder.name, "predictions")
            raise UsageError(f"{path}: not what was imported, and cannot be completed with {split}; {how}")
        others[other] = rows
    return others


def _write(folder: RunFolder, plan: RunPlan, dataset: Dataset, predictions: Mapping[str, Rows]) -> RunRecord:
    """The plan, the predictions, their scores and, last, the record."""
    facts = dataset.evaluation_facts()
    folder.announce(plan)
    splits: dict[str, SplitRecord] = {}
    for split in [split for split in SCORED if split in predictions]:
        rows, documents = predictions[split], dataset.documents(split)
        keep_submission(predictions_path(folder.path, split), rows)
        ranking = None
        if has_scores(rows):
            ranking = keep_scores(folder.path, split, rows, documents, dataset.relations, facts.human)
        evidence = any(row.evidence is not None for row in rows)
        splits[split] = split_record(rows, documents, *facts, 0, evidence, ranking)
    record = RunRecord.of(plan, dataset.facts_source(), [], splits, {}, dataset.conventions())
    folder.write_record(record)
    return record
