"""`bench compare`: the difference of two models, with intervals, tests, and what may be claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import DEFAULT_OUT, OutOption, PublishedOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from bench.analysis.comparison import Comparison, Side, Test
    from bench.analysis.stats import Bootstrap, Welch


def compare(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B",
            help="Two models as `bench table` shows them: ttmre, ttmre:layers=2, ttmre#1a2b. "
            "Or one and a published row: published:TTM-RE, of one source published:TTM-RE@'Table 3'.",
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare every model, or those named, with this one; p values by Holm.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only on this data set.")] = None,
    setting: Annotated[str | None, typer.Option(help="Only in this setting.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Only with this encoder.")] = None,
    metric: Annotated[str, typer.Option(help="f1, ign_f1, precision or recall.")] = "f1",
    split: Annotated[str, typer.Option(help="test or dev.")] = "test",
    resamples: Annotated[int, typer.Option(min=100, help="Resamples of the documents.")] = 10_000,
    out: OutOption = DEFAULT_OUT,
    published: PublishedOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
) -> None:
    """Compare two models wherever both were run: difference, 95 % intervals, tests, and what may be claimed.

    Over seeds: Welch's t and a permutation test. Over documents: a paired bootstrap and approximate randomization.
    """
    import json

    from bench.analysis.aggregate import load_cells
    from bench.analysis.claims import claim
    from bench.analysis.comparison import TITLES, Question
    from bench.analysis.published import read_published
    from bench.analysis.systems import PUBLISHED, Systems
    from bench.cli.console import make_console
    from bench.errors import UsageError, unknown

    names = models or []
    if metric not in TITLES:
        raise unknown("metric", metric, TITLES)
    if against is None and len(names) != 2:
        raise UsageError("which two? bench compare ttmre ssrpu, or every model with one: bench compare --against ssrpu")
    cells = load_cells(out)
    if not cells:
        raise UsageError(f"nothing has been planned in {out} (`bench run` does; --out says where)")
    asks_published = any(name.startswith(PUBLISHED) for name in (*names, against or ""))
    question = Question(metric, split, resamples)
    systems = Systems(cells, read_published(published) if asks_published or published else None, question)
    systems.limit(dataset, setting, encoder)
    made = systems.pair(*names) if against is None else systems.against(against, names)
    if as_json:
        print(json.dumps({"comparisons": [{**_as_json(one), "claim": claim(one)} for one in made]}))
        return
    console = make_console()
    for place in dict.fromkeys(one.place for one in made):
        here = [one for one in made if one.place == place]
        console.print(_table(f"{place}: {question.title}, percent", here), "")
        for one in here:
            console.print(f"{one.a.name}, {one.b.name}: {claim(one)}", soft_wrap=True)
        console.print("")
    if len(made) > 1:
        console.print(f"Claims are on p values adjusted by Holm over these {len(made)} comparisons.", soft_wrap=True)


def _table(title: str, comparisons: Sequence[Comparison]) -> Table:
    """One line per comparison; below each interval the p values of the tests of the same thing."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 3, 1, 0))
    for heading in ("A", "B", "A - B", "Over seeds", "Over documents"):
        table.add_column(heading, justify="right" if heading == "A - B" else "left")
    for made in comparisons:
        difference = "—" if made.difference is None else f"{made.difference:+.2f}"
        seeds = [*_interval(made.welch), *_p(made, "welch", "Welch"), *_p(made, "permutation", "permutation")]
        documents = [
            *_interval(made.bootstrap),
            *_p(made, "randomization", "randomization"),
            *_p(made, "bootstrap", "bootstrap"),
        ]
        table.add_row(_side(made.a), _side(made.b), difference, "\n".join(seeds) or "—", "\n".join(documents) or "—")
    return table


def _side(side: Side) -> str:
    if side.summary is None:
        return f"{side.name}\n— (0 of {side.expected} seeds)"
    std = "" if side.summary.std is None else f" ± {side.summary.std:.2f}"
    if side.published:
        seeds = "" if side.expected is None else f" ({side.expected} seeds claimed)"
    else:
        seeds = f" ({len(side.values)} of {side.expected} seeds{'*' if side.partial else ''})"
    return f"{side.name}\n{side.summary.mean:.2f}{std}{seeds}"


def _interval(tested: Welch | Bootstrap | None) -> list[str]:
    return [] if tested is None else [f"95 % {tested.low:+.2f} to {tested.high:+.2f}"]


def _p(made: Comparison, test: Test, title: str) -> list[str]:
    if test not in made.p:
        return []
    floor = test == "permutation" and made.permutation is not None and made.permutation.p <= made.permutation.floor
    adjusted = f", Holm {_shown(made.holm[test])}" if made.family > 1 else ""
    return [f"{title} p {_shown(made.p[test])}{adjusted}{' (lowest possible)' if floor else ''}"]


def _shown(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _as_json(made: Comparison) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **made.place._asdict(),
        "metric": made.question.metric,
        "split": made.question.split,
        "a": made.a.as_json(),
        "b": made.b.as_json(),
        "difference": made.difference,
        "over_seeds": {
            "welch": made.welch and asdict(made.welch),
            "permutation": made.permutation and asdict(made.permutation),
        },
        "over_documents": {
            "resamples": made.question.resamples,
            "bootstrap": made.bootstrap and asdict(made.bootstrap),
            "randomization": made.randomization,
        },
        "holm": {"comparisons": made.family, **made.holm},
        "unlike": [asdict(difference) for difference in made.unlike],
    }
