"""Letters become messages in which no value is a header, markup or another line; every template can be made."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mail import Letters
from application.ports.mail import Letter, MailRefused, Sending, UnknownLetter
from domain.errors import Invalid
from domain.text import host_in_ascii, new_email_address

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUBJECT = "Subject: {{ name }} gave you a task\n"
HOSTILE = 'Ada\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>\x00\x0b\x85\u2028\u2029 & "co"'
# What decodes to another header and another body, and to what no text may hold.
ENCODED = "=?utf-8?q?a=0D=0ABcc=3A_eve=40example.org=0D=0A=0D=0APwned?="
WORDS = [ENCODED, "=?unicode_escape?q?=5Cud800?=", "=?utf-8?b?DQpCY2M6IGVAZS5vcmc=?=", "=?", "?="]
BITS = [
    *WORDS,
    "\r\n",
    "\nBcc: eve@example.org\n\n",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ud800",
    "\x85",
    ">",
    " ",
    "é",
    "😀",
]
TEXTS = st.lists(st.one_of(st.sampled_from(BITS), st.text(st.characters(), max_size=9)), max_size=9).map("".join)
UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\ud800-\udfff\x00-\x08]")


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Letters:
    """One letter, which says a name everywhere."""
    tmp_path = tmp_path_factory.mktemp("templates")
    (tmp_path / "task.txt").write_text(f"{SUBJECT}{{{{ name }}}} gave you a task.\n\n{{{{ link }}}}\n")
    (tmp_path / "task.html").write_text('<p title="{{ name }}">{{ name }}</p><a href="{{ link }}">{{ public_url }}</a>')
    return Letters("Signalbox <post@example.org>", "https://signalbox.example", tmp_path)


def made(letters: Letters, name: str = "Ada", to: str = "bob@example.org", **more: Any) -> EmailMessage:
    """The message as a mail program reads it."""
    link = "https://signalbox.example/x?a=1&b=2#token=" + "t" * 300
    letter = Letter("task", to, {"name": name, "link": link}, **more)
    content = letters.written(Sending(UUID(int=7), AT, letter)).content
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    assert b"\n" not in content.replace(b"\r\n", b"")
    return message_from_bytes(content, policy=default)


def recipients(message: EmailMessage) -> list[str]:
    return [each.addr_spec.encode("utf-8", "surrogateescape").decode() for each in message["To"].addresses]


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def test_a_message_has_a_text_and_a_page_and_says_who_sent_it(letters: Letters) -> None:
    message = made(letters)
    assert message["From"] == "Signalbox <post@example.org>"
    assert (message["To"], message["Subject"]) == ("bob@example.org", "Ada gave you a task")
    assert message["Date"].datetime == AT
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    text = part(message, "plain")
    assert text.startswith("Ada gave you a task.\n\nhttps://signalbox.example/x?a=1&b=2#token=ttt")
    assert text.endswith("\n-- \nSignalbox, https://signalbox.example\n")
    assert "<p title" in part(message, "html")


def test_a_link_can_be_copied_from_the_message_as_it_is(letters: Letters) -> None:
    letter = Letter("task", "bob@example.org", {"name": "Ada", "link": "https://signalbox.example/x#token=" + "t" * 99})
    content = letters.written(Sending(UUID(int=7), AT, letter)).content
    assert b"\r\n" + str(letter.data["link"]).encode() + b"\r\n" in content


def test_each_attempt_has_the_same_message_id_and_other_mails_have_others(letters: Letters) -> None:
    letter = Letter("task", "bob@example.org", {"name": "Ada", "link": ""})
    ids = [letters.written(Sending(UUID(int=number), AT, letter)).message["Message-ID"] for number in (7, 7, 8)]
    assert ids == [f"<{UUID(int=7)}@example.org>"] * 2 + [f"<{UUID(int=8)}@example.org>"]


def test_no_value_becomes_a_header_another_line_or_markup(letters: Letters) -> None:
    message = made(letters, HOSTILE)
    assert set(message.keys()) == set(made(letters).keys())
    assert message["Subject"].strip().startswith("Ada Bcc: eve@example.org <script>")
    text, page = part(message, "plain"), part(message, "html")
    assert text.splitlines()[0].startswith("Ada Bcc: eve@example.org <script>")
    assert len(text.splitlines()) == len(part(made(letters), "plain").splitlines())
    found: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(tag)
            if tag == "p":
                assert dict(attrs).keys() == {"title"}

    Tags().feed(page)
    assert found == ["p", "a"]


@given(TEXTS, TEXTS, st.sampled_from(["bob@example.org", "žofie@example.org"]))
def test_no_text_is_ever_read_as_a_header(letters: Letters, name: str, url: str, to: str) -> None:
    message, plain = made(letters, name, to, unsubscribe=url), made(letters, unsubscribe="https://signalbox.example")
    assert sorted(message.keys()) == sorted(plain.keys())
    assert recipients(message) == [to]
    assert [each.get_content_type() for each in message.walk()] == [each.get_content_type() for each in plain.walk()]
    said = part(message, "plain").splitlines()
    assert len(said) == len(part(plain, "plain").splitlines())
    flat = re.sub(r" ?gave you a task\.$", "", said[0])
    assert message["Subject"] == f"{flat} gave you a task".strip()[:150].strip()
    assert not UNSEEN.search(said[0] + message["Subject"] + part(message, "html"))
    # Nothing is left out of a name but what nobody sees.
    assert [c for c in flat if c.isalnum()] == [c for c in name if c.isalnum()]


LOCALS = st.text(st.one_of(st.sampled_from(".=?_'`{é\u0301字a"), st.characters(categories=["L", "M", "N"])), max_size=9)


@given(st.one_of(TEXTS, LOCALS), st.text(st.characters(categories=["L", "M", "N"]), max_size=9))
def test_what_is_taken_for_an_address_is_the_only_one_that_the_message_goes_to(
    letters: Letters, local: str, host: str
) -> None:
    try:
        address = new_email_address(f"{local}@{host}.org", pointer="/email", longest=254)
    except Invalid:
        return
    message = made(letters, to=address)
    assert sorted(message.keys()) == sorted(made(letters).keys())
    assert recipients(message) == [f"{address.rpartition('@')[0]}@{host_in_ascii(address.rpartition('@')[2])}"]


@pytest.mark.parametrize("word", [*WORDS, f"{ENCODED} {ENCODED}", f"a {ENCODED} b"])
def test_an_encoded_word_is_what_somebody_typed(letters: Letters, word: str) -> None:
    assert made(letters, word)["Subject"] == f"{word} gave you a task"[:150]


@pytest.mark.parametrize("name", ["Žofie Þórsdóttir", "小田切 陽菜", "👩‍🚀" * 40, "a" * 5_000, "a " * 2_000])
def test_names_of_every_script_and_length_arrive(letters: Letters, name: str) -> None:
    message = made(letters, name)
    assert message["Subject"].split() == f"{name.strip()} gave you a task"[:150].split()
    assert part(message, "plain").splitlines()[0] == f"{name.strip()} gave you a task."


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("bob@bücher.example", "bob@xn--bcher-kva.example"),
        # What the codec of Python would send to strasse.example.
        ("bob@straße.example", "bob@xn--strae-oqa.example"),
        ("žofie@example.org", "žofie@example.org"),
    ],
)
def test_every_address_reaches_its_own_host_only(letters: Letters, address: str, written: str) -> None:
    assert recipients(made(letters, to=address)) == [written]


@pytest.mark.parametrize(
    "address",
    ["", "bob", "bob@", "@example.org", "b\r\nBcc: c@example.org", "b@c\nBcc:d.e", 'a"b,c@d.e', ENCODED + "@d.e"],
)
def test_what_is_no_address_is_refused_for_good(letters: Letters, address: str) -> None:
    with pytest.raises(MailRefused) as refused:
        made(letters, to=address)
    assert refused.value.for_good


def test_who_gets_mail_again_and_again_can_end_that_with_one_click(letters: Letters) -> None:
    url = "https://signalbox.example/unsubscribe?token=" + "t" * 200
    message = made(letters, unsubscribe=f"{url}\r\nBcc: eve@example.org")
    assert message["Bcc"] is None
    assert str(message["List-Unsubscribe"]).startswith(f"<{url}")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    letter = Letter("task", "bob@example.org", {"name": "Ada", "link": ""}, url)
    raw = letters.written(Sending(UUID(int=7), AT, letter)).content
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in raw
    assert made(letters)["List-Unsubscribe"] is None


def test_a_letter_that_cannot_be_made_is_refused_for_good(letters: Letters) -> None:
    with pytest.raises(MailRefused, match="UndefinedError") as refused:
        letters.written(Sending(UUID(int=7), AT, Letter("task", "bob@example.org", {"name": "Ada"})))
    assert refused.value.for_good


@pytest.mark.parametrize("name", ["other", "layout", "../mail/templates/trial", ""])
def test_a_letter_without_templates_is_an_error(letters: Letters, name: str) -> None:
    with pytest.raises(UnknownLetter):
        letters.written(Sending(UUID(int=7), AT, Letter(name, "bob@example.org")))


def test_a_letter_about_the_safety_of_an_account_says_what_it_is_and_what_to_do() -> None:
    said = {"sentence": "Your account is to be deleted.", "facts": ["Client: curl"], "advice": "Keep it."}
    letter = Letter("safety", "bob@example.org", said | {"due": "4 Mar", "at": "1 Mar"})
    written = Letters("post@example.org", "https://signalbox.example").written(Sending(UUID(int=7), AT, letter))
    message = message_from_bytes(written.content, policy=default)
    assert message["Subject"] == "Your account is to be deleted."
    told = ["Client: curl", "Until 4 Mar it can be kept.", "Time: 1 Mar", "Keep it."]
    assert all(line in part(message, kind) for line in told for kind in ("plain", "html"))


@pytest.mark.parametrize("name", ["notification", "digest"])
def test_a_letter_about_notifications_says_everything_about_each(name: str) -> None:
    line = {"sentence": "You were asked in.", "title": "Film night", "count": 2, "at": "1 Mar", "due": "4 Mar"}
    data = {"lines": [line | {"facts": ["Its code is 7K3M9QXV."]}], "more": 3, "unsubscribe": "https://end.example"}
    letter = Letter(name, "bob@example.org", data)
    written = Letters("post@example.org", "https://signalbox.example").written(Sending(UUID(int=7), AT, letter))
    message = message_from_bytes(written.content, policy=default)
    told = ["You were asked in. (2 times)", "Film night", "Its code is 7K3M9QXV.", "4 Mar", "https://end.example"]
    assert all(each in part(message, kind) for each in told for kind in ("plain", "html"))


@pytest.mark.parametrize("name", ["notification", "digest", "safety"])
def test_a_letter_that_a_release_without_facts_wrote_is_made(name: str) -> None:
    line = {"sentence": "You were asked in.", "title": "Film night", "count": 1, "at": "1 Mar", "due": None}
    data = {"lines": [line], "more": 0, "unsubscribe": "https://end.example"}
    letter = Letter(name, "bob@example.org", {**line, "advice": ""} if name == "safety" else data)
    written = Letters("post@example.org", "https://signalbox.example").written(Sending(UUID(int=7), AT, letter))
    assert b"You were asked in." in written.content


def test_every_letter_of_ours_has_a_subject_a_text_and_a_page() -> None:
    letters = Letters("post@example.org", "https://signalbox.example")
    assert "trial" in letters.names()
    for name in letters.names():
        letters.check(name)
        source = (letters.folder / f"{name}.html").read_text()
        assert re.match(r'{% extends "layout.html" %}', source), name
