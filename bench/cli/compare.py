"""`bench compare`: the difference of two models, with intervals, tests, and what may be claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.analysis.metrics import COUNTED
from bench.cli.completion import complete_system
from bench.cli.options import DEFAULT_OUT, OutOption, PublishedOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.comparison import Comparison

METRIC_NAMES = [metric.name for metric in COUNTED]


def compare(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B",
            help="Two models as `bench table` shows them: ttmre, ttmre:layers=2, ttmre#1a2b. "
            "Or one and a published row: published:TTM-RE, of one source published:TTM-RE@'Table 3'.",
            autocompletion=complete_system,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare every model, or those named, with this one; p values by Holm.", autocompletion=complete_system
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only on this data set.")] = None,
    setting: Annotated[str | None, typer.Option(help="Only in this setting.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Only with this encoder.")] = None,
    metric: Annotated[str, typer.Option(help=f"{', '.join(METRIC_NAMES[:-1])} or {METRIC_NAMES[-1]}.")] = "f1",
    split: Annotated[str, typer.Option(help="test or dev.")] = "test",
    resamples: Annotated[int, typer.Option(min=100, max=1_000_000, help="Resamples of the documents.")] = 10_000,
    out: OutOption = DEFAULT_OUT,
    published: PublishedOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
) -> None:
    """Compare two models wherever both were run: difference, 95 % intervals, tests, and what may be claimed.

    Over seeds: Welch's t, a permutation test, and how likely a seed of A is above one of B; IQM is the mean of the
    middle half of the seeds. Over documents: a paired bootstrap and approximate randomization.
    """
    import json
    import sys

    from bench.analysis.aggregate import existing_cells
    from bench.analysis.claims import claim
    from bench.analysis.comparison import Question
    from bench.analysis.pairing import PUBLISHED, Pairing
    from bench.analysis.published import read_published
    from bench.errors import UsageError, unknown

    names = models or []
    if metric not in METRIC_NAMES:
        raise unknown("metric", metric, METRIC_NAMES)
    if against is None and len(names) != 2:
        raise UsageError("which two? bench compare ttmre ssrpu, or every model with one: bench compare --against ssrpu")
    cells = existing_cells(out)
    asks_published = any(name.startswith(PUBLISHED) for name in (*names, against or ""))
    question = Question(metric, split, resamples)
    pairing = Pairing(cells, read_published(published) if asks_published or published else None, question)
    pairing.limit(dataset, setting, encoder)
    comparisons = pairing.pair(*names) if against is None else pairing.against(against, names)
    for why in pairing.left_out:
        print(f"left out: {why}", file=sys.stderr)
    if as_json:
        print(json.dumps({"comparisons": [{**_as_json(one), "claim": claim(one)} for one in comparisons]}))
        return
    _print(comparisons)


def _print(comparisons: Sequence[Comparison]) -> None:
    """A table for each condition, and under it what may be claimed."""
    from bench.analysis.claims import claim
    from bench.cli.console import make_console
    from bench.report.render.terminal import PARAGRAPHS, to_terminal
    from bench.report.tables.comparisons import tests_table

    console = make_console()
    for condition in dict.fromkeys(one.condition for one in comparisons):
        here = [one for one in comparisons if one.condition == condition]
        console.print(to_terminal(tests_table(condition, here), PARAGRAPHS), "")
        for one in here:
            console.print(f"{one.a.name}, {one.b.name}: {claim(one)}", soft_wrap=True)
        console.print("")
    count = len(comparisons)
    if count > 1:
        console.print(f"Claims are on p values adjusted by Holm over these {count} comparisons.", soft_wrap=True)


def _as_json(comparison: Comparison) -> dict[str, Any]:
    from dataclasses import asdict

    from bench.analysis.stats import detectable

    question = comparison.question
    return {
        **comparison.condition._asdict(),
        "metric": question.metric,
        "split": question.split,
        "a": comparison.a.as_json(question.split, question.metric),
        "b": comparison.b.as_json(question.split, question.metric),
        "difference": comparison.difference,
        "over_seeds": {
            "welch": comparison.welch and asdict(comparison.welch),
            "permutation": comparison.permutation and asdict(comparison.permutation),
            "improvement": comparison.improvement and asdict(comparison.improvement),
        },
        "over_documents": {
            "resamples": question.resamples,
            "bootstrap": comparison.bootstrap and asdict(comparison.bootstrap),
            "randomization": comparison.randomization and comparison.randomization.p,
        },
        "over_both": comparison.both and {**asdict(comparison.both), "detectable": detectable(comparison.both)},
        "holm": {"comparisons": comparison.family, **comparison.holm},
        "unlike": [asdict(difference) for difference in comparison.unlike],
    }
