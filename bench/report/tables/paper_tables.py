"""The paper's results tables from run records, each run's scores beside the published ones.

The records of one data set and encoder make tables of the same form as the paper's. Where data set, setting and encoder
are the paper's own, they are that table, with differences; elsewhere the published values stand below ours, marked as
not comparable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.analysis.aggregate import RELEASED, NotApplicable, mean_and_std, not_applicable
from bench.analysis.metrics import METRICS
from bench.analysis.published import PublishedRow
from bench.analysis.systems import System, by_condition, same_encoder
from bench.label_share import shown_percent
from bench.report.table import Column, Comparability, Line, Table, TableRow
from bench.report.tables.ablations import Ablation
from bench.report.tables.notes import documents_notes, notes_on, zero_notes
from bench.report.tables.paper import PaperRows, PaperTable
from bench.report.tables.score_cells import Beside, Entry, ScoreColumn, not_applicable_row, score_columns, score_rows
from bench.report.tables.verdicts import AGAINST_PUBLISHED, RULES
from bench.runs.names import model_name
from bench.runs.recipe import SETTINGS
from bench.runs.settings import by_share, parts_of

HEADINGS = {
    "human": "Human annotation only",
    "distant": "Distant only",
    "human+distant": "Human + distant",
    "ext": "Extremely unlabeled",
    "ext+distant": "Extremely unlabeled + distant",
}
SLICES = {
    "top_10": "Top 10 labels",
    "all_but_top_10": "All but top 10 labels",
    "top_5": "Top 5 labels",
    "all_but_top_5": "All but top 5 labels",
    "intra": "Head and tail in one sentence",
    "inter": "In no sentence together",
}
STRICT = (
    "A slice's precision divides by the predictions in the slice (strict). The paper's program divides by all "
    "predictions (released), so that its precisions, and F1s, are lower: published values are of that protocol."
)
PERCENT = "Percent, mean ± sample standard deviation over seeds."


@dataclass(frozen=True)
class Where:
    """The records a table is made of: one data set, and one encoder unless it is about several."""

    dataset: str
    encoder: str | None

    def __str__(self) -> str:
        return f"{self.dataset}, {self.encoder}" if self.encoder else self.dataset


def main_tables(systems: Sequence[System], rows: PaperRows) -> Iterator[Table]:
    """Tables 3, 4, 6 and 7, and their like for other data and encoders: what of them the records have."""
    by_dataset: dict[str, list[System]] = defaultdict(list)
    for system in systems:
        by_dataset[system.plan.dataset].append(system)
    own = {table.dataset for table in rows.paper.tables("main") if table.encoder is None}
    for dataset, of_dataset in by_dataset.items():
        conditions = by_condition(of_dataset)
        encoders = list(dict.fromkeys(condition.encoder for condition in conditions))
        for table in rows.paper.tables("main"):
            if table.encoder is None and table.dataset == dataset:
                yield from _main(table, Where(dataset, None), of_dataset, rows)
            elif table.encoder is not None and dataset not in own:
                for encoder in encoders:
                    having = [system for at, some in conditions.items() if at.encoder == encoder for system in some]
                    yield from _main(table, Where(dataset, encoder), having, rows)
        for table in rows.paper.tables("encoders"):
            if len(encoders) > 1:
                yield from _encoders(table, dataset, of_dataset, rows)


def _main(table: PaperTable, where: Where, systems: Sequence[System], rows: PaperRows) -> Iterator[Table]:
    impossible = not_applicable([system.cell for system in systems])
    blocks: list[tuple[str, list[Entry], Sequence[NotApplicable]]] = []
    for setting in _settings(table, systems):
        of_setting = [system for system in systems if system.plan.setting == setting]
        if of_setting:
            none = [n for n in impossible if n.setting == setting]
            blocks.append((_heading(setting), _entries(table, setting, where, of_setting, rows), none))
    if blocks:
        yield _table(table, where, table.splits, blocks, rows, mixed=where.encoder is None)


def _settings(table: PaperTable, systems: Sequence[System]) -> list[str]:
    """Those of the table that the records have; where it is the only one of its data set, all.

    A share of the labels comes after the setting that it is of.
    """
    return _in_order(systems, table.settings if table.encoder else SETTINGS)


def _in_order(systems: Sequence[System], bases: Sequence[str]) -> list[str]:
    having = {system.plan.setting for system in systems}
    of_bases = [setting for setting in having if parts_of(setting).base in bases]
    return sorted(of_bases, key=lambda setting: (bases.index(parts_of(setting).base), by_share(setting)))


def _heading(setting: str) -> str:
    """What a setting is called above its rows."""
    base, share = parts_of(setting)
    if share is None:
        return HEADINGS[base]
    distant = " + distant" if base.endswith("+distant") else ""
    return f"{shown_percent(share.percent)} of the labels{distant} ({setting})"


def _encoders(table: PaperTable, dataset: str, systems: Sequence[System], rows: PaperRows) -> Iterator[Table]:
    """One block per setting and encoder, of the models that were run with several encoders."""
    blocks: list[tuple[str, list[Entry], Sequence[NotApplicable]]] = []
    for setting in _in_order(systems, SETTINGS):
        of_setting = [s for s in systems if s.plan.setting == setting]
        encoders: dict[str, set[str]] = defaultdict(set)
        for system in of_setting:
            encoders[system.plan.model].add(system.plan.encoder)
        models = {name for name, having in encoders.items() if len(having) > 1}
        for encoder in dict.fromkeys(s.plan.encoder for s in of_setting if s.plan.model in models):
            chosen = [s for s in of_setting if s.plan.encoder == encoder and s.plan.model in models]
            where = Where(dataset, encoder)
            blocks.append((f"{_heading(setting)}, {encoder}", _entries(table, setting, where, chosen, rows), []))
    if blocks:
        yield _table(table, Where(dataset, None), table.splits, blocks, rows, mixed=False)


def slice_tables(systems: Sequence[System], rows: PaperRows) -> Iterator[Table]:
    """Table 5 and its like: one table for each data set, encoder and setting with such slices."""
    (table,) = rows.paper.tables("slices")
    for (dataset, setting, encoder), group in by_condition(systems).items():
        where = Where(dataset, encoder)
        parts = [part for part in SLICES if any(s.values("test", "f1", part) for s in group)]
        if parts:
            yield _slices(table, where, setting, group, parts, rows)


def _slices(
    table: PaperTable, where: Where, setting: str, systems: Sequence[System], parts: Sequence[str], rows: PaperRows
) -> Table:
    blocks = [(part, _entries(table, setting, where, systems, rows, part)) for part in parts]
    # A metric that one of the slices has is a column of all.
    metrics = list(dict.fromkeys(c.metric for part in parts for c in score_columns(systems, table.splits, part)))
    table_rows: list[TableRow] = []
    for part, entries in blocks:
        columns = [ScoreColumn("test", metric, part) for metric in metrics]
        table_rows += _with_released(score_rows(entries, columns, SLICES[part], encoders=False), entries, columns)
    return Table(
        name=_name(table, where, setting),
        title=f"{_title(table, where)}, {setting}",
        caption=f"Test set. {PERCENT}",
        columns=(Column("Model", numeric=False), Column("Seeds"), *(Column(METRICS[name].title) for name in metrics)),
        rows=tuple(table_rows),
        notes=(STRICT,),
        legend=(RULES,),
        published=_status(entry for _, entries in blocks for entry in entries),
    )


def _with_released(
    rows: Sequence[TableRow], entries: Sequence[Entry], columns: Sequence[ScoreColumn]
) -> Iterator[TableRow]:
    """Under each strict score the one of the released protocol, where that differs."""
    for row, entry in zip(rows, entries, strict=True):
        cells = list(row.cells)
        for i, column in enumerate(columns, start=len(cells) - len(columns)):
            score = entry.system.score(column.split, column.metric, RELEASED + column.part) if entry.system else None
            if score is not None and score.mean is not None and column.metric != "recall":
                cells[i] = replace(
                    cells[i],
                    under=(Line("released protocol", mean_and_std(score)), *cells[i].under),
                    data={**cells[i].data, "released": score.mean, "released std": score.std},
                )
        yield replace(row, cells=tuple(cells))


def ablation_table(table: PaperTable | None, ablation: Ablation, rows: PaperRows) -> Table:
    """Scores by the value of one hyperparameter. table: the paper's, where it has one of that hyperparameter."""
    where = Where(ablation.dataset, ablation.encoder)
    entries = []
    for value, system in ablation.points:
        published = {}
        if table is not None:
            for row in rows.of(table, _published_setting(table), "test"):
                if rows.paper.variant(row) == f"{ablation.hyperparameter}={value:g}":
                    published["test", "all"] = _beside(table, row, ablation.setting, where, rows)
        entries.append(Entry(f"{value:g}", system, published, _remarks(table, published, system, rows)))
    columns = score_columns([system for _, system in ablation.points], ("test",))
    title = f"{ablation.model}: {ablation.hyperparameter}"
    if table is not None:
        title = f"{_title(table, where)}, {ablation.setting}"
    fixed = f" Otherwise {ablation.fixed}." if ablation.fixed else ""
    return Table(
        name=f"{_name(table, where, ablation.setting) if table else ablation.name}-{ablation.key}",
        title=title,
        caption=f"{ablation.model} on {where}, {ablation.setting}; test set. {PERCENT}{fixed}",
        columns=(
            Column(ablation.hyperparameter, numeric=True), Column("Seeds"),
            *(column.column for column in columns),
        ),
        rows=tuple(score_rows(entries, columns, "", encoders=False)),
        legend=_legend(_status(entries)),
        published=_status(entries),
    )  # fmt: skip


