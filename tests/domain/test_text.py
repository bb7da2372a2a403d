"""Typed text is kept as typed within its bounds; what names something has one form, however it was typed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.text import MARKS_MAX, clean, email_address, new_email_address, normal_name, normal_password, without_links


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


def name(text: str, longest: int = 50) -> str:
    return normal_name(text, pointer="/labels", longest=longest, shortest=1)


def email(text: str) -> str:
    return email_address(text, pointer="/email", longest=254)


TYPED = st.text(
    alphabet=st.one_of(
        st.sampled_from("ae@.xn-\u0301\u0327\u200b\u200d\ufe0f\u0130ßẞΣς カﾞ\uac00\u1100\u1161"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    ),
    max_size=20,
)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("cafe\u0301", "café"),
        ("café\u200b", "café"),
        ("\ufeffca\u00adfé", "café"),
        ("caf\u200de\u0301\ufe0f", "café"),
        (" a \u00a0\t b\u3000", "a b"),
        ("a\u202eb\x07", "ab"),
        ("\u212b", "Å"),
        ("한글", "한글"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("👩\u200d", "👩"),
        ("क\u094d\u200dष", "क\u094d\u200dष"),
        ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc", "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc"),
        ("Ｐ½", "Ｐ½"),
    ],
)
def test_a_name_is_one_however_it_was_typed(typed: str, kept: str) -> None:
    assert name(typed) == kept


@given(TYPED)
def test_the_form_of_a_name_is_that_of_all_that_is_spelled_so(text: str) -> None:
    try:
        kept = name(text)
    except Invalid:
        return
    assert name(kept) == name(unicodedata.normalize("NFD", text)) == name(f"\u200b{text} ") == kept


def test_bounds_of_a_name_are_those_of_its_form() -> None:
    assert name("e\u0301" * 50) == "é" * 50
    with pytest.raises(Invalid, match="At most 50"):
        name("é" * 51)
    for nothing in ("\u200b", "\u3164 \u2800", "\ufe0f\u200d"):
        with pytest.raises(Invalid, match="empty"):
            name(nothing)
    for unstorable in ("a\x00", "a\ud800"):
        with pytest.raises(Invalid, match="stored"):
            name(unstorable)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("rene\u0301@example.org", "rené@example.org"),
        ("RENÉ@Example.ORG", "rené@example.org"),
        (" ada@example.org\u200b", "ada@example.org"),
        ("\u2060ada@example.org\ufeff\n", "ada@example.org"),
        ("user@xn--bcher-kva.example", "user@bücher.example"),
        ("user@XN--BCHER-KVA.example", "user@bücher.example"),
        ("user@bu\u0308cher.example", "user@bücher.example"),
        ("user@BÜCHER.example", "user@bücher.example"),
        ("a@例え。テスト", "a@例え.テスト"),
        ("a@xn--r8jz45g.xn--zckzah", "a@例え.テスト"),
        ("a@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0eorg", "a@example.org"),
        ("a@straße.example", "a@straße.example"),
        ("a@xn--strae-oqa.example", "a@straße.example"),
    ],
)
def test_an_address_is_one_however_it_was_typed(typed: str, kept: str) -> None:
    assert email(typed) == kept


@given(TYPED, TYPED)
def test_the_form_of_an_address_is_that_of_all_that_is_spelled_so(local: str, host: str) -> None:
    try:
        kept = email(f"{local}@{host}.org")
    except Invalid:
        return
    assert email(kept) == email(unicodedata.normalize("NFD", kept)) == email(f" {kept}\u200b") == kept
    before, _, behind = kept.rpartition("@")
    labels = [x if x.isascii() else "xn--" + x.encode("punycode").decode() for x in behind.split(".")]
    assert email(f"{before}@{'.'.join(labels)}") == kept


@pytest.mark.parametrize(
    "typed",
    [
        *("", "a", "@", "a@b", "a@@b.example", "a b@c.example", "a@b.", "a@.b", "\u200b"),
        *("a\u200bb@c.example", "a@b\u00adc.example", "a\x00@b.example", "a\ud800@b.example"),
        *("a@xn--.example", "a@xn--abc-.example", "a@xn--é.example", "a@xn--99999999999.example"),
        "a@xn---tda.example",  # another spelling of xn--tda, which would be another account of the same person
        # Of a letter that is two, and of one that is a capital: nothing is written so.
        *(
            f"a@xn--{label.encode('punycode').decode()}.example"
            for label in ("bu\u0308cher", "\u00dcber", "\uff42\u00fc")
        ),
        "a@" + "x" * 250 + ".example",
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(Invalid) as refusal:
        email(typed)
    assert refusal.value.pointer == "/email"


@pytest.mark.parametrize(
    "typed",
    [
        *("a.b+c@example.org", "!#$%&'*+-/=^_`{|}~@example.org", "a?=b@example.org", "1@2.org", "a@b--c.org"),
        *("žofie@example.org", "用户@例子.公司", "उपयोगकर्ता@उदाहरण.भारत", "x" * 64 + "@example.org"),
        *("a@" + "x" * 63 + ".org", "a@straße.example"),
    ],
)
def test_an_address_to_which_mail_can_go_is_taken(typed: str) -> None:
    assert new_email_address(typed, pointer="/email", longest=254) == typed


@pytest.mark.parametrize(
    "typed",
    [
        *(".dot@example.org", "dot.@example.org", "dot..x@example.org", "=?utf-8?q?a?=@example.org"),
        *(f"a{mark}b@example.org" for mark in '<>()[],;:\\"\uff20\u3001😀'),
        *("<x>@example.org", '"a"@example.org', "x" * 33 + "é" * 16 + "@example.org"),
        *("a@-x.org", "a@x-.org", "a@exa_mple.org", "a@x.-org", "x@example.org>", "a@[127.0.0.1]", "a@127.0.0.1"),
        *("a@x.org,b", "a@x.=?utf-8?q?a?=", "a@" + "x" * 64 + ".org", "a@" + "é" * 60 + ".org"),
    ],
)
def test_an_address_to_which_no_mail_can_go_is_found_and_not_taken(typed: str) -> None:
    """Accounts that have one from before can still sign in."""
    assert email(typed)
    with pytest.raises(Invalid) as refusal:
        new_email_address(typed, pointer="/email", longest=254)
    assert refusal.value.pointer == "/email"


def test_a_password_is_one_whichever_keyboard_types_it() -> None:
    assert normal_password("\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff11\uff12") == "password12"
    assert normal_password("cafe\u0301") == normal_password("café") == "café"
    assert normal_password(" two  spaces ") == " two  spaces "


def test_text_with_more_marks_than_anyone_writes_stays_as_it_is() -> None:
    """To put them in order takes the square of their number."""
    written = "e" + "\u0301\u0327" * (MARKS_MAX // 2)
    assert normal_password(written) == unicodedata.normalize("NFKC", written)
    piled = "e" + "\u0301\u0327" * MARKS_MAX
    assert normal_password(piled) == piled
    assert name(piled, longest=100) == piled


@pytest.mark.parametrize(
    ("typed", "mailed"),
    [
        ("OPS-4 Ship v1.2, and/or wait until 12:30...", "OPS-4 Ship v1.2, and/or wait until 12:30..."),
        ("Look: http://evil.example/win now", "Look: … now"),
        ("evil.example evil\u3002com www.a.b a@b \\\\host x://y", "… … … … … …"),
        ("a \u202etxt\u202c b", "a txt b"),
        ("evil.\u200bexample ev\u00adil.\u2060example evil.\u200dexample evil.\ufe0fexample", "… … … …"),
        (
            "Release v1.2-rc, 3.5-inch \U0001f469\u200d\U0001f680",
            "Release v1.2-rc, 3.5-inch \U0001f469\u200d\U0001f680",
        ),
    ],
)
def test_a_text_for_a_mail_has_no_word_that_becomes_a_link(typed: str, mailed: str) -> None:
    assert without_links(typed) == mailed
