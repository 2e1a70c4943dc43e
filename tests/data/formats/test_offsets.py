from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer

from bench.data.documents import Document, Mention, text_of
from bench.data.features.build import WordPieces, build_features
from bench.data.formats.offsets import latin_letters, segmented, words_of
from bench.errors import UsageError


def test_words_end_at_white_space_and_where_mentions_begin_and_end() -> None:
    words, spans = words_of("anti-TNF-a in  mice", [(5, 10), (5, 8), (15, 19)], str)
    assert words == ("anti-", "TNF", "-a", "in", "mice")
    assert spans == ((1, 3), (1, 2), (4, 5))


def test_overlapping_mentions_have_the_words_between_their_offsets() -> None:
    words, spans = words_of("abcdef", [(0, 4), (2, 6)], str)
    assert words == ("ab", "cd", "ef")
    assert spans == ((0, 2), (1, 3))


def test_offsets_are_those_of_the_text_before_it_is_made_ascii() -> None:
    words, spans = words_of("Ⅷ ± TNF-α (β)", [(4, 9), (11, 12)], latin_letters())
    assert words == ("viii", "+-", "tnf-a", "(", "b", ")")
    assert spans == ((2, 3), (4, 5))


def test_a_mention_of_which_nothing_is_left_keeps_its_place() -> None:
    words, spans = words_of("a \ue000\ue001 b", [(2, 4)], latin_letters())
    assert words == ("a", "", "b")
    assert spans == ((1, 2),)


@pytest.mark.parametrize("span", [(-1, 2), (2, 2), (3, 2), (0, 6)])
def test_a_span_outside_of_the_text_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside of the 5 characters"):
        words_of("abcde", [span], str)


def test_without_unidecode_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unidecode", None)
    with pytest.raises(UsageError, match=r"docre-bench\[chemdisgene\]"):
        latin_letters()


LETTERS = "abcdefg"
PUNCTUATION = "-(),.*/"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PUNCTUATION, *LETTERS, *(f"##{c}" for c in LETTERS)]
TOKENIZER = BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)})


@st.composite
def marked_texts(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    text = draw(st.text(LETTERS + LETTERS.upper() + PUNCTUATION + " Ωαé½\u2009", min_size=1, max_size=40))
    edges = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    spans = draw(st.lists(edges.filter(lambda span: span[0] < span[1]), max_size=4, unique=True))
    return text, [span for span in spans if text[span[0] : span[1]].strip()]


@settings(max_examples=150, deadline=None)
@given(marked_texts())
def test_word_pieces_are_those_of_the_text_with_markers_at_the_offsets(
    marked: tuple[str, list[tuple[int, int]]],
) -> None:
    text, spans = marked
    normalise = latin_letters()
    words, word_spans = words_of(text, spans, normalise)
    mentions = tuple((Mention(0, start, end, "", ""),) for start, end in word_spans)
    (features,) = build_features([Document("", (words,), mentions)], WordPieces(TOKENIZER), [], 512)
    # One marker where several mentions begin, or end, at one place, as at one word of DocRED. The white space at the
    # edges of a mention stays outside of its markers.
    starts = {start + len(text[start:end]) - len(text[start:end].lstrip()) for start, end in spans}
    ends = {start + len(text[start:end].rstrip()) for start, end in spans}
    inserted = "".join(
        (" * " if at in ends else "") + (" * " if at in starts else "") + text[at : at + 1]
        for at in range(len(text) + 1)
    )
    assert features.input_ids.tolist() == TOKENIZER(normalise(inserted)).input_ids
    marker = PIECES.index("*")
    assert all(features.input_ids[position] == marker for position in features.mention_position)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("甲写乙。", "甲 写 乙 。"),
        ("iPhone 6s在2019年卖了1,000台！", "iPhone 6s 在 2019 年 卖 了 1 , 000 台 ！"),
        ("Germany's Müller-Straße (e\u0301te\u0301)", "Germany ' s Müller - Straße ( e\u0301te\u0301 )"),
        ("ｶﾅカナ 한국어 कि", "ｶ ﾅ カ ナ 한국어 कि"),
        (" \u3000\n", ""),
    ],
)
def test_a_text_that_nobody_split_has_a_word_for_each_character_of_chinese_and_for_each_run_of_letters(
    text: str, words: str
) -> None:
    assert segmented(text) == words


@given(st.data(), st.text("甲乙。，！ab1 _-é\u0301\u3000\n\U00020001", min_size=1, max_size=30))
def test_words_of_unsegmented_text_keep_its_characters_and_the_offsets_of_mentions(
    data: st.DataObject, text: str
) -> None:
    edges = st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True)
    spans = [(min(pair), max(pair)) for pair in data.draw(st.lists(edges, max_size=4))]
    words, places = words_of(text, spans, segmented)
    assert "".join(words) == "".join(text.split())
    for (start, end), (first, last) in zip(spans, places, strict=True):
        assert "".join(words[first:last]) == "".join(text[start:end].split())


@given(st.lists(st.text("甲乙。ab1-", min_size=1, max_size=3), max_size=6))
def test_text_has_a_space_between_two_words_unless_both_are_chinese_there(words: list[str]) -> None:
    text = text_of(words)
    assert "".join(text.split()) == "".join(words)
    for left, right in pairwise(words):
        together = left[-1] in "甲乙。" and right[0] in "甲乙。"
        assert f"{left}{'' if together else ' '}{right}" in text
