"""Tables 1 and 2 of the paper and their like: what the documents of a data set come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from bench.analysis.systems import System
from bench.data.catalog.dataset import Dataset, open_dataset
from bench.data.catalog.statistics import Described, describe, described_before
from bench.errors import UsageError
from bench.report.table import MISSING, Column, Line, Table, TableCell, TableRow
from bench.report.tables.paper import Paper, PaperStatistics
from bench.runs.plan import SPLIT_OF, split_for
from bench.runs.settings import parts_of

SPLITS = ("distant", "train", "ext", "dev", "test")
MANY = 20_000
"""Documents that take longer to count than a report may: `bench data stats` counts and keeps them."""


@dataclass(frozen=True)
class Recorded:
    """What the record of a run tells of a split; of one that was scored, labelled triples per document and relation."""

    documents: int
    triples: float | None = None
    relations: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DataFacts:
    """What is known of a data set. splits, counts: from its files.   recorded: from records, for what is not in those.

    missing: split -> why it is not counted.   problem: why nothing is.
    """

    name: str
    splits: dict[str, Described] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    relation_names: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def known(self) -> list[str]:
        """The splits of which anything is known."""
        return [split for split in SPLITS if split in self.counts or split in self.recorded]

    def labels(self) -> tuple[str, dict[str, int]]:
        """The labelled triples of each relation that occurs, most frequent first, of train or else of test."""
        for split in ("train", "test"):
            if split in self.splits:
                counts = self.splits[split].relations
            else:
                counts = self.recorded[split].relations if split in self.recorded else {}
            if any(counts.values()):
                return split, {relation: count for relation, count in counts.items() if count}
        return "", {}


def data_facts(systems: Sequence[System]) -> list[DataFacts]:
    """Of each data set that the records are of: from its files if they are here and are what the runs read."""
    facts = []
    for name in dict.fromkeys(system.plan.dataset for system in systems):
        of_dataset = [system for system in systems if system.plan.dataset == name]
        recorded = _recorded(of_dataset)
        try:
            facts.append(replace(_of(open_dataset(name), of_dataset), recorded=recorded))
        except UsageError as error:
            facts.append(DataFacts(name, recorded=recorded, problem=str(error).splitlines()[0]))
    return facts


def _recorded(systems: Sequence[System]) -> dict[str, Recorded]:
    """From the first finished run; what others trained on comes from theirs."""
    by_split: dict[str, Recorded] = {}
    for plan, record in ((system.plan, record) for system in systems for record in system.cell.records):
        share = parts_of(record.setting).share
        # On what imported weights were trained nobody knows: their stage has no documents.
        for stage in () if plan.imported else record.stages:
            # Names of sources that an older version had are no splits of ours.
            if (split := SPLIT_OF.get(stage.data)) is not None:  # type: ignore[call-overload]
                by_split.setdefault(split_for(split, share), Recorded(stage.documents))
        for split, scored in record.splits.items():
            labels = {relation: gold for relation, (_, _, gold) in scored.relations.items()}
            ranked = dict(sorted(labels.items(), key=lambda item: (-item[1], item[0])))
            gold, documents = sum(scored.documents.gold), len(scored.documents.gold)
            by_split.setdefault(split, Recorded(documents, gold / documents if documents else None, ranked))
    return by_split


def _of(dataset: Dataset, systems: Sequence[System]) -> DataFacts:
    facts = DataFacts(dataset.name, relation_names=dataset.relation_names)
    read: dict[str, set[str]] = {"dev": set(), "test": set()}
    for system in systems:
        read["dev"].add(system.plan.dev_checksum)
        read["test"].add(system.plan.test_checksum)
        for stage in () if system.plan.imported else system.plan.stages:
            read.setdefault(stage.train_split, set()).add(stage.train_checksum)
    for split in [split for split in SPLITS if split in dataset.splits]:
        try:
            if read.get(split) and dataset.checksum(split) not in read[split]:
                facts.missing[split] = f"the {split} documents here are not those that the runs read"
                continue
            described = described_before(dataset, split)
            if described is None and dataset.count(split) <= MANY:
                described = describe(dataset, split)
        except UsageError as error:
            facts.missing[split] = str(error).splitlines()[0]
            continue
        facts.counts[split] = dataset.count(split)
        if described is None:
            facts.missing[split] = f"not counted yet: `bench data stats {dataset.name}` counts its {split} documents"
        else:
            facts.splits[split] = described
    return facts


_ROWS: tuple[tuple[str, str, Callable[[Described], float | int | None]], ...] = (
    ("# Docs", "documents", lambda d: d.statistics.documents),
    ("Avg. # Entities", "entities", lambda d: d.statistics.entities),
    ("Avg. # Labeled Triples", "triples", lambda d: d.statistics.triples),
    ("Avg. # Sentences", "sentences", lambda d: d.statistics.sentences),
    ("Avg. # Mentions", "", lambda d: d.statistics.mentions),
    ("Avg. # Words", "", lambda d: d.statistics.words),
    ("Avg. # Pairs", "", lambda d: d.statistics.pairs),
    ("# Relations", "", lambda d: d.statistics.relations),
)


def statistics_tables(facts: Sequence[DataFacts], paper: Paper) -> Iterator[Table]:
    """One table per data set that is here, beside the published one where there is one."""
    for known in facts:
        if known.known:
            published = next((table for table in paper.statistics if table.dataset == known.name), None)
            yield _table(known, published)


def _table(facts: DataFacts, published: PaperStatistics | None) -> Table:
    splits = facts.known
    rows = []
    for title, key, value in _ROWS:
        printed = getattr(published, key) if published and key else {}
        counted = {split: value(described) for split, described in facts.splits.items()}
        if key == "documents":
            counted = {split: of.documents for split, of in facts.recorded.items()} | facts.counts | counted
        if key == "triples":
            counted = {split: of.triples for split, of in facts.recorded.items()} | counted
        cells = [_cell(counted.get(split), printed.get(split)) for split in splits]
        if any(cell.text != MISSING for cell in cells):
            rows.append(TableRow((TableCell(title, title), *cells)))
    number = f"Table {published.number}: " if published else "Data: "
    named = published.columns if published else {}
    return Table(
        name=f"data-{facts.name}",
        title=f"{number}statistics of {facts.name}",
        caption=_counted_from(facts) + (" Below, the published values." if published else ""),
        columns=(Column("Statistics", numeric=False), *(Column(named.get(s, s.capitalize())) for s in splits)),
        rows=tuple(rows),
        notes=tuple(dict.fromkeys(facts.missing.values())),
        published="same" if published else "none",
    )


def _counted_from(facts: DataFacts) -> str:
    from_records = [split for split in facts.known if split not in facts.splits]
    if not from_records:
        return "Counted from the files here."
    of = "Counted from the files here; of" if facts.splits else "Of"
    return f"{of} {', '.join(from_records)}, what the records tell."


def _cell(value: float | int | None, printed: str | int | None) -> TableCell:
    if value is None:
        return TableCell(MISSING)
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    if printed is None:
        return TableCell(text, value)
    shown = f"{printed:,}" if isinstance(printed, int) else printed
    verdict = "" if _agrees(value, printed) else " (differs)"
    return TableCell(text, value, under=(Line("published", shown + verdict),), data={"published": float(printed)})


def _agrees(value: float | int, printed: str | int) -> bool:
    """Whether the printed number is the counted one, rounded or cut: one unit of its last digit."""
    if isinstance(printed, int):
        return value == printed
    exponent = Decimal(printed).as_tuple().exponent
    return abs(value - float(printed)) < 10.0 ** int(exponent)
