"""JSON that is stored for a caller: its one form and its bounds, the same for every entry point."""

import json
import re
from collections.abc import Mapping

from domain.errors import Invalid
from domain.text import UNSTORABLE

DEPTH_MAX = 32

# The plus sign of an exponent. Only Python writes it, so it does not count.
_PLUS = re.compile(r"(?<=\de)\+(?=\d)")


def kept(value: Mapping[str, object], *, pointer: str, longest: int) -> dict[str, object]:
    """The object in the one form in which it is stored, sent and compared: each object in it has its names sorted.

    Invalid, with `pointer`, if objects and arrays are nested more than 32 deep (the value itself is the first level),
    if the value has more than `longest` bytes as compact JSON in UTF-8, or if text in it cannot be stored.
    """
    if not value:
        return {}
    too_deep = Invalid(f"Objects and arrays may be nested {DEPTH_MAX} deep here.", pointer=pointer)
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise too_deep from None
    except ValueError:
        raise Invalid("A number here is none of JSON.", pointer=pointer) from None
    if UNSTORABLE.search(text) or "\\u0000" in text.replace("\\\\", ""):
        raise Invalid("This contains a character that cannot be stored.", pointer=pointer)
    if len(_PLUS.sub("", text).encode()) > longest:
        raise Invalid(f"At most {longest} bytes of JSON fit here.", pointer=pointer)
    try:
        return _in_order(value, DEPTH_MAX)
    except _TooDeep:
        raise too_deep from None


class _TooDeep(Exception):
    """An object or array is nested deeper than the last allowed level."""


def _in_order(value: Mapping[str, object], levels: int) -> dict[str, object]:
    if not levels:
        raise _TooDeep
    return {name: _form(value[name], levels - 1) for name in sorted(value)}


def _form(value: object, levels: int) -> object:
    match value:
        case Mapping():
            return _in_order(value, levels)
        case list() | tuple():
            if not levels:
                raise _TooDeep
            return [_form(item, levels - 1) for item in value]
        case _:
            return value
