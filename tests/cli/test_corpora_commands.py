"""`bench data` and `bench evaluate` on BC5CDR and BioRED: what is typed, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from annotated import Written, as_collection, as_json, as_pubtator, as_xml
from typer.testing import CliRunner, Result

from bench.cli.main import command_line
from bench.data.catalog.dataset import open_dataset
from bench.data.catalog.download import downloads
from bench.data.catalog.releases import OFFICIAL
from bench.errors import UsageError
from bench.metrics.submission import Prediction, write_submission

PAIR = ((0, 8, "Disease", "D000005"), (9, 11, "Chemical", "D000001"), (12, 15, "Disease", "D000004"))
RED = ((0, 8, "DiseaseOrPhenotypicFeature", "D5"), (9, 11, "GeneOrGeneProduct", "7"), (12, 15, "OrganismTaxon", "9606"))


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command_line(), [str(argument) for argument in arguments])


def files(folder: Path, mentions: tuple[tuple[int, int, str, str], ...], relation: tuple[str, str, str]) -> list[str]:
    """Three splits of a document each, in PubTator, BioC JSON and BioC XML, as options of `data add`."""
    arguments = []
    for split in ("train", "dev", "test"):
        items = [Written(split, f"palkitis or men {split}", "", mentions, (relation,))]
        text = {"train": as_pubtator, "dev": as_json}.get(split, lambda written: as_xml(as_collection(written)))(items)
        (folder / split).write_text(text)
        arguments += [f"--{split}", str(folder / split)]
    return arguments


def test_biored_is_added_counted_and_checked_in_all_its_forms(tmp_path: Path) -> None:
    options = files(tmp_path, RED, ("Bind", "7", "D5"))
    assert "registered 'red': 8 relations" in run("data", "add", "red", *options).output
    checked = run("data", "validate", *options[1::2])
    assert checked.exit_code == 0
    assert checked.output.count("1 document, 1 label: no problems") == 3
    assert checked.output.count("note: 1 relation marked as novel (not scored)") == 3
    shown = run("data", "stats", "red").output
    assert "scored: the two concepts and the relation as labelled, either way round; novelty is not scored" in shown
    counted = json.loads(run("data", "stats", "red", "--json").output)
    assert counted["conventions"] == open_dataset("red").conventions()
    assert [counted["splits"][split]["pairs"] for split in ("train", "dev", "test")] == [1, 1, 1]


def test_pairs_and_hypernyms_are_chosen_when_a_data_set_is_added(tmp_path: Path) -> None:
    options = files(tmp_path, PAIR, ("CID", "D000001", "D000005"))
    (tmp_path / "mesh").write_text("C10\tD000004\tA\nC10.228\tD000005\tB\n")
    chosen = run("data", "add", "x", *options, "--pairs", "first-in-text", "--hypernyms", tmp_path / "mesh")
    assert chosen.output.count("1 pair left out of the candidates: its disease stands above") == 3
    assert [document.candidates for document in open_dataset("x").documents("test")] == [((0, 1),)]
    shown = run("data", "stats", "x").output
    assert "(MeSH: mesh, sha256 " in shown
    assert "turned so that the first in the text is the head" in shown
    wrong = run("data", "add", "y", *options, "--pairs", "first").exception
    assert isinstance(wrong, UsageError)
    assert "first-in-text" in str(wrong)


def test_evaluate_scores_in_the_order_that_is_typed(tmp_path: Path) -> None:
    files(tmp_path, PAIR, ("CID", "D000001", "D000005"))
    write_submission(tmp_path / "pred.json", [Prediction("test", 0, 1, "CID")])
    arguments = ("evaluate", "--gold", tmp_path / "test", "--pred", tmp_path / "pred.json", "--json")
    plain, first = (run(*arguments, *order) for order in ((), ("--pairs", "first-in-text")))
    assert [json.loads(shown.stdout)["f1"] for shown in (plain, first)] == [0, 100]
    assert "is scored by --pairs first-in-text" in plain.stderr
    assert "--pairs" not in first.stderr


@pytest.mark.parametrize("name", ["bc5cdr", "biored"])
def test_fetch_says_which_file_goes_where_from_where_and_under_which_terms(name: str) -> None:
    said = str(run("data", "fetch", name).exception)
    for file in OFFICIAL[name].files:
        assert f"put {downloads(name) / file.filename} ({file.documents} documents, {file.triples} triples" in said
    assert f"from {OFFICIAL[name].files[0].source}" in said
    assert f"terms: {OFFICIAL[name].terms}" in said
