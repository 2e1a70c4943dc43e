from __future__ import annotations

import re
from copy import deepcopy

import pytest
import torch
from small_encoders import BERT_LIKE, CONFIGS
from transformers import AutoModel, BertConfig, BertTokenizer, ConvBertConfig, DPRConfig

from bench.cores import Cores
from bench.nn.encoder_probe import training_memory
from bench.nn.encoder_traits import PLAIN


@pytest.fixture
def checked(bench, tmp_path, monkeypatch):
    """checked(config): exit status, rows of the table by their first words, and everything that was printed."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def check(config, change=lambda model: None, **options):
        folder = tmp_path / config.model_type
        letters = {
            piece: i for i, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "*", *"abcdefghijklmnopqrstu"])
        }
        BertTokenizer(vocab=letters).save_pretrained(folder)
        model = AutoModel.from_config(deepcopy(config), **options)
        change(model)
        model.save_pretrained(folder)
        status, printed, refusal = bench("doctor", "--encoder", folder)
        lines = [line for line in printed.splitlines() if line.startswith(("ok ", "-- "))]
        return status, {re.split(r"\s{2,}", line)[1]: line for line in lines}, printed + refusal

    return check


def test_doctor_says_what_an_encoder_is(checked):
    status, row, printed = checked(BertConfig(**BERT_LIKE | {"max_position_embeddings": 512}), dtype=torch.bfloat16)
    assert status == 0
    assert row["framing"].split()[2:5] == ["[CLS]", "A", "[SEP]"]
    assert "512 word pieces" in row["window"]
    assert "saved in bfloat16" in row["precision"]
    assert "computed beside fused attention" in row["attention rows"]
    assert "both ways" in row["looks"]
    assert "reaches nothing" in row["padding"]
    assert "MB for a document of 512 word pieces" in row["memory"]
    assert all(line.startswith("ok") for name, line in row.items() if name in ("framing", "weights", "attention rows"))
    assert printed.rstrip().endswith("It can be used.")


def test_doctor_says_that_padding_reaches_states_and_how_it_is_read_then(checked):
    _, row, _ = checked(ConvBertConfig(**BERT_LIKE, embedding_size=16))
    assert row["padding"].startswith("--")
    assert "one window at a time" in row["padding"]
    assert "picked from the maps" in row["attention rows"]


def test_doctor_says_that_an_encoder_looks_only_backwards(checked):
    status, row, printed = checked(CONFIGS["llama"])
    assert status == 0
    assert "only backwards" in row["looks"]
    assert "knows nothing of what follows" in printed


def test_doctor_fails_for_an_encoder_that_cannot_be_used(checked):
    status, row, printed = checked(DPRConfig(**BERT_LIKE))
    assert status == 2
    assert "it gives no states of word pieces" in row["states"]
    assert "cannot be used: it gives no states of word pieces" in printed.replace("\n", " ")


def test_doctor_fails_for_an_encoder_whose_weights_are_not_finite(checked):
    def spoil(model):
        model.encoder.layer[0].output.dense.bias.data[0] = float("nan")

    status, row, printed = checked(BertConfig(**BERT_LIKE), spoil)
    assert status == 2
    assert row["weights"].startswith("--")
    assert "numbers that are not finite" in printed.replace("\n", " ")
    assert "It can be used" not in printed


def test_memory_grows_with_layers_and_word_pieces():
    def memory(layers, pieces):
        return training_memory(BertConfig(**BERT_LIKE | {"num_hidden_layers": layers}), PLAIN, 0, pieces)

    assert memory(8, 32) == 4 * memory(2, 32)
    assert memory(2, 64) == pytest.approx(2 * memory(2, 32), rel=0.2)
    # At least what each layer gives, in float32.
    assert memory(2, 32) > 2 * 32 * BERT_LIKE["hidden_size"] * 4


@pytest.mark.parametrize(
    ("cores", "said"),
    [
        (Cores(2, 2), "2 of 2 cores free; a run takes 2 threads, several are 2 processes of 1 thread"),
        (Cores(2, 1), "1 of 2 cores free; a run takes 1 thread other processes keep the others busy"),
        (Cores(1, 1), "1 of 1 core free; a run takes 1 thread"),
        (
            Cores(8, 8, asked=4),
            "8 of 8 cores free; a run takes 4 threads, several are 2 processes of 4 threads OMP_NUM_",
        ),
    ],
)
def test_doctor_says_what_a_run_would_take_of_the_processor(bench, small, monkeypatch, cores, said):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("bench.cores.find_cores", lambda: cores)
    _, printed, _ = bench("doctor")
    (row,) = (line for line in printed.splitlines() if line.startswith("ok  threads"))
    assert " ".join(row.split()).startswith(f"ok threads {said}")
