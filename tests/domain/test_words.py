"""Text of every script is found by its words, whatever their case and accents."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.words import WORD_MAX, asked, words


def finds(search: str, text: str) -> bool:
    wanted, known = asked(search), words(text)
    return bool(wanted) and all(any(word.startswith(each) for word in known) for each in wanted)


@pytest.mark.parametrize(
    ("search", "text"),
    [
        ("हिन्दी", "यह हिन्दी में है"),
        ("हिन्", "यह हिन्दी में है"),
        ("登录", "请登录页面"),
        ("登录页", "请登录页面"),
        ("面", "请登录页面"),
        ("画面", "設定画面を開く"),
        ("を開", "設定画面を開く"),
        ("カタ", "ｶﾀｶﾅ"),
        ("หน้า", "ไปที่หน้าแรก"),
        ("ສະບາຍ", "ສະບາຍດີ"),
        ("ភាសា", "ខ្ញុំនិយាយភាសាខ្មែរ"),
        ("မြန်မာ", "ကျွန်တော်မြန်မာစာသင်တယ်"),
        ("한국", "한국어를 배우다"),
        ("하", "한국어를 배우다"),
        ("lodz", "Łódź"),
        ("ŁÓDŹ", "lodz"),
        ("oresund", "Øresund"),
        ("aero", "Ærø"),
        ("strasse", "Straße"),
        ("straße", "STRASSE"),
        ("diyarbakir", "Diyarbak\u0131r"),
        ("ISTANBUL", "İstanbul"),
        ("dak", "Đắk Lắk"),
        ("елка", "Ёлка"),
        ("αθηνα", "Αθήνα"),
        ("שלום", "שָׁלוֹם"),
        ("محمد", "مُحَمَّد"),
        ("c++", "Learn C++ now"),
        ("C++", "C++17"),
        ("c", "Learn C++ now"),
        ("f#", "an F# shop"),
        ("prefix", "task_prefix"),
        ("task_prefix", "task_prefix"),
        ("taskpre", "TASKPREFIX"),
        ("画面", "iPhone画面2"),
        ("iphone", "iPhone画面2"),
        ("kaffee", "Kaf\u00adfee"),
        ("don't", "Don't stop"),
        ("③", "step 3"),
    ],
)
def test_a_search_finds(search: str, text: str) -> None:
    assert finds(search, text)


@pytest.mark.parametrize(
    ("search", "text"),
    [
        ("हिन्दी", "हम नदी पर गए"),
        ("登页", "请登录页面"),
        ("面画", "設定画面を開く"),
        ("か", "き"),
        ("หน่า", "ไปที่หน้าแรก"),
        ("C++", "a calm cat, C and C#"),
        ("c#", "C++"),
        ("efix", "task_prefix"),
        ("olka", "Polka"),
    ],
)
def test_a_search_does_not_find(search: str, text: str) -> None:
    assert not finds(search, text)


@pytest.mark.parametrize("text", ["", " ", "!!!", "… —", "\u200b", "'", "++", "#", "_", "👍🏽", "\u0301", "\u0e48"])
def test_what_has_no_letter_and_no_digit_has_no_word(text: str) -> None:
    assert words(text) == asked(text) == set()


def test_words_forget_case_accents_and_punctuation() -> None:
    assert words("Straße, ÉTÉ & naïve: v2.0 snake_case") == {"strasse", "ete", "naive", "v2", "0", "snake", "case"}


# Hypothesis seldom draws what matters here by itself.
TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("aZ9 _+#.éŁßİı\u0301\u0345\u0327\u200b\u200dとカﾞ登录หน้हि\u094dन한글ΣςѤ\ufdfa①"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=30,
)


@given(TEXTS)
def test_words_are_found_however_the_text_is_capitalised(text: str) -> None:
    assert words(text.casefold()) == words(text)


@given(TEXTS)
def test_words_are_found_however_the_text_is_composed(text: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert words(unicodedata.normalize(form, text)) == words(text)


@given(TEXTS, TEXTS)
def test_the_words_of_two_texts_are_those_of_each(one: str, other: str) -> None:
    assert words(f"{one} {other}") == words(one) | words(other)


@given(TEXTS, TEXTS, TEXTS)
def test_a_text_is_found_by_each_part_of_it_that_stands_alone(before: str, part: str, after: str) -> None:
    if asked(part):
        assert finds(part, f"{before} {part} {after}")


@given(st.text(alphabet="登录画面とカ", max_size=9), st.text(alphabet="登录画面とカ", min_size=1, max_size=9))
def test_a_script_without_spaces_is_found_by_every_part(before: str, part: str) -> None:
    assert finds(part, f"{before}{part}{before}")


@given(TEXTS)
def test_a_search_for_a_word_that_was_found_finds_it_again(text: str) -> None:
    for word in words(text):
        assert finds(word, text)


@given(TEXTS)
def test_words_hold_nothing_that_an_index_would_have_to_quote(text: str) -> None:
    for word in words(text):
        assert word.split() == [word]
        assert not set(word) & set("'\\:&|!()<>*\x00")


def test_a_word_is_cut_where_the_index_ends() -> None:
    assert words("x" * 1000) == {"x" * WORD_MAX}
    assert max(map(len, words("é" * 1000 + " 登" + "\u3099" * 25 + "录" + "\u3099" * 25))) <= 2 * WORD_MAX
