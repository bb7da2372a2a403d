"""The form of JSON that is kept."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.values import DEPTH_MAX, kept

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
values = st.recursive(scalars | texts, lambda held: st.lists(held) | st.dictionaries(texts, held), max_leaves=10)


def form(value: Mapping[str, object], longest: int = 8_192) -> dict[str, object]:
    return kept(value, pointer="/custom", longest=longest)


def nested(levels: int, *, in_arrays: bool) -> dict[str, object]:
    value: object = []
    for _ in range(levels - 2):
        value = [value] if in_arrays else {"a": value}
    return {"a": value}


@given(st.dictionaries(texts, values, max_size=4))
def test_the_form_is_the_same_value_and_the_form_of_itself(value: dict[str, object]) -> None:
    found = form(value, 10**9)
    assert json.dumps(found, sort_keys=True) == json.dumps(value, sort_keys=True)
    assert json.dumps(form(found, 10**9)) == json.dumps(found)


def test_names_are_in_one_order_in_arrays_too() -> None:
    assert json.dumps(form({"b": [{"name": "x", "id": 1}], "a": 1})) == '{"a": 1, "b": [{"id": 1, "name": "x"}]}'


def test_numbers_stay_as_they_are() -> None:
    assert repr(form({"n": [1e16, -0.0, 1, 1.0, 1e308]})) == "{'n': [1e+16, -0.0, 1, 1.0, 1e+308]}"


@pytest.mark.parametrize("in_arrays", [True, False])
def test_nesting_is_bounded(in_arrays: bool) -> None:
    assert form(nested(DEPTH_MAX, in_arrays=in_arrays))
    for levels in (DEPTH_MAX + 1, 968, 100_000):
        with pytest.raises(Invalid, match="32 deep") as refused:
            form(nested(levels, in_arrays=in_arrays), 10**6)
        assert refused.value.pointer == "/custom"


def test_the_bound_of_bytes_counts_the_form() -> None:
    assert form({"a": "é"}, 10)
    with pytest.raises(Invalid, match="At most 9 bytes"):
        form({"a": "é"}, 9)


@pytest.mark.parametrize("text", ["a\x00b", "\\\x00", "\ud83c", "\udc00\ud800"])
def test_text_that_cannot_be_stored_is_refused_as_a_value_and_as_a_name(text: str) -> None:
    for value in ({"a": text}, {text: 1}, {"a": [{text: 1}]}):
        with pytest.raises(Invalid, match="cannot be stored"):
            form(value)


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "\\ud800", "\\"])
def test_a_backslash_and_what_follows_it_is_text_like_any_other(text: str) -> None:
    assert form({text: text}) == {text: text}


def test_what_is_no_number_in_json_is_refused() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(Invalid):
            form({"a": value})
