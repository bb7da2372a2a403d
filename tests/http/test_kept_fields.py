"""Fields of one's own: what is answered, told, read and replayed is one value, byte for byte."""

import json
import re

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.house import house_in_memory, served
from tests.support.clients import Json, Person, done, listening, sign_up
from tests.support.clients import client as called

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.booleans() | numbers | texts,
    lambda held: st.lists(held, max_size=4) | st.dictionaries(texts, held, max_size=4),
    max_leaves=8,
)


def custom_in(body: bytes) -> set[bytes]:
    """Every value of a field `custom` in a JSON text, as it stands there; in changes both values."""
    decoder, found = json.JSONDecoder(), set()
    text = body.decode()
    for match in re.finditer(r'"custom":', text):
        _, end = decoder.raw_decode(text, match.end())
        found.add(text[match.end() : end].encode())
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(custom=st.dictionaries(texts, values, min_size=1, max_size=4))
async def test_answer_event_reading_and_replay_are_equal(stored: httpx.AsyncClient, custom: Json) -> None:
    ada = await sign_up(stored)
    opened = await ada.post("/tasks", {"title": "fields", "custom": custom})
    path = f"/tasks/{done(opened)['id']}"
    (kept,) = custom_in(opened.content)
    for answer in (await ada.get(path), await ada.get("/tasks"), await ada.get(f"{path}/history")):
        assert custom_in(answer.content) == {kept}
    again = await ada.patch(path, {"custom": custom})
    assert (custom_in(again.content), done(again)["version"]) == ({kept}, 1)
    assert len(done(await ada.get(f"{path}/history"))["data"]) == 1


async def test_what_comes_back_is_what_was_told(stored: httpx.AsyncClient) -> None:
    ada = await sign_up(stored)
    text = '{"n":1e16,"zero":-0.0,"one":1.0,"rows":[{"name":"x","id":1}],"path":"\\\\u0000"}'
    opened = await ada.send(
        "POST",
        "/tasks",
        content=b'{"title":"fields","custom":' + text.encode() + b"}",
        headers={"Content-Type": "application/json"},
    )
    assert custom_in(opened.content) == {
        b'{"n":1e16,"one":1.0,"path":"\\\\u0000","rows":[{"id":1,"name":"x"}],"zero":-0.0}'
    }
    big = [1e308] * 1_300
    task = await ada.open_task(custom={"big": big})
    assert len((await ada.get(f"/tasks/{task['id']}")).content) < 10_000
    assert done(await ada.patch(f"/tasks/{task['id']}", {"title": "still changes"}))["custom"] == {"big": big}


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
@pytest.mark.parametrize("levels", [33, 60, 968, 5_000])
async def test_every_door_has_the_same_bound_of_depth(opening: str, closing: str, levels: int) -> None:
    value = '{"a":' + opening * (levels - 1) + "1" + closing * (levels - 1) + "}"
    async with served(house_in_memory()) as url, called(url) as http:
        ada = await sign_up(http)
        task = await ada.open_task()

        async def sent(method: str, path: str, text: str) -> Json:
            answer = await ada.send(method, path, content=text, headers={"Content-Type": "application/json"})
            return {"status": answer.status_code, **answer.json()}

        for method, path, text, pointer in (
            ("POST", "/tasks", '{"title":"x","custom":%s}', "/custom"),
            ("PATCH", f"/tasks/{task['id']}", '{"custom":%s}', "/custom"),
            (
                "POST",
                "/tasks/bulk",
                '{"operations":[{"op":"create","task":{"title":"x","custom":%s}}]}',
                "/operations/0/task/custom",
            ),
        ):
            problem = await sent(method, path, text % value)
            assert (problem["status"], problem["code"]) == (422, "validation_failed"), problem
            assert problem["errors"][0]["pointer"] == pointer
        async with listening(url, ada.token) as live:
            call = '{"type":"call","id":7,"method":"task.create","params":{"title":"x","custom":%s}}'
            await live.send(call % value)
            error = await live.frame("error")
            assert (error["id"], error["code"]) == (7, "validation_failed")
            assert error["message"].endswith("(at /custom)" if levels == 33 else "(at /params)")
        for change in ({"title": "changed"}, {"custom": {"a": 1}}):
            assert (await ada.patch(f"/tasks/{task['id']}", change)).is_success


async def test_thirty_two_levels_fit(ada: Person) -> None:
    value: object = 1
    for _ in range(32):
        value = {"a": value}
    assert (await ada.open_task(custom=value))["custom"] == value
