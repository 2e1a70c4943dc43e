from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_experiments import plans

from bench.analysis.aggregate import labels, load_cells, scores_of
from bench.report.render.markdown import to_markdown
from bench.report.tables.overview import overview_tables
from bench.report.write import write_tables
from bench.runs.plan import OutsidePredictions, RunPlan
from bench.runs.record import DocumentCounts, EvidenceScores, RunRecord, Scores, SplitRecord, StageRecord
from bench.runs.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("small")

F1 = (48.25, 47.0, 50.125, 49.5)
ROW = {"model", "variant", "dataset", "setting", "encoder", "split", "slice", "metric", "mean", "std", "n", "expected"}


def record_of(plan: RunPlan, f1: float, splits: tuple[str, ...] = ("dev", "test")) -> RunRecord:
    def split(add: float) -> SplitRecord:
        scores = Scores(f1=f1 + add, ign_f1=f1 - 1, ign_f1_distant=f1 - 2, precision=60.0, recall=40.0)
        released = scores.model_copy(update={"precision": 30.0})
        return SplitRecord(
            scores=scores,
            macro_f1=f1 / 2,
            slices={"strict": {"top_10": scores}, "released": {"top_10": released}},
            relations={},
            documents=DocumentCounts(titles=["d"], correct=[1], predicted=[2], gold=[2], correct_in_facts=[0]),
            mentions_cut=0,
        )

    fields = ("key", "configuration", "model", "variant", "dataset", "setting", "encoder", "seed")
    return RunRecord(
        **{field: getattr(plan, field) for field in fields},
        facts={},
        stages=[
            StageRecord(key=stage.key, data=stage.data, dev_f1=[1.0], selected_epoch=1, documents=1, mentions_cut=0)
            for stage in plan.stages
        ],
        splits={name: split(i * 10.0) for i, name in enumerate(splits)},
    )


def write(out: Path, planned: list[RunPlan], scores: tuple[float | None, ...], **options) -> None:
    for plan, f1 in zip(planned, scores, strict=True):
        folder = RunFolder.of(out, plan)
        folder.announce(plan)
        if f1 is not None:
            folder.write_record(record_of(plan, f1, **options))


def find(out: Path, **wanted) -> list[dict]:
    rows = [score.as_json() for score in scores_of(load_cells(out))]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def table(out: Path) -> str:
    return "\n".join(map(to_markdown, overview_tables(load_cells(out))))


def test_mean_and_sample_deviation_are_numpys(tmp_path):
    write(tmp_path, plans(seeds="4"), F1)
    (row,) = find(tmp_path, split="dev", slice="all", metric="f1")
    assert row["mean"] == pytest.approx(np.mean(F1), rel=1e-14)
    assert row["std"] == pytest.approx(np.std(F1, ddof=1), rel=1e-14)


def test_each_seeds_value_is_in_the_row_unrounded(tmp_path):
    write(tmp_path, plans(seeds="66,67,"), (100 / 3, 50.0))
    (row,) = find(tmp_path, split="dev", slice="all", metric="f1")
    assert row["seeds"] == {"66": 100 / 3, "67": 50.0}


def test_a_row_has_the_documented_keys(tmp_path):
    write(tmp_path, plans(), (50.0,))
    assert all(set(row) == ROW | {"seeds", "configuration"} for row in find(tmp_path))


def test_rows_can_be_written_as_json(tmp_path):
    write(tmp_path, plans(seeds="2"), (50.0, None))
    assert json.loads(json.dumps(find(tmp_path))) == find(tmp_path)


def test_every_split_slice_and_metric_has_one_row(tmp_path):
    write(tmp_path, plans(), (50.0,))
    places = [(row["split"], row["slice"], row["metric"]) for row in find(tmp_path)]
    assert len(places) == len(set(places)) == 2 * (5 + 1 + 4 + 4)


def test_both_protocols_of_a_slice_are_there(tmp_path):
    write(tmp_path, plans(), (50.0,))
    wanted = {"split": "test", "metric": "precision"}
    assert [row["mean"] for row in find(tmp_path, slice="top_10", **wanted)] == [60.0]
    assert [row["mean"] for row in find(tmp_path, slice="released:top_10", **wanted)] == [30.0]


def test_a_single_seed_has_a_mean_and_no_deviation(tmp_path):
    write(tmp_path, plans(), (50.0,))
    (row,) = find(tmp_path, split="dev", slice="all", metric="f1")
    assert (row["mean"], row["std"], row["n"]) == (50.0, None, 1)
    assert " 50.00 |" in table(tmp_path)


def test_missing_seeds_are_counted_and_marked(tmp_path):
    write(tmp_path, plans(seeds="4"), (50.0, None, 52.0, None))
    (row,) = find(tmp_path, split="dev", slice="all", metric="f1")
    assert (row["n"], row["expected"], row["mean"]) == (2, 4, 51.0)
    assert "2 of 4*" in table(tmp_path)
    assert "* not all planned seeds are there: the mean is over those that are" in table(tmp_path)


def test_a_complete_cell_has_no_mark(tmp_path):
    write(tmp_path, plans(seeds="2"), (50.0, 51.0))
    assert "2 of 2 " in table(tmp_path)
    assert "*" not in table(tmp_path)


def test_a_cell_without_any_record_is_shown_empty(tmp_path):
    write(tmp_path, plans(seeds="2"), (None, None))
    (row,) = find(tmp_path, split="test", slice="all", metric="f1")
    assert (row["mean"], row["std"], row["n"], row["expected"], row["seeds"]) == (None, None, 0, 2, {})
    assert "0 of 2*" in table(tmp_path)
    assert "—" in table(tmp_path)


