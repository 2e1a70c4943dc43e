"""The data of the explorer's page: short keys, numbers in flat lists, offsets instead of repeated text.

One object for the page and one list per document:

    [title, [sentence, ...], [entity, ...], triples, labelled evidence, [[state, margins, thresholds, evidence], ...]]

entity: [type, sentence, start, length, sentence, start, length, ...], places in UTF-16 units, as JavaScript counts.
triples: head, tail, relation and flags of each, flat. A run's state is a text with a character per triple, 1 where it
was predicted; its margins and thresholds are in hundredths, null where no score was kept, "?" where the one that was
kept is no finite number. Evidence is {triple: [...]}.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

from bench.data.documents import Document, Mention, gaps, have_sentences, text_of
from bench.explorer.runs import Exploration, ExploredRun
from bench.metrics.official import judge, seen_among
from bench.metrics.slices import by_sentence, rare_relations, relation_frequency, top_relations
from bench.runs.triple_scores import TripleScore

GOLD, INTRA, SEEN, NO_CANDIDATE = 1, 2, 4, 8
"""Flags of a triple: labelled; head and tail share a sentence; among the facts; on no candidate pair."""
FREQUENT, MIDDLE, RARE = 0, 1, 2
"""Classes of relations, those of the metrics' slices: the 10 most frequent; below the 25th percentile; the others."""
NEAR_SHOWN = 10
"""Of each run and document so many triples are shown that nobody labelled or predicted: those nearest to it."""
UNKNOWN = "?"
"""Stands for a margin or threshold that is NaN or infinite."""

Key = tuple[int, int, int]
"""Head, tail, relation."""


def encode(exploration: Exploration) -> dict[str, Any]:
    """The data of the page, ready for JSON."""
    types = sorted(
        {document.entity_type(e) for document in exploration.documents for e in range(len(document.entities))}
    )
    return {
        "dataset": exploration.dataset,
        "split": exploration.split,
        "sentences": have_sentences(exploration.documents),
        "facts": bool(exploration.facts),
        "types": types,
        "relations": _relations(exploration),
        "runs": [_run(run) for run in exploration.runs],
        "left_out": [{"folder": run.folder, "why": run.why} for run in exploration.left_out],
        "documents": _documents(exploration, {name: i for i, name in enumerate(types)}),
    }


def _relations(exploration: Exploration) -> list[tuple[str, str, int, int]]:
    """The relations of the page: id, name, number of labels in the split, class of frequency."""
    frequency = relation_frequency(exploration.documents)
    several = len(frequency) > 1
    top = set(top_relations(frequency, 10).relations["top_10"]) if several else set()
    rare = rare_relations(frequency)
    rows = []
    for relation, name in exploration.relations.items():
        is_rare = several and rare.slice_of(None, ("", 0, 0, relation)) == "below_25th_percentile"
        frequent = FREQUENT if relation in top else MIDDLE
        rows.append((relation, name, frequency.get(relation, 0), RARE if is_rare else frequent))
    return rows


def _run(run: ExploredRun) -> dict[str, Any]:
    plan = run.plan
    return {
        "folder": run.folder,
        "model": plan.model,
        "variant": plan.variant,
        "setting": plan.setting,
        "encoder": plan.encoder,
        "seed": plan.seed,
        "against": run.scores.against if run.scores else "",
        "decides": run.scores.decides if run.scores else False,
        "outside": plan.outside is not None,
        "inference": plan.inference.class_name if plan.inference else "",
        # A threshold for each of 96 relations is with its triples; what else was tuned has its place here.
        "decision": {name: round(value, 3) for name, value in run.record.decision.items() if not _of_relation(name)},
        "unscored": run.unscored,
    }


def _of_relation(decision: str) -> bool:
    return decision.startswith("threshold ")


