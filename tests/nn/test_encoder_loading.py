"""Encoders from folders: what is read, and what is refused with which words."""

from __future__ import annotations

import io
import json
from functools import cache

import pytest
import torch
from small_encoders import BERT_LIKE, CONFIGS, DEBERTA_V3
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.trainers import UnigramTrainer
from transformers import AutoModel, BertTokenizer, DebertaV2Config, DebertaV2Tokenizer

from bench.errors import UsageError
from bench.nn import encoder_source as load
from bench.nn.encoder_source import find_encoder, saved_encoder

TEXT = ["the river Ob flows in Siberia", "a stereo * by the river", "Ob and Irtysh in Siberia"] * 4
SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]


@cache  # like vocabularies come in another order with every training
def trained_pieces():
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = Metaspace()
    trainer = UnigramTrainer(vocab_size=60, special_tokens=SPECIALS, unk_token="[UNK]", show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return json.loads(tokenizer.to_str())["model"]["vocab"]


def unigram(marker):
    """A tokenizer as DeBERTa-v3 has, trained on TEXT, with `*` written as `marker` in its vocabulary."""
    vocabulary = [(marker if piece in ("*", "▁*") else piece, score) for piece, score in trained_pieces()]
    return DebertaV2Tokenizer(vocab=vocabulary, unk_id=SPECIALS.index("[UNK]"))


def save_model(folder, config, **changes):
    """Configuration and random weights, as on the hub."""
    config = type(config)(**config.to_dict() | changes)
    model = AutoModel.from_config(config)
    model.save_pretrained(folder)
    return model.eval()


@pytest.fixture
def deberta(tmp_path):
    """A folder with a small DeBERTa-v3, and the model in it."""
    tokenizer = unigram("▁*")
    tokenizer.save_pretrained(tmp_path)
    config = DebertaV2Config(**BERT_LIKE | DEBERTA_V3 | {"vocab_size": len(tokenizer), "max_position_embeddings": 512})
    return tmp_path, save_model(tmp_path, config)


def encode(source, layout, batch_of):
    with torch.no_grad():
        return source.build().eval()(batch_of([layout([[2], [5]], 12)], vocabulary=20))[0]


def test_a_deberta_v3_folder_gives_its_model_and_word_pieces(deberta, layout, batch_of):
    folder, model = deberta
    source = find_encoder(str(folder), ())
    assert (source.window, source.pad_id) == (512, 0)
    encoding = encode(source, layout, batch_of)
    ids = batch_of([layout([[2], [5]], 12)], vocabulary=20).input_ids
    with torch.no_grad():
        output = model(ids, output_attentions=True)
    torch.testing.assert_close(encoding.states, output.last_hidden_state[0])
    torch.testing.assert_close(encoding.attention, output.attentions[-1][0][:, [2, 5]].transpose(0, 1))
    words = source.words()
    assert (words.start, words.end) == ([1], [2])
    assert source.tokenizer.convert_ids_to_tokens(words.marker) == "▁*"


@pytest.mark.parametrize("name", ["DebertaV2Tokenizer", "DebertaV2TokenizerFast", None])
def test_the_tokenizer_is_found_by_whatever_name_the_folder_gives_it(name, deberta):
    folder, _ = deberta
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | {"tokenizer_class": name}
    path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))
    expected = unigram("▁*")(TEXT).input_ids
    assert find_encoder(str(folder), ()).tokenizer(TEXT).input_ids == expected


@pytest.mark.parametrize("marker", ["*", "▁*"])
def test_the_marker_is_one_known_piece_with_or_without_the_word_start_sign(marker, deberta):
    folder, _ = deberta
    unigram(marker).save_pretrained(folder)
    source = find_encoder(str(folder), ())
    assert source.tokenizer.convert_ids_to_tokens(source.words().marker) == marker


def test_a_saved_deberta_needs_nothing_but_what_was_saved(deberta, tmp_path):
    source = find_encoder(str(deberta[0]), ())
    saved = tmp_path / "saved"
    source.save(saved)
    again = saved_encoder("x", saved)
    assert again.tokenizer(TEXT).input_ids == source.tokenizer(TEXT).input_ids
    encoder = again.build(pretrained=False)
    encoder.load_state_dict(source.build().state_dict())


def test_pickled_weights_are_read_where_there_are_no_others(deberta, layout, batch_of):
    folder, model = deberta
    expected = encode(find_encoder(str(folder), ()), layout, batch_of)
    (folder / "model.safetensors").unlink()
    half = {f"deberta.{name}": tensor.half() for name, tensor in model.state_dict().items()}  # as DeBERTa-v3's are
    torch.save(half | {"lm_predictions.lm_head.bias": torch.zeros(3)}, folder / "pytorch_model.bin")
    encoder = find_encoder(str(folder), ()).build()
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    encoding = encode(find_encoder(str(folder), ()), layout, batch_of)
    torch.testing.assert_close(encoding.states, expected.states, rtol=1e-2, atol=1e-2)


