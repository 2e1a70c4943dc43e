"""The report of an output folder: which tables and figures there are, and the files they are written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.analysis.audit import audit_published
from bench.analysis.audit.records import audit_cells, record_rows
from bench.analysis.systems import Condition, System, by_condition, most_rows_first
from bench.errors import plural
from bench.report.material import Material
from bench.report.render.html import Figure, Page, Section, apart
from bench.report.table import Table
from bench.report.tables.comparisons import MOST_CONDITIONS, claims_tables
from bench.report.tables.datasets import statistics_tables
from bench.report.tables.elsewhere import elsewhere_tables
from bench.report.tables.findings import counts_table, findings_table
from bench.report.tables.label_shares import label_share_tables
from bench.report.tables.paper_tables import ablation_table, main_tables, slice_tables
from bench.report.tables.relations import rare_tables
from bench.report.tables.robust import robust_tables
from bench.report.tables.runs import runs_table, without_record
from bench.report.tables.verdicts import AGAINST_PUBLISHED, RULES

UNUSUAL = {"damaged": "Damaged", "newer": "Made by a newer version"}
"""Kinds of runs without a record that the top of the page counts only where there are any."""

MARKED = (("dev", "f1"), ("test", "f1"))
"""Scores by which the top of the page counts rows that are marked: whose seeds do not all have them."""


@dataclass(frozen=True)
class Results:
    """The tables of scores: Tables 3, 4, 6, 7 and their like, Table 5, Tables 8 and 9."""

    main: tuple[Table, ...]
    slices: tuple[Table, ...]
    ablations: tuple[Table, ...]

    @property
    def all(self) -> list[Table]:
        """Every table, those of the paper's own data, settings and encoders first."""
        return sorted((*self.main, *self.slices, *self.ablations), key=lambda table: table.published != "same")


def make_results(material: Material) -> Results:
    """What of the paper's tables, and of their like, the records have."""
    return Results(
        apart(main_tables(material.shown, material.rows)),
        apart(slice_tables(material.shown, material.rows)),
        apart(ablation_tables(material)),
    )


def ablation_tables(material: Material) -> list[Table]:
    """A table of scores for each ablation among the records."""
    papers = {(t.model, t.hyperparameter): t for t in material.rows.paper.tables("ablation")}
    return [ablation_table(papers.get((a.model, a.hyperparameter)), a, material.rows) for a in material.ablations]


def sections(material: Material, results: Results, figures: Sequence[tuple[str, Figure]]) -> Iterator[Section]:
    """The parts of the page. figures: each with the name of the section it belongs to."""

    def of(name: str) -> tuple[Figure, ...]:
        return tuple(figure for section, figure in figures if section == name)

    papers = tuple(table for table in results.main if table.published == "same")
    if papers:
        yield Section(
            "published", "Published tables",
            f"Tables of {material.rows.paper.paper}, run again: same data, same setting, same encoder.", papers,
        )  # fmt: skip
    others = tuple(table for table in results.main if table.published != "same")
    if others:
        yield Section("results", "Results", "Runs on other data, or with other encoders, than the paper's.", others)
    if elsewhere := elsewhere_tables(material.systems, material.rows):
        yield Section("elsewhere", "Published elsewhere", tables=tuple(elsewhere))
    conditions = _largest_conditions(material.shown)
    if claims := apart(claims_tables(conditions)):
        intro = "Over seeds and over documents. Click to open." + _of_how_many(claims, conditions)
        yield Section("claims", "What may be claimed", intro, folded=claims)
    if robust := apart(robust_tables(conditions, MOST_CONDITIONS)):
        intro = "Measures of all seeds, which one odd seed does not move (Agarwal et al., NeurIPS 2021). Click to open."
        yield Section("robust", "Robust measures", intro, figures=of("robust"), folded=robust)
    if seeds := of("seeds"):
        yield Section("seeds", "Seeds", _of_how_many(seeds, conditions), figures=seeds)
    if material.ablations:
        yield Section("ablations", "Ablations", tables=results.ablations, figures=of("ablations"))
    if shares := apart(label_share_tables(material.shares)):
        intro = "Models trained on a share of the labels: who loses how much with them."
        yield Section("label-shares", "Shares of labels", intro, shares, figures=of("label-shares"))
    relations = apart(rare_tables(material.shown))
    if results.slices or relations:
        intro = "Frequent and rare relations, pairs within a sentence and across sentences. Click to open."
        yield Section("slices", "Slices", intro, folded=(*results.slices, *relations), figures=of("relations"))
    if curves := of("curves"):
        yield Section("learning", "Learning", _of_how_many(of("seeds"), conditions), figures=curves)
    if ranking := of("ranking"):
        intro = "What the models would reach with other thresholds on all relations alike."
        intro += _of_how_many(of("seeds"), conditions)
        yield Section("ranking", "Precision and recall", intro, figures=ranking)
    if memory := of("memory"):
        yield Section("memory", "Memory", figures=memory)
    yield Section(
        "data", "Data", tables=apart(statistics_tables(material.data, material.rows.paper)), figures=of("data"),
        notes=tuple(known.problem for known in material.data if known.problem),
    )  # fmt: skip
    yield audit_section(material)
    yield Section("reading", "Reading the tables", notes=(RULES, AGAINST_PUBLISHED))
    yield Section("all-runs", "Runs", tables=(runs_table(material.systems),))


