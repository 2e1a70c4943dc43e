"""Whole runs with encoders that are not BERT in float32 with 512 positions: what is planned, trained and recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain

import pytest
import torch
from safetensors.torch import save_file
from small_encoders import BERT_LIKE, CONFIGS, SIZES
from small_experiments import documents, execute, plans, register
from transformers import AutoModel, BertConfig, BertTokenizer, DPRConfig, FNetConfig

from bench.analysis.aggregate import load_cells
from bench.data.catalog.dataset import open_dataset
from bench.data.formats.detect import read_documents
from bench.errors import UsageError
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.planner import make_plan
from bench.inference.finished_run import predict_file
from bench.inference.load import predictor_of
from bench.nn.encoder_source import find_encoder, tiny_vocabulary
from bench.report.tables.notes import documents_notes
from bench.runs.interrupt import Interrupt
from bench.runs.keys import stage_content
from bench.runs.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("small")


def encoder(folder, config, texts=(), dtype=torch.float32):
    """A folder with a random encoder of few numbers, and the words of `texts` for its vocabulary."""
    words = chain.from_iterable(s for d in [*documents("train", 8), *texts] for s in d.sentences)
    vocabulary = tiny_vocabulary(words)
    BertTokenizer(vocab=vocabulary, model_max_length=int(1e30)).save_pretrained(folder)
    torch.manual_seed(0)
    config = type(config)(**config.to_dict() | {"vocab_size": len(vocabulary)})
    model = AutoModel.from_config(config)
    model.to(dtype).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_a_folder_in_half_precision_is_trained_evaluated_and_read_again_in_one(precision, tmp_path):
    config = BertConfig(**BERT_LIKE | {"hidden_size": 64, "num_hidden_layers": 2})
    folder = encoder(tmp_path / "encoder", config, dtype=precision)
    (plan,) = plans("atlop", "epochs=8", encoder=folder)
    assert not execute(tmp_path / "out", [plan])
    record = RunFolder.of(tmp_path / "out", plan).record()
    (stage,) = record.stages
    assert record.splits["dev"].scores.f1 == stage.dev_f1[stage.selected_epoch - 1] > 0
    again = predictor_of(tmp_path / "out", plan, Interrupt()).reader.system.encoder
    assert {p.dtype for p in again.parameters()} == {torch.float32}


@pytest.mark.parametrize("window", [None, 40, 128])
def test_documents_of_many_windows_go_through_training_dev_and_prediction(window, shared_file, tmp_path):
    path = shared_file("cases/files/long-document/dev_long_1200_words.json")
    long = list(read_documents(path))
    relations = [replace(d, labels=(*d.labels, *few.labels)) for d, few in zip(long, documents("x", 2), strict=True)]
    # No two of them may hold the same text.
    small = {
        split: [replace(d, title=f"{split} {d.title}", sentences=(*d.sentences, (split,))) for d in relations]
        for split in ("train", "dev", "test")
    }
    register(tmp_path, "long", distant=0, **small)
    folder = encoder(tmp_path / "encoder", BertConfig(**BERT_LIKE | {"max_position_embeddings": 128}), long)
    changes = [f"window={window}"] if window else []
    (plan,) = plans("atlop", *changes, encoder=folder, dataset="long", max_length=2048)
    assert not execute(tmp_path / "out", [plan])
    assert RunFolder.of(tmp_path / "out", plan).record().splits["dev"].mentions_cut == 0
    assert predictor_of(tmp_path / "out", plan, Interrupt()).reader.system.encoder.window == (window or 128)
    predicted = predict_file(RunFolder.of(tmp_path / "out", plan).path, path, tmp_path / "predictions.json")
    assert (predicted.documents, predicted.mentions_cut) == (2, 0)


def test_a_window_is_in_the_key_where_it_is_set_and_only_there():
    unset, set_ = plans("atlop")[0], plans("atlop", "window=256")[0]
    assert "window" not in stage_content(unset.stages[0].model_dump(mode="json"), set())["training"]
    assert unset.key != set_.key


@pytest.mark.parametrize(
    ("config", "changes", "reason"),
    [
        (BertConfig(**BERT_LIKE), ["window=65"], "window=65: the encoder .* takes at most 64 word pieces at once"),
        (BertConfig(**BERT_LIKE), ["window=2"], "a window of 2 word pieces has no room beside 2 special tokens"),
        (DPRConfig(**BERT_LIKE), [], "cannot be used: it gives no states of word pieces"),
        (FNetConfig(**SIZES, intermediate_size=24, max_position_embeddings=64), [], "does not return its attention"),
    ],
    ids=["window too long", "window too short", "no states", "no attention"],
)
def test_what_cannot_be_is_refused_while_planning(config, changes, reason, tmp_path):
    folder = encoder(tmp_path, config)
    with pytest.raises(UsageError, match=reason):
        plans("atlop", *changes, encoder=folder)


def test_a_length_that_the_special_tokens_fill_is_refused_while_planning():
    with pytest.raises(UsageError, match="--max-length 2 leaves no room for a word beside the 2 special tokens"):
        plans("atlop", max_length=2)
    assert plans("atlop", max_length=3)


def test_weights_that_do_not_fit_are_refused_while_planning(shared_file):
    with pytest.raises(UsageError, match="are not those of a BertModel"):
        plans("atlop", encoder=str(shared_file("cases/encoders/encoder-nomatch")))


def test_an_encoder_without_attention_is_good_enough_for_models_that_read_states_or_pieces(tmp_path):
    folder = encoder(tmp_path, FNetConfig(**SIZES, intermediate_size=24, max_position_embeddings=64))

    def planned(model):
        (experiment,) = make_experiments(CommandLine(models=model, dataset="small", encoder=folder, seeds="1"))
        return make_plan(experiment, open_dataset("small"), find_encoder(folder, ()))

    assert planned("pubmedbert")
    (tmp_path / "model.safetensors").unlink()
    save_file({"of another kind": torch.zeros(1)}, tmp_path / "model.safetensors", {"format": "pt"})
    assert planned("bran")
    with pytest.raises(UsageError, match="are not those of a FNetModel"):
        planned("pubmedbert")


def test_a_causal_encoder_is_trained_and_tables_say_that_it_is_one(tmp_path):
    folder = encoder(tmp_path / "encoder", CONFIGS["llama"])
    causal, bert = plans("atlop", encoder=folder)[0], plans("atlop")[0]
    assert (causal.stages[0].causal, bert.stages[0].causal) == (True, False)
    assert "causal" not in stage_content(bert.stages[0].model_dump(mode="json"), set())
    assert not execute(tmp_path / "out", [causal, bert])
    notes = {cell.plans[0].encoder: list(documents_notes(cell, ("test",))) for cell in load_cells(tmp_path / "out")}
    assert notes["tiny"] == []
    (note,) = notes[folder]
    assert note.startswith(f"{folder} looks only backwards (causal)")


def test_a_run_says_what_has_to_be_known_of_its_encoder(bench, tmp_path):
    folder = encoder(tmp_path / "encoder", CONFIGS["llama"])
    options = ["--models", "atlop", "--dataset", "small", "--encoder", folder, "--out", tmp_path / "out"]
    status, printed, notes = bench("run", *options, "--dry-run", "--json")
    assert status == 0
    assert "note: encoder" in notes
    assert "it looks only backwards" in notes
    assert json.loads(printed)
