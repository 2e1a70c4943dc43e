"""Checkpoints of the authors' programs as runs: weights in the place of a stage, evaluated like those trained here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.data.catalog.dataset import Dataset
from bench.errors import BenchError, NewerVersionError, UsageError, unknown
from bench.execution.context import Context
from bench.execution.evaluate import evaluate_run
from bench.experiment.values import checked
from bench.experiment.variants import Variant, variant_name, why_not
from bench.filesystem import fits_checksum, load_state, sha256_of, write_json
from bench.inference.load import encoder_size, task_of, untrained
from bench.interface import PairModel, Training
from bench.locks import waiting_for
from bench.nn.encoder_seal import is_intact, seal
from bench.nn.encoder_source import TINY, EncoderSource, find_encoder
from bench.nn.precision import settled_precision
from bench.nn.weights import save_tensors
from bench.outside.checkpoints import check_columns, read_checkpoint, read_columns, sizes_in, weights_from
from bench.outside.mappings import ProgramMapping, mapping_of
from bench.registry import ModelEntry, code_version, find
from bench.runs.archive import all_runs, is_in
from bench.runs.interrupt import Interrupted, handling_signals
from bench.runs.names import IMPORTED
from bench.runs.plan import HARNESS_VERSION, METRIC_VERSION, ImportedWeights, RunPlan, StagePlan
from bench.runs.record import RunRecord, StageRecord
from bench.runs.run_folder import RunFolder, kept_from_newer, predictions_path
from bench.runs.settings import RunSetting, parts_of
from bench.runs.stage_folder import (
    ENCODER,
    SELECTED,
    StageResult,
    precision_of,
    stage_folder,
    stage_result,
    write_precision,
)
from bench.runs.verdict import SCORED
from bench.training.trainer import selected_is_intact

MAX_LENGTH = 1024
"""Word pieces of a document that the programs read, unless their command line says otherwise."""
READING = ("batch_size", "precision", "window")
"""Fields of `Training` that decide how weights predict: those that an import can change."""


@dataclass(frozen=True)
class Checkpoint:
    """A file and what somebody says of it: what no file tells.

    relations: the program's rel2id.json.   changes: hyperparameters, over what the file's shapes tell.
    seed: the one it was trained with.   max_length: word pieces of a document that are read.
    source, note: where it is from, and what a reader of tables should know.
    """

    path: Path
    model: str
    relations: Path
    setting: RunSetting
    encoder: str
    seed: int
    changes: Mapping[str, Any]
    max_length: int = MAX_LENGTH
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class ImportedRun:
    """What became of a checkpoint: its run, whether that is new, and what is to be told, a sentence each."""

    run: str
    record: RunRecord
    is_new: bool
    notes: tuple[str, ...]


def import_checkpoint(out: Path, checkpoint: Checkpoint, dataset: Dataset) -> ImportedRun:
    """Make a finished run of a checkpoint in `out`, unless it is there, and as it was written.

    Raises UsageError for what does not fit: file, relations, encoder, hyperparameters, data set; and for another file
    of the same seed. BenchError where it is stopped, `NotFiniteError` for weights whose logits are no numbers,
    NewerVersionError where a newer version has made the run.
    """
    if missing := [split for split in SCORED if split not in dataset.splits]:
        raise UsageError(f"the data set {dataset.name!r} has no {' and no '.join(missing)} documents to evaluate on")
    if not dataset.is_labelled("dev"):
        raise UsageError(f"the dev documents of {dataset.name!r} have no labels to evaluate weights with")
    mapping, entry = mapping_of(checkpoint.model), find(checkpoint.model)
    if reason := why_not(Variant(entry), checkpoint.setting):
        raise UsageError(reason)
    tensors = read_checkpoint(checkpoint.path)
    columns = read_columns(checkpoint.relations)
    check_columns(columns, dataset.relations, checkpoint.relations, dataset.name)
    train = dataset.documents("train") if checkpoint.encoder == TINY else ()
    source = find_encoder(checkpoint.encoder, train, weights=False)
    sizes = sizes_in(mapping, tensors)
    plan = _plan(checkpoint, mapping, entry, dataset, source, sizes, columns)
    weights, left_out = _weights(checkpoint, mapping, plan, source, tensors)
    notes = (*source.notes, *_notes(mapping, sizes, checkpoint, entry), *left_out)
    folder = RunFolder.of(out, plan)
    if newer := kept_from_newer(out, plan):
        raise NewerVersionError(f"{folder.path} was made by a newer version of docre-bench ({newer}), and is kept")
    if (record := _whole_record(out, folder, plan)) is not None:
        return ImportedRun(folder.name, record, False, notes)
    _check_seed_is_free(out, plan)
    return ImportedRun(folder.name, _carry_out(out, folder, plan, source, weights), True, notes)


def _plan(
    checkpoint: Checkpoint,
    mapping: ProgramMapping,
    entry: ModelEntry,
    dataset: Dataset,
    source: EncoderSource,
    sizes: Mapping[str, int],
    columns: tuple[str, ...],
) -> RunPlan:
    """A run of one stage, which is planned as trained on what the setting's last stage is."""
    cls, changes = entry.cls, checkpoint.changes
    assert issubclass(cls, PairModel)
    known = {*cls.Hyperparameters.model_fields, *READING}
    for name in changes:
        if name not in known:
            raise unknown(f"hyperparameter of {entry.name}", name, known)
    own = {**sizes} | {name: value for name, value in changes.items() if name not in READING}
    reading = {"precision": "fp32", **mapping.reading}
    reading |= {name: value for name, value in changes.items() if name in READING}
    training = checked(Training, {"epochs": 1, **reading}, entry.name)
    source.check(attention=True, window=training.window)
    if checkpoint.max_length <= source.specials:
        raise UsageError(
            f"--max-length {checkpoint.max_length} leaves no room for a word beside the {source.specials} special "
            f"tokens of the encoder {source.name!r}"
        )
    stage = StagePlan(
        harness=HARNESS_VERSION,
        model=entry.name,
        reference=entry.reference,
        class_name=cls.__qualname__,
        code=code_version(cls),
        hyperparameters=checked(cls.Hyperparameters, own, entry.name).model_dump(),
        training=training,
        freeze=(),
        data=cls.recipe.stages[parts_of(checkpoint.setting).base][-1].data,
        dataset=dataset.name,
        train_checksum="",
        select_checksum="",
        relations=dataset.relations,
        encoder=source.name,
        encoder_fingerprint=source.fingerprint,
        causal=source.traits.causal,
        max_length=checkpoint.max_length,
        seed=checkpoint.seed,
        position=0,
        after=None,
        imported=ImportedWeights(
            sha256=sha256_of(checkpoint.path),
            mapping=mapping.program,
            mapping_version=mapping.version,
            columns=columns,
            setting=checkpoint.setting,
            file=checkpoint.path.name,
            source=checkpoint.source,
            note=checkpoint.note,
        ),
    )
    changed = variant_name(Variant(entry, changes), checkpoint.setting, ())
    return RunPlan(
        metric=METRIC_VERSION,
        model=entry.name,
        variant=f"{IMPORTED},{changed}" if changed else IMPORTED,
        dataset=dataset.name,
        setting=checkpoint.setting,
        encoder=source.name,
        seed=checkpoint.seed,
        stages=(stage,),
        dev_checksum=dataset.checksum("dev"),
        test_checksum=dataset.checksum("test"),
        facts_checksum=dataset.facts_source()["sha256"],
        distant_checksum=dataset.checksum("distant") if "distant" in dataset.splits else None,
        not_applicable=dict(cls.recipe.not_applicable),
    )


