"""Other people's results: the CSV files of `results/published/`, with where each number is from.

A file has one line per number (columns `metric`, `mean`, `std`) or one line per row of a table (columns `f1`, `ign_f1`,
`precision`, `recall`; `std` is then F1's). `sources.toml` beside them says what a whole file is from, how many seeds it
claims, and what is known of its runs from elsewhere. `results/README.md` says how to add a row.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from bench.analysis.aggregate import ALL
from bench.analysis.metrics import PRINTED
from bench.errors import UsageError, plural
from bench.installed import installed_folders
from bench.runs.names import model_name

SOURCES = "sources.toml"
UNSTATED = "unstated"
"""The encoder, or setting, of a row that does not tell."""

if TYPE_CHECKING:
    _MetricName = str
    _Title = str
else:
    # For pydantic, which says what it expected instead of another one.
    _MetricName = Literal[tuple(metric.name for metric in PRINTED)]
    _Title = Literal[tuple(metric.title for metric in PRINTED)]


@dataclass(frozen=True)
class Printed:
    """A score in percent with the digits it was printed with, and its deviation over seeds (None: not printed)."""

    mean: Decimal
    std: Decimal | None = None


@dataclass(frozen=True)
class PublishedRow:
    """One line of a results table, whoever's. seeds: what the source claims, None where it says nothing.

    split: dev or test.   slice: `all`, or a part of the split.   variant: `loss=pu`, empty for the model as it is.
    """

    source: str
    table: str
    dataset: str
    split: str
    slice: str
    setting: str
    model: str
    variant: str
    encoder: str
    scores: dict[str, Printed]
    seeds: int | None = None
    borrowed: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """The model with its variant, as tables show it."""
        return model_name(self.model, self.variant)

    @property
    def place(self) -> str:
        """The table, with who printed it: `Gao, Wang, Sun, Table 3`."""
        source = self.source.partition(":")[0]
        return f"{source}, Table {self.table}" if self.table.isdecimal() else self.table or self.source

    @property
    def where(self) -> str:
        """The row in a few words: `Table 3, human, TTM-RE, roberta-large, dev`."""
        table = f"Table {self.table}" if self.table.isdecimal() else self.table or self.source
        part = "" if self.slice == ALL else f" {self.slice}"
        return f"{table}, {self.setting}, {self.name}, {self.encoder}, {self.split}{part}"


class Evidence(BaseModel):
    """What is known of the runs behind some rows, from elsewhere than the table: seeds, encoder, one run's scores.

    where: who says so.   tables: of the same source.   variant: None for any.   encoder: rows that state another one
    are not meant.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tables: tuple[str, ...]
    setting: str
    model: str
    variant: str | None = None
    where: str
    seeds: tuple[int, ...] = ()
    encoder: str | None = None
    scores: dict[_MetricName, float] = {}

    def concerns(self, row: PublishedRow) -> bool:
        """Whether `row`, of the same source, is one of those it tells of."""
        return (
            row.table in self.tables
            and (row.setting, row.model) == (self.setting, self.model)
            and self.variant in (None, row.variant)
            and (self.encoder is None or row.encoder in (self.encoder, UNSTATED))
        )