def test_a_damaged_record_counts_as_missing(tmp_path):
    planned = plans(seeds="2")
    write(tmp_path, planned, (50.0, 60.0))
    (RunFolder.of(tmp_path, planned[1]).path / "record.json").write_text("{")
    assert [row["n"] for row in find(tmp_path, split="dev", slice="all", metric="f1")] == [1]


def test_the_record_of_another_run_counts_as_missing(tmp_path):
    planned = plans(seeds="2")
    write(tmp_path, planned, (50.0, None))
    first, second = (RunFolder.of(tmp_path, plan).path for plan in planned)
    shutil.copy(first / "record.json", second / "record.json")
    assert [row["n"] for row in find(tmp_path, split="dev", slice="all", metric="f1")] == [1]


def test_a_copied_folder_is_still_one_run(tmp_path):
    planned = plans()
    write(tmp_path, planned, (50.0,))
    path = RunFolder.of(tmp_path, planned[0]).path
    shutil.copytree(path, path.with_name("a copy"))
    (row,) = find(tmp_path, split="dev", slice="all", metric="f1")
    assert (row["n"], row["expected"]) == (1, 1)


def test_what_the_first_seed_lacks_others_may_have(tmp_path):
    """As the record of an older version, or of predictions that came without scores, lacks AUC."""
    planned = plans(seeds="2")
    write(tmp_path, planned, (50.0, 60.0), splits=("test",))
    second = RunFolder.of(tmp_path, planned[1])
    record = record_of(planned[1], 60.0)
    test = record.splits["test"]
    of_slice = test.slices["strict"]["top_10"]
    test.scores.auc, test.evidence = 30.0, EvidenceScores(f1=20.0, precision=20.0, recall=20.0)
    test.slices["strict"]["top_5"] = of_slice
    second.write_record(record)
    for split, part, metric in (
        ("test", "all", "auc"), ("test", "all", "evidence_f1"), ("test", "top_5", "f1"), ("dev", "all", "f1"),
    ):  # fmt: skip
        (row,) = find(tmp_path, split=split, slice=part, metric=metric)
        assert (row["n"], row["expected"], list(row["seeds"])) == (1, 2, [str(planned[1].seed)])


@pytest.mark.parametrize(("f1", "counts"), [((50.0, 60.0), 0), ((None, 60.0), 1)])
def test_of_two_runs_of_one_seed_the_first_that_is_finished_counts_and_the_other_is_told(f1, counts, tmp_path, capsys):
    """As of two imports of other predictions under one seed, on two machines whose archives were merged."""
    both = [
        plans()[0].model_copy(
            update={
                "stages": (),
                "variant": "outside",
                "outside": OutsidePredictions(predictions={"test": checksum}, relations=("r",)),
            }
        )
        for checksum in ("a", "b")
    ]
    both.sort(key=lambda plan: plan.folder)
    write(tmp_path, both, f1)
    (cell,) = load_cells(tmp_path)
    assert [record.splits["dev"].scores.f1 for record in cell.records] == [f1[counts]]
    told = f"{both[counts].folder} counts, {both[1 - counts].folder} is in no mean"
    assert told in capsys.readouterr().err


def test_a_failed_run_is_a_note_with_its_error_and_no_hole_in_the_mean(tmp_path):
    planned = plans(seeds="2")
    write(tmp_path, planned, (50.0, None))
    RunFolder.of(tmp_path, planned[1]).write_error("out of [memory]", "")
    assert "1 of 2*" in table(tmp_path)
    assert "seed 1: out of [memory]" in table(tmp_path)


def test_other_configurations_are_never_averaged(tmp_path):
    old, new = plans()[0], plans("atlop", "clip=0.5")[0].model_copy(update={"variant": plans()[0].variant})
    write(tmp_path, [old, new], (50.0, 60.0))
    assert sorted(row["mean"] for row in find(tmp_path, split="dev", slice="all", metric="f1")) == [50.0, 60.0]


def test_cells_of_one_name_are_told_apart_by_their_configuration(tmp_path):
    old, new = plans()[0], plans("atlop", "clip=0.5")[0].model_copy(update={"variant": plans()[0].variant})
    write(tmp_path, [old, new], (50.0, 60.0))
    suffixes = labels(load_cells(tmp_path))
    assert sorted(suffixes) == sorted([f" #{old.configuration[:4]}", f" #{new.configuration[:4]}"])


def test_variants_have_names_of_their_own_and_need_no_suffix(tmp_path):
    write(tmp_path, plans("atlop,atlop:clip=0.5"), (50.0, 60.0))
    assert labels(load_cells(tmp_path)) == ["", ""]


def test_a_blind_test_split_is_missing_not_zero(tmp_path):
    write(tmp_path, plans(), (50.0,), splits=("dev",))
    assert find(tmp_path, split="test") == []
    assert "—" in table(tmp_path)


def test_tables_are_one_per_data_set_and_setting(tmp_path):
    planned = plans(settings="human,ext")
    write(tmp_path, planned, (50.0, 20.0))
    assert [table.title for table in overview_tables(load_cells(tmp_path))] == ["small, ext", "small, human"]


def test_the_written_tables_are_the_same_each_time(tmp_path):
    write(tmp_path, plans(seeds="2"), (50.0, 51.0))
    first = write_tables(tmp_path, load_cells(tmp_path)).read_bytes()
    assert write_tables(tmp_path, load_cells(tmp_path)).read_bytes() == first


def test_nothing_planned_is_no_cell(tmp_path):
    assert load_cells(tmp_path / "nowhere") == []
