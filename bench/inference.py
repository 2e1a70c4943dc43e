"""A finished run on new documents. It needs nothing but the output folder it was made in."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from bench.data.cache import features_of
from bench.data.formats import read_documents
from bench.errors import BenchError, UsageError
from bench.execute import load_system, stage_folder
from bench.filesystem import sha256_of
from bench.metrics.submission import write_submission
from bench.nn.load import saved_encoder
from bench.predicting import Predictor, Reading
from bench.records import RunFolder
from bench.registry import code_version, find
from bench.training.checkpoint import DamagedFileError
from bench.training.interrupt import Interrupted, handling_signals


def predict_file(run: Path, documents: Path, to: Path) -> tuple[int, int, int]:
    """Write the predictions of a run's model on `documents` to `to`: triples, documents, mentions not seen.

    Raises UsageError for a run that is not finished, BenchError for one whose model is gone, damaged or of other code.
    """
    out = run.resolve().parent.parent
    folder = RunFolder(out, run.resolve().name)
    plan, record = folder.plan(), folder.record()
    if plan is None or record is None:
        raise UsageError(f"{run} is not a finished run (`bench status --out {out}`)")
    stage = plan.stages[-1]
    source = saved_encoder(plan.encoder, stage_folder(out, stage) / "encoder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        system = load_system(out, stage, source, device)
    except (DamagedFileError, RuntimeError) as error:  # RuntimeError: the weights do not fit what the code builds now
        changed = code_version(find(stage.reference).cls) != stage.code
        why = f"the code of {stage.model} has changed since it was trained\n{error}" if changed else str(error)
        raise BenchError(f"the model of {run} cannot be used: {why}") from error
    # A label need not be of a relation the model knows: it is of no use here.
    read = [replace(document, labels=()) for document in read_documents(documents)]
    with tempfile.TemporaryDirectory() as scratch, handling_signals() as interrupt:
        features = features_of(
            read, sha256_of(documents), source.words(), "", stage.relations, stage.max_length, Path(scratch)
        )
        try:
            predictor = Predictor.of(plan, Reading(system, stage, source, device, interrupt))
            found = predictor.predict(read, features, record.decision)
        except Interrupted as interrupted:
            raise BenchError(f"stopped ({interrupted}); nothing was written") from interrupted
    write_submission(to, found)
    return len(found), len(read), features.mentions_cut
