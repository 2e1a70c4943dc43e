"""Comparing systems of the records, or one with a published row: the right runs, the right tests, an honest claim."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_records import plan, record, write

from bench.analysis import stats
from bench.analysis.aggregate import Cell
from bench.analysis.claims import claim
from bench.analysis.comparison import TESTS, Question, compare
from bench.analysis.metrics import COUNTED
from bench.analysis.pairing import Pairing
from bench.analysis.published import read_published
from bench.analysis.systems import Condition, systems_of
from bench.errors import UsageError
from bench.runs.plan import OutsidePredictions
from bench.runs.record import DocumentCounts

DOCUMENTS = 60
FAST = Question(resamples=400)
CONDITION = Condition("d", "human", "e")


def counts(quality: float, seed: int) -> np.ndarray:
    """[documents, 4]: a system that finds a label with probability `quality`, on the same documents every time."""
    gold = np.random.default_rng(0).integers(5, 40, DOCUMENTS)
    generator = np.random.default_rng(seed + 1)
    correct = generator.binomial(gold, quality)
    return np.stack([correct, correct + generator.binomial(gold, 0.2), gold, generator.binomial(correct, 0.1)], axis=-1)


def cell(model="m", quality=0.6, seeds=5, finished=None, errors=(), first=0, **changed) -> Cell:
    """seeds planned, of which the first `finished` have a record."""
    plans = [plan(model, seed=seed, **changed) for seed in range(seeds)]
    done = [record(p, counts(quality, first + 100 * p.seed)) for p in plans[: seeds if finished is None else finished]]
    return Cell(tuple(plans), tuple(done), tuple(errors))


def without_documents(of: Cell) -> Cell:
    """The same scores, with the counts of not one document."""
    none = DocumentCounts(titles=[], correct=[], predicted=[], gold=[], correct_in_facts=[])
    records = []
    for stored in of.records:
        splits = {name: split.model_copy(update={"documents": none}) for name, split in stored.splits.items()}
        records.append(stored.model_copy(update={"splits": splits}))
    return replace(of, records=tuple(records))


def pairing(*cells: Cell, question: Question = FAST, published=None) -> Pairing:
    return Pairing(cells, published, question)


def one(*cells: Cell, names=("m", "n"), question: Question = FAST):
    (comparison,) = pairing(*cells, question=question).pair(*names)
    return comparison


GOOD, BAD = cell("m", 0.75), cell("n", 0.6, first=7)


# The numbers


def test_the_difference_is_of_the_means_the_tables_show():
    comparison = one(GOOD, BAD)
    means = [np.mean([r.splits["test"].scores.f1 for r in c.records]) for c in (GOOD, BAD)]
    assert comparison.difference == pytest.approx(means[0] - means[1])
    assert comparison.bootstrap.difference == pytest.approx(comparison.difference)
    assert comparison.welch.difference == pytest.approx(comparison.difference)


def test_the_tests_are_those_of_the_seeds_and_documents():
    comparison = one(GOOD, BAD)
    scores = [[r.splits["test"].scores.f1 for r in c.records] for c in (GOOD, BAD)]
    arrays = [np.stack([counts(q, f + 100 * s) for s in range(5)]) for q, f in ((0.75, 0), (0.6, 7))]
    assert comparison.welch == stats.welch(*scores)
    assert comparison.permutation == stats.permutation(*scores)
    assert comparison.bootstrap == stats.paired_bootstrap(*arrays, "f1", 400)
    assert comparison.randomization == stats.randomization(*arrays, "f1", 400)


@pytest.mark.parametrize("metric", [metric.name for metric in COUNTED])
def test_every_metric_is_compared(metric):
    comparison = one(GOOD, BAD, question=replace(FAST, metric=metric))
    values = [np.mean([getattr(r.splits["test"].scores, metric) for r in c.records]) for c in (GOOD, BAD)]
    assert (comparison.difference, comparison.bootstrap.difference) == pytest.approx((values[0] - values[1],) * 2)


def test_turned_round_the_difference_changes_its_sign_alone():
    forth, back = one(GOOD, BAD), one(GOOD, BAD, names=("n", "m"))
    assert back.difference == -forth.difference
    assert (back.welch.low, back.welch.high) == pytest.approx((-forth.welch.high, -forth.welch.low))
    assert back.randomization == forth.randomization


def test_a_comparison_repeats_exactly():
    assert one(GOOD, BAD).bootstrap == one(GOOD, BAD).bootstrap


# Which runs


@pytest.mark.parametrize("name", ["m:layers=2,depth=1", "m:depth=1:layers=2", "m (depth=1,layers=2)"])
def test_a_variant_is_found_by_any_of_its_names(name):
    comparison = one(cell("m", variant="depth=1,layers=2"), BAD, names=(name, "n"))
    assert comparison.a.name == "m (depth=1,layers=2)"


def test_a_name_without_its_variant_is_enough_where_there_is_one():
    assert one(cell("m", variant="layers=2"), BAD).a.name == "m (layers=2)"


def test_a_name_of_several_variants_is_not_guessed_but_the_model_itself_is_meant_where_it_is_there():
    variants = [cell("m", variant=f"layers={layers}") for layers in (2, 3)]
    with pytest.raises(UsageError, match="2 variants in d, human, e: say which") as error:
        one(*variants, BAD)
    assert "'m (layers=2)', 'm (layers=3)'" in str(error.value)
    assert one(*variants, cell("m"), BAD).a.name == "m"


def test_two_configurations_of_one_name_are_never_pooled():
    first, second = cell("m"), cell("m", epochs=2)
    with pytest.raises(UsageError, match="2 configurations in d, human, e: say which, m#") as error:
        one(first, second, BAD)
    marks = [c.plans[0].configuration[:4] for c in (first, second)]
    assert all(f"m#{mark}" in str(error.value) for mark in marks)
    comparison = one(first, second, BAD, names=(f"m#{marks[1]}", "n"))
    assert comparison.a.cell is second


def test_two_configurations_can_be_compared_with_each_other():
    first, second = cell("m"), cell("m", 0.7, epochs=2)
    comparison = one(first, second, names=tuple(f"m#{c.plans[0].configuration[:4]}" for c in (first, second)))
    assert (comparison.a.cell, comparison.b.cell) == (first, second)


@pytest.mark.parametrize("length", [4, 8])
def test_a_configuration_is_typed_as_names_show_it_or_as_csv_and_json_do(length):
    first, second = cell("m"), cell("m", epochs=2)
    typed = [
        (f"m#{c.configuration[:length]}", f"m#{c.plans[0].configuration_name[: length + 1]}") for c in (first, second)
    ]
    for names in itertools.product(*typed):
        comparison = one(first, second, names=names)
        assert (comparison.a.cell, comparison.b.cell) == (first, second)


def test_models_are_compared_wherever_both_are():
    cells = [cell(model, setting=s) for model in ("m", "n") for s in ("human", "ext")] + [cell("m", setting="distant")]
    comparisons = pairing(*cells).pair("m", "n")
    assert {c.condition.setting for c in comparisons} == {"human", "ext"}
    assert [c.family for c in comparisons] == [2, 2]


def test_encoders_are_never_compared_silently():
    with pytest.raises(UsageError, match="no data set, setting and encoder in common") as error:
        one(cell("m", encoder="base"), cell("n", encoder="large"))
    assert "m: d, human, base" in str(error.value)


def test_the_data_set_setting_and_encoder_can_be_chosen():
    chosen = pairing(*[cell(m, setting=s) for m in ("m", "n") for s in ("human", "ext")])
    chosen.limit("d", "ext", "e")
    (comparison,) = chosen.pair("m", "n")
    assert comparison.condition == Condition("d", "ext", "e")


def test_a_setting_that_no_run_has_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match=r"unknown setting of these runs 'distant'(?s:.)*ext, human"):
        pairing(cell("m"), cell("m", setting="ext")).limit(None, "distant", None)


@pytest.mark.parametrize(
    ("changed", "what"), [({"test": "other"}, "test documents"), ({"metric": 2}, "versions of the metric")]
)
def test_scores_that_mean_different_things_are_refused(changed, what):
    with pytest.raises(UsageError, match=f"these cannot be compared:(?s:.)*different {what}"):
        one(GOOD, cell("n", **changed))


def test_other_test_documents_do_not_matter_on_dev():
    assert one(GOOD, cell("n", test="other"), question=replace(FAST, split="dev")).difference is not None


def test_other_training_facts_matter_to_ign_f1_alone():
    other = cell("n", facts="other")
    assert one(GOOD, other).difference is not None
    with pytest.raises(UsageError, match="different facts for Ign F1"):
        one(GOOD, other, question=replace(FAST, metric="ign_f1"))


def test_one_incomparable_model_does_not_stop_the_others():
    comparisons = pairing(GOOD, BAD, cell("o", test="other")).against("m")
    assert [(c.a.name, c.difference is None) for c in comparisons] == [("n", False), ("o", True)]
    assert claim(comparisons[1]).startswith("Nothing may be claimed: they have different test documents (")
    assert comparisons[1].p == {}


def test_other_training_documents_are_told():
    comparison = one(GOOD, cell("n", train="other"))
    assert comparison.welch is not None
    assert "They were trained with different human training documents (" in claim(comparison)


def test_a_split_without_scores_is_refused_with_those_there_are():
    dev_only = Cell((plan(),), (record(plan(), counts(0.6, 0), splits=("dev",)),), ())
    with pytest.raises(UsageError, match="m has no scores of 'test': --split dev"):
        one(dev_only, BAD)


def without(split: str, of: Cell, seeds: int) -> Cell:
    """The cell, of whose first seeds the split was not scored."""
    records = [
        stored.model_copy(update={"splits": {n: s for n, s in stored.splits.items() if n != split}})
        for stored in of.records[:seeds]
    ]
    return replace(of, records=(*records, *of.records[seeds:]))


def test_a_model_without_scores_of_the_split_is_left_out_with_a_word_and_stops_no_other():
    of = pairing(GOOD, BAD, without("test", cell("o"), 5))
    assert [c.a.name for c in of.against("m")] == ["n"]
    assert of.left_out == ["o has no scores of 'test': --split dev (d, human, e)"]


def test_a_data_set_without_test_labels_stops_no_comparison_on_another():
    blind = [without("test", cell(name, dataset="blind"), 5) for name in ("m", "n")]
    (comparison,) = (of := pairing(GOOD, BAD, *blind)).pair("m", "n")
    assert comparison.condition.dataset == "d"
    assert len(of.left_out) == 2


def test_seeds_that_were_scored_are_compared_where_others_were_not():
    comparison = one(GOOD, without("test", cell("n"), 3))
    assert comparison.summary(comparison.b).n == 2
    assert comparison.bootstrap is None


def test_a_score_with_predictions_of_other_documents_is_tested_over_seeds_alone():
    records = [
        stored.model_copy(
            update={"splits": {n: s.model_copy(update={"unknown_titles": 3}) for n, s in stored.splits.items()}}
        )
        for stored in BAD.records
    ]
    comparison = one(GOOD, replace(BAD, records=tuple(records)))
    assert comparison.welch is not None
    assert (comparison.bootstrap, comparison.randomization, comparison.both) == (None, None, None)
    assert "n predicts of documents that test lacks: over documents it cannot be tested." in claim(comparison)


def outside(model: str, encoder: str, **options) -> Cell:
    of = cell(model, encoder=encoder, **options)
    told = OutsidePredictions(predictions={"test": "p"}, relations=("r",))
    plans = [plan.model_copy(update={"stages": (), "outside": told}) for plan in of.plans]
    return Cell(tuple(plans), of.records, ())


def test_predictions_from_elsewhere_are_compared_with_each_other_where_nothing_was_trained():
    stated = outside("n", "roberta-large")
    (comparison,) = pairing(outside("m", "unstated"), stated).pair("m", "n")
    assert comparison.condition == Condition("d", "human", "none")
    (alone,) = pairing(stated).conditions
    assert alone.encoder == "roberta-large"


def test_two_of_one_name_in_a_condition_are_told_apart_by_their_encoders():
    of = pairing(GOOD, outside("n", "roberta-large"), outside("n", "unstated", quality=0.5, first=9))
    assert [c.a.name for c in of.against("m")] == ["n with roberta-large", "n with unstated"]


def test_every_other_model_is_compared_with_the_reference():
    comparisons = pairing(GOOD, BAD, cell("o")).against("n")
    assert [(c.a.name, c.b.name) for c in comparisons] == [("m", "n"), ("o", "n")]


def test_only_the_named_models_are_compared_with_the_reference():
    comparisons = pairing(GOOD, BAD, cell("o")).against("n", ["o"])
    assert [c.a.name for c in comparisons] == ["o"]


def test_a_reference_alone_is_refused():
    with pytest.raises(UsageError, match="nothing to compare with m, which is in d, human, e"):
        pairing(GOOD).against("m")


# Many comparisons


def test_each_tests_p_is_adjusted_over_all_comparisons():
    comparisons = pairing(GOOD, BAD, cell("o", 0.61, first=3), cell("p", 0.7, first=5)).against("n")
    for test in TESTS:
        assert [c.holm[test] for c in comparisons] == pytest.approx(stats.holm([c.p[test] for c in comparisons]))
    assert all(c.family == 3 for c in comparisons)


def test_a_comparison_that_cannot_be_tested_is_no_part_of_the_adjustment():
    comparisons = pairing(GOOD, BAD, cell("o", seeds=1)).against("n")
    assert comparisons[0].holm["welch"] == comparisons[0].p["welch"]
    assert "welch" not in comparisons[1].holm


# What may be claimed


def test_better_over_seeds_and_over_documents():
    assert claim(one(GOOD, BAD)).startswith("m is better than n by ")
    assert claim(one(GOOD, BAD)).endswith("points of test F1: over seeds and documents, both drawn anew.")
    assert claim(one(GOOD, BAD, names=("n", "m"))) == claim(one(GOOD, BAD))


def test_no_difference_is_not_called_equality():
    text = claim(one(cell("m"), cell("n", first=7)))
    assert text.startswith("No difference may be claimed, which does not show that there is none: over seeds")


def test_the_same_predictions_are_called_the_same():
    assert "do not differ at all: the same counts on every document" in claim(one(cell("m"), cell("n")))


def test_seeds_of_which_a_part_was_held_fixed_are_told():
    def holding(of: Cell, **fixed: int) -> Cell:
        plans = [
            p.model_copy(
                update={
                    "stages": tuple(
                        s.model_copy(update={"training": s.training.model_copy(update=fixed)}) for s in p.stages
                    )
                }
            )
            for p in of.plans
        ]
        return replace(of, plans=tuple(plans))

    assert "held fixed" not in claim(one(GOOD, BAD))
    text = claim(one(GOOD, holding(BAD, order_seed=0, dropout_seed=7)))
    assert "The seeds of n do not draw all that seeds do: order_seed=0, dropout_seed=7 was held fixed." in text


def test_one_seed_allows_no_claim_about_models():
    text = claim(one(cell("m", 0.75, seeds=1), cell("n", seeds=1, first=7)))
    assert text.startswith(
        "Nothing may be claimed about the models: one seed tells nothing of another. Only these very runs of m"
    )


def test_missing_seeds_make_a_claim_preliminary():
    text = claim(one(cell("m", 0.75, finished=3), BAD))
    assert text.startswith("Preliminary (3 of 5 seeds of m). m is better than n")


def test_nothing_is_claimed_of_a_model_without_a_run():
    comparison = one(cell("m", finished=0, errors=("seed 0: lost",)), BAD)
    assert comparison.difference is None
    assert claim(comparison) == "Nothing may be claimed: m has no finished seed."


def test_documents_alone_are_no_claim_about_models():
    comparison = replace(one(GOOD, BAD), holm={"welch": 0.2, "randomization": 0.001, "both": 0.2})
    assert claim(comparison).startswith(
        "No difference of the models may be claimed: on documents like these, these very runs of m are better than"
    )


def test_seeds_alone_claim_these_documents_only():
    comparison = replace(one(GOOD, BAD), holm={"welch": 0.01, "randomization": 0.01, "permutation": 0.01, "both": 0.2})
    low, high = comparison.both.low, comparison.both.high
    assert claim(comparison).endswith(
        "on these test documents, over seeds; with others, over seeds and documents, p is 0.2000 once corrected for "
        f"all the comparisons made (by itself, it may be anything from {low:+.2f} to {high:+.2f} points)."
    )


def test_an_interval_without_zero_is_never_the_reason_that_nothing_is_claimed():
    """Where the correction alone takes a claim away, the correction is named."""
    shown = one(GOOD, BAD)
    assert shown.both.low > 0
    text = claim(replace(shown, holm=dict.fromkeys(shown.holm, 0.06)))
    assert text.startswith(
        "No difference may be claimed, which does not show that there is none: over seeds and documents, p is 0.0600 "
        "once corrected for all the comparisons made (by itself, it may be anything from +"
    )


def test_seeds_that_predict_alike_are_told():
    """Imported twice, or of a model without randomness: no spread over seeds is no evidence about another seed."""
    alike = cell("m", 0.75)
    alike = replace(alike, records=(alike.records[0],) * len(alike.records))
    assert "All 5 seeds of m have the same counts on every document." in claim(one(alike, BAD))
    assert "same counts" not in claim(one(GOOD, BAD))


def test_a_permutation_test_that_cannot_confirm_is_told():
    text = claim(one(cell("m", 0.75, seeds=3), cell("n", seeds=3, first=7)))
    assert "The permutation test does not confirm it (p = 0.1000) and cannot, with so few seeds." in text


def test_claims_are_on_the_adjusted_p():
    comparison = one(GOOD, BAD)
    assert claim(replace(comparison, holm=dict.fromkeys(comparison.holm, 0.06))).startswith(
        "No difference may be claimed"
    )


# A published row

REDOCRED = {"dataset": "redocred", "encoder": "roberta-large"}


@pytest.fixture(scope="module")
def published():
    return read_published(Path(__file__).resolve().parents[2] / "results" / "published")


def test_a_published_row_is_tested_from_its_summary(published):
    ours = cell("ttmre", 0.75, **REDOCRED)
    (comparison,) = pairing(ours, published=published).pair("ttmre", "published:TTM-RE@Table 3")
    scores = [r.splits["test"].scores.f1 for r in ours.records]
    assert comparison.welch == stats.welch_of_summaries(stats.summarize(scores), stats.Summary(79.95, 0.13, 5))
    assert (comparison.permutation, comparison.bootstrap, comparison.randomization) == (None, None, None)
    assert claim(comparison).endswith("over seeds; over documents it cannot be tested.")


def test_every_source_of_a_published_row_is_compared(published):
    ours = cell("ttmre", 0.75, setting="human+distant", **REDOCRED)
    comparisons = pairing(ours, published=published).pair("ttmre", "published:TTM-RE")
    assert [c.summary(c.b).mean for c in comparisons] == [82.87, 83.60, 84.01]


def test_a_published_row_without_a_deviation_cannot_be_tested(published):
    ours = cell("ssrpu", 0.75, **REDOCRED)
    (comparison,) = pairing(ours, published=published).pair("ssrpu", "published:SSR-PU@EMNLP 2022")
    assert comparison.welch is None
    assert "cannot be tested: SSR-PU (SSR-PU, EMNLP 2022) does not say over how many seeds" in claim(comparison)


def test_claimed_seeds_that_nobody_ran_are_told(published):
    ours = cell("ttmre", 0.75, setting="human+distant", **REDOCRED)
    (comparison,) = pairing(ours, published=published).pair("ttmre", "published:TTM-RE@Table 3")
    assert "TTM-RE claims 5 seeds, what was released runs 1 (scripts/run_roberta_rank.sh" in claim(comparison)


def test_another_encoder_than_the_published_is_told(published):
    ours = cell("ttmre", 0.75, dataset="redocred", encoder="tiny")
    (comparison,) = pairing(ours, published=published).pair("ttmre", "published:TTM-RE@Table 3")
    assert "The encoders differ: tiny here, roberta-large there." in claim(comparison)


def test_all_models_can_be_compared_with_a_published_row(published):
    cells = [cell(model, 0.75, **REDOCRED) for model in ("m", "n")]
    comparisons = pairing(*cells, published=published).against("published:SSR-PU@Table 3")
    assert [(c.a.name, c.summary(c.b).mean) for c in comparisons] == [("m", 80.18), ("n", 80.18)]
    assert comparisons[0].holm["welch"] == pytest.approx(stats.holm([c.p["welch"] for c in comparisons])[0])


def test_published_rows_with_our_encoder_come_first(published):
    ours = cell("ttmre", 0.75, dataset="redocred", encoder="microsoft/deberta-v3-large")
    (comparison,) = pairing(ours, published=published).pair("ttmre", "published:TTM-RE")
    assert comparison.summary(comparison.b).mean == 78.88
    assert "encoders differ" not in claim(comparison)


def test_an_unknown_published_row_is_refused_with_those_there_are(published):
    with pytest.raises(UsageError, match=r"unknown published row 'TTMRE'. Did you mean 'TTM-RE'\?"):
        pairing(cell("ttmre", **REDOCRED), published=published).pair("ttmre", "published:TTMRE")


def test_two_published_rows_are_refused(published):
    with pytest.raises(UsageError, match="one of the two has to be a model of the records"):
        pairing(cell("m", **REDOCRED), published=published).pair("published:TTM-RE", "published:SSR-PU")


# The command


@pytest.fixture
def out(tmp_path):
    for model, quality, first in (("m", 0.75, 0), ("n", 0.6, 7), ("o", 0.6, 3)):
        for seed in range(3):
            lost = model == "o" and seed == 2
            write(tmp_path, plan(model, seed=seed), None if lost else counts(quality, first + 100 * seed))
    return tmp_path


def test_the_command_shows_intervals_and_the_claim(bench, out):
    status, printed, _ = bench("compare", "m", "n", "--out", out, "--resamples", "200")
    assert status == 0
    assert "d, human, e: test F1, percent" in printed
    assert "(3 of 3 seeds)" in printed
    assert "permutation p 0.1000 (lowest possible)" in printed
    assert "m, n: m is better than n by" in printed


def test_the_command_adjusts_and_marks_missing_seeds(bench, out):
    status, printed, _ = bench("compare", "--against", "n", "--out", out, "--resamples", "200")
    assert status == 0
    assert "(2 of 3 seeds*)" in printed
    assert "o, n: Preliminary (2 of 3 seeds of o)." in printed
    assert "Holm" in printed
    assert "adjusted by Holm over these 2 comparisons" in printed


def test_the_command_prints_every_number_as_json(bench, out):
    status, printed, _ = bench("compare", "m", "n", "--out", out, "--resamples", "200", "--metric", "recall", "--json")
    (shown,) = json.loads(printed)["comparisons"]
    assert status == 0
    assert (shown["metric"], shown["a"]["name"], shown["a"]["n"], shown["a"]["expected"]) == (
        "recall",
        "m",
        3,
        3,
    )
    assert shown["difference"] == pytest.approx(shown["a"]["mean"] - shown["b"]["mean"])
    assert set(shown["over_seeds"]["welch"]) == {"difference", "low", "high", "t", "df", "p", "error"}
    assert set(shown["over_both"]) == {"difference", "low", "high", "t", "df", "p", "detectable"}
    assert (
        shown["over_documents"]["bootstrap"]["low"] < shown["difference"] < shown["over_documents"]["bootstrap"]["high"]
    )
    assert shown["holm"]["comparisons"] == 1
    assert "better" in shown["claim"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("m",), "which two?"),
        ((), "which two?"),
        (("m", "x"), "unknown model 'x'"),
        (("m", "n", "--metric", "f2"), "unknown metric 'f2'"),
        (("m", "n", "--dataset", "x"), "unknown dataset of these runs 'x'"),
        (("m", "n", "--split", "train"), "has no scores of 'train': --split dev"),
        (("m", "published:X"), "no published row has test F1 in d, human, e: numbers are comparable on the same data"),
    ],
)
def test_what_cannot_be_compared_is_said(bench, out, arguments, message):
    status, _, error = bench("compare", *arguments, "--out", out)
    assert status == 2
    assert message in error


def test_nothing_planned_is_said(bench, tmp_path):
    status, _, error = bench("compare", "m", "n", "--out", tmp_path)
    assert status == 2
    assert "nothing has been planned" in error


def test_systems_without_documents_are_compared_over_seeds_alone():
    systems = systems_of([without_documents(GOOD), without_documents(BAD)])
    comparison = compare(CONDITION, FAST, *systems)
    assert comparison.welch is not None
    assert comparison.bootstrap is None
