"""Typed text is kept as typed within its bounds, and found by its words whatever their case and accents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.text import WORD_MAX, clean, words


def test_text_is_kept_without_the_white_space_around_it() -> None:
    assert clean(" \t Überblick,  bitte\n", pointer="/title", longest=50) == "Überblick,  bitte"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50))
def test_cleaning_what_is_clean_changes_nothing(text: str) -> None:
    once = clean(text, pointer="/text", longest=50)
    assert clean(once, pointer="/text", longest=50) == once


def test_length_is_counted_in_characters_after_trimming() -> None:
    assert clean(" 🚀🚀 ", pointer="/title", longest=2) == "🚀🚀"
    with pytest.raises(Invalid, match="At most 2"):
        clean("🚀🚀🚀", pointer="/title", longest=2)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_white_space_alone_is_empty(text: str) -> None:
    assert clean(text, pointer="/text", longest=10) == ""
    with pytest.raises(Invalid, match="empty") as refusal:
        clean(text, pointer="/title", longest=10, shortest=1)
    assert refusal.value.pointer == "/title"


INVISIBLE = ["\u200b\u200d", "\ufeff", "\u00ad", "\u202e\u2066", "\x07\x7f", "\u2060 \u00a0\u3000", "\u3164", "\u2800"]


@pytest.mark.parametrize("text", [*INVISIBLE, "\U000e0041", "\u034f\ufe0f", "\u115f\u1160"])
def test_what_nobody_can_see_is_empty_where_something_has_to_be(text: str) -> None:
    assert clean(text, pointer="/text", longest=10) == text.strip()
    with pytest.raises(Invalid, match="empty"):
        clean(text, pointer="/title", longest=10, shortest=1)


@pytest.mark.parametrize("text", INVISIBLE)
def test_among_what_can_be_seen_the_invisible_is_kept(text: str) -> None:
    for typed in (f"a{text}b", "👩\u200d👧", "क\u094d\u200dष", "❤\ufe0f", "\u0301"):
        assert clean(typed, pointer="/title", longest=20, shortest=1) == typed


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "\udfff"])
def test_what_cannot_be_stored_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="cannot be stored"):
        clean(text, pointer="/text", longest=10)


@pytest.mark.parametrize("text", ["\U0001f600", "\ue000", "\uffff", "מזל", "e\u0301"])
def test_every_other_character_is_kept(text: str) -> None:
    assert clean(text, pointer="/text", longest=10) == text


def test_words_forget_case_accents_and_punctuation() -> None:
    assert words("Straße, ÉTÉ & naïve: v2.0 snake_case") == {"strasse", "ete", "naive", "v2", "0", "snake_case"}
    assert words("") == set()
    assert words("… — !") == set()


@given(st.text(max_size=60))
def test_words_are_found_however_the_text_is_capitalised(text: str) -> None:
    assert words(text.casefold()) == words(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_words_of_two_texts_are_those_of_each(one: str, other: str) -> None:
    assert words(f"{one} {other}") == words(one) | words(other)


@given(st.text(max_size=60))
def test_a_search_for_a_word_that_was_found_finds_it_again(text: str) -> None:
    for word in words(text):
        assert words(word) == {word}


def test_a_word_is_cut_where_the_index_ends() -> None:
    assert words("x" * 1000) == {"x" * WORD_MAX}
