"""What a folder says of its encoder and what it does not: weights, framing, case, code, precision, limits, keys."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_encoders import BERT_LIKE, CONFIGS
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertTokenizer,
    ConvBertConfig,
    DPRConfig,
    MobileBertConfig,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    T5Config,
    XLNetConfig,
)

from bench.data.features.build import WordPieces
from bench.errors import UsageError
from bench.nn.encoder_source import _folder_fingerprint, find_encoder, saved_encoder, stated_window

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "*",
    *"abcdefghijklmnopqrstuvwxyz",
    "London",
    "london",
    "L",
    "##o",
]
BERT = BertConfig(**BERT_LIKE | {"max_position_embeddings": 512})


def write(folder, config, tokenizer=None, model_type=AutoModel, **weights):
    """A folder as on the hub: configuration, random weights, and a tokenizer over PIECES."""
    pieces = PIECES[1:]
    pieces.insert(config.pad_token_id or 0, "[PAD]")
    (tokenizer or BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})).save_pretrained(folder)
    torch.manual_seed(0)
    # A model writes its precision into its configuration.
    model_type.from_config(deepcopy(config), **weights).save_pretrained(folder)
    return folder


def rewrite_weights(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def check(folder, attention=True, window=None):
    find_encoder(str(folder), ()).check(attention, window)


def test_an_encoder_that_was_read_right_keeps_the_fingerprint_of_its_content(tmp_path):
    for name in (
        "bert",
        "roberta",
        "electra",
        "distilbert",
        "mpnet",
        "deberta-v3",
        "splinter",
        "modernbert",
        "eurobert",
    ):
        folder = write(tmp_path / name, CONFIGS[name])
        source = find_encoder(str(folder), ())
        assert (source.fingerprint, source.notes, source.misfit) == (_folder_fingerprint(folder), (), "")


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (CONFIGS["llama"], {}),
        (ConvBertConfig(**BERT_LIKE, embedding_size=16), {}),
        (BERT, {"dtype": torch.bfloat16}),
        (BERT, {"dtype": torch.float16}),
        (BertConfig(**BERT_LIKE | {"max_position_embeddings": 1024}), {}),
    ],
    ids=["causal", "one at a time", "bfloat16", "float16", "long"],
)
def test_one_that_is_run_otherwise_than_before_has_another(config, options, tmp_path):
    folder = write(tmp_path, config, **options)
    source = find_encoder(str(folder), ())
    assert source.fingerprint != _folder_fingerprint(folder)
    assert source.fingerprint == find_encoder(str(folder), ()).fingerprint


def test_a_path_that_is_no_folder_is_none_of_the_hub_and_is_not_to_be_downloaded(tmp_path):
    folder = write(tmp_path, BERT)
    with pytest.raises(UsageError, match=r"config\.json' is a file: expected the folder it is in") as refusal:
        find_encoder(f"{folder}/config.json", ())
    assert "--download" not in str(refusal.value)
    for path in (f"{folder}/no such", "./mistyped", "models/bert/base", "~/no-such-encoder"):
        with pytest.raises(UsageError, match=r"no such folder$"):
            find_encoder(path, ())


# Weights


def test_weights_of_foreign_names_are_an_error_that_lists_what_is_missing(shared_file):
    folder = shared_file("cases/encoders/encoder-nomatch")
    with pytest.raises(UsageError) as refusal:
        check(folder)
    message = str(refusal.value)
    assert "are not those of a BertModel: of 37 that it needs, 37 are not there and would be random" in message
    assert "Missing: embeddings.LayerNorm.bias, embeddings.LayerNorm.weight" in message
    assert "It has instead: my_encoder.backbone.embeddings.LayerNorm.bias" in message


def test_a_single_missing_weight_is_an_error_but_not_the_poolers(tmp_path):
    folder = write(tmp_path, BERT)
    rewrite_weights(folder, lambda w: {k: v for k, v in w.items() if "pooler" not in k})
    check(folder)
    rewrite_weights(folder, lambda w: {k: v for k, v in w.items() if k != "encoder.layer.1.output.dense.weight"})
    with pytest.raises(UsageError, match=r"1 are not there .*\nMissing: encoder\.layer\.1\.output\.dense\.weight\n"):
        check(folder)
    with pytest.raises(UsageError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        replace(find_encoder(str(folder), ()), misfit="").build()


def test_weights_of_another_shape_are_an_error(tmp_path):
    folder = write(tmp_path, BERT)
    rewrite_weights(folder, lambda w: w | {"encoder.layer.1.output.dense.weight": torch.zeros(3, 3)})
    expected = (
        r"do not fit: 1 of \d+ are of another shape than config.json says:\n"
        r"  encoder\.layer\.1\.output\.dense\.weight is \[3, 3\], where \[\d+, \d+\] is needed$"
    )
    with pytest.raises(UsageError, match=expected):
        check(folder)
    with pytest.raises(UsageError, match=expected):
        replace(find_encoder(str(folder), ()), misfit="").build()


def test_of_many_weights_of_another_shape_a_few_are_told(tmp_path):
    folder = write(tmp_path, BERT)
    rewrite_weights(folder, lambda w: {key: tensor[..., :1].clone() for key, tensor in w.items()})
    with pytest.raises(UsageError) as refusal:
        check(folder)
    _, *lines = str(refusal.value).splitlines()
    assert lines[0].startswith("  embeddings.word_embeddings.weight is [")
    assert len(lines) == 4
    assert re.fullmatch(r"  and \d+ more", lines[-1])


def test_weights_that_are_not_finite_are_an_error_where_they_are_read_but_not_the_poolers(tmp_path):
    folder = write(tmp_path, BERT)
    name = "encoder.layer.1.output.dense.weight"
    rewrite_weights(folder, lambda w: w | {name: torch.full_like(w[name], float("nan"))})
    with pytest.raises(UsageError, match=rf"1 tensor holds numbers that are not finite \(NaN or infinite\): {name}$"):
        find_encoder(str(folder), ()).build()
    pooler = "pooler.dense.bias"
    rewrite_weights(folder, lambda w: w | {name: w[name].nan_to_num(), pooler: w[pooler] / 0})
    find_encoder(str(folder), ()).build()


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert"])
def test_weights_of_a_task_are_read_below_their_prefix_and_its_head_is_not_told(name, tmp_path):
    folder = write(tmp_path, CONFIGS[name], model_type=AutoModelForMaskedLM)
    assert all(key.startswith(name) for key in load_file(folder / "model.safetensors") if "encoder.layer" in key)
    source = find_encoder(str(folder), ())
    assert (source.misfit, source.notes) == ("", ())
    expected = AutoModel.from_pretrained(folder).state_dict()
    for key, tensor in source.build().model.state_dict().items():
        torch.testing.assert_close(tensor, expected[key], rtol=0, atol=0)


def test_layers_that_the_configuration_does_not_have_are_told(tmp_path):
    folder = write(tmp_path, BERT)
    edit(folder / "config.json", num_hidden_layers=2)
    (note,) = find_encoder(str(folder), ()).notes
    assert "16 of its weights have no place in its architecture: encoder.layer.2." in note


# Precision


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_a_folder_in_half_precision_is_built_in_float32_for_training_and_for_its_checkpoint(precision, tmp_path):
    source = find_encoder(str(write(tmp_path / "encoder", BERT, dtype=precision)), ())
    assert source.config.dtype == precision
    source.save(tmp_path / "saved")
    trained, again = source.build(), saved_encoder("x", tmp_path / "saved").build(pretrained=False)
    for encoder in (trained, again, source.build(pretrained=False)):
        assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    again.load_state_dict(trained.state_dict())


# Framing


def word_level(processor=None, **specials):
    tokenizer = Tokenizer(WordLevel({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    if processor:
        ids = [(token, PIECES.index(token)) for token in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = TemplateProcessing(single=processor, special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", **specials)


@pytest.mark.parametrize(
    ("processor", "start", "end"),
    [
        ("[CLS] $A [SEP]", [2], [3]),
        ("$A [SEP] [CLS]", [], [3, 2]),
        ("$A [SEP]", [], [3]),
        ("[CLS] $A", [2], []),
        ("[CLS] [SEP] $A [SEP]", [2, 3], [3]),
    ],
)
def test_framing_is_that_of_a_text_that_is_not_empty(processor, start, end):
    words = WordPieces(word_level(processor))
    assert (words.start, words.end, words.framing) == (start, end, "tokenizer")


@pytest.mark.parametrize(
    ("specials", "start", "end", "framing"),
    [
        ({"cls_token": "[CLS]", "sep_token": "[SEP]"}, [2], [3], "added"),
        ({"bos_token": "[SEP]", "eos_token": "[CLS]"}, [3], [2], "added"),
        ({}, [2], [3], "added"),
    ],
)
def test_a_tokenizer_that_frames_nothing_is_framed_with_its_own_tokens(specials, start, end, framing):
    words = WordPieces(word_level(**specials))
    assert (words.start, words.end, words.framing) == (start, end, framing)


def test_a_tokenizer_without_tokens_to_frame_with_leaves_texts_unframed():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"*": 0, "?": 1}, unk_token="?")))
    words = WordPieces(tokenizer)
    assert (words.start, words.end, words.framing) == ([], [], "none")


def test_xlnet_is_framed_as_its_tokenizer_frames_and_keyed_anew(tmp_path):
    config = XLNetConfig(vocab_size=50, d_model=16, n_layer=3, n_head=2, d_inner=24, pad_token_id=0)
    folder = write(tmp_path, config, word_level("$A [SEP] [CLS]", pad_token="[PAD]"))
    source = find_encoder(str(folder), ())
    encoder = source.build()
    assert (encoder.start_ids, encoder.end_ids) == ([], [3, 2])
    assert source.fingerprint != _folder_fingerprint(folder)


def test_added_framing_is_told_and_keyed(tmp_path):
    folder = write(tmp_path, BERT, word_level(cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]"))
    source = find_encoder(str(folder), ())
    assert any("puts nothing around a text; [CLS] and [SEP] are put around every text" in note for note in source.notes)
    assert source.fingerprint != _folder_fingerprint(folder)


def test_no_framing_is_told_and_the_encoder_runs(tmp_path, layout, batch_of):
    tokenizer = Tokenizer(WordLevel({piece: i for i, piece in enumerate(["*", "?", *"abcdefghijklmn"])}, unk_token="?"))
    folder = write(tmp_path, CONFIGS["mpnet"], PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="?"))
    source = find_encoder(str(folder), ())
    assert any("texts are read unframed" in note for note in source.notes)
    assert source.build()(batch_of([layout([[2]], 9)]))[0].states.shape == (9, 16)


# Case


@pytest.fixture
def cased(tmp_path):
    """A folder whose tokenizer.json is cased, without a tokenizer_config.json."""
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    folder = write(tmp_path, BERT, BertTokenizer(vocab=vocabulary, do_lower_case=False))
    (folder / "tokenizer_config.json").unlink()
    return folder


def test_the_files_own_normaliser_decides_about_case(cased, tmp_path):
    source = find_encoder(str(cased), ())
    words = source.words()
    words.learn(["London"])
    assert words.of(["London"]) == [(PIECES.index("London"),)]
    assert (words.start, words.end, source.pad_id) == ([2], [3], 0)
    assert any("tokenizer.json decides" in note and "'London'" in note for note in source.notes)
    assert source.fingerprint != _folder_fingerprint(cased)
    source.save(tmp_path / "saved")
    again = saved_encoder("x", tmp_path / "saved").words()
    again.learn(["London"])
    assert (again.of(["London"]), again.start, again.end) == ([(PIECES.index("London"),)], [2], [3])


def test_what_the_folders_settings_say_of_case_stands_and_is_told(cased):
    (cased / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    source = find_encoder(str(cased), ())
    words = source.words()
    words.learn(["London"])
    assert words.of(["London"]) == [(PIECES.index("london"),)]
    assert any("tokenizer_config.json sets do_lower_case" in note for note in source.notes)


@pytest.mark.parametrize("lower_case", [True, False])
def test_where_file_and_library_agree_nothing_is_told(lower_case, tmp_path):
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    folder = write(tmp_path, BERT, BertTokenizer(vocab=vocabulary, do_lower_case=lower_case))
    source = find_encoder(str(folder), ())
    assert (source.notes, source.fingerprint) == ((), _folder_fingerprint(folder))


# Code


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_folder_that_brings_its_own_code_is_refused_without_running_it_or_asking(file, tmp_path, monkeypatch):
    folder = write(tmp_path, BERT)
    (folder / "modeling_own.py").write_text("raise SystemExit('it was run')")
    edit(
        folder / file,
        auto_map={"AutoModel": "modeling_own.OwnModel", "AutoTokenizer": ["modeling_own.OwnTokenizer", None]},
    )
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    with pytest.raises(UsageError, match=r"brings its own code .*modeling_own\.OwnModel.*which is not run") as refusal:
        find_encoder(str(folder), ())
    assert file in str(refusal.value)


# What cannot be


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (DPRConfig(**BERT_LIKE), "gives no states of word pieces"),
        (T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=24, num_layers=3, num_heads=2), "a decoder behind it"),
    ],
    ids=["dpr", "t5"],
)
def test_an_architecture_that_gives_no_states_is_refused_before_its_weights_are_read(config, reason, tmp_path):
    source = find_encoder(str(write(tmp_path, config)), ())
    for attention in (True, False):
        with pytest.raises(UsageError, match=f"cannot be used: .*{reason}"):
            source.check(attention)
        with pytest.raises(UsageError, match=reason):
            source.build(attention=attention)


def test_what_looks_only_backwards_is_taken_and_told(shared_file):
    source = find_encoder(str(shared_file("cases/encoders/encoder_causal_llama")), ())
    source.check(attention=True)
    assert source.traits.causal
    assert any("it looks only backwards" in note for note in source.notes)


@pytest.mark.parametrize("name", ["encoder_causal_llama", "encoder_gqa_eurobert"])
def test_rows_of_a_folder_are_its_models_own(name, shared_file, layout, batch_of):
    folder = shared_file(f"cases/encoders/{name}")
    batch = batch_of([layout([[1], [30, 7]], 40)])
    model = AutoModel.from_pretrained(folder, attn_implementation="eager")
    with torch.no_grad():
        encoding = find_encoder(str(folder), ()).build().eval()(batch)[0]
        output = model(batch.input_ids, attention_mask=torch.ones_like(batch.input_ids), output_attentions=True)
    rows = output.attentions[-1][0][:, [1, 30, 7]].transpose(0, 1)
    torch.testing.assert_close(encoding.states, output.last_hidden_state[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(encoding.attention, rows, rtol=0, atol=1e-6)


# Limits


def tokenizer_of(limit):
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)}, model_max_length=limit)


@pytest.mark.parametrize(
    ("config", "limit", "window"),
    [
        (BERT, int(1e30), 512),
        (BERT, 384, 384),
        (BertConfig(**BERT_LIKE | {"max_position_embeddings": 8192}), 8192, 8192),
        (ModernBertConfig(**BERT_LIKE | {"max_position_embeddings": 8192}), int(1e30), 8192),
        (ModernBertConfig(**BERT_LIKE | {"max_position_embeddings": 10**9}), int(1e30), 512),
        (RobertaConfig(**BERT_LIKE | {"max_position_embeddings": 514}, pad_token_id=1), int(1e30), 513),
        (T5Config(), int(1e30), 512),
        (XLNetConfig(), int(1e30), 512),
        (XLNetConfig(), 300, 300),
        (CONFIGS["deberta-v3"], int(1e30), 64),
    ],
)
def test_a_window_is_as_long_as_what_is_stated_and_512_where_nothing_is(config, limit, window):
    assert stated_window(config, tokenizer_of(limit)) == window


def test_a_long_encoder_reads_long_documents_at_once_or_in_the_windows_it_is_asked_for(tmp_path, layout, batch_of):
    config = BertConfig(**BERT_LIKE | {"max_position_embeddings": 2048})
    source = find_encoder(str(write(tmp_path / "encoder", config, tokenizer_of(int(1e30)))), ())
    assert (source.window, source.build().window, source.build(window=512).window) == (2048, 2048, 512)
    batch = batch_of([layout([[5], [1200]], 1500)], vocabulary=30)
    with torch.no_grad():
        encoding = source.build().eval()(batch)[0]
        expected = AutoModel.from_pretrained(tmp_path / "encoder")(batch.input_ids).last_hidden_state[0]
    torch.testing.assert_close(encoding.states, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(UsageError, match=r"window=4096: the encoder .* takes at most 2048 word pieces at once"):
        source.check(True, 4096)


def test_a_saved_encoder_reads_with_the_windows_it_was_trained_with(tmp_path):
    config = BertConfig(**BERT_LIKE | {"max_position_embeddings": 2048})
    source = find_encoder(str(write(tmp_path / "encoder", config, tokenizer_of(int(1e30)))), ())
    source.save(tmp_path / "saved")
    assert saved_encoder("x", tmp_path / "saved").window == 2048
    (tmp_path / "saved" / "reading.json").unlink()  # as the first release left it, which read 512 pieces at once
    assert saved_encoder("x", tmp_path / "saved").window == 512


def test_what_is_saved_of_other_encoders_is_what_was(tmp_path):
    source = find_encoder(str(write(tmp_path / "encoder", BERT)), ())
    source.save(tmp_path / "saved")
    assert not (tmp_path / "saved" / "reading.json").exists()


def test_a_model_that_calls_its_pooler_is_given_something_to_call(tmp_path, layout, batch_of):
    config = MobileBertConfig(**BERT_LIKE, embedding_size=16, true_hidden_size=16, intra_bottleneck_size=16)
    folder = write(tmp_path, config)
    encoder = find_encoder(str(folder), ()).build()
    assert not any("pooler" in name for name, _ in encoder.named_parameters())
    assert encoder(batch_of([layout([[2]], 9)]))[0].states.shape == (9, 16)
