"""Text that people type: what every field of it has to satisfy, and the words that a search finds it by."""

import re
import unicodedata

from domain.errors import Invalid

_WORD = re.compile(r"\w+")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
WORD_MAX = 64


def clean(text: str, *, pointer: str, longest: int, shortest: int = 0) -> str:
    """The text without surrounding white space, or Invalid: length in characters, no NUL, no lone surrogates."""
    text = text.strip()
    if len(text) < shortest:
        raise Invalid("This may not be empty.", pointer=pointer)
    if len(text) > longest:
        raise Invalid(f"At most {longest} characters fit here.", pointer=pointer)
    if _UNSTORABLE.search(text):
        raise Invalid("This contains a character that cannot be stored.", pointer=pointer)
    return text


def words(text: str) -> set[str]:
    """The words of a text as search knows them: without case and accents, each cut to 64 characters."""
    return {word[:WORD_MAX] for word in _WORD.findall(_folded(text))}


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    # Decomposed before and after, as folding makes letters that decompose further.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
