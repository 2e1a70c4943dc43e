"""What the tables and figures of a report are made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.analysis.aggregate import Cell
from bench.analysis.label_shares import ShareCurves, share_curves
from bench.analysis.published import Published
from bench.analysis.systems import System, systems_of
from bench.report.tables.ablations import Ablation, ablations
from bench.report.tables.datasets import DataFacts, data_facts
from bench.report.tables.paper import PaperRows, the_paper


@dataclass(frozen=True)
class Material:
    """Everything that tables and figures are made from."""

    out: Path
    systems: Sequence[System]
    rows: PaperRows
    data: Sequence[DataFacts]
    ablations: Sequence[Ablation]
    shown: Sequence[System] = field(default_factory=tuple)
    """The systems of the main tables: all but those points of an ablation that are named after what it varies."""
    shares: Sequence[ShareCurves] = field(default_factory=tuple)
    """Those of `shown` that were trained on shares of the labels, as curves."""


def gather(out: Path, cells: Sequence[Cell], published: Published) -> Material:
    """What a report is made from: the cells as systems, their ablations, their data sets, the published rows."""
    systems = systems_of(cells)
    rows = PaperRows(published, the_paper())
    varied = list(ablations(systems))
    # By configuration: `layers=4` and `memory=200` may be one run under two names.
    varies: dict[str, set[str]] = defaultdict(set)
    for ablation in varied:
        for _, system in ablation.points:
            varies[system.plan.configuration].add(ablation.hyperparameter)
    printed = {(rows.model(row), rows.paper.variant(row)) for row in rows.rows if row.table == "3"}
    shown = [
        s
        for s in systems
        if (s.plan.model, s.plan.variant) in printed or not varies[s.plan.configuration] & _changed(s.plan.variant)
    ]
    return Material(out, systems, rows, data_facts(systems), varied, shown, share_curves(shown))


def _changed(variant: str) -> set[str]:
    """The hyperparameters that a variant is named after."""
    return {change.partition("=")[0].rpartition(".")[2] for change in variant.split(",") if change}