def _documents(exploration: Exploration, types: Mapping[str, int]) -> list[list[Any]]:
    index = {relation: r for r, relation in enumerate(exploration.relations)}
    predictions = (p.triple for run in exploration.runs for of_split in run.predictions.values() for p in of_split)
    judged = judge(predictions, exploration.documents, exploration.facts).documents
    encoded = []
    for row, (document, triples) in enumerate(zip(exploration.documents, judged, strict=True)):
        gold, predicted = (
            {(head, tail, index[relation]) for _, head, tail, relation in of}
            for of in (triples.gold, triples.predicted)
        )
        scores = [_scores(run, row, index) for run in exploration.runs]
        near = {key for of_run in scores for key in _nearest(of_run, gold | predicted)}
        keys = sorted(gold | predicted | near)
        place = {key: at for at, key in enumerate(keys)}
        labelled = {
            place[label.head, label.tail, index[label.relation]]: sorted(label.evidence)
            for label in document.labels
            if label.evidence
        }
        runs = zip(exploration.runs, scores, strict=True)
        sentences, entities = _text(document, types)
        candidates = None if document.candidates is None else frozenset(document.candidates)
        ids = list(exploration.relations)
        named = {(document.title, head, tail, ids[relation]): (head, tail, relation) for head, tail, relation in keys}
        seen = {named[triple] for triple in seen_among(document, named, exploration.facts)}
        flat = [number for key in keys for number in (*key, _flags(document, candidates, key, gold, seen))]
        said = [_said(run, row, of_run, keys, index) for run, of_run in runs]
        encoded.append([document.title, sentences, entities, flat, labelled, said])
    return encoded


def _scores(run: ExploredRun, row: int, index: Mapping[str, int]) -> dict[Key, TripleScore]:
    """The kept scores of a document by triple (head, tail, the page's number of the relation)."""
    if run.scores is None:
        return {}
    relations = run.plan.relations
    scores = run.scores.documents.get(row, [])
    return {(s.head, s.tail, index[relations[s.relation]]): s for s in scores}


def _nearest(scores: Mapping[Key, TripleScore], known: set[Key]) -> list[Key]:
    others = [key for key in scores if key not in known and math.isfinite(scores[key].margin)]
    return sorted(others, key=lambda key: -scores[key].margin)[:NEAR_SHOWN]


def _flags(
    document: Document,
    candidates: frozenset[tuple[int, int]] | None,
    key: Key,
    gold: Container[Key],
    seen: Container[Key],
) -> int:
    head, tail, _ = key
    intra = by_sentence().slice_of(document, (document.title, head, tail, "")) == "intra"
    outside = candidates is not None and (head, tail) not in candidates
    return GOLD * (key in gold) + INTRA * intra + SEEN * (key in seen) + NO_CANDIDATE * outside


def _said(
    run: ExploredRun, row: int, scores: Mapping[Key, TripleScore], keys: Sequence[Key], index: Mapping[str, int]
) -> list[Any]:
    """State, margins, thresholds and evidence of a run, on the triples `keys` of a document."""
    predicted = {(p.head, p.tail, index[p.relation]): p for p in run.predictions.get(row, [])}
    state = "".join("1" if key in predicted else "0" for key in keys)
    evidence = {}
    for at, key in enumerate(keys):
        sentences = predicted[key].evidence if key in predicted else scores[key].evidence if key in scores else None
        if sentences:
            evidence[at] = list(sentences)
    margins, thresholds = [], []
    for key in keys if scores else ():
        score = scores.get(key)
        margins.append(None if score is None else _hundredths(score.margin))
        thresholds.append(None if score is None else _hundredths(score.threshold))
    return [state, margins, thresholds, evidence]


def _hundredths(value: float) -> int | str:
    return round(100 * value) if math.isfinite(value) else UNKNOWN


def _text(document: Document, types: Mapping[str, int]) -> tuple[list[str], list[list[int]]]:
    """The sentences as text, and where in them the mentions of each entity are."""
    sentences, starts = [], []
    for words in document.sentences:
        sentences.append(text_of(words))
        at, places = 0, []
        for gap, word in zip(gaps(words), words, strict=True):
            places.append((at + len(gap), at + len(gap) + _units(word)))
            at = places[-1][1]
        starts.append(places)

    def place(mention: Mention) -> tuple[int, int, int]:
        words = starts[mention.sentence][mention.start : mention.end]
        return mention.sentence, words[0][0], words[-1][1] - words[0][0]

    entities = [
        [types[document.entity_type(e)], *(number for mention in mentions for number in place(mention))]
        for e, mentions in enumerate(document.entities)
    ]
    return sentences, entities


def _units(text: str) -> int:
    """The length of a text in UTF-16 units, which is what JavaScript counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
