"""Published numbers: all of them are there, a row is added without code, and what is wrong with a file is said."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench.analysis.published
import bench.installed
from bench.analysis.published import Evidence, Printed, PublishedRow, find_published, read_published
from bench.errors import UsageError

CHECKOUT = Path(__file__).resolve().parents[2] / "results" / "published"
LONG = "source,dataset,split,setting,model,metric,mean,std\n"
WIDE = "source,dataset,split,setting,model,f1,ign_f1,std,n_seeds\n"


def read(folder: Path, text: str, sources: str | None = None) -> tuple[PublishedRow, ...]:
    (folder / "numbers.csv").write_text(text, encoding="utf-8")
    if sources is not None:
        (folder / "sources.toml").write_text(sources, encoding="utf-8")
    return read_published(folder).rows


# The project's own numbers


@pytest.mark.parametrize("name", ["ttm_re_tables.csv", "more.csv"])
def test_the_numbers_are_those_handed_over(name, shared_file):
    assert (CHECKOUT / name).read_bytes() == shared_file(f"published/{name}").read_bytes()


def test_every_number_of_the_tables_is_in_a_row():
    with (CHECKOUT / "ttm_re_tables.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    rows = [row for row in read_published().rows if row.table and "TTM-RE" in row.source]
    assert sum(len(row.scores) for row in rows) == len(lines)
    assert len(rows) == 72
    assert {row.table for row in rows} == {"3", "4", "5", "6", "7", "8", "9"}


def test_the_best_row_of_the_paper():
    (row,) = (r for r in read_published().rows if (r.table, r.setting, r.split, r.name) == (
        "3", "human+distant", "test", "TTM-RE"))  # fmt: skip
    assert row.scores["f1"] == Printed(Decimal("84.01"), Decimal("0.21"))
    assert row.scores["recall"].mean == Decimal("82.09")
    assert (row.seeds, row.borrowed, row.encoder) == (5, False, "roberta-large")
    assert "ACL 2024" in row.source


def test_every_row_says_where_it_is_from():
    assert all(row.source for row in read_published().rows)


def test_digits_are_kept_as_printed():
    (row,) = (r for r in read_published().rows if (r.table, r.model) == ("4", "PU"))
    assert str(row.scores["f1"].mean) == "44.6"
    assert str(row.scores["f1"].std) == "0.70"


def test_everything_known_from_elsewhere_is_about_some_row():
    published = read_published()
    known = [evidence for publication in published.publications for evidence in publication.evidence]
    of_rows = [evidence for row in published.rows for evidence in published.evidence(row)]
    assert known
    assert all(evidence in of_rows for evidence in known)


def test_what_is_known_of_one_encoder_is_not_of_another():
    known = Evidence(tables=("7",), setting="human", model="M", where="a script", encoder="large", seeds=(1,))
    row = {
        "source": "s",
        "table": "7",
        "dataset": "d",
        "split": "test",
        "slice": "all",
        "setting": "human",
        "model": "M",
    }
    of = lambda encoder: PublishedRow(**row, variant="", encoder=encoder, scores={})  # noqa: E731
    assert known.concerns(of("large"))
    assert known.concerns(of("unstated"))
    assert not known.concerns(of("base"))


# A row of one's own


def test_a_row_is_a_line_of_a_new_file(tmp_path):
    (row,) = read(tmp_path, WIDE + '"Ours, Table 2",redocred,test,human,X,80.10,79.2,0.3,3\n')
    assert row == PublishedRow(
        source="Ours, Table 2", table="", dataset="redocred", split="test", slice="all", setting="human", model="X",
        variant="", encoder="unstated", seeds=3,
        scores={"f1": Printed(Decimal("80.10"), Decimal("0.3")), "ign_f1": Printed(Decimal("79.2"))},
    )  # fmt: skip


def test_lines_of_the_long_form_make_up_one_row(tmp_path):
    (row,) = read(tmp_path, LONG + "s,d,test,human,X,F1,80.1,0.2\ns,d,test,human,X,Ign F1,79.0,\n")
    assert row.scores == {"f1": Printed(Decimal("80.1"), Decimal("0.2")), "ign_f1": Printed(Decimal("79.0"))}


def test_lines_of_the_wide_form_stay_apart(tmp_path):
    assert len(read(tmp_path, WIDE + "s,d,test,human,X,80.1,,,\n" * 2)) == 2


def test_a_described_file_needs_no_source_column(tmp_path):
    text = "dataset,split,setting,model,f1\nd,test,human,X,80.1\n"
    (row,) = read(tmp_path, text, '[numbers]\nsource = "A paper"\nseeds = 4\n')
    assert (row.source, row.seeds) == ("A paper", 4)


def test_a_spreadsheets_file_is_read(tmp_path):
    (tmp_path / "numbers.csv").write_bytes(
        ("\ufeff" + WIDE + "s,d,test,human,É,80.1,,,\n").replace("\n", "\r\n").encode()
    )
    (tmp_path / "sources.toml").write_bytes(b'\xef\xbb\xbf[numbers]\r\nsource = "s"\r\nseeds = 4\r\n')
    published = read_published(tmp_path)
    assert [row.model for row in published.rows] == ["É"]
    assert [publication.seeds for publication in published.publications] == [4]


scores = st.decimals(0, 100, places=2)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.text("ab, \"'é", min_size=1).map(str.strip).filter(bool), scores, scores), max_size=4))
def test_what_is_written_is_read(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("published") / "numbers.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "dataset", "split", "setting", "model", "f1", "recall"])
        writer.writerows(["s", "d", "test", "human", *line] for line in lines)
    read_again = [
        (row.model, row.scores["f1"].mean, row.scores["recall"].mean) for row in read_published(path.parent).rows
    ]
    assert read_again == lines


# What is wrong is said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WIDE + "s,d,test,human,X,184.01,,,\n", "numbers.csv:2: f1 = '184.01': input should be less than or equal"),
        (WIDE + 's,d,test,human,X,"84,01",,,\n', "numbers.csv:2: f1 = '84,01': input should be a valid decimal"),
        (WIDE + "s,d,test,human,X,nan,,,\n", "numbers.csv:2: f1 = 'nan'"),
        (WIDE + "s,d,test,human,X,80,,-1,\n", "numbers.csv:2: std = '-1'"),
        (WIDE + "s,d,test,human,X,80,,,0\n", "numbers.csv:2: n_seeds = '0'"),
        (WIDE + "s,d,test,human,X,80,,,some\n", "numbers.csv:2: n_seeds = 'some'"),
        (WIDE + "s,d,test,human,X,,,,\n", "numbers.csv:2: no score"),
        (WIDE + "s,d,test,human,,80,,,\n", "numbers.csv:2: model: field required"),
        (WIDE + ",d,test,human,X,80,,,\n", "numbers.csv:2: no source"),
        (WIDE + "s,d,test,human,X,80\n", "numbers.csv:2: 6 cells, the header has 9"),
        (LONG + "s,d,test,human,X,F2,80,\n", "numbers.csv:2: metric = 'F2'"),
        (LONG + "s,d,test,human,X,F1,,\n", "numbers.csv:2: a number needs both metric and mean"),
        (LONG + "s,d,test,human,X,F1,80,\n" * 2, "numbers.csv:3: a second f1 of the same row"),
        ("source,f2\ns,1\n", "numbers.csv:1: columns ['f2']"),
        ("source,source\ns,s\n", "numbers.csv:1: columns ['source']"),
        ("", "numbers.csv:1: columns []"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path, text, message):
    with pytest.raises(UsageError) as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_all_problems_are_told_at_once(tmp_path):
    with pytest.raises(UsageError, match="3 problems") as error:
        read(tmp_path, WIDE + "s,d,test,human,X,101,,,\ns,d,test,human,,1,,,\n", "[other]\nsource = 'x'\n")
    assert "[other]: there is no other.csv" in str(error.value)


@pytest.mark.parametrize("sources", ["[numbers]\nsauce = 'x'\n", "[numbers\n", "numbers = 3\n"])
def test_a_bad_sources_file_is_named(tmp_path, sources):
    with pytest.raises(UsageError, match=r"sources\.toml"):
        read(tmp_path, WIDE + "s,d,test,human,X,80,,,\n", sources)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "numbers.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"numbers\.csv: not a CSV file in UTF-8"):
        read_published(tmp_path)


# Where they are


def test_the_checkouts_numbers_are_found():
    assert find_published() == CHECKOUT


def test_a_folder_of_ones_own_comes_first(tmp_path):
    read(tmp_path, WIDE + "s,d,test,human,X,80,,,\n")
    assert find_published(tmp_path) == tmp_path


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_numbers_is_refused(tmp_path, exists):
    with pytest.raises(UsageError, match=r"expected a folder with \.csv files"):
        find_published(tmp_path if exists else tmp_path / "nowhere")


def without_a_checkout(monkeypatch: pytest.MonkeyPatch, around: Path) -> None:
    """As if `bench` were in the folder `around`."""
    monkeypatch.setattr(bench.analysis.published, "__file__", str(around / "bench" / "analysis" / "published.py"))
    monkeypatch.setattr(bench.installed, "__file__", str(around / "bench" / "installed.py"))


def test_without_a_checkout_the_installed_numbers_are_found(tmp_path, monkeypatch):
    class Installed:
        def __str__(self) -> str:
            return "../../../share/docre-bench/published/sources.toml"

        def locate(self) -> Path:
            return tmp_path / "share" / "sources.toml"

    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "sources.toml").touch()
    without_a_checkout(monkeypatch, tmp_path / "site-packages")
    monkeypatch.setattr(bench.installed.metadata, "files", lambda name: [Installed()])
    assert find_published() == tmp_path / "share"


def test_numbers_installed_into_a_folder_with_the_package_are_found(tmp_path, monkeypatch):
    folder = tmp_path / "share" / "docre-bench" / "published"
    folder.mkdir(parents=True)
    (folder / "sources.toml").touch()
    without_a_checkout(monkeypatch, tmp_path)
    monkeypatch.setattr(bench.installed.metadata, "files", lambda name: None)
    assert find_published() == folder


def test_where_there_are_none_the_error_says_what_to_do(tmp_path, monkeypatch):
    without_a_checkout(monkeypatch, tmp_path / "site-packages")
    monkeypatch.setattr(bench.installed.metadata, "files", lambda name: [])
    with pytest.raises(UsageError, match="--published FOLDER"):
        find_published()
