"""Model cards: what the Hub's own library reads of them, and what they say and do not say."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from made_records import plan, record, write
from small_experiments import register

from bench.data.catalog.hub import HubSource
from bench.data.catalog.registration import load_registration, registration_path
from bench.errors import UsageError
from bench.hub.card import NOTHING_SAID, Said, card_text, cell_of
from bench.runs.plan import InferencePlan
from bench.runs.record import RunRecord
from bench.runs.run_folder import RunFolder

HALF = [(2, 4, 4, 1), (1, 2, 2, 0)]
BETTER = [(3, 4, 4, 1), (1, 2, 2, 0)]


def card_of(out: Path, *plans: object, said: Said = NOTHING_SAID) -> ModelCard:
    return ModelCard(card_text(cell_of([RunFolder.of(out, of) for of in plans]), said))


def results_of(card: ModelCard) -> dict[tuple[str, str], tuple[str, float]]:
    """By split and the first words of the metric's name: its type and value."""
    return {
        (of.dataset_split, of.metric_name.partition(" (")[0]): (of.metric_type, of.metric_value)
        for of in card.data.eval_results
    }


def test_the_scores_of_the_metadata_are_those_of_the_record_as_tables_round_them(tmp_path):
    of = plan(encoder="FacebookAI/roberta-large", dataset="redocred")
    write(tmp_path, of, HALF)
    card = card_of(tmp_path, of)
    assert results_of(card)["test", "F1"] == ("f1", 50.0)
    assert results_of(card)["test", "Ign F1"] == ("f1", 44.44)  # 2 of 5 and 2 of 5, without what training states
    assert results_of(card)["validation", "Recall"] == ("recall", 50.0)
    assert card.data.base_model == "FacebookAI/roberta-large"
    assert card.data.library_name == "docre-bench"
    assert {of.dataset_type for of in card.data.eval_results} == {"redocred"}
    assert card.data.license is None


def test_what_somebody_says_is_in_the_metadata(tmp_path):
    of = plan(encoder="/models/roberta-large", dataset="redocred")
    write(tmp_path, of, HALF)
    card = card_of(tmp_path, of, said=Said("cc-by-sa-4.0", "owner/Re-DocRED", "FacebookAI/roberta-large"))
    assert (card.data.license, card.data.datasets) == ("cc-by-sa-4.0", ["owner/Re-DocRED"])
    assert card.data.base_model == "FacebookAI/roberta-large"
    assert {of.dataset_type for of in card.data.eval_results} == {"owner/Re-DocRED"}


@pytest.mark.parametrize("said", [{"dataset": "hf://a/b"}, {"dataset": ""}, {"base_model": "two words/x"}])
def test_what_nothing_on_the_hub_can_be_called_is_refused(said: dict[str, str]):
    with pytest.raises(UsageError, match="nothing on the Hub has such a name; expected OWNER/NAME"):
        Said(**said)


