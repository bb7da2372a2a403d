"""Text that people type: the rules of every text field, and the normal forms of text that identifies something.

Text for people to read (titles, descriptions, comments) is stored as typed. Text that identifies something has a normal
form, which is applied before any rule or bound:

| text | function | form |
|---|---|---|
| names of people and workspaces, labels | `normal_name` | NFC, single spaces, nothing invisible |
| e-mail addresses | `email_address` | lower case; NFC before the @, NFKC and no punycode after it |
| passwords | `normal_password` | NFKC |

The words of a text have their own form, in `domain/words.py`.
"""

import re
import unicodedata

from domain.errors import Invalid

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# One character of a normal form is made of at most this many typed characters, not counting invisible ones.
TYPED_MAX = 4
# The longest row of marks that is put in order, which takes the square of its length. Real text has no longer one
# (UAX #15).
MARKS_MAX = 30
MARKS = re.compile(rf"[^\w\x00-\x7f]{{{MARKS_MAX + 1},}}")

EMAIL_MAX = 254
# Characters that nobody sees, and that turn around or hide what stands next to them. Those that shape emoji and
# letters stay.
UNSEEN = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0001]")
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_SELECTORS = "".join(map(chr, range(0xFE00, 0xFE10)))
# Letters, symbols and marks that are invisible too: fillers, the empty braille cell, joiners, variation selectors.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + _SELECTORS)
# Characters that shape their neighbours: joiners, fillers of Hangul, variation selectors, the tags of flags.
_SHAPING = "\u200c\u200d\u115f\u1160" + _SELECTORS + "".join(map(chr, range(0xE0020, 0xE0080)))
# A word of which mail programs make a link: with a dot before something with a letter, a scheme, an @ or a share.
_LIKE_A_LINK = re.compile(rf"\S*(?:\S[.\u3002\uff0e\uff61][\w\u034f{_SHAPING}]*[^\W\d]|://|@|\\\\)\S*")
# They shape nothing after Latin letters, digits and spaces; joiners shape nothing at the end of a word.
_IDLE = re.compile(f"(?<![\u0300-\U0010ffff])[{_SHAPING}]+|[\u200c\u200d]+$")
# Characters that come along with copied text: white space, and characters without width.
_CLINGS = r"[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
_AROUND = re.compile(rf"\A{_CLINGS}|{_CLINGS}\Z")
_NO_ADDRESS = "This is not an e-mail address."
# Accounts that are older than the rules of `is_mailable` are found by such addresses too.
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[^\s@\x00-\x1f\x7f.]+(?:\.[^\s@\x00-\x1f\x7f.]+)+\Z")
# The characters of a dot-atom (RFC 5322), and of a host name. Letters, marks and digits of all scripts go with both.
_ATOM = frozenset("!#$%&'*+-/=?^_`{|}~")
_HYPHEN = frozenset("-")
_ALNUM = frozenset("LMN")
_LOCAL_MAX = 64
_LABEL_MAX, _HOST_MAX = 63, 253


def clean(text: str, *, pointer: str, longest: int, shortest: int = 0) -> str:
    """The text without surrounding white space.

    Invalid if it has fewer than `shortest` or more than `longest` characters, or contains NUL or a lone surrogate. Text
    of invisible characters alone counts as empty, unless `shortest` is 0.
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
    """A name in the form that is stored and compared; Invalid for the same reasons as in `clean`.

    Each run of white space becomes one space. Invisible characters are removed, except those that shape emoji and
    letters of other scripts than Latin.
    """
    seen = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or _is_visible(c) or c in _SHAPING or c == "\x00"
    )
    spaced = " ".join(_normalised("NFC", seen).split(" "))
    return clean(" ".join(_IDLE.sub("", spaced).split()), pointer=pointer, longest=longest, shortest=shortest)


def email_address(text: str, *, pointer: str, longest: int) -> str:
    """An address in the form by which accounts are found; Invalid if it cannot be an address.

    Its host name is in Unicode: `user@xn--bcher-kva.example` becomes `user@bücher.example`.
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


def new_email_address(text: str, *, pointer: str, longest: int) -> str:
    """An address that somebody begins to use, in the form of `email_address`; Invalid if mail cannot go to it."""
    address = email_address(text, pointer=pointer, longest=longest)
    if not is_mailable(address):
        raise Invalid(_NO_ADDRESS, pointer=pointer)
    return address


def is_mailable(address: str) -> bool:
    """Whether mail can go to an address in its normal form, as what it is and nothing else.

    Before the @ is a dot-atom, which needs no quotes and is no encoded word (RFC 2047); behind it are two or more
    labels of a host name.
    """
    local, _, host = address.rpartition("@")
    labels = host.split(".")
    return (
        len(local.encode("utf-8", "replace")) <= _LOCAL_MAX
        and "=?" not in local
        and all(_is_of(atom, _ATOM) for atom in local.split("."))
        and len(labels) > 1
        and all(map(_is_label, labels))
        and not labels[-1].isdecimal()
        and len(host_in_ascii(host)) <= _HOST_MAX
    )


def host_in_ascii(host: str) -> str:
    """The way back from the Unicode of `email_address`.

    The codec `idna` of Python would make strasse.example of straße.example.
    """
    return ".".join(map(_in_ascii, host.split(".")))


def normal_password(text: str) -> str:
    """A password in the form that is checked and hashed (NIST SP 800-63B), equal for every way of typing it."""
    return _normalised("NFKC", text)


def _in_unicode(label: str, pointer: str) -> str:
    """A label of a host name in Unicode; Invalid if it is punycode that no Unicode label is encoded as."""
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


def _in_ascii(label: str) -> str:
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"


def _is_label(label: str) -> bool:
    return (
        _is_of(label, _HYPHEN)
        and not label.startswith("-")
        and not label.endswith("-")
        and len(_in_ascii(label)) <= _LABEL_MAX
    )


def _is_of(text: str, more: frozenset[str]) -> bool:
    return bool(text) and all(unicodedata.category(c)[0] in _ALNUM or c in more for c in text)


def _lower(host: str) -> str:
    return _normalised("NFKC", _normalised("NFKC", host).lower())


def _normalised(form: str, text: str) -> str:
    """The text in a normal form of Unicode. Text with more than 30 marks in a row stays as it is."""
    return text if MARKS.search(text) else unicodedata.normalize(form, text)  # type: ignore[arg-type]


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE and character not in _BLANK


def without_links(text: str) -> str:
    """Text for a mail, with an ellipsis for each word of which mail programs would make a link.

    What is `UNSEEN` is left out first, as mail leaves it out: between a dot and a letter it would hide a link.
    """
    return _LIKE_A_LINK.sub("…", UNSEEN.sub("", text))