class Publication(BaseModel):
    """What a file is from. seeds: how many it claims for every row that does not say; seeds_stated: where it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    seeds: int | None = None
    seeds_stated: str = ""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Published:
    """All rows of a folder, in the order of its files and their lines, and what whole files are from."""

    folder: Path
    rows: tuple[PublishedRow, ...]
    publications: tuple[Publication, ...] = ()

    def evidence(self, row: PublishedRow) -> list[Evidence]:
        """What is known of a row from elsewhere."""
        return [
            known for p in self.publications if p.source == row.source for known in p.evidence if known.concerns(row)
        ]


def find_published(folder: Path | None = None) -> Path:
    """`folder`, or the one that came with the package: `results/published` of the checkout, or what was installed.

    Raises UsageError where there is none, saying what to do.
    """
    if folder is not None:
        if not any(folder.glob("*.csv")):
            raise UsageError(
                f"--published {folder}: expected a folder with .csv files (results/README.md tells of what)"
            )
        return folder
    checkout = Path(__file__).resolve().parents[2] / "results" / "published"
    for candidate in [checkout, *installed_folders("published")]:
        if (candidate / SOURCES).is_file():
            return candidate
    raise UsageError(
        f"the published numbers are not here: neither {checkout} nor anything installed. "
        "They are in the repository, in results/published: say where with --published FOLDER"
    )


def read_published(folder: Path | None = None) -> Published:
    """Every row of every CSV file of a folder; None: of the one `find_published` finds.

    Raises UsageError with all problems of all files: file, line, column, what was expected.
    """
    folder = find_published(folder)
    sources, problems = _read_sources(folder / SOURCES)
    rows: list[PublishedRow] = []
    for path in sorted(folder.glob("*.csv")):
        reader = _Reader(path, sources.get(path.stem))
        rows += reader.rows()
        problems += reader.problems
    unused = sorted(name for name in sources if not (folder / f"{name}.csv").is_file())
    problems += [f"{SOURCES}: [{name}]: there is no {name}.csv" for name in unused]
    if problems:
        raise UsageError(f"{folder}: {plural(len(problems), 'problem')}\n  " + "\n  ".join(problems))
    return Published(folder, tuple(rows), tuple(sources.values()))


def _read_sources(path: Path) -> tuple[dict[str, Publication], list[str]]:
    if not path.is_file():
        return {}, []
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"{path.name}: not valid TOML: {error}"]
    sources, problems = {}, []
    for name, content in stored.items():
        try:
            sources[name] = Publication.model_validate(content)
        except ValidationError as error:
            problems += [f"{path.name}: [{name}] {problem}" for problem in _problems(error)]
    return sources, problems


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        value = "" if problem["type"] == "missing" else f" = {problem['input']!r}"
        yield f"{'.'.join(str(part) for part in problem['loc'])}{value}: {problem['msg'].lower()}"


_Filled = Annotated[str, Field(min_length=1)]
_Percent = Annotated[Decimal, Field(ge=0, le=100)]


class _AnyLine(BaseModel):
    """One line of a file, of either form, but for the wide form's scores; columns that are absent have the default."""

    model_config = ConfigDict(extra="forbid")

    dataset: _Filled
    split: _Filled
    setting: _Filled
    model: _Filled
    source: str = ""
    table: str = ""
    variant: str = ""
    encoder: str = UNSTATED
    slice: str = ALL
    n_seeds: Annotated[int, Field(ge=1)] | None = None
    borrowed: Literal["yes", "no"] = "no"
    note: str = ""
    metric: _Title | None = None
    mean: _Percent | None = None
    std: _Percent | None = None

    def scores(self) -> dict[str, Printed]:
        """Those of this line: one in the long form, one or more in the wide form. Raises ValueError."""
        if self.metric is not None or self.mean is not None:
            if self.metric is None or self.mean is None:
                raise ValueError("a number needs both metric and mean")
            (name,) = (metric.name for metric in PRINTED if metric.title == self.metric)
            return {name: Printed(self.mean, self.std)}
        means: dict[str, Decimal | None] = {metric.name: getattr(self, metric.name) for metric in PRINTED}
        scores = {
            name: Printed(mean, self.std if name == "f1" else None) for name, mean in means.items() if mean is not None
        }
        if not scores:
            raise ValueError(f"no score: expected metric and mean, or any of {', '.join(means)}")
        return scores


_WIDE: dict[str, Any] = {metric.name: (_Percent | None, None) for metric in PRINTED}
_Line = create_model("_Line", __base__=_AnyLine, **_WIDE)


@dataclass
class _Reader:
    """Reads one file; what is wrong with it is in `problems`."""

    path: Path
    described: Publication | None
    problems: list[str] = field(default_factory=list)

    def rows(self) -> list[PublishedRow]:
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                lines = [(reader.line_num, cells) for cells in reader if cells]
        except (UnicodeDecodeError, csv.Error) as error:
            self.problems.append(f"{self.path.name}: not a CSV file in UTF-8: {error}")
            return []
        header = lines[0][1] if lines else []
        odd = sorted({name for name in header if name not in _Line.model_fields or header.count(name) > 1})
        if odd or not lines:
            known = ", ".join(_Line.model_fields)
            self.problems.append(f"{self.path.name}:1: columns {odd}: expected each of these at most once: {known}")
            return []
        merged: dict[tuple[object, ...], PublishedRow] = {}
        for number, cells in lines[1:]:
            try:
                self._add(merged, number, header, cells)
            except ValidationError as error:
                self.problems += [f"{self.path.name}:{number}: {problem}" for problem in _problems(error)]
            except ValueError as error:
                self.problems.append(f"{self.path.name}:{number}: {error}")
        return list(merged.values())

    def _add(
        self, rows: dict[tuple[object, ...], PublishedRow], number: int, header: list[str], cells: list[str]
    ) -> None:
        """Put the scores of a line into the row it is of. Raises ValueError."""
        if len(cells) != len(header):
            raise ValueError(f"{len(cells)} cells, the header has {len(header)}")
        columns = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        line = _Line.model_validate({name: cell for name, cell in columns.items() if cell})
        row = self._row(line)
        # In the wide form a line is a row of its own, even where another one says it is the same.
        key = (*(getattr(row, f.name) for f in fields(row) if f.name != "scores"), None if line.metric else number)
        stored, scores = rows.setdefault(key, row).scores, line.scores()
        if again := scores.keys() & stored.keys():
            raise ValueError(f"a second {', '.join(again)} of the same row")
        stored |= scores

    def _row(self, line: _AnyLine) -> PublishedRow:
        claimed = line.n_seeds
        if not line.source:
            if self.described is None:
                raise ValueError(f"no source: fill the column, or describe [{self.path.stem}] in {SOURCES}")
            claimed = claimed or self.described.seeds
        shared = {"dataset", "split", "slice", "setting", "model", "table", "variant", "encoder", "note"}
        return PublishedRow(
            source=line.source or (self.described.source if self.described else ""),
            seeds=claimed,
            borrowed=line.borrowed == "yes",
            scores={},
            **line.model_dump(include=shared),
        )


def known_encoder(published: Published, row: PublishedRow) -> str:
    """The encoder of a row that does not state it, where it is known from elsewhere."""
    if row.encoder != UNSTATED:
        return row.encoder
    return next((known.encoder for known in published.evidence(row) if known.encoder), UNSTATED)
