"""Runs on data sets whose pairs were chosen or count either way round: recorded, predicted anew, imported alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from annotated import Written, as_pubtator
from small_experiments import execute

from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.formats.pair_order import FIRST_IN_TEXT
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.planner import make_plan
from bench.inference.finished_run import predict_file
from bench.inference.trust import Trust
from bench.metrics.submission import Prediction, read_submission
from bench.nn.encoder_source import find_encoder
from bench.outside.importing import OutsideSystem, import_predictions
from bench.runs.run_folder import RunFolder, predictions_path

MODEL = """
from bench.interface import CountingModel, Prediction, Recipe, Stage


class Mine(CountingModel):
    recipe = Recipe.one_then_the_other(Stage(data="human"), Stage(data="distant"), Stage(data="ext"))

    def fit(self, documents, dev, seed):
        pass

    def predict(self, documents):
        return [Prediction(document.title, *document.candidates[0], "CID") for document in documents]
"""


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def files(tmp_path: Path, types: tuple[str, str], relation: str) -> dict[str, Path]:
    """Of each split a document whose second entity is the subject of the one relation."""
    found = {}
    for split in ("train", "dev", "test"):
        mentions = ((0, 8, types[1], "D5"), (9, 11, types[0], "D1"))
        found[split] = tmp_path / f"{split}.txt"
        found[split].write_text(
            as_pubtator([Written(split, f"palkitis or {split}", "", mentions, ((relation, "D1", "D5"),))])
        )
    return found


def test_a_run_records_the_order_and_predicts_other_files_in_it(tmp_path: Path) -> None:
    splits = files(tmp_path, ("Chemical", "Disease"), "CID")
    dataset, _ = add_dataset("first", splits, pairs=FIRST_IN_TEXT)
    (tmp_path / "mine.py").write_text(MODEL)
    typed = CommandLine(models=f"{tmp_path}/mine.py:Mine", seeds="1", encoder="tiny", dataset="first")
    (experiment,) = make_experiments(typed)
    (plan,) = make_plan(experiment, dataset, find_encoder("tiny", dataset.documents("train")))
    assert execute(tmp_path / "out", [plan]) == []
    folder = RunFolder.of(tmp_path / "out", plan)
    record = folder.record()
    assert record is not None
    assert record.conventions == open_dataset("first").conventions()
    assert record.splits["test"].scores.f1 == 100
    predict_file(folder.path, splits["test"], tmp_path / "again.json", Trust(True))
    assert read_submission(tmp_path / "again.json") == [Prediction("test", 0, 1, "CID")]
    assert read_submission(predictions_path(folder.path, "test")) == [Prediction("test", 0, 1, "CID")]


@pytest.mark.parametrize("pair", [(0, 1), (1, 0)])
def test_imported_predictions_count_either_way_round_where_the_corpus_has_no_direction(
    tmp_path: Path, pair: tuple[int, int]
) -> None:
    dataset, _ = add_dataset("red", files(tmp_path, ("ChemicalEntity", "DiseaseOrPhenotypicFeature"), "Association"))
    rows = {0: [Prediction("test", *pair, "Association")]}
    (imported,) = import_predictions(tmp_path / "out", OutsideSystem("Theirs", "human"), dataset, "test", rows)
    assert imported.record.splits["test"].scores.f1 == 100
    assert imported.record.conventions["scored"].startswith("the two concepts and the relation as labelled, either way")