def _largest_conditions(systems: Sequence[System]) -> list[tuple[Condition, list[System]]]:
    """The systems of each data set, encoder and setting, those with most systems first."""
    return sorted(by_condition(systems).items(), key=most_rows_first)


def _of_how_many(shown: Sequence[object], conditions: Sequence[tuple[Condition, list[System]]]) -> str:
    """A sentence on how many of the conditions are shown, empty where all are."""
    finished = sum(any(system.cell.records for system in systems) for _, systems in conditions)
    if not 0 < len(shown) < finished:
        return ""
    return (
        f" {len(shown)} of the {finished} combinations of data set, encoder and setting: of those with most rows, "
        "which come first, the ones that have such numbers."
    )


def audit_section(material: Material) -> Section:
    """The section on what the audit finds in the published tables and in our own."""
    published = audit_published(material.rows.published)
    cells = [system.cell for system in material.systems]
    own_rows = record_rows(cells, material.out)
    own = audit_cells(cells, own_rows, material.out)
    count = len(material.rows.published.rows)
    return Section(
        "audit",
        "Audit",
        "Defects found by arithmetic on the numbers and by what is known of the runs behind them.",
        tables=(
            counts_table("audit-published-kinds", "The published tables", published),
            *([counts_table("audit-own-kinds", "These runs", own)] if own else []),
        ),
        folded=(
            findings_table(
                "audit-published", "All findings in the published tables", plural(count, "published row"), published
            ),
            *(
                [findings_table("audit-own", "All findings in these runs", plural(len(own_rows), "row"), own)]
                if own
                else []
            ),
        ),
        notes=() if own else ("Nothing was found in these runs.",),
    )


def make_page(
    material: Material,
    results: Results,
    figures: Sequence[tuple[str, Figure]] = (),
    links: Sequence[tuple[str, str]] = (),
) -> Page:
    """The page, with the counts at its top. figures: each with its section.   links: titles and pages beside it."""
    counts: Counter[str] = Counter()
    for system in material.systems:
        counts["finished"] += len(system.cell.records)
        for error in system.cell.errors:
            counts[without_record(error.partition(": ")[2])] += 1
        counts["planned"] += system.cell.expected
    plans = [system.plan for system in material.systems]
    facts = [
        ("Runs finished", f"{counts['finished']:,} of {counts['planned']:,}"),
        ("Failed", f"{counts['failed']:,}"),
        *((title, f"{counts[kind]:,}") for kind, title in UNUSUAL.items() if counts[kind]),
        ("Rows with missing seeds", f"{sum(system.lacks_seeds(MARKED) for system in material.systems):,}"),
        ("Models", f"{len({plan.model for plan in plans}):,}"),
        ("Data sets", ", ".join(dict.fromkeys(plan.dataset for plan in plans))),
        ("Encoders", ", ".join(dict.fromkeys(plan.encoder for plan in plans))),
    ]
    intro = (
        "Made from the records of runs alone. Scores are percent, means over seeds with sample standard deviations; a "
        "row with missing seeds is marked with *. Letters lead to the notes under a table; what bold, † and ‡ claim is "
        "under Reading the tables."
    )
    return Page("docre-bench report", intro, facts, list(sections(material, results, figures)), links)
