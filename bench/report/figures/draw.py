"""Drawings of the numbers in series.py. Each returns a matplotlib figure and says in its docstring what it shows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from bench.analysis.stats import Array
from bench.report.figures.series import Curve, Points, Profile, Ranked, RelationPoints, SharePoints, Strip
from bench.report.figures.style import COLOURS, INK, LINES, MARKERS, QUIET, figure, look

LINE = 26
"""Characters of a name in one line."""


def in_lines(name: str) -> str:
    """A name broken after commas and brackets, so that a long one leaves room for the drawing."""
    lines = [""]
    for part in re.split(r"(?<=[,)])|(?= \()", name):
        if lines[-1] and len(lines[-1]) + len(part) > LINE:
            lines.append(part.lstrip())
        else:
            lines[-1] += part
    return "\n".join(lines)


def ablation(ours: Points, published: Points | None, hyperparameter: str, comparable: bool) -> Figure:
    """Test F1 by the value of a hyperparameter, with deviations over seeds; values evenly spaced, as in the paper.

    Side by side where they are not comparable, on scales of their own that span the same number of points.
    """
    series = [ours, *([published] if published else [])]
    together = comparable or published is None
    values = sorted({value for points in series for value in points.means})
    with figure(2.9, columns=1 if together else 2) as (drawing, panels):
        for index, points in enumerate(series):
            axes = panels[0] if together else panels[index]
            of_series = [value for value in values if value in points.means]
            # Next to each other, or the bars of two series would cover one another.
            at = [values.index(value) + (index - 0.5) * 0.08 * together for value in of_series]
            means, spreads = [points.means[v] for v in of_series], [points.deviations[v] or 0.0 for v in of_series]
            axes.errorbar(at, means, yerr=spreads, capsize=3, label=points.name, **look(index))
            axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
            axes.set_xlabel(hyperparameter)
            axes.grid(axis="x", visible=False)
        panels[0].set_ylabel("test F1 (%)")
        if not together:
            _same_span(panels)
        drawing.legend(loc="outside upper left", ncols=2)
    return drawing


def label_shares(lines: Sequence[SharePoints], split: str) -> Figure:
    """F1 against the share of the training labels, a line for each model, bars for 95 % intervals over seeds.

    The axis of shares is logarithmic where they span a decade.
    """
    percents = sorted({share for line in lines for share in line.shares})
    logarithmic = percents[-1] >= 10 * percents[0]
    with figure(2.9) as (drawing, (axes,)):
        # Next to each other, or the bars of several models would cover one another.
        step = 0.012 * (math.log(percents[-1] / percents[0]) if logarithmic else percents[-1] - percents[0])
        for index, line in enumerate(lines):
            aside = (index - (len(lines) - 1) / 2) * step
            at = [x * math.exp(aside) if logarithmic else x + aside for x in line.shares]
            reach = [
                [mean - low for mean, (low, _) in zip(line.means, line.intervals, strict=True)],
                [high - mean for mean, (_, high) in zip(line.means, line.intervals, strict=True)],
            ]
            axes.errorbar(
                at, line.means, yerr=reach, capsize=2.5, elinewidth=0.9, label=in_lines(line.name), **look(index)
            )
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(percents, _apart(percents, logarithmic))
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -2), min(high, 102))  # an interval may go where no score can be
        axes.set_xlabel("share of the training labels (%)")
        axes.set_ylabel(f"{split} F1 (%)")
        drawing.legend(loc="outside right upper")
    return drawing


def _apart(percents: Sequence[float], logarithmic: bool) -> list[str]:
    """What to write at each share, from the largest on: nothing where a text would be too near to the one before."""
    places = [math.log(percent) if logarithmic else percent for percent in percents]
    texts: list[str] = []
    last = math.inf
    for percent, place in zip(reversed(percents), reversed(places), strict=True):
        is_apart = last - place >= 0.04 * (places[-1] - places[0])
        texts.append(f"{percent:g}" if is_apart else "")
        last = place if is_apart else last
    return texts[::-1]


def _same_span(panels: Sequence[Axes]) -> None:
    span = max(high - low for low, high in (axes.get_ylim() for axes in panels))
    for axes in panels:
        middle = sum(axes.get_ylim()) / 2
        axes.set_ylim(middle - span / 2, middle + span / 2)


def seed_strips(strips: Sequence[Strip]) -> Figure:
    """Each seed's F1 as a ring, the mean as a bar, its 95 % interval over seeds as a line."""
    names = [in_lines(strip.name) for strip in strips]
    lines = max((name.count("\n") for name in names), default=0) + 1
    with figure(0.75 + (0.16 + 0.14 * lines) * len(strips)) as (drawing, (axes,)):
        for row, strip in enumerate(strips):
            mean = sum(strip.values) / len(strip.values)
            if strip.low is not None and strip.high is not None:
                axes.plot([strip.low, strip.high], [row, row], color=COLOURS[0], linewidth=3, alpha=0.45, zorder=1)
            axes.plot([mean, mean], [row - 0.3, row + 0.3], color=COLOURS[1], linewidth=2.2, zorder=3)
            axes.plot(strip.values, [row] * len(strip.values), "o", mfc="none", mec=INK, mew=0.9, ms=5.5, zorder=2)
        axes.set_yticks(range(len(strips)), names)
        axes.set_ylim(len(strips) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("F1 (%)")
    return drawing


def learning_curves(curves: Sequence[Curve]) -> Figure:
    """Dev F1 after each epoch: the mean over seeds, each seed thinly, a marker at the epochs that were kept."""
    with figure(3.2) as (drawing, (axes,)):
        for index, curve in enumerate(curves):
            style = look(index)
            line = {name: style[name] for name in ("color", "linestyle")}
            for seed, selected in zip(curve.seeds, curve.selected, strict=True):
                axes.plot(range(1, len(seed) + 1), seed, linewidth=0.6, alpha=0.4, color=style["color"])
                if 0 < selected <= len(seed):
                    axes.plot([selected], [seed[selected - 1]], style["marker"], color=style["color"], ms=4, mfc="none")
            axes.plot(range(1, len(curve.mean) + 1), curve.mean, **line)
            # For the legend: line and marker together.
            axes.plot([], [], label=in_lines(curve.name), **style, mfc="none")
        axes.set_xlabel("epoch of the last stage")
        axes.set_ylabel("dev F1 (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # of one epoch, one tick
        drawing.legend(loc="outside right upper")
    return drawing


def precision_recall(systems: Sequence[Ranked]) -> Figure:
    """Precision over recall as fewer and fewer triples are predicted: a line for each seed, in its system's colour."""
    with figure(3.2) as (drawing, (axes,)):
        for index, system in enumerate(systems):
            style = look(index)
            line = {name: style[name] for name in ("color", "linestyle")}
            for curve in system.curves:
                axes.plot(curve[:, 0], curve[:, 1], linewidth=0.9, alpha=0.8, **line)
            area = "" if system.auc is None else f"\nAUC {system.auc:.1f}"
            axes.plot([], [], label=in_lines(system.name) + area, **line)  # for the legend
        axes.set_xlim(-2, 102)
        axes.set_ylim(-2, 102)
        axes.set_xlabel("recall (%)")
        axes.set_ylabel("precision (%)")
        drawing.legend(loc="outside right upper")
    return drawing


def relations(systems: Sequence[RelationPoints]) -> Figure:
    """F1 of each relation against its labels in the test set, one panel per system, with the mean of every quarter."""
    columns = 2 if len(systems) == 4 else min(3, len(systems))
    rows = -(-len(systems) // columns)
    with figure(0.6 + 1.9 * rows, rows, columns, sharex=True, sharey=True) as (drawing, panels):
        for index, (axes, scores) in enumerate(zip(panels, systems, strict=False)):
            frequency = np.array([scores.labels[relation] for relation in scores.labels], dtype=float)
            f1 = np.array([scores.f1[relation] for relation in scores.labels])
            axes.plot(frequency, f1, MARKERS[index], color=COLOURS[index], mfc="none", ms=3.6, mew=0.9)
            order = np.argsort(frequency, kind="stable")
            quarters = [part for part in np.array_split(order, 4) if len(part)]
            middle = [float(np.exp(np.log(frequency[part]).mean())) for part in quarters]
            axes.plot(middle, [f1[part].mean() for part in quarters], color=INK, linestyle=LINES[1], linewidth=1.2)
            _logarithmic(axes)
            axes.set_ylim(-4, 104)
            axes.set_title(in_lines(scores.name))
            if index % columns == 0:
                axes.set_ylabel("F1 (%)")
            if index + columns >= len(systems):  # nothing below it
                axes.tick_params(labelbottom=True)
                axes.set_xlabel("labels in the test set")
        for axes in panels[len(systems) :]:
            axes.set_visible(False)
    return drawing


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def label_distribution(counts: Mapping[str, int], names: Mapping[str, str]) -> Figure:
    """Labelled triples of each relation, most frequent first, on a logarithmic scale."""
    labelled = {relation: count for relation, count in counts.items() if count}
    with figure(0.7 + 0.155 * len(labelled)) as (drawing, (axes,)):
        rows = range(len(labelled))
        axes.barh(rows, list(labelled.values()), color=COLOURS[0], height=0.7)
        for row, count in zip(rows, labelled.values(), strict=True):
            axes.annotate(f"{count:,}", (count, row), (3, 0), textcoords="offset points", va="center", fontsize=6.5)
        axes.set_yticks(rows, [f"{names.get(relation, relation)}" for relation in labelled], fontsize=7)
        axes.set_ylim(len(labelled) - 0.4, -0.6)
        _logarithmic(axes)
        axes.set_xlim(right=2 * max(labelled.values()))
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("labelled triples (logarithmic)")
    return drawing


def performance_profiles(profiles: Sequence[Profile]) -> Figure:
    """The share of runs that score more than a threshold, for every threshold: a line for each system."""
    with figure(2.9) as (drawing, (axes,)):
        for index, profile in enumerate(profiles):
            style = look(index)
            line = {name: style[name] for name in ("color", "linestyle")}
            axes.step(profile.thresholds, profile.shares, where="post", label=in_lines(profile.name), **line)
        axes.set_ylim(-3, 103)
        axes.set_xlabel("test F1 (%)")
        axes.set_ylabel("runs with more (%)")
        drawing.legend(loc="outside right upper")
    return drawing


def memory(heads: Array, tokens: Array, explained: Sequence[float]) -> Figure:
    """Head entities [h, 2] and memory tokens [m, 2] on the first two principal components of both."""
    with figure(4.2) as (drawing, (axes,)):
        axes.plot(
            heads[:, 0], heads[:, 1], ".", color=COLOURS[0], ms=3.5, alpha=0.45, label=f"head entities ({len(heads):,})"
        )
        axes.plot(
            tokens[:, 0],
            tokens[:, 1],
            "^",
            color=COLOURS[1],
            mfc="none",
            ms=5.5,
            label=f"memory tokens ({len(tokens):,})",
        )
        axes.set_xlabel(f"first component ({100 * explained[0]:.0f} % of the variance)")
        axes.set_ylabel(f"second component ({100 * explained[1]:.0f} %)")
        axes.axhline(0, color=QUIET, linewidth=0.5)
        axes.axvline(0, color=QUIET, linewidth=0.5)
        drawing.legend(loc="outside upper left", ncols=2)
    return drawing
