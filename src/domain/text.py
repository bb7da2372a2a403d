"""Text that people type: what every field of it has to satisfy, and the one form of text that names something.

What people read (titles, descriptions, comments) is kept as typed. What tells one thing from another has a normal form,
which is applied before any rule or bound:

| text | function | form |
|---|---|---|
| names of people and workspaces, labels | `normal_name` | NFC, single spaces, nothing that cannot be seen |
| e-mail addresses | `email_address` | lower case; NFC before the @, NFKC and no punycode behind it |
| passwords | `normal_password` | NFKC |

The words of a text have a form of their own, which is in `domain/words.py`.
"""

import re
import unicodedata

from domain.errors import Invalid

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# How many characters, as typed, one character of a normal form is made of at most, but for what cannot be seen.
TYPED_MAX = 4
# The marks in a row that are still put in order, which takes the square of their number. No text has more (UAX #15).
MARKS_MAX = 30
MARKS = re.compile(rf"[^\w\x00-\x7f]{{{MARKS_MAX + 1},}}")

_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_SELECTORS = "".join(map(chr, range(0xFE00, 0xFE10)))
# Letters, symbols and marks that show nothing either: fillers, the empty braille cell, joiners, variation selectors.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + _SELECTORS)
# What shapes the characters beside it: joiners, fillers of Hangul, variation selectors, the tags of flags.
_SHAPING = "\u200c\u200d\u115f\u1160" + _SELECTORS + "".join(map(chr, range(0xE0020, 0xE0080)))
# It shapes nothing behind Latin letters, digits and spaces.
_IDLE = re.compile(f"(?<![\u0300-\U0010ffff])[{_SHAPING}]+|[\u200c\u200d]+$")
# What clings to text that was copied: white space, and characters without width.
_CLINGS = r"[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
_AROUND = re.compile(rf"\A{_CLINGS}|{_CLINGS}\Z")
_NO_ADDRESS = "This is not an e-mail address."
# Deliberately loose: only a message that arrives proves an address. No spaces, one @, a dot in the domain.
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[^\s@\x00-\x1f\x7f.]+(?:\.[^\s@\x00-\x1f\x7f.]+)+\Z")


def clean(text: str, *, pointer: str, longest: int, shortest: int = 0) -> str:
    """The text without surrounding white space, or Invalid: length in characters, no NUL, no lone surrogates.

    Where something has to be, it has to be seen: text of invisible characters alone is empty there.
    """
    text = text.strip()
    if len(text) < shortest or (shortest and not any(map(_is_visible, text))):
        raise Invalid("This may not be empty.", pointer=pointer)
    if len(text) > longest:
        raise Invalid(f"At most {longest} characters fit here.", pointer=pointer)
    if UNSTORABLE.search(text):
        raise Invalid("This contains a character that cannot be stored.", pointer=pointer)
    return text


def normal_name(text: str, *, pointer: str, longest: int, shortest: int = 0) -> str:
    """A name as it is kept and compared, or Invalid as of `clean`.

    White space is one space. Of what cannot be seen, what shapes emoji and letters of other scripts than Latin stays.
    """
    seen = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or _is_visible(c) or c in _SHAPING or c == "\x00"
    )
    spaced = " ".join(_normalised("NFC", seen).split(" "))
    return clean(" ".join(_IDLE.sub("", spaced).split()), pointer=pointer, longest=longest, shortest=shortest)


def email_address(text: str, *, pointer: str, longest: int) -> str:
    """An address as accounts are found by it, or Invalid if it cannot be one.

    The name of its host is in Unicode: `user@xn--bcher-kva.example` is `user@bücher.example`.
    """
    if UNSTORABLE.search(text):
        raise Invalid(_NO_ADDRESS, pointer=pointer)
    local, at, host = _AROUND.sub("", text).rpartition("@")
    local = _normalised("NFC", _normalised("NFC", local).lower())
    labels = _lower(host).replace("\u3002", ".").split(".")
    address = clean(
        local + at + ".".join(_in_unicode(label, pointer) for label in labels), pointer=pointer, longest=longest
    )
    if not all(map(_is_visible, address)):
        raise Invalid("This contains a character that cannot be seen.", pointer=pointer)
    if not _EMAIL.match(address):
        raise Invalid(_NO_ADDRESS, pointer=pointer)
    return address


def normal_password(text: str) -> str:
    """A password as it is judged and hashed (NIST SP 800-63B): the same characters, however a keyboard makes them."""
    return _normalised("NFKC", text)


def _in_unicode(label: str, pointer: str) -> str:
    """A label of a host; Invalid if it is punycode that nothing is written as."""
    if not label.startswith("xn--"):
        return label
    try:
        shown = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        raise Invalid(_NO_ADDRESS, pointer=pointer) from None
    if UNSTORABLE.search(shown) or shown.isascii() or shown.startswith("xn--") or shown != _lower(shown):
        raise Invalid(_NO_ADDRESS, pointer=pointer)
    if shown.encode("punycode").decode() != label[4:]:
        raise Invalid(_NO_ADDRESS, pointer=pointer)
    return shown


def _lower(host: str) -> str:
    return _normalised("NFKC", _normalised("NFKC", host).lower())


def _normalised(form: str, text: str) -> str:
    """The text in a form of Unicode; one with more marks in a row than anyone writes stays as it is."""
    return text if MARKS.search(text) else unicodedata.normalize(form, text)  # type: ignore[arg-type]


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE and character not in _BLANK
