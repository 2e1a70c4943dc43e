"""What the tables say about the numbers in them."""

from __future__ import annotations

from bench.analysis.aggregate import Cell, scores_of
from bench.data.formats.detect import FORMATS
from bench.interface import Training
from bench.report.render.markdown import to_markdown
from bench.report.table import Table
from bench.report.tables.overview import overview_tables
from bench.runs.plan import HARNESS_VERSION, RunPlan, StagePlan
from bench.runs.record import DocumentCounts, EvidenceScores, RunRecord, Scores, SplitRecord, StageRecord


def stage(seed: int) -> StagePlan:
    return StagePlan(
        harness=HARNESS_VERSION, model="m", reference="m", class_name="M", code="c", hyperparameters={},
        training=Training(), freeze=(),
        data="human", dataset="d", train_checksum="t", select_checksum="s", relations=("r",), encoder="e",
        encoder_fingerprint="f", max_length=128, seed=seed, position=0, after=None,
    )  # fmt: skip


def plan(seed: int) -> RunPlan:
    return RunPlan(
        model="m", variant="", dataset="d", setting="human", encoder="e", seed=seed, stages=(stage(seed),),
        dev_checksum="v", test_checksum="x", facts_checksum="y", distant_checksum=None,
    )  # fmt: skip


def record(seed: int, f1: float, cut: int = 0) -> RunRecord:
    scores = Scores(f1=f1, ign_f1=max(f1 - 1, 0.0), precision=f1 + 1, recall=max(f1 - 2, 0.0))
    counts = DocumentCounts(titles=[], correct=[], predicted=[], gold=[], correct_in_facts=[])
    split = SplitRecord(
        scores=scores, macro_f1=f1, slices={"strict": {}, "released": {}}, relations={}, documents=counts,
        mentions_cut=cut,
    )  # fmt: skip
    done = StageRecord(key="k", data="human", dev_f1=[f1], selected_epoch=1, documents=3, mentions_cut=0)
    return RunRecord(
        key=plan(seed).key, configuration="c", model="m", variant="", dataset="d", setting="human", encoder="e",
        seed=seed, facts={}, stages=[done], splits={"dev": split, "test": split},
    )  # fmt: skip


def lines(table: Table) -> list[tuple[str, ...]]:
    return [tuple(cell.text for cell in row.cells) for row in table.rows]


def test_a_mean_over_fewer_seeds_than_planned_is_marked():
    cell = Cell(tuple(map(plan, range(3))), (record(0, 50.0), record(1, 52.0)), ())
    (table,) = overview_tables([cell])
    assert lines(table)[0][2] == "51.00 ± 1.41"
    assert lines(table)[0][-1] == "2 of 3*"
    assert "not all planned seeds" in table.notes[0]


def test_mentions_past_the_length_limit_are_told_under_the_table():
    cell = Cell((plan(0),), (record(0, 50.0, cut=7),), ())
    text = to_markdown(*overview_tables([cell], ("test",)))
    assert "7 mentions of test lie past the limit of 128 word pieces" in text


def test_seeds_in_different_precisions_are_told_under_the_table():
    def computed_in(seed: int, precision: str | None) -> RunRecord:
        stage = StageRecord(
            key="k", data="human", dev_f1=[1.0], selected_epoch=1, documents=1, mentions_cut=0, precision=precision
        )
        return record(seed, 50.0).model_copy(update={"stages": [stage]})

    plans = tuple(map(plan, range(3)))
    mixed = Cell(plans, tuple(computed_in(*of) for of in enumerate(("fp32", "bf16", "bf16"))), ())
    (table,) = overview_tables([mixed], ["test"])
    assert table.notes == ("m with e, seeds in different precisions: fp32 seed 0; bf16 seeds 1, 2",)
    alike = Cell(plans, tuple(computed_in(*of) for of in enumerate(("bf16", "bf16", None))), ())
    assert overview_tables([alike], ["test"])[0].notes == ()


def test_rows_of_an_older_version_of_the_harness_are_told_under_the_table_which_keeps_them_apart():
    older = stage(0).model_copy(update={"harness": HARNESS_VERSION - 1})
    cells = [Cell((p,), (record(0, 50.0),), ()) for p in (plan(0), plan(0).model_copy(update={"stages": (older,)}))]
    (table,) = overview_tables(cells, ["test"])
    names = [row.cells[0].text for row in table.rows]
    assert len(set(names)) == 2
    (note,) = table.notes
    assert note.startswith(f"by version {HARNESS_VERSION - 1} of the harness, ")
    assert note.endswith(f"today's version {HARNESS_VERSION}: {names[1]} with e")