def _published_setting(table: PaperTable) -> str:
    return table.settings[0]


def _entries(
    table: PaperTable,
    setting: str,
    where: Where,
    systems: Sequence[System],
    rows: PaperRows,
    part: str = "all",
) -> list[Entry]:
    """The systems in the order of the paper's rows, then the others; the paper's rows that were not run among them."""
    published: dict[tuple[str, str], dict[tuple[str, str], PublishedRow]] = defaultdict(dict)
    asked = "unstated" if table.kind == "slices" else setting
    for split in table.splits:
        for row in rows.of(table, asked, split, part.replace("_", "-")):
            if table.kind != "encoders" or where.encoder is None or same_encoder(row.encoder, where.encoder):
                published[rows.model(row), rows.paper.variant(row)][split, part] = row
    keys = list(published)

    def rank(model: str, variant: str) -> tuple[int, int, str]:
        """The place of a row in the paper's order; variants of a model after it, models it does not have at the end."""
        of_model = [i for i, key in enumerate(keys) if key[0] == model]
        exact = (model, variant) in published
        return keys.index((model, variant)) if exact else max(of_model, default=len(keys)), not exact, variant

    ranked: list[tuple[tuple[int, int, str], Entry]] = []
    for system in systems:
        key = system.plan.model, system.plan.variant
        beside = {at: _beside(table, row, setting, where, rows, system) for at, row in published.get(key, {}).items()}
        ranked.append((rank(*key), Entry(system.name, system, beside, _remarks(table, beside, system, rows))))
    if is_the_papers(table, where):
        for model, variant in published.keys() - {(system.plan.model, system.plan.variant) for system in systems}:
            rows_there = published[model, variant]
            beside = {at: _beside(table, row, setting, where, rows) for at, row in rows_there.items()}
            name = model_name(model, variant)
            ranked.append((rank(model, variant), Entry(name, None, beside, _remarks(table, beside, None, rows))))
    return [entry for _, entry in sorted(ranked, key=lambda pair: (pair[0], pair[1].name))]


