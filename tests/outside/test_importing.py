from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.catalog.dataset import Dataset, open_dataset
from bench.errors import NewerVersionError, UsageError
from bench.filesystem import read_sealed, write_sealed
from bench.metrics.official import evaluate
from bench.metrics.submission import Prediction, read_submission
from bench.outside.importing import OutsideSystem, import_predictions
from bench.runs.run_folder import RunFolder, predictions_path, run_folders
from bench.runs.triple_scores import load_curve, load_scores

SYSTEM = OutsideSystem("LMRC", "human")


@pytest.fixture
def dataset(small) -> Dataset:
    return open_dataset("small")


def labelled(split: str, keep: int = 10**6) -> list[Prediction]:
    """The first `keep` labels of the documents of a split, as predictions."""
    triples = sorted(triple for document in open_dataset("small").documents(split) for triple in document.triples())
    return [Prediction(*triple) for triple in triples[:keep]]


def runs(out: Path) -> list[str]:
    return [folder.name for folder in run_folders(out)]


def test_each_seed_is_a_run_whose_record_has_the_scores_of_its_predictions(dataset, tmp_path):
    test = dataset.documents("test")
    some, more = labelled("test", 3), labelled("test", 5)
    imported = import_predictions(tmp_path, SYSTEM, dataset, "test", {13: some, 42: more})
    assert [(of.seed, of.is_new) for of in imported] == [(13, True), (42, True)]
    for of, predictions in zip(imported, (some, more), strict=True):
        record = RunFolder(tmp_path, of.run).record()
        expected = evaluate([p.triple for p in predictions], test, dataset.facts())
        scores = record.splits["test"].scores
        assert (scores.f1, scores.ign_f1) == (expected.f1, expected.ign_f1)
        assert record.stages == []
        assert read_submission(predictions_path(tmp_path / "runs" / of.run, "test")) == predictions


def test_the_same_predictions_in_any_order_are_nothing_new(dataset, tmp_path):
    predictions = labelled("test")
    (first,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: predictions})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (again,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: predictions[::-1]})
    assert (again.run, again.is_new) == (first.run, False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_changed_predictions_are_another_row_and_seeds_of_the_two_are_never_averaged(dataset, tmp_path):
    one, other = labelled("test"), labelled("test", 2)
    import_predictions(tmp_path, SYSTEM, dataset, "test", {0: one, 1: one})
    import_predictions(tmp_path, SYSTEM, dataset, "test", {0: other})
    import_predictions(tmp_path, SYSTEM, dataset, "test", {0: one, 2: one})
    plans = [folder.plan() for folder in run_folders(tmp_path)]
    seeds = {}
    for plan in plans:
        seeds.setdefault(plan.configuration, set()).add(plan.seed)
    assert sorted(map(sorted, seeds.values())) == [[0], [0, 1, 2]]


def test_predictions_that_could_be_of_several_rows_are_refused_but_not_those_that_are_there(dataset, tmp_path):
    one, other, dev = labelled("test"), labelled("test", 2), labelled("dev")
    import_predictions(tmp_path, SYSTEM, dataset, "test", {0: one})
    import_predictions(tmp_path, SYSTEM, dataset, "test", {0: other})
    with pytest.raises(UsageError, match="which of the rows of LMRC do these belong to"):
        import_predictions(tmp_path, SYSTEM, dataset, "dev", {0: dev})
    assert not import_predictions(tmp_path, SYSTEM, dataset, "test", {0: other})[0].is_new


def test_seeds_with_the_same_predictions_are_told(dataset, tmp_path):
    first, second = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: labelled("test"), 1: labelled("test")})
    assert any("the same predictions as seed 1" in note for note in first.notes)
    assert any("the same predictions as seed 0" in note for note in second.notes)
    (third,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {2: labelled("test", 2)})
    assert not any("the same predictions" in note for note in third.notes)


def test_the_other_split_completes_a_run_and_nothing_of_it_is_lost(dataset, tmp_path):
    said = replace(SYSTEM, source="a paper")
    import_predictions(tmp_path, said, dataset, "test", {0: labelled("test")})
    (complete,) = import_predictions(tmp_path, SYSTEM, dataset, "dev", {0: labelled("dev")})
    assert runs(tmp_path) == [complete.run]
    found = RunFolder(tmp_path, complete.run).verdict()
    assert set(found.record.splits) == {"dev", "test"}
    assert found.plan.outside.source == "a paper"
    (again,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: labelled("test")})
    assert (again.run, again.is_new) == (complete.run, False)


