"""The paper whose tables are built again: what they consist of (`paper.toml`), and the numbers it printed."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bench.analysis.published import UNSTATED, Published, PublishedRow, known_encoder

Kind = Literal["main", "slices", "encoders", "ablation"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PaperTable(_Strict):
    """A results table of the paper.

    encoder: None where rows differ in it.   published_setting: what the paper's rows call the setting, where that is
    another one than ours.   select_on: the labels its epochs were chosen on.   model, hyperparameter: of an ablation,
    as registered.
    """

    number: str
    kind: Kind
    title: str
    dataset: str
    encoder: str | None = None
    splits: tuple[str, ...]
    settings: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    published_setting: str | None = None
    select_on: str = "dev"
    model: str | None = None
    hyperparameter: str | None = None


class PaperStatistics(_Strict):
    """A table of data statistics: split -> what the paper calls its column, and each row's values as printed."""

    number: str
    dataset: str
    columns: dict[str, str]
    documents: dict[str, int]
    entities: dict[str, str]
    triples: dict[str, str]
    sentences: dict[str, str] = {}


class Paper(_Strict):
    """The paper. models, encoders, hyperparameters: as it calls them -> as they are called here.

    remarks: of models, by registered name.
    """

    paper: str
    source: str
    models: dict[str, str]
    encoders: dict[str, str]
    hyperparameters: dict[str, str]
    remarks: dict[str, str]
    table: tuple[PaperTable, ...]
    statistics: tuple[PaperStatistics, ...]

    def variant(self, row: PublishedRow) -> str:
        """The variant of a published row as runs have it: `memory_layers=2` is `layers=2`."""
        name, equals, value = row.variant.partition("=")
        return f"{self.hyperparameters.get(name, name)}{equals}{value}"

    def tables(self, kind: Kind) -> list[PaperTable]:
        """The tables of a kind, in the paper's order."""
        return [table for table in self.table if table.kind == kind]


@cache
def the_paper() -> Paper:
    """The paper, as `paper.toml` describes it."""
    text = (files("bench.report.tables") / "paper.toml").read_text(encoding="utf-8")
    return Paper.model_validate(tomllib.loads(text))


class PaperRows:
    """The paper's rows among all published ones, found by what our runs are called."""

    def __init__(self, published: Published, paper: Paper) -> None:
        self.published = published
        self.paper = paper
        self.rows = [row for row in published.rows if row.source == paper.source]

    def of(self, table: PaperTable, setting: str, split: str, part: str = "all") -> list[PublishedRow]:
        """The rows of a table in a setting (as ours is called) and split, in their order."""
        of_paper = table.published_setting if setting in table.settings else None
        wanted = (table.number, of_paper or setting, split, part)
        return [row for row in self.rows if (row.table, row.setting, row.split, row.slice) == wanted]

    def model(self, row: PublishedRow) -> str:
        """The registered name of a row's model; its own where it is not registered."""
        return self.paper.models.get(row.model, row.model)

    def encoder(self, row: PublishedRow) -> str:
        """What the row was run with, as far as anybody knows."""
        encoder = known_encoder(self.published, row) if row.encoder == UNSTATED else row.encoder
        return self.paper.encoders.get(encoder, encoder)

    def doubts(self, rows: Sequence[PublishedRow]) -> list[str]:
        """What is known against the seeds that rows claim, once each."""
        return list(
            dict.fromkeys(
                f"the paper claims {row.seeds} seeds for its {row.name}, what was released runs {len(known.seeds)} "
                f"({known.where})"
                for row in rows
                for known in self.published.evidence(row)
                if known.seeds and len(known.seeds) < (row.seeds or 0)
            )
        )
