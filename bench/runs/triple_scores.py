"""What a trained model says of the triples that its errors are about: logits, and what these are compared with.

A run keeps them beside its predictions, `scores-test.safetensors`: of every triple that is predicted or labelled, and
of the nearest of the others in each document; and points of the precision-recall curve of all triples. They are for
looking at (`bench explore`, the report's figures); no number of a table is made of them, and a run without them can be
given them as long as its weights are there (`bench.inference.score_keeper` makes them).
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
from safetensors import SafetensorError

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
    curve: [k, 3], points of the precision-recall curve: recall, precision (percent), margin. None where margins do not
    decide, where the split has no labels, and of runs from before there were curves.
    """

    against: str
    decides: bool
    documents: dict[int, list[TripleScore]]
    curve: NDArray[np.float64] | None = None


def scores_path(run: Path, split: str) -> Path:
    """Where the scores of a split are in a run's folder."""
    return run / f"scores-{split}.safetensors"


def write_scores(
    path: Path,
    triples: NDArray[np.int32],
    scores: NDArray[np.float32],
    evidence: NDArray[np.int32] | None,
    about: SplitScores,
) -> None:
    """Keep the scores of k triples, whole or not at all.

    triples: [k, 4], row of the document, head, tail, relation.   scores: [k, 2], logit and threshold.
    evidence: [e, 2], row of `triples` and sentence; None if the model predicts none.
    about: all that is to be known of them but the documents, which follow from the arrays.
    """
    arrays: dict[str, NDArray[Any]] = {"triples": triples, "scores": scores}
    arrays |= {} if evidence is None else {"evidence": evidence}
    arrays |= {} if about.curve is None else {"curve": about.curve}
    content = safetensors.numpy.save(arrays)
    write_atomically(path, content)
    state = {"version": SCORES_VERSION, "against": about.against, "decides": about.decides}
    write_sealed(path.with_suffix(".json"), "state", {**state, "tensors_sha256": hashlib.sha256(content).hexdigest()})


def load_scores(run: Path, split: str) -> SplitScores | None:
    """The scores a run kept of a split; None where there are none, or they are damaged or of another version."""
    arrays, state = _read(run, split)
    return None if state is None else _split_scores(arrays, state)


def load_curve(run: Path, split: str) -> NDArray[np.float64] | None:
    """The curve of `SplitScores` alone; None where there is none, or it is damaged or of another version."""
    return _read(run, split)[0].get("curve")


def has_newer_scores(run: Path, split: str) -> bool:
    """Whether a newer version of the program has kept the scores of a split: they are not to be written over."""
    state = read_sealed(scores_path(run, split).with_suffix(".json"), "state")
    version = state.get("version") if isinstance(state, dict) else None
    return isinstance(version, int) and version > SCORES_VERSION


def _read(run: Path, split: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any] | None]:
    """What is kept of a split, and what is written of it; nothing and None where it cannot be used."""
    path = scores_path(run, split)
    state = read_sealed(path.with_suffix(".json"), "state")
    if not isinstance(state, dict) or state.get("version") != SCORES_VERSION or not path.is_file():
        return {}, None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != state.get("tensors_sha256"):
        return {}, None
    try:
        arrays = safetensors.numpy.load(content)
    except SafetensorError:
        return {}, None
    # A checksum says that it is what somebody wrote, not that it is what this program writes.
    return (arrays, state) if _are_scores(arrays) else ({}, None)


def _are_scores(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether the arrays have the shapes that `write_scores` gives them."""
    triples, scores, evidence = (arrays.get(name) for name in ("triples", "scores", "evidence"))
    if triples is None or scores is None or triples.ndim != 2 or scores.shape != (len(triples), 2):
        return False
    of = np.empty((0, 2)) if evidence is None else evidence
    within = of.ndim == 2 and of.shape[1] == 2 and ((of[:, 0] >= 0) & (of[:, 0] < len(triples))).all()
    return triples.shape[1] == 4 and bool(within)


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
    return SplitScores(state["against"], state["decides"], dict(documents), arrays.get("curve"))