@pytest.mark.parametrize("name", ["predictions-test.json", "record.json", "run.json"])
def test_a_damaged_run_is_made_anew_by_importing_it_again(name, dataset, tmp_path):
    predictions = {0: labelled("test")}
    (first,) = import_predictions(tmp_path, SYSTEM, dataset, "test", predictions)
    path = tmp_path / "runs" / first.run / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (again,) = import_predictions(tmp_path, SYSTEM, dataset, "test", predictions)
    assert again.is_new
    assert path.read_bytes() == whole


def test_what_a_newer_version_has_made_of_it_is_kept(dataset, tmp_path):
    (first,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: labelled("test")})
    path = tmp_path / "runs" / first.run / "record.json"
    write_sealed(path, "record", read_sealed(path, "record") | {"schema_version": 99})
    kept = path.read_bytes()
    with pytest.raises(NewerVersionError, match="newer version"):
        import_predictions(tmp_path, SYSTEM, dataset, "test", {0: labelled("test")})
    assert path.read_bytes() == kept


def test_a_run_whose_predictions_are_damaged_is_not_completed_with_the_other_split(dataset, tmp_path):
    (first,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: labelled("test")})
    path = predictions_path(tmp_path / "runs" / first.run, "test")
    path.write_text("[]")
    with pytest.raises(UsageError, match=r"not what was imported.*bench import"):
        import_predictions(tmp_path, SYSTEM, dataset, "dev", {0: labelled("dev")})


def test_what_is_odd_is_told_and_predictions_of_no_document_stay_wrong(dataset, tmp_path):
    right = labelled("test")
    odd = [right[0], Prediction("nowhere", 0, 1, "knows"), Prediction(right[0].title, 0, 0, "knows")]
    odd += [Prediction(right[0].title, 0, 1, "is acquainted with")]
    (of,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: right + odd})
    told = " ".join(of.notes)
    for what in ("1 duplicate", "'nowhere'", "'is acquainted with'", "same entity as head and tail"):
        assert what in told
    split = of.record.splits["test"]
    assert split.unknown_titles == 1
    total = sum(split.documents.predicted) + 1
    assert split.scores.precision == pytest.approx(100 * len(right) / total)


def test_scores_give_auc_a_curve_and_margins_over_the_lowest(dataset, tmp_path):
    right = labelled("test")
    wrong = [Prediction(p.title, 3, 0, "leads") for p in right]
    scored = [p._replace(score=5.0 - i / 10) for i, p in enumerate([*right, *wrong])]
    (of,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: scored})
    folder = tmp_path / "runs" / of.run
    split = of.record.splits["test"]
    assert split.scores.auc == pytest.approx(100.0)
    assert split.highest_margin is None
    assert load_curve(folder, "test") is not None
    kept = load_scores(folder, "test")
    margins = [triple.margin for triples in kept.documents.values() for triple in triples]
    assert min(margins) == 0
    assert len(margins) == len({p.triple for p in scored})
    assert not kept.decides


@pytest.mark.parametrize("scores", [[None, 1.0], [None, None]])
def test_without_a_score_for_each_there_is_no_auc(scores, dataset, tmp_path):
    predictions = [p._replace(score=s) for p, s in zip(labelled("test", 2), scores, strict=True)]
    (of,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: predictions})
    assert of.record.splits["test"].scores.auc is None
    assert load_scores(tmp_path / "runs" / of.run, "test") is None


def test_a_trained_runs_files_have_nothing_that_versions_from_before_could_not_read(dataset, tmp_path):
    (of,) = import_predictions(tmp_path, SYSTEM, dataset, "test", {0: labelled("test")})
    record = json.loads((tmp_path / "runs" / of.run / "record.json").read_text())
    assert "unknown_titles" not in record["record"]["splits"]["test"]


@pytest.mark.parametrize("name", ["x#1a2b", "atlop:layers=2", "atlop (outside)", "two\nlines", "", " ", "x" * 101])
def test_a_name_that_could_not_be_told_from_others_is_refused(name, dataset, tmp_path):
    with pytest.raises(UsageError, match="NAME"):
        import_predictions(tmp_path, replace(SYSTEM, name=name), dataset, "test", {0: []})
    assert runs(tmp_path) == []


def test_a_split_that_cannot_be_scored_is_refused(dataset, tmp_path):
    with pytest.raises(UsageError, match="--split train"):
        import_predictions(tmp_path, SYSTEM, dataset, "train", {0: []})