def _beside(
    table: PaperTable,
    row: PublishedRow,
    setting: str,
    where: Where,
    rows: PaperRows,
    system: System | None = None,
) -> Beside:
    """The row with what of data set, setting and encoder is another one than ours."""
    encoder = rows.encoder(row)
    ours = system.plan.encoder if system else where.encoder
    unlike = []
    if row.dataset != where.dataset:
        unlike.append(f"data set ({row.dataset})")
    if row.setting == "unstated":
        unlike.append("setting (the paper does not say which)")
    elif row.setting not in (setting, table.published_setting):
        unlike.append(f"setting ({row.setting})")
    if ours is not None and not same_encoder(encoder, ours):
        unlike.append(f"encoder ({'the paper does not say which' if encoder == 'unstated' else encoder})")
    elif system is not None and any(stage.training.freeze_encoder for stage in system.plan.stages):
        unlike.append("training (ours has the encoder frozen)")
    return Beside(row, f"published with other {' and '.join(unlike)}: not comparable" if unlike else "")


def _remarks(
    table: PaperTable | None,
    published: dict[tuple[str, str], Beside],
    system: System | None,
    rows: PaperRows,
) -> tuple[str, ...]:
    """What is known of a row beside its numbers."""
    notes = []
    if system is not None and (remark := rows.paper.remarks.get(system.plan.model)):
        notes.append(f"{system.plan.model}: {remark}")
    comparable = [beside.row for beside in published.values() if not beside.why_not]
    if system is not None and table is not None and comparable and (last := system.plan.learnt) is not None:
        selected_on = last.training.select_on
        if selected_on != table.select_on:
            notes.append(f"the epoch is chosen on {selected_on}, the paper's on {table.select_on}")
    notes += rows.doubts(comparable)
    if any(row.borrowed for row in comparable):
        notes.append("the paper took its row from elsewhere")
    return tuple(notes)


