"""What stands below a table: what no model could get right, whose numbers are of before, and why a score is 0.00."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from bench.analysis.aggregate import Cell
from bench.analysis.systems import System
from bench.data.conventions import DOCRED
from bench.errors import plural
from bench.runs.plan import HARNESS_VERSION
from bench.runs.record import RunRecord
from bench.runs.settings import parts_of

FAR = 1.5
"""How many times more or fewer positives than the share of labels says are worth a note."""
ACROSS_DOCUMENTS = frozenset({"TtmReReleased"})
"""Classes of models whose pairs see those of other documents (`ttmre.released` says why)."""


def notes_on(systems: Sequence[System], splits: Sequence[str]) -> Iterator[str]:
    """What the rows of a table are to be read with: where they are from, how they were trained and what counts."""
    yield from outside_notes(systems, splits)
    yield from precision_notes(systems)
    yield from prior_notes(systems)
    yield from batch_notes(systems)
    yield from version_notes(systems)
    yield from conventions_notes(systems)


def conventions_notes(systems: Sequence[System]) -> Iterator[str]:
    """Which pairs are classified and what of a prediction counts; whose, where the systems differ in it.

    Nothing where it is as in DocRED, whose rules go without saying: `bench data stats` and the record say them.
    """
    said_of_all = [record.conventions for system in systems for record in system.cell.records if record.conventions]
    if all(said == DOCRED for said in said_of_all):
        return
    for what in DOCRED:
        having: dict[str, list[str]] = defaultdict(list)
        for system in systems:
            for said in {record.conventions[what] for record in system.cell.records if what in record.conventions}:
                having[said].append(f"{system.name} with {system.encoder}")
        for said, names in having.items():
            whose = f" ({', '.join(names)})" if len(having) > 1 else ""
            yield f"{what}{whose}: {said}"


def documents_notes(cell: Cell, splits: Sequence[str]) -> Iterator[str]:
    """What of the documents no model of the cell could get right, if anything: unseen mentions, impossible pairs."""
    yield from _backwards(cell)
    yield from _cut(cell, splits)
    yield from _outside(cell, splits)


def _backwards(cell: Cell) -> Iterator[str]:
    """That an encoder looks only backwards. The same for all seeds."""
    if cell.records and (last := cell.plans[0].last) and last.causal:
        yield (
            f"{cell.records[0].encoder} looks only backwards (causal): what it says of a word knows nothing of what "
            "follows, and a mention's opening marker nothing of the mention"
        )


def _cut(cell: Cell, splits: Sequence[str]) -> Iterator[str]:
    """Mentions the encoder never saw. The same for all seeds: the documents are."""
    if not cell.records or not cell.plans[0].stages:
        return
    record, limit = cell.records[0], cell.plans[0].stages[0].max_length
    lost = {f"{stage.data} (training)": stage.mentions_cut for stage in record.stages}
    lost |= {split: record.splits[split].mentions_cut for split in splits if split in record.splits}
    for what, count in lost.items():
        if count:
            lie = "lies" if count == 1 else "lie"
            mentions = f"{plural(count, 'mention')} of {what} {lie}"
            yield f"{record.encoder}: {mentions} past the limit of {limit:,} word pieces"


def _outside(cell: Cell, splits: Sequence[str]) -> Iterator[str]:
    """Labels that no model predicts; predictions from outside may. The same for all seeds: the documents are."""
    for split in splits:
        # Of predictions from elsewhere a seed may lack the split, and a record from before it says 0.
        having = [record.splits[split] for record in cell.records if split in record.splits]
        if having:
            record = max(having, key=lambda scored: scored.gold_outside)
            if record.gold_outside:
                gold = sum(record.documents.gold)
                one = record.gold_outside == 1
                on = "is on a pair that is no candidate" if one else "are on pairs that are no candidates"
                of_split = f"{record.gold_outside:,} of {plural(gold, 'labelled triple')} of {split}"
                yield f"{of_split} {on}: missed by every model here"


def outside_notes(systems: Sequence[System], splits: Sequence[str]) -> Iterator[str]:
    """Where weights and predictions come from that were made elsewhere; of which seeds there are none of a split."""
    for system in systems:
        if system.plan.imported:
            yield from _of_weights(system)
        outside = system.plan.outside
        if outside is None:
            continue
        said = "; ".join(part for part in (outside.source, outside.note) if part)
        yield f"{system.name}: predictions made elsewhere, scored here" + (f" ({said})" if said else "")
        for split in splits:
            missing = [str(record.seed) for record in system.cell.records if split not in record.splits]
            if 0 < len(missing) < len(system.cell.records):
                yield f"{system.name}: no {split} predictions of seed{'s' * (len(missing) > 1)} {', '.join(missing)}"


def precision_notes(systems: Sequence[System]) -> Iterator[str]:
    """Which systems have seeds that were trained in one precision, and others in another. Of older records: unknown."""
    for system in systems:
        seeds: dict[str, list[str]] = defaultdict(list)
        for record in system.cell.records:
            if record.stages and (precision := record.stages[-1].precision):
                seeds[precision].append(str(record.seed))
        if len(seeds) > 1:
            each = "; ".join(
                f"{precision} seed{'s' * (len(of) > 1)} {', '.join(of)}" for precision, of in seeds.items()
            )
            yield f"{system.name} with {system.encoder}, seeds in different precisions: {each}"


def _of_weights(system: System) -> Iterator[str]:
    """Which files the weights of a system were imported from, and what was said of them."""
    for plan in system.cell.plans:
        if weights := plan.imported:
            said = "".join(f"; {part}" for part in (weights.source, weights.note) if part)
            yield (
                f"{system.name}: weights trained elsewhere, evaluated here (seed {plan.seed}: {weights.file} of "
                f"{weights.mapping}'s program, sha256 {weights.sha256[:8]}{said})"
            )


def prior_notes(systems: Sequence[System]) -> Iterator[str]:
    """Which systems were told of many more or fewer positives for each labelled one than their share of labels says."""
    for system in systems:
        stage, share = system.plan.last, parts_of(system.plan.setting).share
        if stage is None or share is None or system.plan.imported:  # of which nobody knows what they were told
            continue
        told = (stage.loss.hyperparameters if stage.loss else stage.hyperparameters).get("prior_multiple")
        kept = 100 / float(share.percent)
        if isinstance(told, int | float) and not kept / FAR <= told <= kept * FAR:
            yield (
                f"{system.name} with {system.encoder}, {system.plan.setting}: is told of {told:g} positives for each "
                f"labelled one (prior_multiple); where all labels were there before, this share makes it {kept:.3g}"
            )


def batch_notes(systems: Sequence[System]) -> Iterator[str]:
    """Of which systems the predictions on a document depend on the documents that are read with it."""
    for system in systems:
        stage = system.plan.last
        if system.cell.records and stage is not None and stage.class_name in ACROSS_DOCUMENTS:
            yield (
                f"{system.name} with {system.encoder}: its pairs see those of the other documents of a batch (of "
                f"{stage.training.batch_size}), so what is predicted of a document depends on its neighbours"
            )


def version_notes(systems: Sequence[System]) -> Iterator[str]:
    """Which of the systems were made by an older version of the harness, whose numbers are not today's."""
    older: dict[int, list[str]] = defaultdict(list)
    for system in systems:
        last = system.plan.last
        if last is not None and last.harness < HARNESS_VERSION:
            older[last.harness].append(f"{system.name} with {system.encoder}")
    for version, names in sorted(older.items()):
        yield (
            f"by version {version} of the harness, which does not come to the same numbers as today's version "
            f"{HARNESS_VERSION}: {', '.join(dict.fromkeys(names))}"
        )