def _weights(
    checkpoint: Checkpoint, mapping: ProgramMapping, plan: RunPlan, source: EncoderSource, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights under our names, and what of the file was left out."""
    (stage,) = plan.stages
    # Rates only matter to a loss; any will do for predicting. Types of entities no program here reads.
    built = untrained(stage, source, task_of(stage, source, (0.0,) * len(stage.relations), ()), pretrained=False)
    assert stage.imported is not None
    where = f"{checkpoint.path} as {stage.model} with --encoder {source.name}"
    read = weights_from(mapping, tensors, built.state_dict(), stage.imported.columns, stage.relations, where)
    return read.weights, read.notes


def _notes(
    mapping: ProgramMapping, sizes: Mapping[str, int], checkpoint: Checkpoint, entry: ModelEntry
) -> tuple[str, ...]:
    fields = entry.cls.Hyperparameters.model_fields
    told = ", ".join(f"{name}={value}" for name, value in sizes.items())
    assumed = [name for name in mapping.assumed if name in fields and name not in checkpoint.changes]
    defaults = ", ".join(f"{name}={fields[name].default}" for name in assumed)
    notes = [f"read from the shapes of its tensors: {told}"] if told else []
    if defaults:
        notes.append(f"not in the file, and taken to be: {defaults} (--set says otherwise)")
    return (*notes, *(note for note in (mapping.remark, mapping.difference) if note))


def _whole_record(out: Path, folder: RunFolder, plan: RunPlan) -> RunRecord | None:
    """The record of a run all of whose files are as they were written."""
    stage = stage_folder(out, plan.stages[0])
    intact = stage_result(stage) is not None and selected_is_intact(stage) and is_intact(stage / ENCODER)
    intact = intact and all(fits_checksum(predictions_path(folder.path, split)) for split in SCORED)
    return folder.record() if intact else None


def _check_seed_is_free(out: Path, plan: RunPlan) -> None:
    """Raise UsageError where the seed of this row is another file: it would be two runs of one seed."""
    for folder in all_runs(out):
        other = folder.plan()
        if other is not None and other.imported and other.key != plan.key and _row(other) == _row(plan):
            raise UsageError(
                f"seed {plan.seed} of this row is {other.imported.file} already, another file ({folder.name}).\n"
                "Files of one row are seeds of one way of training: say which seed this one is (--seed)"
                + (f", or remove the other: bench remove {folder.name} --out {out}" if is_in(folder, out) else "")
            )


def _row(plan: RunPlan) -> tuple[object, ...]:
    return (plan.dataset, plan.encoder, plan.variant, plan.configuration, plan.seed)


def _carry_out(
    out: Path, folder: RunFolder, plan: RunPlan, source: EncoderSource, weights: Mapping[str, Tensor]
) -> RunRecord:
    """Write the stage and evaluate it; its result and the record come last."""
    (stage,) = plan.stages
    place = stage_folder(out, stage)
    with handling_signals() as interrupt, waiting_for(folder.path / "lock"), waiting_for(place / "lock"):
        if (made := _whole_record(out, folder, plan)) is not None:  # by another process, while this one waited
            return made
        context = Context(out, interrupt, lambda folder, status: None)
        folder.announce(plan)
        folder.clear_error()
        try:
            with context.accounted(folder.path):
                write_json(place / "stage.json", stage.model_dump(mode="json"), 1)
                source.save(place / ENCODER)
                seal(place / ENCODER)
                asked, size = stage.training.precision, encoder_size(stage, source)
                write_precision(place, settled_precision(asked, context.device, size))
                save_tensors(place / SELECTED, weights, {})
                record = evaluate_run(context, plan, [])
        except Interrupted as interrupted:
            raise BenchError(f"stopped ({interrupted}); the same command goes on") from interrupted
        of_stage = StageRecord(
            key=stage.key,
            data=stage.data,
            dev_f1=[record.splits["dev"].scores.f1],
            selected_epoch=1,
            documents=0,
            mentions_cut=0,
            precision=precision_of(place),
        )
        kept = of_stage.model_dump(exclude={"data", "precision"})
        StageResult(selected_sha256=load_state(place / SELECTED)["tensors_sha256"], **kept).write(place)
        record = record.model_copy(update={"stages": [of_stage]})
        folder.write_record(record)
        context.report(folder, state="done", result=record.headline)
    return record