def _table(
    table: PaperTable,
    where: Where,
    splits: Sequence[str],
    blocks: Sequence[tuple[str, list[Entry], Sequence[NotApplicable]]],
    rows: PaperRows,
    mixed: bool,
) -> Table:
    systems = [entry.system for _, entries, _ in blocks for entry in entries if entry.system]
    # Where test has no labels, dev is all there is to show.
    scored = [split for split in ("dev", "test") if any(system.values(split, "f1") for system in systems)]
    splits = [split for split in splits if split in scored] or scored or splits
    columns = score_columns(systems, splits)
    table_rows: list[TableRow] = []
    for heading, entries, impossible in blocks:
        table_rows += score_rows(entries, columns, heading, mixed)
        table_rows += [
            not_applicable_row(
                model_name(n.model, n.variant), n.encoder,
                f"n/a: {n.model} has no {n.setting!r}: {n.reason}", len(columns), heading, mixed,
            )
            for n in impossible
        ]  # fmt: skip
    status = _status(entry for _, entries, _ in blocks for entry in entries)
    notes = dict.fromkeys(note for system in systems for note in zero_notes(system, splits))
    notes |= dict.fromkeys(note for system in systems for note in documents_notes(system.cell, splits))
    notes |= dict.fromkeys(notes_on(systems, splits))
    headings = [Column("Model", numeric=False), *([Column("Encoder", numeric=False)] if mixed else []), Column("Seeds")]
    return Table(
        name=_name(table, where),
        title=_title(table, where),
        caption=PERCENT + _of_published(table, status, rows),
        columns=(*headings, *(column.column for column in columns)),
        rows=tuple(table_rows),
        notes=tuple(notes),
        legend=_legend(status),
        published=status,
    )


def _of_published(table: PaperTable, status: Comparability, rows: PaperRows) -> str:
    condition = f"{table.dataset}{f', {table.encoder}' if table.encoder else ''}"
    if status == "other":
        return (
            f" The values of {rows.paper.paper} ({condition}) are for orientation: they are not comparable with ours."
        )
    return f" Below ours, the published values of {rows.paper.paper}." if status == "same" else ""


def _status(entries: Iterable[Entry]) -> Comparability:
    published = [beside for entry in entries if entry.system for beside in entry.published.values()]
    if any(not beside.why_not for beside in published):
        return "same"
    return "other" if published else "none"


def _legend(status: Comparability) -> tuple[str, ...]:
    return (RULES, AGAINST_PUBLISHED) if status == "same" else (RULES,)


def is_the_papers(table: PaperTable, where: Where) -> bool:
    """Whether these records make the paper's table, and not one of its form."""
    same = where.encoder is None or table.encoder is None or same_encoder(where.encoder, table.encoder)
    return table.dataset == where.dataset and same


def _title(table: PaperTable, where: Where) -> str:
    if is_the_papers(table, where):
        return f"Table {table.number}: {table.title}"
    return f"{table.title.capitalize()}: {where}"


def _name(table: PaperTable, where: Where, *more: str) -> str:
    return "-".join([f"table{table.number}", *str(where).split(", "), *more]).replace("/", "_")