def with_conventions(of: RunRecord, pairs: str) -> RunRecord:
    return of.model_copy(update={"conventions": {"pairs": pairs, "scored": "as labelled"}})


def test_which_pairs_are_classified_and_what_counts_is_told_once_under_the_table():
    cells = [Cell((plan(0), plan(1)), tuple(with_conventions(record(s, 50.0), "all of them") for s in (0, 1)), ())]
    (table,) = overview_tables(cells, ["test"])
    assert table.notes == ("pairs: all of them", "scored: as labelled")


def test_what_is_as_in_docred_goes_without_saying():
    form = FORMATS["docred"]
    usual = {"pairs": form.pairs_rule, "scored": form.scored}
    told = record(0, 50.0).model_copy(update={"conventions": usual})
    (table,) = overview_tables([Cell((plan(0),), (told,), ())], ["test"])
    assert table.notes == ()


def test_where_rows_differ_in_which_pairs_are_classified_it_is_told_whose_each_rule_is():
    other = plan(0).model_copy(update={"model": "n", "test_checksum": "other"})
    cells = [
        Cell((plan(0),), (with_conventions(record(0, 50.0), "all of them"),), ()),
        Cell((other,), (with_conventions(record(0, 50.0), "first in text"),), ()),
    ]
    (table,) = overview_tables(cells, ["test"])
    names = [row.cells[0].text for row in table.rows]
    assert [note for note in table.notes if note.startswith("pairs")] == [
        f"pairs ({names[0]} with e): all of them",
        f"pairs ({names[1]} with e): first in text",
    ]
    assert "scored: as labelled" in table.notes


def test_a_benchmark_without_ign_f1_has_no_column_of_it():
    of_seed = record(0, 50.0)
    splits = {
        name: split.model_copy(update={"scores": split.scores.model_copy(update={"ign_f1": None})})
        for name, split in of_seed.splits.items()
    }
    (table,) = overview_tables([Cell((plan(0),), (of_seed.model_copy(update={"splits": splits}),), ())])
    assert [column.name for column in table.columns[2:5]] == ["dev F1", "dev Precision", "dev Recall"]


def test_a_cell_without_a_record_is_shown_as_missing():
    (table,) = overview_tables([Cell((plan(0),), (), ("seed 0: out of memory",))])
    assert set(lines(table)[0][2:-1]) == {"—"}
    assert "m, seed 0: out of memory" in table.notes


def test_a_setting_a_model_does_not_have_is_not_applicable_neither_zero_nor_missing():
    student = plan(0).model_copy(update={"model": "kd", "not_applicable": {"distant": "needs a teacher"}})
    others = [plan(0).model_copy(update={"setting": setting}) for setting in ("human", "distant")]
    cells = [Cell((p,), (record(0, 50.0),), ()) for p in (student, *others)]
    human, distant = overview_tables(cells, ("test",))
    assert [line[0] for line in lines(human)] == ["kd", "m"]
    assert lines(distant)[-1] == ("kd", "e", "n/a", "n/a", "n/a", "n/a", "n/a")
    assert "kd has no 'distant': needs a teacher" in distant.notes


def with_evidence(of: RunRecord, f1: float) -> RunRecord:
    scores = EvidenceScores(f1=f1, precision=f1 + 1, recall=f1 - 1)
    splits = {name: split.model_copy(update={"evidence": scores}) for name, split in of.splits.items()}
    return of.model_copy(update={"splits": splits})


def test_evidence_has_a_column_only_where_a_model_predicts_it():
    without = Cell((plan(0),), (record(0, 50.0),), ())
    other = plan(0).model_copy(update={"model": "says-why"})
    having = Cell((other,), (with_evidence(record(0, 50.0), 30.0),), ())
    (table,) = overview_tables([without, having])
    assert [column.name for column in table.columns[2:7]] == [
        "dev F1",
        "dev Ign F1",
        "dev Precision",
        "dev Recall",
        "dev Evi F1",
    ]
    assert [line[6] for line in lines(table)] == ["—", "30.00"]
    (table,) = overview_tables([without])
    assert not [column for column in table.columns if "Evi" in column.name]


