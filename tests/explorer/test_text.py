"""Text as pages and prompts show it: spaces where it is written with spaces, and mentions where they are in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.data.documents import Document, Mention
from bench.explorer.encoding import _text
from bench.outside.prompts import marked_text

CHINESE = Document(
    "1",
    (("甲", "先", "生", "在", "2019", "年", "写", "乙", "。"), ("Palk", "met", "甲", "\U00020001", "!")),
    (
        (Mention(0, 0, 3, "甲先生", "PER"), Mention(1, 2, 4, "甲\U00020001", "PER")),
        (Mention(0, 4, 6, "2019年", "TIME"),),
    ),
)


def test_chinese_is_shown_without_spaces_and_its_mentions_are_in_place() -> None:
    sentences, entities = _text(CHINESE, {"PER": 0, "TIME": 1})
    assert sentences == ["甲先生在 2019 年写乙。", "Palk met 甲\U00020001 !"]
    (_, *first), (_, *second) = entities
    places = [numbers[at : at + 3] for numbers in (first, second) for at in range(0, len(numbers), 3)]
    # JavaScript counts in units of two bytes.
    units = [sentence.encode("utf-16-le") for sentence in sentences]
    shown = [units[s][2 * start : 2 * (start + length)].decode("utf-16-le") for s, start, length in places]
    assert shown == ["甲先生", "甲\U00020001", "2019 年"]


def test_a_prompt_has_brackets_around_mentions_and_no_spaces_within_chinese() -> None:
    assert marked_text(CHINESE.sentences, CHINESE.entities) == [
        "[甲先生|0]在 [2019 年|1]写乙。",
        "Palk met [甲\U00020001|0] !",
    ]


@given(st.lists(st.text("ab1.-", min_size=1, max_size=4), min_size=1, max_size=8))
def test_words_of_scripts_with_spaces_have_one_between_them(words: list[str]) -> None:
    document = Document("1", (tuple(words),), ((Mention(0, len(words) - 1, len(words), words[-1], ""),),))
    sentences, (entity,) = _text(document, {"": 0})
    assert sentences == [" ".join(words)]
    _, _, start, length = entity
    assert sentences[0][start : start + length] == words[-1]