def test_weights_that_are_more_than_tensors_are_not_unpickled(deberta, tmp_path):
    folder, _ = deberta
    (folder / "model.safetensors").unlink()
    torch.save({"harmless": pytest.approx}, folder / "pytorch_model.bin")
    with pytest.raises(Exception, match="weights_only"):
        find_encoder(str(folder), ()).build()


@pytest.mark.parametrize("missing", [["sentencepiece"], ["protobuf"], ["sentencepiece", "protobuf"]])
def test_a_sentencepiece_vocabulary_that_cannot_be_read_says_what_to_install(missing, deberta, monkeypatch):
    folder, _ = deberta
    for package in ("sentencepiece", "protobuf"):
        monkeypatch.setattr(load, f"is_{package}_available", lambda package=package: package not in missing)
    (folder / "spm.model").write_bytes(b"")
    find_encoder(str(folder), ())  # there is a tokenizer.json beside it
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UsageError) as refusal:
        find_encoder(str(folder), ())
    assert "SentencePiece model (spm.model)" in str(refusal.value)
    assert str(refusal.value).endswith("pip install " + " ".join(missing))


def test_a_sentencepiece_vocabulary_is_read(deberta):
    sentencepiece = pytest.importorskip("sentencepiece")
    pytest.importorskip("google.protobuf")
    folder, _ = deberta
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "vocab_type": "spm"}))
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT),
        model_writer=trained,
        vocab_size=45,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
        hard_vocab_limit=False,
    )
    (folder / "spm.model").write_bytes(trained.getvalue())
    source = find_encoder(str(folder), ())
    words = source.words()
    assert (words.start, words.end, source.pad_id, source.tokenizer.unk_token_id) == ([1], [2], 0, 3)
    assert source.tokenizer.convert_ids_to_tokens(words.marker) in ("*", "▁*")
    words.learn(["Siberia"])
    assert source.tokenizer.decode(words.of(["Siberia"])).strip() == "Siberia"


def test_a_folder_without_a_vocabulary_is_refused(deberta):
    folder, _ = deberta
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"has no vocabulary: expected tokenizer\.json, or the vocabulary file"):
        find_encoder(str(folder), ())


def test_a_folder_without_weights_is_refused(deberta):
    folder, _ = deberta
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"has no weights: expected model\.safetensors or pytorch_model\.bin"):
        find_encoder(str(folder), ())


@pytest.mark.parametrize(("name", "positions", "expected"), [("bert", 64, 64), ("roberta", 66, 64), ("mpnet", 66, 64)])
def test_a_window_is_no_longer_than_the_models_positions(name, positions, expected, tmp_path, layout, batch_of):
    pad = CONFIGS[name].pad_token_id
    pieces = ["<s>", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "*", *"abcdefghijklmnopqrstuvwxyz"]
    pieces.insert(pad, pieces.pop(1))
    BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}).save_pretrained(tmp_path)
    save_model(tmp_path, CONFIGS[name], max_position_embeddings=positions)
    source = find_encoder(str(tmp_path), ())
    assert (source.pad_id, source.window) == (pad, expected)
    long = batch_of([layout([[2], [90]], 100)], vocabulary=30, pad_id=pad)
    assert source.build()(long)[0].states.shape == (100, 16)


class Hub:
    """A hub whose repository has the given weights."""

    def __init__(self, folder, weights):
        self.folder, self.weights, self.asked = folder, weights, []

    def snapshot_download(self, name, local_files_only=False, allow_patterns=()):
        self.asked.append((local_files_only, list(allow_patterns)))
        for weights in self.weights:
            if any(weights == pattern or pattern == f"*.{weights.split('.')[-1]}" for pattern in allow_patterns):
                (self.folder / weights).write_bytes(b"")
        return str(self.folder)


@pytest.mark.parametrize(
    ("weights", "downloaded"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin", "pytorch_model.generator.bin"], ["pytorch_model.bin"]),
    ],
)
def test_pickled_weights_are_downloaded_only_where_there_are_no_others(weights, downloaded, tmp_path, monkeypatch):
    hub = Hub(tmp_path, weights)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    assert load._hub_folder("someone/something", download=True) == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == downloaded


def test_without_download_nothing_is_asked_of_the_hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path, [])
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    load._hub_folder("someone/something", download=False)
    assert [local for local, _ in hub.asked] == [True]
