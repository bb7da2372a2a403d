"""The words by which a text is found, in every script; see `docs/decisions/0034-words-of-all-scripts.md`."""

import re
import unicodedata

from domain.text import MARKS, MARKS_MAX

WORD_MAX = 64
FOLDED_MAX = 200_000
# The version of this rule. Stored words of a lower version are computed again, a little at a time.
WORDS_RULE = 1

# Scripts without spaces between words: Thai, Lao, Myanmar, Khmer, Tai, Kana and Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff\U00020000-\U0003ffff"
)
_SIGNS = "+#"
# These match folded text, which consists of letters, digits, their marks, the two signs and spaces.
_PLAIN = re.compile(rf"[a-z0-9]+[{_SIGNS}]*")
_WORD = re.compile(rf"([^\W{_UNSPACED}][^ {_SIGNS}{_UNSPACED}]*[{_SIGNS}]*)|([{_UNSPACED}]+)")
_CHARACTER = re.compile(r"\w\W*")

# Letters that Unicode does not decompose, although people also type them as two letters or as a plain one.
_LETTERS = {"\u00e6": "ae", "\u0153": "oe", "\u00f0": "d", "\u00fe": "th", "\u0131": "i", "\u014b": "n"}
_WITH = re.compile("LATIN SMALL LETTER ([A-Z]) WITH ")
# The combining classes of marks across, above or below a letter, and of the points of Hebrew and Arabic. Marks of other
# classes (vowel signs, viramas, tone marks, voiced kana) belong to a word just as its letters do.
_ACCENTS = frozenset({1, *range(10, 37), *range(200, 241)})
_ZERO_WIDTH_SPACE = "\u200b"


def words(text: str) -> set[str]:
    """The words by which a text is found: without case and accents, each cut to 64 characters.

    In a script without spaces, each pair of neighbouring characters is a word, and so is the last character of a row.
    """
    return _words(text, is_asked=False)


def asked(text: str) -> set[str]:
    """The words of a search. It finds a text if each of them is the beginning of one of the text's `words`."""
    return _words(text, is_asked=True)


def folded(text: str) -> str:
    """The text in lower case without accents, with a space for each character that belongs to no word.

    One character may become eighteen, so the decomposed text is cut to its first 200,000 characters.
    """
    if text.isascii():
        return text.lower()
    text = MARKS.sub(lambda run: f"{run[0][:MARKS_MAX]} ", text)
    # Decomposed before and after, because folding produces letters that decompose further.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text)[:FOLDED_MAX].casefold())
    return decomposed.translate(_FOLDS)


def _words(text: str, is_asked: bool) -> set[str]:
    if text.isascii():
        return {word[:WORD_MAX] for word in _PLAIN.findall(text.lower())}
    found: set[str] = set()
    for word, unspaced in _WORD.findall(folded(text)):
        if not unspaced:
            found.add(word[:WORD_MAX])
            continue
        characters = list(unspaced) if unspaced.isalnum() else [c[:WORD_MAX] for c in _CHARACTER.findall(unspaced)]
        found.update(map(str.__add__, characters, characters[1:]))
        # A search for a row of two or more needs no word for its last character: the last pair contains it.
        if not is_asked or len(characters) == 1:
            found.update(characters[-1:])
    return found


class _Folds(dict[int, str]):
    """The fold of each character, computed when it is first seen; those below U+10000 are remembered."""

    def __missing__(self, code: int) -> str:
        fold = _fold(chr(code))
        if code < 0x10000:
            self[code] = fold
        return fold


def _fold(character: str) -> str:
    if character.isalnum():
        stroked = _WITH.match(unicodedata.name(character, ""))
        return _LETTERS.get(character) or (stroked[1].lower() if stroked else character)
    category = unicodedata.category(character)
    if category in ("Mn", "Mc"):
        # Variation selectors and the grapheme joiner are marks too.
        is_letter = unicodedata.combining(character) not in _ACCENTS and not _is_ignored(character)
        return character if is_letter else ""
    if category in ("Me", "Cf") and character != _ZERO_WIDTH_SPACE:
        return ""
    return character if character in _SIGNS else " "


def _is_ignored(mark: str) -> bool:
    return mark == "\u034f" or "VARIATION SELECTOR" in unicodedata.name(mark, "")


_FOLDS = _Folds()
