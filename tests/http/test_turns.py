"""Nothing that one request asks for keeps everybody else in the process waiting for long."""

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from domain.tasks import DESCRIPTION_MAX
from tests.http.test_problems import problem
from tests.support.clients import API, Json, Person, sign_up

# 50 is what is promised. Beside other work the same code takes up to twice the CPU time.
LONGEST_MS = 100.0
# No letter of it is ASCII, and each second word is another one.
TEXT = "".join(f"{chr(0xAC00 + n % 11_000)}ção " for n in range(DESCRIPTION_MAX // 5))


class Heart:
    """Beats once in each turn of the event loop; `longest_ms` is the most CPU time that passed between two beats.

    Time in which the machine did something else is none of ours.
    """

    longest_ms = 0.0

    async def beat(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest_ms = max(self.longest_ms, (now - before) * 1_000)
            before = now


@asynccontextmanager
async def heart() -> AsyncIterator[Heart]:
    """A heart that beats inside the block; what was made before it is never looked at again for garbage."""
    found = Heart()
    gc.collect()
    gc.freeze()
    beating = asyncio.create_task(found.beat())
    await asyncio.sleep(0)
    try:
        yield found
        await asyncio.sleep(0)
    finally:
        beating.cancel()


@pytest_asyncio.fixture
async def ada(stored: httpx.AsyncClient) -> Person:
    return await sign_up(stored)


async def open_tasks(who: Person, count: int, description: str = TEXT) -> Sequence[str]:
    """The ids of new tasks with this description."""
    ids: list[str] = []
    while len(ids) < count:
        size = min(5, count - len(ids))
        created = [{"op": "create", "task": {"title": "A task", "description": description}} for _ in range(size)]
        report = (await who.post("/tasks/bulk", {"operations": created})).json()
        ids += [result["task"]["id"] for result in report["results"]]
    return ids


def updates(ids: Sequence[str], patch: Json, mode: str = "atomic") -> Json:
    return {"operations": [{"op": "update", "id": id, "patch": patch} for id in ids], "mode": mode}


async def test_a_bulk_of_changes_to_long_tasks_has_a_short_answer_and_stalls_nobody(ada: Person) -> None:
    ids = await open_tasks(ada, 100)
    patches: Sequence[Json] = ({"title": "Another title"}, {"priority": "high"}, {"custom": {"a": [[]] * 250}})
    for patch in patches:
        for mode in ("atomic", "partial"):
            async with heart() as beating:
                answer = await ada.post("/tasks/bulk", updates(ids, patch, mode), headers={"Accept-Encoding": "gzip"})
            assert answer.json()["failed"] == 0
            assert len(answer.content) < 20_000
            assert beating.longest_ms < LONGEST_MS, (patch, mode)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip"])
async def test_a_large_answer_is_compressed_and_stalls_nobody(ada: Person, encoding: str) -> None:
    drawn = random.Random(7)  # for text that is slow to compress
    text = "".join(drawn.choice("aeiou ñß한") for _ in range(DESCRIPTION_MAX))
    await open_tasks(ada, 12, text)
    async with heart() as beating:
        answer = await ada.get("/tasks", headers={"Accept-Encoding": encoding})
    assert answer.headers["content-encoding"] == encoding
    assert [task["description"] for task in answer.json()["data"]] == [text.strip()] * 12
    assert beating.longest_ms < LONGEST_MS


async def test_the_words_of_no_text_are_looked_for_for_long(ada: Person) -> None:
    phrase = "\ufdfa"  # which is one character, and eighteen without its form
    async with heart() as beating:
        task = (await ada.open_task(title="A task", description=f"begins {phrase * (DESCRIPTION_MAX - 12)} ends"))["id"]
    assert beating.longest_ms < LONGEST_MS
    found = [(await ada.get(f"/tasks?q={word}")).json()["data"] for word in ("begins", "صلى", "task")]
    assert [[each["id"] for each in page] for page in found] == [[task]] * 3


VALUES: Mapping[str, Callable[[int], str]] = {
    "objects": lambda count: "[" + ",".join(["{}"] * count) + "]",
    "arrays": lambda count: "[" + ",".join(["[]"] * count) + "]",
    "nested arrays": lambda count: "[" + ",".join(["[[],[[]]]"] * (count // 4)) + "]",
    "texts": lambda count: "[" + ",".join(['""'] * count) + "]",
    "numbers": lambda count: "[" + ",".join(["1"] * count) + "]",
    "names": lambda count: "{" + ",".join(f'"{n:x}":1' for n in range(count)) + "}",
    "names, the last of them twice": lambda count: "{" + ",".join(f'"{n:x}":1' for n in [*range(count), 0]) + "}",
    "no values": lambda count: "," * count,
    "brackets": lambda count: "[" * count,
    "closed brackets": lambda count: "[" * (count // 2) + "]" * (count // 2),
    "commas in a text": lambda count: '"' + '\\",' * (count // 3) + '"',
}


@pytest.mark.parametrize("made_of", VALUES)
@pytest.mark.parametrize("count", [29_000, 250_000])
async def test_a_body_of_very_many_values_stalls_nobody(ada: Person, made_of: str, count: int) -> None:
    body = f'{{"title": "A task", "custom": {{"a": {VALUES[made_of](count)}}}}}'
    headers = ada.authorization | {"Content-Type": "application/json"}
    async with heart() as beating:
        refused = await ada.http.post(f"{API}/tasks", content=body[:1_048_576], headers=headers)
    assert refused.status_code in (400, 422)
    assert beating.longest_ms < LONGEST_MS


async def test_signs_within_texts_are_no_values(ada: Person) -> None:
    text = '[{,"\\"' * 7_000
    operations = [{"op": "create", "task": {"title": "A task", "description": text}}] * 3
    answer = await ada.post("/tasks/bulk", {"operations": operations})
    assert answer.json()["failed"] == 0
    found = await ada.get(f"/tasks/{answer.json()['results'][0]['task']['id']}")
    assert found.json()["description"] == text


async def test_a_bulk_that_changes_more_text_than_the_journal_takes_at_once_is_refused(ada: Person) -> None:
    ids = await open_tasks(ada, 60)
    async with heart() as beating:
        refused = await ada.post("/tasks/bulk", updates(ids, {"description": ""}))
    problem(refused, 422, "change_too_large")
    assert beating.longest_ms < LONGEST_MS
    assert (await ada.get(f"/tasks/{ids[0]}")).json()["version"] == 1
    for mode, some in (("atomic", ids[:25]), ("partial", ids[25:])):
        async with heart() as beating:
            answer = await ada.post("/tasks/bulk", updates(some, {"description": ""}, mode))
        assert answer.json()["failed"] == 0
        assert beating.longest_ms < LONGEST_MS