def zero_notes(system: System, splits: Sequence[str]) -> Iterator[str]:
    """Why seeds of a system have an F1 of 0: nothing predicted, other documents or relations, or nothing right."""
    for split in splits:
        seeds: dict[str, list[int]] = defaultdict(list)
        for record in system.cell.records:
            if split in record.splits and record.splits[split].scores.f1 == 0:
                seeds[_why_zero(record, split, system.plan.learnt is not None)].append(record.seed)
        for why, of in seeds.items():
            numbers = ", ".join(map(str, of))
            yield f"{system.name} with {system.encoder}, seed{'s' * (len(of) > 1)} {numbers}: {split} F1 is 0.00: {why}"


def _why_zero(record: RunRecord, split: str, learnt_here: bool) -> str:
    scored = record.splits[split]
    gold, elsewhere = sum(scored.documents.gold), scored.unknown_titles
    predicted = sum(scored.documents.predicted) + elsewhere
    if not gold:
        return f"{split} has no labelled triple"
    if elsewhere and elsewhere == predicted:
        if predicted == 1:
            return f"the one prediction is of a document that {split} lacks"
        return f"all {predicted:,} predictions are of documents that {split} lacks"
    if predicted:
        unlabelled = [r for r, (_, of_relation, labels) in scored.relations.items() if of_relation and not labels]
        if sum(scored.relations[relation][1] for relation in unlabelled) == predicted:
            named = ", ".join(unlabelled[:5]) + (f" and {len(unlabelled) - 5} more" if len(unlabelled) > 5 else "")
            if predicted == 1:
                return f"the one predicted triple is of a relation that has no label there ({named})"
            return f"all {predicted:,} predicted triples are of relations that have no label there ({named})"
        return f"none of {plural(predicted, 'predicted triple')} is labelled"
    if not record.stages:
        return "nothing was predicted"
    epochs = len(record.stages[-1].dev_f1)
    after = f" after {plural(epochs, 'epoch')} of the last stage" if learnt_here else ""
    if scored.highest_margin is None:
        return f"nothing was predicted,{after}" if after else "nothing was predicted"
    # Three digits that matter: a margin of -0.0004 and one of -12 call for different things.
    return f"nothing was predicted,{after} the highest margin over its threshold is {scored.highest_margin:.3g}"
