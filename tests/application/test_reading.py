"""What is told about JSON that cannot be read as a message, and what is read all the same."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from application.reading import NESTED_MAX, Reader, Unreadable, id_in
from domain.errors import DomainError, Invalid


class Item(Struct, forbid_unknown_fields=True):
    name: str
    fields: dict[str, object] = {}


class Order(Struct, forbid_unknown_fields=True):
    id: int = 0
    items: list[Item] = []
    rest: Raw = Raw(b"null")


read: Reader[Order] = Reader(Order)


def refused(text: str | bytes) -> DomainError:
    with pytest.raises(DomainError) as error:
        read(text if isinstance(text, bytes) else text.encode())
    return error.value


def test_a_byte_order_mark_is_ignored() -> None:
    assert read(b'\xef\xbb\xbf{"id":7}').id == 7


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('{"items":[{"name":"\\ud83c"}]}', "/items/0/name"),
        ('{"items":[{"name":"a"},{"name":"\\x"}]}', "/items/1/name"),
        ('{"id":1,"rest":{"a":[1,{"b":"\\udc00\\ud800"}]}}', "/rest/a/1/b"),
        ('{"id":1,"items":[{"name":"a\nb"}]}', "/items/0/name"),
        ('{"id":007}', "/id"),
        ('{"id":1,"items":[', "/items/0"),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_what_is_no_json_names_its_place(text: str, pointer: str) -> None:
    error = refused(text)
    assert isinstance(error, Unreadable)
    assert error.pointer == pointer


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('{"colour":1}', "/colour"),
        ('{"items":[{"name":"a","a/b~c":1}]}', "/items/0/a~1b~0c"),
        ('{"items":[{"name":1}]}', "/items/0/name"),
        ('{"id":1,"id":2}', "/id"),
        ('{"items":[{"name":"a"},{"name":"a","fields":{"x":{"y":1,"z":2,"y":3}}}]}', "/items/1/fields/x/y"),
        ('{"items":[{"name":"a","fields":{"x":{"y":1},"z":{"y":1}}},{"name":"b","name":"c"}]}', "/items/1/name"),
    ],
)
def test_what_is_another_message_names_its_field(text: str, pointer: str) -> None:
    error = refused(text)
    assert isinstance(error, Invalid)
    assert error.pointer == pointer


def deep(levels: int, opening: str, closing: str) -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize(
    ("around", "levels", "pointer"),
    [('{"items":[{"name":"a","fields":{"x":%s}}]}', 4, "/items/0/fields"), ('{"rest":%s}', 1, "/rest")],
)
def test_nesting_has_one_bound_wherever_it_is(
    around: str, levels: int, pointer: str, opening: str, closing: str
) -> None:
    read((around % deep(NESTED_MAX - levels, opening, closing)).encode())
    for more in (1, 900, 100_000):
        error = refused(around % deep(NESTED_MAX - levels + more, opening, closing))
        assert isinstance(error, Invalid)
        assert error.pointer == pointer


def test_brackets_in_text_nest_nothing_and_neighbours_do_not_either() -> None:
    items = [{"name": '[{"' * 30, "fields": {"a": [], "b": {}}} for _ in range(200)]
    assert len(read(json.dumps({"items": items}).encode()).items) == 200


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('{"items":[{"name":"a","fields":{"b":1e400}}]}', "/items/0/fields"),
        ('{"items":[{"name":"a","fields":{"b":[{"c":[1,-1e400]}]}}]}', "/items/0/fields"),
    ],
)
def test_what_is_wrong_below_a_name_that_no_type_declares_points_to_the_last_one_that_is(
    text: str, pointer: str
) -> None:
    assert refused(text).pointer == pointer


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ('{"type":"call","id":7,"params":{"title":"\\ud83c"}}', 7),
        ('{"params":{"id":8,"title":"\\x"},"id":7}', 7),
        ('{"params":[{"id":8}], "id" : 7 ', 7),
        ('{"id":"7"}', None),
        ('{"name":"id","b":7}', None),
        ('[{"id":7}]', None),
        ("id:7", None),
        ("\x00\xff", None),
    ],
)
def test_the_id_is_found_whatever_else_is_wrong(text: str, id: int | None) -> None:
    assert id_in(text.encode("latin-1")) == id


@given(st.binary(max_size=200) | st.text('{}[]",:\\au0d8 \n1').map(str.encode))
def test_any_text_is_read_or_refused(text: bytes) -> None:
    with suppress(DomainError):
        read(text)
    id_in(text)
