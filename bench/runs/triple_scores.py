"""What a trained model says of the triples that its errors are about: logits, and what these are compared with.

A run keeps them beside its predictions, `scores-test.safetensors`: of every triple that is predicted or labelled, and
of the nearest of the others in each document. They are for looking at (`bench explore`); no number of a table is made
of them, and a run without them can be given them as long as its weights are there (`bench.inference.score_keeper`
makes them).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from bench.filesystem import read_sealed, write_atomically, write_sealed

SCORES_VERSION = 1


class TripleScore(NamedTuple):
    """Of one triple of a document. evidence: the sentences predicted to support it; None if the model predicts none."""

    head: int
    tail: int
    relation: int
    logit: float
    threshold: float
    evidence: tuple[int, ...] | None

    @property
    def margin(self) -> float:
        """How far the logit is above its threshold."""
        return self.logit - self.threshold


@dataclass(frozen=True)
class SplitScores:
    """The scores that a run kept of a split. documents: by row of the split.

    against: what the logits are compared with.   decides: whether that alone makes predictions. It does not where the
    model has an inference of its own: then the scores are those of its reading of the whole document.
    """

    against: str
    decides: bool
    documents: dict[int, list[TripleScore]]


def scores_path(run: Path, split: str) -> Path:
    """Where the scores of a split are in a run's folder."""
    return run / f"scores-{split}.safetensors"


def write_scores(
    path: Path,
    triples: NDArray[np.int32],
    scores: NDArray[np.float32],
    evidence: NDArray[np.int32] | None,
    against: str,
    decides: bool,
) -> None:
    """Keep the scores of k triples, whole or not at all; against, decides: as in `SplitScores`.

    triples: [k, 4], row of the document, head, tail, relation.   scores: [k, 2], logit and threshold.
    evidence: [e, 2], row of `triples` and sentence; None if the model predicts none.
    """
    arrays = {"triples": triples, "scores": scores} | ({} if evidence is None else {"evidence": evidence})
    content = safetensors.numpy.save(arrays)
    write_atomically(path, content)
    state = {"version": SCORES_VERSION, "against": against, "decides": decides}
    write_sealed(path.with_suffix(".json"), "state", {**state, "tensors_sha256": hashlib.sha256(content).hexdigest()})


def load_scores(run: Path, split: str) -> SplitScores | None:
    """The scores a run kept of a split; None where there are none, or they are damaged or of another version."""
    path = scores_path(run, split)
    state = read_sealed(path.with_suffix(".json"), "state")
    if state is None or state["version"] != SCORES_VERSION or not path.is_file():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != state["tensors_sha256"]:
        return None
    return _split_scores(safetensors.numpy.load(content), state)


def _split_scores(arrays: dict[str, NDArray[Any]], state: dict[str, Any]) -> SplitScores:
    evidence: list[list[int]] | None = None
    if "evidence" in arrays:
        evidence = [[] for _ in range(len(arrays["triples"]))]
        for of, sentence in arrays["evidence"].tolist():
            evidence[of].append(sentence)
    documents: dict[int, list[TripleScore]] = defaultdict(list)
    rows = zip(arrays["triples"].tolist(), arrays["scores"].tolist(), strict=True)
    for at, ((row, head, tail, relation), (logit, threshold)) in enumerate(rows):
        sentences = None if evidence is None else tuple(evidence[at])
        documents[row].append(TripleScore(head, tail, relation, logit, threshold, sentences))
    return SplitScores(state["against"], state["decides"], dict(documents))
