"""Inference-stage fusion: a document is read whole and again by its evidence alone (EIDER, Xie et al., 2022).

DREEAM reports its results with it (Ma et al., EACL 2023). Training is DREEAM's; this file says only how a trained model
predicts, so that editing it trains nothing again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.dreeam import Dreeam
from bench.data.documents import Document
from bench.interface import DocumentScores, Inference, PairModel, Scorer
from bench.metrics.submission import Prediction

MISSING = -10.0
"""What a triple that is no candidate in one of the two readings is given for its margin there."""

DOCUMENTS_AT_ONCE = 16
"""Documents that are in memory with their pseudo documents: a document has about as many as distinct evidence."""

THRESHOLD = "fusion_threshold"


class PseudoDocument(NamedTuple):
    """Some sentences of a document as a document of their own. entities: which of the original's each of its own is."""

    document: Document
    entities: NDArray[np.int64]


class Fused(NamedTuple):
    """A document of n entities read both ways; R relations.

    agreed: [n, n, R], bool, whether a triple (head, tail, relation) is above the threshold class in both readings.
    score: [n, n, R], of every other candidate the sum of its margins; -inf for what is no candidate, or agreed on.
    """

    agreed: NDArray[np.bool_]
    score: NDArray[np.float64]


class InferenceStageFusion(Inference):
    """What both readings say, and what they say together clearly enough.

    This is the rule itself, computed in full and not an approximation to it; what it leaves open is settled so:

    - A *candidate* of a reading is a relation that decoding may predict: one of the `num_labels` highest classes of its
      pair. The threshold class TH is counted among these but is no candidate, and ties at the last of them all stay.
      The *margin* of a candidate is its logit minus TH's, or minus what another loss decides it against.
    - The second reading is of pseudo documents (`pseudo_documents`), one for every distinct evidence of the document's
      pairs, whatever the signs of their margins. In each of them every pair of the entities it names is classified.
      A triple that is a candidate in several has the largest of its margins there.
    - A triple whose margin is positive in both readings is predicted. Every other candidate of either has for a score
      the sum of both margins, MISSING standing for one it does not have, and is predicted above a threshold.
    - The threshold is the one with the highest micro F1 on the documents it is tuned on. Each triple counts once, and
      labels that are no candidates count as missed, as in the evaluation.
    - The evidence of a predicted triple is that of its pair in the whole document.
    """

    def __init__(self, model: PairModel, relations: Sequence[str]) -> None:
        super().__init__(model, relations)
        if not isinstance(model, Dreeam):
            raise TypeError(f"{type(model).__name__} is not a model whose evidence can be fused: expected Dreeam")

    def tune(self, score: Scorer, dev: Sequence[Document]) -> dict[str, float]:
        """The threshold for scores, by F1 on `dev`."""
        index = {relation: r for r, relation in enumerate(self.relations)}
        correct = predicted = 0
        scores, right = [np.zeros(0)], [np.zeros(0, dtype=bool)]
        for document, _, fused in self.read(score, dev):
            gold = np.zeros(fused.agreed.shape, dtype=bool)
            for label in document.labels:
                gold[label.head, label.tail, index[label.relation]] = True
            correct += int((fused.agreed & gold).sum())
            predicted += int(fused.agreed.sum())
            undecided = fused.score > -np.inf
            scores.append(fused.score[undecided])
            right.append(gold[undecided])
        labelled = sum(len(document.triples()) for document in dev)
        return {THRESHOLD: best_threshold(np.concatenate(scores), np.concatenate(right), correct, predicted, labelled)}

    def predict(self, score: Scorer, documents: Sequence[Document], decision: Mapping[str, float]) -> list[Prediction]:
        """What both readings agree on, and what scores above the threshold of `decision`."""
        predictions = []
        for document, whole, fused in self.read(score, documents):
            row = {(head, tail): i for i, (head, tail) in enumerate(whole.pairs.tolist())}
            evidence = evidence_of(whole)
            for head, tail, relation in np.argwhere(fused.agreed | (fused.score > decision[THRESHOLD])).tolist():
                sentences = tuple(np.flatnonzero(evidence[row[head, tail]]).tolist())
                predictions.append(Prediction(document.title, head, tail, self.relations[relation], sentences))
        return predictions

    def read(self, score: Scorer, documents: Sequence[Document]) -> Iterator[tuple[Document, DocumentScores, Fused]]:
        """Each document with its scores as a whole, and both readings of it; a few in memory at a time."""
        for first in range(0, len(documents), DOCUMENTS_AT_ONCE):
            chunk = documents[first : first + DOCUMENTS_AT_ONCE]
            scored = list(score(chunk))
            pseudo = [
                pseudo_documents(d, whole.pairs, evidence_of(whole)) for d, whole in zip(chunk, scored, strict=True)
            ]
            pseudo_scored = score([part.document for parts in pseudo for part in parts])
            for document, whole, parts in zip(chunk, scored, pseudo, strict=True):
                shape = (len(document.entities), len(document.entities), len(self.relations))
                inside, alone = np.full(shape, -np.inf), np.full(shape, -np.inf)
                self.add_margins(inside, whole, np.arange(shape[0]))
                for part, said in zip(parts, islice(pseudo_scored, len(parts)), strict=True):
                    self.add_margins(alone, said, part.entities)
                yield document, whole, fuse(inside, alone)

    def add_margins(self, margins: NDArray[np.float64], scores: DocumentScores, entities: NDArray[np.int64]) -> None:
        """Enter the margins of a reading's candidates into `margins` [n, n, R], where these are above what is there.

        entities: which of the n each of the read document's is.
        """
        logits = torch.from_numpy(scores.logits.astype(np.float64)).to(next(self.model.parameters()).device)
        thresholds = self.model.decided_against(logits, self.relations).values
        above = logits[:, logits.shape[1] - len(self.relations) :] - thresholds
        pair, relation = self.model.candidates(logits, self.relations).cpu().numpy().nonzero()
        head, tail = entities[scores.pairs[pair]].T
        np.maximum.at(margins, (head, tail, relation), above.cpu().numpy()[pair, relation])


