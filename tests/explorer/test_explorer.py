from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import explored_runs
import made_records
import pytest
from explored_runs import EMOJI, KNOWS, RIGHT_TO_LEFT, SCRIPT
from small_experiments import documents, execute, plans
from spoiled_records import IMPOSSIBLE, NEWER, edit_record

from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.formats.docred import write_documents
from bench.errors import BenchError, UsageError
from bench.explorer.encoding import GOLD, INTRA, NO_CANDIDATE, RARE, SEEN, UNKNOWN, encode
from bench.explorer.page import render
from bench.explorer.runs import explore
from bench.filesystem import write_sealed
from bench.metrics.official import seen_among
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import scores_path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with two runs of one data set, in a BENCH_HOME that knows it."""
    folder = tmp_path_factory.mktemp("explored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder / "home"))
        dataset = explored_runs.register(folder / "data")
        runs = [
            explored_runs.write_run(folder / "out", dataset, "atlop", 3),
            explored_runs.write_run(folder / "out", dataset, "ssrpu", 4),
        ]
        yield folder / "out", [RunFolder.of(folder / "out", plan) for plan in runs]


@pytest.fixture
def data(made):
    _, folders = made
    return encode(explore(folders, "test"))


class Elements(HTMLParser):
    """The scripts of a page, as a browser would split it, and every tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.lasttag == "script":
            self.scripts[-1] += data


def test_counts_of_the_page_are_those_of_the_records(made, data):
    _, folders = made
    for i, folder in enumerate(folders):
        found = missed = wrong = 0
        for _, _, _, triples, _, said in data["documents"]:
            for gold, state in zip((f & GOLD for f in triples[3::4]), said[i][0], strict=True):
                found += bool(gold) and state == "1"
                missed += bool(gold) and state == "0"
                wrong += not gold and state == "1"
        assert 200 * found / (2 * found + missed + wrong) == pytest.approx(folder.record().splits["test"].scores.f1)


def test_places_of_mentions_count_as_javascript_does(made, data):
    for document, (_, sentences, entities, *_) in zip(explored_runs.all_documents(), data["documents"], strict=True):
        for mentions, (_, *places) in zip(document.entities, entities, strict=True):
            for mention, at in zip(mentions, range(0, len(places), 3), strict=True):
                sentence, start, length = places[at : at + 3]
                shown = sentences[sentence].encode("utf-16-le")[2 * start : 2 * (start + length)].decode("utf-16-le")
                assert shown == mention.name


def test_whatever_documents_hold_the_page_has_the_elements_it_was_written_with(data):
    page = Elements(render(data))
    plain = Elements(render({**data, "documents": [], "relations": [], "dataset": "d"}))
    assert page.tags == plain.tags
    stored, _ = page.scripts
    read = json.loads(stored)
    assert [document[0] for document in read["documents"]][:3] == [SCRIPT, RIGHT_TO_LEFT, EMOJI]
    assert dict(row[:2] for row in read["relations"]) == {"knows": KNOWS, "leads": "leads"}


def test_the_page_names_no_address_to_load_from(data):
    page = re.sub(r'<script type="application/json".*?</script>', "", render(data), flags=re.S)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"^\s*//.*$", "", page, flags=re.M))
    assert "default-src 'none'" in page


def test_margins_and_thresholds_are_in_hundredths_and_null_where_no_score_was_kept(data):
    _, _, _, triples, _, said = data["documents"][3]
    for state, margins, thresholds, _ in said:
        assert len(state) == len(margins) == len(thresholds) == len(triples) // 4
        for predicted, margin, threshold in zip(state, margins, thresholds, strict=True):
            assert threshold == 50
            assert (margin > 0) == (predicted == "1")


