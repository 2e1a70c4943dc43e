"""Trained runs as checkpoints that the authors' programs load: their names and shapes, and their order of relations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel

from bench.errors import UsageError
from bench.filesystem import read_json, write_json
from bench.inference.load import predictor_of
from bench.inference.reader import Reader
from bench.outside.checkpoints import (
    ENCODER,
    check_columns,
    columns_as_json,
    read_columns,
    tensors_of,
    write_checkpoint,
)
from bench.outside.mappings import MAPPINGS, ProgramMapping
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord
from bench.runs.run_folder import RunFolder, not_finished

COLUMNS = "rel2id.json"
"""What is written beside a checkpoint: which relation is which column of its logits."""
FAMILIES = ("bert", "roberta")
"""Encoders whose windows the programs know how to open and close."""


@dataclass(frozen=True)
class Exported:
    """How many tensors were written, and what whoever loads them should know, a sentence each."""

    tensors: int
    notes: tuple[str, ...]


def export_checkpoint(run: RunFolder, model: str, to: Path, relations: Path | None = None) -> Exported:
    """Write the weights of a finished run to `to` as the program of its model saves them, with rel2id.json beside it.

    model: what the run has to be of.   relations: a rel2id.json with the order of columns; else that of the data set.
    Raises UsageError for a run that no program of these can load, and `UnusableModelError` where its model is.
    """
    plan, record = run.verdict().plan, run.record()
    if plan is None or record is None:
        raise UsageError(f"{run.path} is not a finished run: {not_finished(run)}")
    if model not in MAPPINGS:
        raise UsageError(
            f"--as {model}: no program is known that loads it. Those of these models are: {', '.join(MAPPINGS)}"
        )
    if plan.last is None or plan.last.reference != model:
        of = "has no model of its own" if plan.last is None else f"is of {plan.last.model}"
        raise UsageError(f"--as {model}: {run.name} {of}, whose weights mean nothing in that model's program")
    if plan.last.loss is not None:
        raise UsageError(
            f"--as {model}: {run.name} was trained with the loss {plan.last.loss.name}, and decides by it; its program "
            "would read other decisions off these weights"
        )
    mapping = MAPPINGS[model]
    columns = read_columns(relations) if relations else plan.relations
    if relations:
        check_columns(columns, plan.relations, relations, plan.dataset)
    beside = to.parent / COLUMNS
    content = columns_as_json(columns)
    if beside.exists() and read_json(beside) != content:
        raise UsageError(
            f"{beside} has another order of relations than the checkpoint would have: write it to another folder "
            f"(--to), or in that order (--relations {beside})"
        )
    reader = predictor_of(run.path.parent.parent, plan, Interrupt()).reader
    unused = _unused_of_encoder(reader, mapping)
    tensors = tensors_of(mapping, reader.system.cpu().state_dict(), unused, columns, plan.relations)
    write_checkpoint(to, tensors)
    write_json(beside, content)
    return Exported(len(tensors), (*_notes_on_deciding(plan, record), *_notes(reader, mapping)))


def _unused_of_encoder(reader: Reader, mapping: ProgramMapping) -> dict[str, Tensor]:
    """What the programs save of an encoder and we do not have, by its own names: zeros, and numbers of positions."""
    with torch.device("meta"):
        whole = AutoModel.from_config(reader.source.config, trust_remote_code=False)
    own = {name.removeprefix(ENCODER) for name in reader.system.state_dict()}
    unused = {name: torch.zeros(t.shape) for name, t in whole.state_dict().items() if name not in own}
    positions = dict(whole.named_buffers()).get("embeddings.position_ids")
    if mapping.old_encoder and positions is not None:
        unused["embeddings.position_ids"] = torch.arange(positions.shape[-1])[None]
    return unused


def _notes_on_deciding(plan: RunPlan, record: RunRecord) -> Iterator[str]:
    if plan.inference:
        by = plan.inference.class_name + (f" with {record.chosen}, chosen on dev" if record.chosen else "")
        yield f"the run predicts by {by}; the program decides by the logits alone, and predicts otherwise"


def _notes(reader: Reader, mapping: ProgramMapping) -> Iterator[str]:
    hyperparameters = reader.stage.hyperparameters
    for name, value in mapping.fixed.items():
        if (own := hyperparameters[name]) != value:
            yield f"{name} is {own} here and {value} in the code of {mapping.program}'s program: change it there"
    if said := ", ".join(f"{name}={hyperparameters[name]}" for name in mapping.assumed):
        yield f"for the program's command line: {said}"
    if mapping.old_encoder:
        yield "it has position_ids, as transformers before 4.31 saves and wants them"
    if reader.source.config.model_type not in FAMILIES:
        yield f"the program reads with {' and '.join(FAMILIES)} alone, and this is {reader.source.config.model_type}"
    if mapping.difference:
        yield mapping.difference
