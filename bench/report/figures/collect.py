"""Which figures a report has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from bench.analysis.robust import evenly
from bench.analysis.systems import Condition, System, by_condition, most_rows_first
from bench.errors import plural
from bench.label_share import shown_percent
from bench.report.figures.files import Drawing, write_figures
from bench.report.figures.series import (
    PANELS,
    ablation_points,
    curves,
    profiles,
    ranked,
    relation_points,
    share_points,
    strips,
)
from bench.report.material import Material
from bench.report.render.html import Figure, anchor, apart
from bench.report.table import Table, plain_table
from bench.report.tables.label_shares import HOW, notes_of
from bench.report.tables.paper_tables import Where, is_the_papers
from bench.report.tables.robust import scores_of, shared_conditions

_Item = TypeVar("_Item")
MOST_STRIPS = 40
MOST_BOXES = 10
MOST_CONDITIONS = 6
"""Data sets, encoders and settings with figures of their own, those with most systems first.

A figure takes a third of a second; `runs.csv` has the numbers of all.
"""


@dataclass(frozen=True)
class Drawn:
    """A figure to be: what the page says of it, and what it is drawn from."""

    section: str
    name: str
    title: str
    caption: str
    alt: str
    drawing: Drawing
    table: Table | None = None


def figures(
    material: Material,
    to: Path,
    more: Sequence[Drawn] = (),
    processes: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[tuple[str, Figure]], list[str]]:
    """Draw everything that has changed; PDF, PNG and SVG are in `to`/figures.

    processes, on_progress: as for `write_figures`.
    Returns each figure with the name of its section of the page, and what could not be drawn, in sentences.
    """
    drawn = {anchor(each.name): each for each in apart([*planned(material), *more])}
    svgs, boxes = write_figures({n: each.drawing for n, each in drawn.items()}, to / "figures", processes, on_progress)
    on_page = [
        (each.section, Figure(f"figure-{name}", each.title, each.caption, each.alt, svgs[name], each.table))
        for name, each in drawn.items()
    ]
    return on_page, [_boxes(boxes)] if boxes else []


def _boxes(characters: set[str]) -> str:
    from bench.report.figures import style  # and matplotlib with it, which a report without changes does not load

    few = "".join(sorted(characters)[:MOST_BOXES]) + "…" * (len(characters) > MOST_BOXES)
    return (
        f"{plural(len(characters), 'character')} of the figures are in no font here ({few}), and boxes in PDF and PNG: "
        f"install one that has them, for Chinese {style.WITH_CHINESE[0]}"
    )


def planned(material: Material) -> Iterator[Drawn]:
    """All figures but that of the memory, which takes a trained model."""
    finished = [system for system in material.shown if system.cell.records]
    groups = sorted(by_condition(finished).items(), key=most_rows_first)[:MOST_CONDITIONS]
    for condition, systems in groups:
        shown = strips(systems)[:MOST_STRIPS]
        if shown:
            yield Drawn(
                "seeds", f"seeds-{condition.heading}", f"Seeds: {condition.heading}",
                "Test F1. Rings are seeds, the bar their mean, the band the 95 % interval of the mean over seeds "
                "(Student's t; none of one seed).",
                "; ".join(f"{strip.name}: {_listed(strip.values)}" for strip in shown),
                Drawing("seed_strips", (shown,)),
            )  # fmt: skip
        learnt = curves(systems)
        for part, some in enumerate(_parts(learnt, PANELS)):
            yield Drawn(
                "curves", f"learning-{condition.heading}-{part}", f"Learning: {condition.heading}",
                "Dev F1 after each epoch of the last stage: thick, the mean over seeds; thin, each seed; a marker at "
                "the epoch that was kept.",
                "; ".join(f"{c.name} from {c.mean[0]:.1f} to {c.mean[-1]:.1f}" for c in some if c.mean),
                Drawing("learning_curves", (some,)),
            )  # fmt: skip
        listed = [each.name for each in systems if each.plan.outside]
        for part, of_part in enumerate(_parts(ranked(systems, material.out), PANELS)):
            outside = [r.name for r in of_part if r.name in listed]
            rank = f"; of {', '.join(outside)}, the triples listed, by the scores given with them" if outside else ""
            yield Drawn(
                "ranking", f"precision-recall-{condition.heading}-{part}", f"Precision and recall: {condition.heading}",
                f"Test, all candidate triples ranked by how far their logit is above its threshold{rank}; a line per "
                "seed. Labels on pairs that are no candidates are not ranked.",
                "; ".join(f"{r.name}: AUC {_area(r.auc)}" for r in of_part),
                Drawing("precision_recall", (of_part,)),
            )  # fmt: skip
        # Of a single relation there is nothing to be set against its frequency.
        scores = [of for of in relation_points(systems) if len(of.labels) > 1][:PANELS]
        if scores:
            yield Drawn(
                "relations", f"relations-{condition.heading}",
                f"F1 of each relation by its frequency: {condition.heading}",
                "One mark per relation of the test set, its F1 a mean over seeds; the dashed line joins the means of "
                "the four quarters of relations by frequency.",
                f"F1 against labels for {', '.join(of.name for of in scores)}",
                Drawing("relations", (scores,)),
            )  # fmt: skip
    yield from _profiles(groups)
    yield from _ablations(material)
    yield from _label_shares(material)
    yield from _labels(material)


def _profiles(groups: Sequence[tuple[Condition, Sequence[System]]]) -> Iterator[Drawn]:
    """Performance profiles over all conditions that systems share; where they share one at most, of the first."""
    scores = scores_of(groups)
    if (shared := shared_conditions(scores)) is not None:
        conditions, of = shared
        heading, over = f"{len(conditions)} conditions", "; ".join(map(str, conditions))
        over += " (each counts alike, however many seeds it has)"
        tasks = {name: [of[name][condition] for condition in conditions] for name in of}
    elif groups:
        heading = over = groups[0][0].heading
        tasks = {name: [of[groups[0][0]]] for name, of in scores.items() if groups[0][0] in of}
    if not groups or len(tasks) < 2:
        return
    runs = {name: evenly(of_name) for name, of_name in tasks.items()}
    for part, some in enumerate(_parts(profiles(runs), PANELS)):
        yield Drawn(
            "robust", f"profiles-{heading}-{part}", f"Performance profiles: {heading}",
            f"The share of runs with more than a given test F1, of all seeds of {over}. A line that is further up and "
            "to the right is of better runs.",
            "; ".join(f"{p.name}: {sum(map(len, tasks[p.name]))} runs" for p in some),
            Drawing("performance_profiles", (some,)),
        )  # fmt: skip


def _ablations(material: Material) -> Iterator[Drawn]:
    papers = {(t.model, t.hyperparameter): t for t in material.rows.paper.tables("ablation")}
    for ablation in material.ablations[:MOST_CONDITIONS]:
        table = papers.get((ablation.model, ablation.hyperparameter))
        ours, published = ablation_points(ablation, table, material.rows)
        if not ours.means:
            continue
        where = Where(ablation.dataset, ablation.encoder)
        comparable = table is not None and is_the_papers(table, where) and ablation.setting in table.settings
        both = f", and the paper's (Figure 4, Table {table.number})" if published and table else ""
        shapes = " Only the shapes can be compared: the paper's data, setting or encoder are others."
        yield Drawn(
            "ablations", f"{ablation.name}-{ablation.key}",
            f"{ablation.model}: {ablation.hyperparameter}, {ablation.dataset}, {ablation.setting}",
            f"Test F1 by {ablation.hyperparameter}{both}; bars are standard deviations over seeds."
            + (shapes if published and not comparable else ""),
            "; ".join(f"{ablation.hyperparameter} {value:g}: {mean:.2f}" for value, mean in ours.means.items()),
            Drawing("ablation", (ours, published, ablation.hyperparameter, comparable)),
        )  # fmt: skip


def _label_shares(material: Material) -> Iterator[Drawn]:
    for of in material.shares[:MOST_CONDITIONS]:
        for part, lines in enumerate(_parts(of.lines, PANELS)):
            shown = replace(of, lines=tuple(lines))
            yield Drawn(
                "label-shares", f"{of.name}-{part}" if part else of.name,
                f"F1 against the share of labels kept: {of.heading}",
                f"{of.split.capitalize()} F1, means over seeds; bars are 95 % intervals of the mean over seeds "
                f"(Student's t; none of one seed). {HOW.format(rule=of.rule)} "
                + " ".join(f"{note}." for note in dict.fromkeys(notes_of(shown))),
                "; ".join(
                    f"{line.name}: "
                    + ", ".join(f"{p.summary.mean:.1f} at {shown_percent(p.share.percent)}" for p in line.points)
                    for line in lines
                ),
                Drawing("label_shares", (share_points(shown), shown.split)),
            )  # fmt: skip


def _labels(material: Material) -> Iterator[Drawn]:
    for known in material.data:
        split, counts = known.labels()
        if not counts:
            continue
        most, least = next(iter(counts)), list(counts)[-1]
        names = known.relation_names
        yield Drawn(
            "data", f"labels-{known.name}", f"Labels of {known.name} ({split})",
            f"Labelled triples of each of the {len(counts)} relations that occur (Figure 6 of the paper).",
            f"From {names.get(most, most)} ({counts[most]:,}) to {names.get(least, least)} ({counts[least]:,})",
            Drawing("label_distribution", (counts, {relation: names.get(relation, relation) for relation in counts})),
            plain_table(
                f"labels-{known.name}", f"Labels of {known.name}", f"Labelled triples in {split}.",
                ["Relation", "Name", "Triples"], [(r, names.get(r, r), count) for r, count in counts.items()],
            ),
        )  # fmt: skip


def _parts(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _area(auc: float | None) -> str:
    return "unknown" if auc is None else f"{auc:.1f}"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