def test_evidence_is_that_of_the_labels_and_of_each_run(data):
    _, _, _, triples, labelled, said = data["documents"][3]
    place = {tuple(triples[4 * i : 4 * i + 3]): i for i in range(len(triples) // 4)}
    knows = [row[0] for row in data["relations"]].index("knows")
    assert labelled[place[0, 1, knows]] == [0]
    assert said[0][3][place[0, 1, knows]] == [0, 1]


def test_flags_tell_labels_distance_and_pairs_that_are_no_candidates(made, data):
    _, _, _, triples, _, _ = data["documents"][3]
    flags = {tuple(triples[4 * i : 4 * i + 2]): triples[4 * i + 3] for i in range(len(triples) // 4)}
    assert flags[1, 2] & GOLD
    assert flags[1, 2] & INTRA
    assert not flags[1, 2] & NO_CANDIDATE


def test_a_fact_of_training_is_one_whether_it_is_labelled_here_or_not(made, data):
    _, folders = made
    exploration = explore(folders, "test")
    index = list(exploration.relations)
    seen: Counter[tuple[bool, bool]] = Counter()
    for document, (_, _, _, triples, _, _) in zip(exploration.documents, data["documents"], strict=True):
        for head, tail, relation, flags in zip(*(triples[i::4] for i in range(4)), strict=True):
            triple = (document.title, head, tail, index[relation])
            assert bool(flags & SEEN) == bool(seen_among(document, [triple], exploration.facts))
            seen[bool(flags & GOLD), bool(flags & SEEN)] += 1
    assert seen[True, True] > 0


def test_a_relation_is_rare_as_the_metrics_have_it(data):
    assert {row[0]: row[3] == RARE for row in data["relations"]} == {"knows": True, "leads": False}


def test_predictions_of_elsewhere_are_not_said_to_be_decided_by_a_model_of_ours(made, tmp_path):
    plan = explored_runs.write_run(tmp_path, open_dataset("tricky"), "theirs", 3)
    shown = explore([RunFolder.of(tmp_path, plan)], "test")
    (run,) = shown.runs
    outside = replace(shown, runs=[replace(run, plan=made_records.of_predictions(plan))])
    assert [encode(of)["runs"][0]["outside"] for of in (shown, outside)] == [False, True]


def test_a_run_with_an_inference_of_its_own_is_not_said_to_be_decided_by_scores(made, tmp_path):
    dataset = open_dataset("tricky")
    plan = explored_runs.write_run(tmp_path, dataset, "fused", 3, inference="Fusion")
    (run,) = encode(explore([RunFolder.of(tmp_path, plan)], "test"))["runs"]
    assert (run["decides"], run["inference"]) == (False, "Fusion")


def test_a_run_without_scores_or_weights_is_shown_without_and_says_why(made, tmp_path):
    plan = explored_runs.write_run(tmp_path, open_dataset("tricky"), "atlop", 3, scored=False)
    folder = RunFolder.of(tmp_path, plan)
    told: list[str] = []
    encoded = encode(explore([folder], "test", on_message=told.append))
    assert "has changed" in encoded["runs"][0]["unscored"]  # its plan names no code that there is
    assert "shown without scores" in told[-1]
    assert encoded["documents"][0][5][0][1:3] == [[], []]
    assert encode(explore([folder], "test", make_scores=False))["runs"][0]["unscored"] == "none were kept"


@pytest.mark.usefixtures("small")
def test_a_real_run_that_kept_no_scores_is_given_them_from_its_weights(tmp_path):
    (plan,) = plans()
    execute(tmp_path, [plan])
    folder = RunFolder.of(tmp_path, plan)
    before = encode(explore([folder], "test"))
    scores_path(folder.path, "test").unlink()
    told: list[str] = []
    after = encode(explore([folder], "test", on_message=told.append))
    assert after["runs"] == before["runs"]
    assert after["runs"][0]["against"] == "the threshold class"
    assert len(told) == 1
    assert scores_path(folder.path, "test").exists()


def test_runs_on_different_documents_are_not_put_on_one_page(made, tmp_path):
    _, folders = made
    other = folders[0].plan().model_copy(update={"test_checksum": "0" * 64, "seed": 9})
    folder = RunFolder.of(tmp_path, other)
    folder.announce(other)
    folder.write_record(made_records.record(other, [[1, 1, 1, 0]]))
    with pytest.raises(UsageError, match="different test documents"):
        explore([folders[0], folder], "test")
    with pytest.raises(UsageError, match="are not those that these runs were evaluated on"):
        explore([folder], "test")


def test_a_test_file_without_labels_has_no_errors_to_look_at(made, tmp_path):
    paths = {split: tmp_path / f"{split}.json" for split in ("train", "dev", "test")}
    for split, path in paths.items():
        write_documents(path, documents(split, 3), labelled=split != "test")
    add_dataset("blind", paths)
    _, folders = made
    plan = (
        folders[0]
        .plan()
        .model_copy(update={"dataset": "blind", "test_checksum": open_dataset("blind").checksum("test")})
    )
    folder = RunFolder.of(tmp_path, plan)
    folder.announce(plan)
    folder.write_record(made_records.record(plan, [[1, 1, 1, 0]]))
    with pytest.raises(UsageError, match="no labels to compare with: try --split dev"):
        explore([folder], "test")


def test_predictions_of_other_documents_are_refused(made, tmp_path):
    plan = explored_runs.write_run(tmp_path, open_dataset("tricky"), "atlop", 3)
    folder = RunFolder.of(tmp_path, plan)
    path = folder.path / "predictions-test.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([{**rows[0], "h_idx": 77}]))
    with pytest.raises(BenchError, match="which no document of the data set has"):
        explore([folder], "test")


def test_explore_without_runs_takes_the_first_seed_of_every_model(made, bench, tmp_path):
    out, folders = made
    explored_runs.write_run(out, open_dataset("tricky"), "atlop", 3, seed=7)
    status, printed, _ = bench("explore", "--out", out)
    page = out / "report" / "explorer.html"
    assert (status, printed.split(":")[0]) == (0, f"33 documents, 2 runs, {page.stat().st_size / 1e6:.1f} MB")
    stored = json.loads(Elements(page.read_text()).scripts[0])
    assert [run["folder"] for run in stored["runs"]] == [folder.name for folder in folders]


def test_explore_takes_runs_by_a_part_of_their_name_in_the_order_they_are_named(made, bench, tmp_path):
    out, folders = made
    status, _, _ = bench("explore", "ssrpu", folders[0].name, "--out", out, "--to", tmp_path / "a page.html")
    stored = json.loads(Elements((tmp_path / "a page.html").read_text()).scripts[0])
    assert status == 0
    assert [run["model"] for run in stored["runs"]] == ["ssrpu", "atlop"]


def test_explore_says_which_runs_there_are_when_it_cannot_choose(made, bench, tmp_path: Path):
    status, _, error = bench("explore", "--out", tmp_path / "nothing")
    assert (status, error.startswith("bench: nothing has been planned in")) == (2, True)
    for i in range(7):
        explored_runs.write_run(tmp_path, open_dataset("tricky"), f"m{i}", 3)
    status, _, error = bench("explore", "--out", tmp_path)
    assert status == 2
    assert error.count("\n  m") == 7


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_of_older_runs_that_are_no_numbers_are_shown_as_unknown(value, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    dataset = explored_runs.register(tmp_path / "data")
    plan = explored_runs.write_run(tmp_path / "out", dataset, "atlop", 3, logit=value)
    encoded = encode(explore([RunFolder.of(tmp_path / "out", plan)], "test"))
    render(encoded)
    margins = {margin for document in encoded["documents"] for _, of_run, _, _ in document[5] for margin in of_run}
    assert margins == {UNKNOWN}
    near = [not gold and state == "0" for _, _, _, triples, _, said in encoded["documents"]
            for gold, state in zip((f & GOLD for f in triples[3::4]), said[0][0], strict=True)]  # fmt: skip
    assert not any(near)  # what has no number is near to nothing


def test_scores_that_a_newer_version_has_kept_are_named_and_not_made_over(small, tmp_path):
    (plan,) = plans()
    execute(tmp_path, [plan])
    folder = RunFolder.of(tmp_path, plan)
    state = scores_path(folder.path, "test").with_suffix(".json")
    write_sealed(state, "state", {"version": 2, "of": "a form that is not known"})
    kept = {path: path.read_bytes() for path in (state, scores_path(folder.path, "test"))}
    (run,) = explore([folder], "test").runs
    assert (run.scores, run.unscored) == (None, "a newer version of docre-bench has kept them")
    (folder.path / "record.json").unlink()
    execute(tmp_path, [plan])
    assert folder.record() is not None
    assert {path: path.read_bytes() for path in kept} == kept


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("not a number", "damaged, and not looked at: 1 run"),
        ("a higher schema", "made by a newer version of docre-bench, and not looked at: 1 run"),
    ],
)
def test_runs_that_nobody_named_and_that_cannot_be_shown_are_counted(kind, told, tmp_path, monkeypatch, bench):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    dataset = explored_runs.register(tmp_path / "data")
    explored_runs.write_run(tmp_path, dataset, "atlop", 3)
    other = explored_runs.write_run(tmp_path, dataset, "ssrpu", 4)
    edit_record(RunFolder.of(tmp_path, other), (IMPOSSIBLE | NEWER)[kind][0])
    status, printed, error = bench("explore", "--out", tmp_path)
    assert status == 0
    assert told in error
    assert ", 1 run, " in printed
