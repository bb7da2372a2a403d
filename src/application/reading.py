"""Reads JSON from clients as messages, the same over HTTP and live connections, and points to what is wrong in it."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from domain.errors import DomainError, Invalid
from domain.values import DEPTH_MAX

T = TypeVar("T")

# The depth of what is kept, and a few levels around it.
NESTED_MAX = DEPTH_MAX + 8
# The place of a mistake, and an id, are searched in so many bytes: it costs a µs a byte, and any client can cause it.
SEARCHED_BYTES = 8_192

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_PAIR = re.compile(rb"\[\]|\{\}")
_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*+"?)|[\[\]{},:]|[^\s"\[\]{},:]+', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_AT_BYTE = re.compile(r" \(byte (\d+)\)$")
_AT_PLACE = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)


class Unreadable(DomainError):
    """The text is not JSON in UTF-8."""

    code = "malformed"


class TooDeep(Invalid):
    """Objects and arrays are nested deeper than any message has them."""


class Reader(Generic[T]):
    """Reads JSON as a message of one type, strictly.

    Unknown fields and wrong types are Invalid, and so are objects and arrays that are nested more than 40 deep, and a
    field that an object has twice: of two readers, such as a gateway and we, each could take a different one for
    the valid one. What is no JSON in UTF-8 is Unreadable. The pointer of either leads to the place. A byte order mark
    before the text is ignored.
    """

    def __init__(self, type: Any) -> None:
        self._type = type
        self._decode: Any = msgspec.json.Decoder(type).decode

    def __call__(self, text: bytes) -> T:
        text = text.removeprefix(_BYTE_ORDER_MARK)
        if text.count(b"[") + text.count(b"{") > NESTED_MAX and _is_too_deep(text):
            told = f"Objects and arrays are nested more than {NESTED_MAX} deep here."
            raise TooDeep(told, pointer=_pointer(_declared(self._type, _deep_place(text))))
        try:
            message = self.part(text)
            _walk(text.decode().lstrip())
        except (msgspec.DecodeError, ValueError) as error:
            raise Unreadable("This is not valid JSON in UTF-8.", pointer=_flaw(text, error)) from None
        except _Repeated as error:
            name = error.name[:64]
            told = f"An object here has the field `{name}` more than once."
            raise Invalid(told, pointer=_pointer(_repeated_place(text))) from None
        return message

    def part(self, text: bytes) -> T:
        """Read a part of a text that was read before as a whole, so it is JSON; Invalid for another shape."""
        try:
            return self._decode(text)  # type: ignore[no-any-return]
        except msgspec.ValidationError as error:
            raise _misshapen(error) from None


def id_in(text: bytes) -> int | None:
    """The `id` of the outermost object of a text, if it is a number, even if the rest cannot be read."""
    for token in _tokens(text):
        if token.path == ["id"] and token.is_value and token.text.isdigit() and len(token.text) < 17:
            return int(token.text)
    return None


def _misshapen(error: msgspec.ValidationError) -> Invalid:
    message, steps = str(error), list[str]()
    if found := _AT_PLACE.search(message):
        message = message[: found.start()]
        # Names that no type declares stand there as dots, so nobody could follow the path any further.
        declared = found[1].partition("[...]")[0]
        steps += (name or index for name, index in _STEP.findall(declared))
    if unknown := _UNKNOWN.match(message):
        steps.append(unknown[1])
    return Invalid(message.replace("Object ", "The object ", 1) + ".", pointer=_pointer(steps))


class _Repeated(Exception):
    def __init__(self, name: str) -> None:
        self.name = name


def _refuse_repeated(members: Sequence[tuple[str, Any]]) -> None:
    if len(dict(members)) < len(members):
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                raise _Repeated(name)
            seen.add(name)


# Only names matter to this walk, so numbers stay text: no number of digits is too much then.
_walk = json.JSONDecoder(object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str).raw_decode


def _is_too_deep(text: bytes) -> bool:
    """Whether brackets are nested too deep: each round takes the innermost pairs away."""
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    for _ in range(NESTED_MAX):
        brackets = _PAIR.sub(b"", brackets)
    return bool(brackets)


class _Token(NamedTuple):
    """A piece of JSON that may be none: where it begins, and the path to it; a value, or else a name or a sign."""

    start: int
    text: bytes
    path: list[str | int]
    is_value: bool


def _tokens(text: bytes) -> Iterator[_Token]:
    """The pieces of a text in order. The path is one list that changes as they go on."""
    path: list[str | int] = []
    is_name = False
    for match in _TOKEN.finditer(text, 0, SEARCHED_BYTES):
        token = match[0]
        is_value = False
        match token:
            case b"{" | b"[":
                is_name = token == b"{"
                path.append("" if is_name else 0)
            case b"}" | b"]":
                if path:
                    path.pop()
                is_name = False
            case b",":
                if path and isinstance(path[-1], int):
                    path[-1] += 1
                else:
                    is_name = True
            case b":":
                is_name = False
            case _ if is_name and path:
                path[-1] = _name(token)
            case _:
                is_value = True
        yield _Token(match.start(), token, path, is_value)


def _name(token: bytes) -> str:
    try:
        return str(json.loads(token)).encode(errors="replace").decode()
    except ValueError:
        return token.strip(b'"').decode(errors="replace")


def _flaw(text: bytes, error: Exception) -> str:
    """Where a text is no JSON: at the byte that the error names, or else in the first string that cannot be read."""
    at = _AT_BYTE.search(str(error))
    end = len(text) if at is None else int(at[1])
    place: list[str | int] = []
    for token in _tokens(text):
        place = list(token.path)
        if token.start + len(token.text) > end or (at is None and token.text[:1] == b'"' and not _is_text(token.text)):
            break
    return _pointer(place)


def _is_text(token: bytes) -> bool:
    try:
        return not _SURROGATE.search(json.loads(token))
    except ValueError:
        return False


def _deep_place(text: bytes) -> Sequence[str | int]:
    return next((list(token.path) for token in _tokens(text) if len(token.path) > NESTED_MAX), [])


def _repeated_place(text: bytes) -> Sequence[str | int]:
    seen: list[set[str]] = []
    for token in _tokens(text):
        del seen[len(token.path) :]
        seen += (set() for _ in range(len(token.path) - len(seen)))
        is_name = not token.is_value and token.path and token.text not in b"{}[],:"
        if is_name:
            name = str(token.path[-1])
            if name in seen[-1]:
                return list(token.path)
            seen[-1].add(name)
    return []


def _declared(type: Any, path: Sequence[str | int]) -> Sequence[str | int]:
    """The beginning of a path that the fields of a type account for; below it any JSON may stand."""
    nodes = [msgspec.inspect.type_info(type)]
    for count, step in enumerate(path):
        nodes = [below for node in nodes for below in _below(node, step)]
        if not nodes:
            return path[:count]
    return path


def _below(node: msgspec.inspect.Type, step: str | int) -> Iterator[msgspec.inspect.Type]:
    match node:
        case msgspec.inspect.Metadata(type=inner):
            yield from _below(inner, step)
        case msgspec.inspect.UnionType(types=types):
            for each in types:
                yield from _below(each, step)
        case msgspec.inspect.StructType(fields=fields):
            yield from (field.type for field in fields if field.encode_name == step)
        case msgspec.inspect.ListType(item_type=item) if isinstance(step, int):
            yield item


def _pointer(path: Sequence[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