def test_a_data_set_of_the_hub_is_linked_to_where_it_is_the_one_that_was_evaluated_on(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    register(tmp_path / "files", "d")
    path = registration_path("d")
    source = HubSource(repository="owner/data", revision="0" * 40)
    registration = load_registration(path).model_copy(update={"source": source})
    registration.save(path)
    for test, linked in ((registration.splits["test"].sha256, ["owner/data"]), ("another", None)):
        of = plan(test=test)
        write(tmp_path, of, HALF)
        assert card_of(tmp_path, of).data.datasets == linked


def test_an_inference_and_what_it_chose_on_dev_are_told(tmp_path):
    inference = InferencePlan(reference="a.py:Moved", class_name="Moved", code="c")
    of = plan().model_copy(update={"inference": inference})
    made = record(of, HALF).model_copy(update={"decision": {"margin": 0.5}})
    RunFolder.of(tmp_path, of).announce(of)
    RunFolder.of(tmp_path, of).write_record(made)
    text = str(card_of(tmp_path, of))
    assert "It does not decide by its logits alone, but by the inference Moved." in text
    assert f"Chosen on dev to decide by: seed {of.seed} margin = 0.5." in text
    many = made.model_copy(update={"decision": {f"threshold P{i}": 0.0 for i in range(96)}})
    assert many.chosen.endswith("threshold P4 = 0 and 91 more")


def test_one_seed_may_claim_nothing_and_has_no_deviation(tmp_path):
    of = plan(model="ssrpu", seed=3)
    write(tmp_path, of, HALF)
    text = str(card_of(tmp_path, of))
    assert "This is one seed (3)" in text
    assert "that ssrpu is better or worse than another model may not be claimed from these" in text
    assert "±" not in text
    assert "bench predict s3-" in text


def test_several_seeds_have_their_mean_and_deviation(tmp_path):
    seeds = [plan(seed=0), plan(seed=1), plan(seed=2)]
    for of, counts in zip(seeds, (HALF, BETTER, None), strict=True):
        write(tmp_path, of, counts)
    card = card_of(tmp_path, *seeds)
    assert results_of(card)["test", "F1"] == ("f1", 58.33)
    names = {of.metric_name for of in card.data.eval_results}
    assert "F1 (percent, mean of 2 seeds, standard deviation 11.79)" in names
    assert "| **mean ± std** | 58.33 ± 11.79 |" in str(card)
    assert "2 seeds, of 3 planned" in str(card)


def test_no_path_of_a_machine_stands_in_a_card(tmp_path):
    of = plan(encoder="/home/somebody/encoders/mine")
    content = record(of, HALF)
    cut = {split: scored.model_copy(update={"mentions_cut": 2}) for split, scored in content.splits.items()}
    folder = RunFolder.of(tmp_path, of)
    folder.announce(of)
    folder.write_record(content.model_copy(update={"splits": cut}))
    card = card_of(tmp_path, of)
    assert "/home/somebody" not in str(card)
    assert "mine: 2 mentions of test lie past the limit" in str(card)
    assert card.data.base_model is None


def test_a_blind_test_file_is_said_and_has_no_scores(tmp_path):
    of = plan()
    write(tmp_path, of, HALF, splits=("dev",))
    card = card_of(tmp_path, of)
    assert {of.dataset_split for of in card.data.eval_results} == {"validation"}
    assert "nothing is known of test" in str(card)


def test_a_benchmark_without_ign_f1_has_a_card_without_it(tmp_path):
    of = plan()
    content = record(of, HALF)
    scores = content.splits["test"].scores.model_copy(update={"ign_f1": None})
    test = content.splits["test"].model_copy(update={"scores": scores})
    folder = RunFolder.of(tmp_path, of)
    folder.announce(of)
    folder.write_record(RunRecord(**{**content.model_dump(), "splits": {"test": test.model_dump()}}))
    assert "Ign F1" not in str(card_of(tmp_path, of)).partition("## Data")[0]


def test_runs_that_differ_in_more_than_their_seed_have_no_card_together(tmp_path):
    one, other = plan(seed=0), plan(seed=1, setting="distant")
    for of in (one, other):
        write(tmp_path, of, HALF)
    with pytest.raises(UsageError, match="differ in their seed alone") as told:
        card_of(tmp_path, one, other)
    assert one.folder in str(told.value)
    assert other.folder in str(told.value)


def test_a_run_that_is_not_finished_is_told_with_what_to_do(tmp_path):
    of = plan()
    write(tmp_path, of, None)
    with pytest.raises(UsageError, match=r"is not a finished run: .*bench status"):
        card_of(tmp_path, of)


def test_a_readme_that_is_no_card_is_not_written_over(bench, tmp_path):
    for seed in (0, 1):
        write(tmp_path / "out", plan(seed=seed), HALF)
    readme = tmp_path / "README.md"
    readme.write_text("# My project\n")
    where = ("--out", tmp_path / "out", "--to", readme)
    status, _, error = bench("card", "m", *where)
    assert (status, readme.read_text()) == (2, "# My project\n")
    assert "no model card of docre-bench" in error
    readme.unlink()
    assert bench("card", "m", *where)[:2] == (0, f"{readme}: 2 seeds; it names no licence (--license)\n")
    status, printed, _ = bench("card", "m-d-human-e-s0", *where, "--license", "mit")
    assert (status, printed) == (0, f"{readme}: 1 seed\n")
    assert ModelCard.load(readme).data.license == "mit"