class DreeamIsf(Dreeam):
    """DREEAM with inference-stage fusion."""

    trains_as = "dreeam"
    inference = InferenceStageFusion


def evidence_of(scores: DocumentScores) -> NDArray[np.bool_]:
    """[p, S]. Raises ValueError for scores without it."""
    if scores.evidence is None:
        raise ValueError("fusion needs the evidence of every pair, and the scores of a document have none")
    return scores.evidence


def pseudo_documents(document: Document, pairs: NDArray[np.int64], evidence: NDArray[np.bool_]) -> list[PseudoDocument]:
    """One document for each distinct set of sentences that is the evidence of some of its pairs.

    pairs: [p, 2].   evidence: [p, S], bool; a pair without any has no part in this.

    Where no sentence of the evidence names the pair's head, the first that does is added; then the same for its tail.
    """
    named = np.zeros((len(document.entities), len(document.sentences)), dtype=bool)
    for entity, mentions in enumerate(document.entities):
        named[entity, [mention.sentence for mention in mentions]] = True
    has_evidence = evidence.any(1)
    pairs, chosen = pairs[has_evidence], evidence[has_evidence].copy()
    for side in (0, 1):
        names = named[pairs[:, side]]
        without = np.flatnonzero(~(chosen & names).any(1) & names.any(1))
        chosen[without, names[without].argmax(1)] = True
    sets = dict.fromkeys(tuple(np.flatnonzero(row).tolist()) for row in chosen)
    return [excerpt(document, sentences) for sentences in sets]


def excerpt(document: Document, sentences: Sequence[int]) -> PseudoDocument:
    """These sentences of `document` (rising), with the entities that are mentioned in them and no labels."""
    place = {sentence: at for at, sentence in enumerate(sentences)}
    mentions = [
        tuple(mention._replace(sentence=place[mention.sentence]) for mention in of_entity if mention.sentence in place)
        for of_entity in document.entities
    ]
    entities = [entity for entity, of_entity in enumerate(mentions) if of_entity]
    own = {entity: at for at, entity in enumerate(entities)}
    candidates = document.candidates
    if candidates is not None:
        candidates = tuple((own[head], own[tail]) for head, tail in candidates if head in own and tail in own)
    pseudo = Document(
        title=document.title,
        sentences=tuple(document.sentences[sentence] for sentence in sentences),
        entities=tuple(mentions[entity] for entity in entities),
        candidates=candidates,
    )
    return PseudoDocument(pseudo, np.array(entities, dtype=np.int64))


def fuse(whole: NDArray[np.float64], alone: NDArray[np.float64]) -> Fused:
    """Join two readings of a document: margins [n, n, R] of their candidates, -inf for what is none."""
    agreed = (whole > 0) & (alone > 0)
    candidate = (whole > -np.inf) | (alone > -np.inf)
    score = np.where(whole > -np.inf, whole, MISSING) + np.where(alone > -np.inf, alone, MISSING)
    return Fused(agreed, np.where(candidate & ~agreed, score, -np.inf))


def best_threshold(
    scores: NDArray[np.float64], right: NDArray[np.bool_], correct: int, predicted: int, labelled: int
) -> float:
    """The threshold with the highest F1 when whatever scores above it is predicted too.

    scores, right: [k], of the undecided candidates the score and whether it is labelled.   correct, predicted: of
    those decided already.   labelled: all labels.

    It is the highest score that is not predicted. Of thresholds with the same F1 the highest is taken.
    """
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    falling = np.append(scores[order], -np.inf)
    hits = correct + np.append(0, np.cumsum(right[order]))
    accepted = predicted + np.arange(len(scores) + 1)
    f1 = 2 * hits / np.maximum(accepted + labelled, 1)
    # The j best can be taken alone only where the next scores less than the last of them.
    f1[1:][falling[1:] == falling[:-1]] = -1.0
    best = int(f1.argmax())
    return float(falling[best] if best < len(scores) else np.nextafter(falling[-2], -np.inf))
