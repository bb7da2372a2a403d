"""Text that people type: what every field of it has to satisfy, and the words that a search finds it by."""

import re
import unicodedata

from domain.errors import Invalid

_WORD = re.compile(r"\w+")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# Letters, symbols and marks that show nothing either: fillers, the empty braille cell, joiners, variation selectors.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(map(chr, range(0xFE00, 0xFE10)))
WORD_MAX = 64
FOLDED_MAX = 200_000


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


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE and character not in _BLANK


def words(text: str) -> set[str]:
    """The words of a text as search knows them: without case and accents, each cut to 64 characters."""
    return {word[:WORD_MAX] for word in _WORD.findall(folded(text))}


def folded(text: str) -> str:
    """The text without case and accents.

    A character may become eighteen; of what becomes of all, the first 200,000 count.
    """
    if text.isascii():
        return text.lower()
    # Decomposed before and after, as folding makes letters that decompose further.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text)[:FOLDED_MAX].casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