def test_scores_of_evidence_are_averaged_over_seeds_like_all_others():
    cell = Cell(tuple(map(plan, range(2))), tuple(with_evidence(record(s, 50.0), 30.0 + 2 * s) for s in range(2)), ())
    means = {
        score.metric: score.mean for score in scores_of([cell]) if score.split == "test" and "evidence" in score.metric
    }
    assert means == {"evidence_f1": 31.0, "evidence_precision": 32.0, "evidence_recall": 30.0}


def zero(seed: int, predicted: int, relations: dict[str, tuple[int, int, int]], margin: float | None) -> RunRecord:
    """A record with an F1 of 0 on test, of one document with two labels."""
    counts = DocumentCounts(titles=["d"], correct=[0], predicted=[predicted], gold=[2], correct_in_facts=[0])
    of = record(seed, 0.0)
    test = of.splits["test"].model_copy(update={"documents": counts, "relations": relations, "highest_margin": margin})
    return of.model_copy(update={"splits": {"test": test}})


def test_an_f1_of_zero_has_its_reason_under_the_table():
    records = (
        zero(0, 0, {"P1": (0, 0, 2)}, -0.03125),
        zero(1, 0, {"P1": (0, 0, 2)}, None),
        zero(2, 7, {"P1": (0, 0, 2), "country": (0, 7, 0)}, 2.0),
        zero(3, 7, {"P1": (0, 6, 2), "country": (0, 1, 0)}, 2.0),
    )
    (table,) = overview_tables([Cell(tuple(map(plan, range(4))), records, ())], ("test",))
    assert table.notes == (
        "m with e, seed 0: test F1 is 0.00: nothing was predicted, after 1 epoch of the last stage the highest margin "
        "over its threshold is -0.0312",
        "m with e, seed 1: test F1 is 0.00: nothing was predicted, after 1 epoch of the last stage",
        "m with e, seed 2: test F1 is 0.00: all 7 predicted triples are of relations that have no label there "
        "(country)",
        "m with e, seed 3: test F1 is 0.00: none of 7 predicted triples is labelled",
    )


def test_an_f1_of_zero_counts_the_predictions_of_documents_that_the_split_lacks():
    def elsewhere(seed, predicted, unknown, relations):
        of = zero(seed, predicted, relations, None)
        return of.model_copy(
            update={"splits": {"test": of.splits["test"].model_copy(update={"unknown_titles": unknown})}}
        )

    records = (
        elsewhere(0, 0, 2, {"P1": (0, 2, 2)}),
        elsewhere(1, 0, 1, {"P1": (0, 1, 2)}),
        elsewhere(2, 1, 2, {"P1": (0, 0, 2), "country": (0, 3, 0)}),
        elsewhere(3, 1, 2, {"P1": (0, 3, 2)}),
    )
    (table,) = overview_tables([Cell(tuple(map(plan, range(4))), records, ())], ("test",))
    assert [note.partition("test F1 is 0.00: ")[2] for note in table.notes] == [
        "all 2 predictions are of documents that test lacks",
        "the one prediction is of a document that test lacks",
        "all 3 predicted triples are of relations that have no label there (country)",
        "none of 3 predicted triples is labelled",
    ]


def test_seeds_with_the_same_reason_share_a_note_and_others_have_none():
    records = (zero(0, 0, {}, None), zero(1, 0, {}, None), record(2, 50.0))
    (table,) = overview_tables([Cell(tuple(map(plan, range(3))), records, ())], ("test",))
    (note,) = table.notes
    assert note.startswith("m with e, seeds 0, 1: test F1 is 0.00: nothing was predicted")


def test_whose_predictions_depend_on_the_documents_of_a_batch_is_told():
    released = stage(0).model_copy(update={"class_name": "TtmReReleased"})
    other = plan(0).model_copy(update={"model": "ttmre-released", "stages": (released,)})
    (table,) = overview_tables([Cell((plan(0),), (record(0, 50.0),), ()), Cell((other,), (record(0, 40.0),), ())])
    (note,) = [note for note in table.notes if "depends on its neighbours" in note]
    assert note.startswith("ttmre-released with e: its pairs see those of the other documents of a batch (of 4)")
    (table,) = overview_tables([Cell((plan(0),), (record(0, 50.0),), ()), Cell((other,), (), ())])
    assert not any("neighbours" in note for note in table.notes)
