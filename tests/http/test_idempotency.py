"""A request that is sent twice under one key has one effect, and its answer comes twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count

import httpx
import pytest
from dependency_injector import providers

from adapters.memory.idempotency import ANSWERS
from adapters.memory.system import MovableClock
from adapters.security.passwords import Argon2Hasher
from adapters.security.secrets import HmacSecrets
from application.ports.idempotency import Attempt, Idempotency
from application.ports.unit_of_work import Interrupted
from domain.ids import AccountId
from entrypoints.answers import SecretAnswers
from entrypoints.container import Container
from tests.http.house import house_in_memory, visited
from tests.http.test_problems import problem
from tests.support.clients import API, PASSWORD, Person, done, sign_up

_keys = count(1)
VOLATILE = {"x-request-id", "idempotency-replayed"}


def key(value: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": value or f"key-{next(_keys)}"}


def stable(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """What a replay has in common with the first answer."""
    headers = {name: value for name, value in response.headers.items() if name not in VOLATILE}
    return response.status_code, headers, response.content


async def test_a_repetition_gets_the_first_answer_again(ada: Person) -> None:
    headers = key()
    first = await ada.post("/tasks", {"title": "once"}, headers=headers)
    again = [await ada.post("/tasks", {"title": "once"}, headers=headers) for _ in range(3)]

    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    assert {answer.headers["idempotency-replayed"] for answer in again} == {"true"}
    assert [stable(answer) for answer in again] == [stable(first)] * 3
    assert len({answer.headers["x-request-id"] for answer in (first, *again)}) == 4
    assert len(done(await ada.get("/tasks"))["data"]) == 1


class InterruptedOnce(Idempotency):
    """Another's memory, of which the first transaction is lost at its end, and `meanwhile` comes before the next."""

    def __init__(self, inner: Idempotency) -> None:
        self._inner = inner
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    @asynccontextmanager
    async def attempt(self, account: AccountId, key: str, fingerprint: bytes) -> AsyncIterator[Attempt]:
        meanwhile, self.meanwhile = self.meanwhile, None
        try:
            async with self._inner.attempt(account, key, fingerprint) as attempt:
                yield attempt
                if meanwhile is not None:
                    raise Interrupted
        finally:
            if meanwhile is not None:
                await meanwhile()

    async def forget_old(self, most: int) -> int:
        return await self._inner.forget_old(most)


@pytest.mark.parametrize(("meanwhile", "status"), [("GET", 200), ("DELETE", 404)])
async def test_a_request_whose_transaction_is_lost_runs_again_and_gets_the_answer_of_then(
    meanwhile: str, status: int
) -> None:
    house = house_in_memory()
    idempotency = InterruptedOnce(house.idempotency())
    house.idempotency.override(providers.Object(idempotency))
    async with visited(house) as http:
        ada = await sign_up(http)
        path = f"/tasks/{(await ada.open_task())['id']}"
        idempotency.meanwhile = lambda: ada.send(meanwhile, path)
        assert (await ada.post(f"{path}/claim", headers=key())).status_code == status


async def test_every_sort_of_change_can_be_repeated(ada: Person, bob: Person) -> None:
    task = await ada.open_task()
    team = (await ada.create_team())["id"]
    await ada.admit(bob, team, "viewer")
    changes = [
        ("PATCH", f"/tasks/{task['id']}", {"title": "changed"}),
        ("POST", f"/tasks/{task['id']}/comments", {"text": "hello"}),
        ("POST", f"/tasks/{task['id']}/claim", None),
        ("PUT", f"/tasks/{task['id']}/assignees/{ada.id}", None),
        ("POST", "/tasks/bulk", {"operations": [{"op": "create", "task": {"title": "one"}}]}),
        ("POST", f"/workspaces/{team}/invitations", {}),
        ("PATCH", f"/workspaces/{team}/members/{bob.id}", {"role": "member"}),
        ("DELETE", f"/workspaces/{team}/members/{bob.id}", None),
        ("DELETE", f"/tasks/{task['id']}", None),
        ("DELETE", f"/workspaces/{team}", None),
    ]
    for method, path, body in changes:
        headers = key()
        first = await ada.send(method, path, json=body, headers=headers)
        events = await ada.events("me") + await ada.events(f"workspace:{ada.id}")
        again = await ada.send(method, path, json=body, headers=headers)
        assert first.is_success, (method, path, first.text)
        assert stable(again) == stable(first), (method, path)
        assert again.headers["idempotency-replayed"] == "true"
        assert await ada.events("me") + await ada.events(f"workspace:{ada.id}") == events


async def test_a_key_belongs_to_one_request(ada: Person) -> None:
    task = await ada.open_task()
    headers = key()
    done(await ada.post("/tasks", {"title": "once"}, headers=headers))
    others = [
        ("POST", "/tasks", {"title": "twice"}),
        ("POST", "/tasks", {"title": "once", "labels": []}),
        ("POST", "/workspaces", {"title": "once"}),
        ("PATCH", f"/tasks/{task['id']}", {"title": "once"}),
        ("DELETE", f"/tasks/{task['id']}", None),
        ("POST", "/tasks?limit=1", {"title": "once"}),
    ]
    for method, path, body in others:
        problem(await ada.send(method, path, json=body, headers=headers), 422, "idempotency_key_reused")


async def test_a_key_belongs_to_one_account(ada: Person, bob: Person) -> None:
    headers = key("one-for-both")
    hers = done(await ada.post("/tasks", {"title": "once"}, headers=headers))
    his = done(await bob.post("/tasks", {"title": "once"}, headers=headers))

    assert hers["id"] != his["id"]


async def test_a_quoted_key_is_the_same_as_a_bare_one(ada: Person) -> None:
    first = await ada.post("/tasks", {"title": "once"}, headers=key("quoted-or-not"))
    again = await ada.post("/tasks", {"title": "once"}, headers=key('"quoted-or-not"'))

    assert again.json() == first.json()


@pytest.mark.parametrize("bad", ["", " ", "two words", "x" * 256, "späße", "a\x01b", '""', 'a"b'])
async def test_a_key_that_is_none_is_refused(ada: Person, bad: str) -> None:
    response = await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": bad.encode()})

    said = problem(response, 400, "invalid_parameter")
    assert said["errors"][0]["pointer"] == "Idempotency-Key"
    assert done(await ada.get("/tasks"))["data"] == []


async def test_a_refused_request_is_not_remembered(ada: Person, bob: Person) -> None:
    headers = key()
    problem(await ada.post("/tasks", {"title": 5}, headers=headers), 422, "validation_failed")
    done(await ada.post("/tasks", {"title": "corrected"}, headers=headers))

    task, headers = await ada.open_task(), key()
    path = f"/tasks/{task['id']}"
    problem(await bob.patch(path, {"title": "x"}, headers=headers), 404, "not_found")
    stale = headers | {"If-Match": '"9"'}
    problem(await ada.patch(path, {"title": "x"}, headers=stale), 412, "version_conflict")
    changed = await ada.patch(path, {"title": "x"}, headers=headers | {"If-Match": '"1"'})
    assert changed.status_code == 200
    assert "idempotency-replayed" not in changed.headers


async def test_an_answer_is_remembered_for_a_day() -> None:
    house = house_in_memory()
    clock: MovableClock = house.clock()  # type: ignore[assignment]
    async with visited(house) as http:
        ada = await sign_up(http)
        headers = key()
        first = done(await ada.post("/tasks", {"title": "once"}, headers=headers))
        clock.advance(timedelta(minutes=14))
        assert done(await ada.post("/tasks", {"title": "once"}, headers=headers)) == first
        clock.advance(timedelta(hours=24))
        ada = await renewed(ada)
        second = await ada.post("/tasks", {"title": "once"}, headers=headers)

    assert second.json()["id"] != first["id"]
    assert "idempotency-replayed" not in second.headers


async def renewed(person: Person) -> Person:
    headers = {"Cookie": f"__Host-refresh={person.cookie}", "X-Requested-With": "test"}
    said = done(await person.http.post(f"{API}/auth/refresh", headers=headers))
    return Person(person.http, person.id, person.email, said["access_token"], "")


async def test_of_fifty_equal_requests_at_once_one_has_an_effect(ada: Person) -> None:
    headers = key()
    answers = await asyncio.gather(*(ada.post("/tasks", {"title": "once"}, headers=headers) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(done(await ada.get("/tasks"))["data"]) == 1


class SlowHasher(Argon2Hasher):
    """Verifies a password once it is let."""

    def __init__(self) -> None:
        super().__init__(memory_kib=8, passes=1)
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def verify(self, password: str, encoded: str | None) -> bool:
        self.asked.set()
        await self.go.wait()
        return await super().verify(password, encoded)


async def test_a_repetition_while_the_first_still_runs_is_told_so() -> None:
    hasher = SlowHasher()
    async with visited(house_in_memory(hasher=providers.Object(hasher))) as http:
        ada = await sign_up(http)
        headers = key()
        change = {"current_password": PASSWORD, "new_password": "a better horse battery"}
        first = asyncio.create_task(ada.post("/me/password", change, headers=headers))
        await hasher.asked.wait()

        problem(await ada.post("/me/password", change, headers=headers), 409, "idempotency_in_progress")
        hasher.go.set()
        assert (await first).status_code == 204


async def test_reading_takes_no_key(ada: Person) -> None:
    headers = key()
    before = done(await ada.get("/tasks", headers=headers))
    await ada.open_task()

    assert done(await ada.get("/tasks", headers=headers)) != before


async def test_an_answer_with_a_token_is_never_kept(house: Container, ada: Person) -> None:
    cookie = {"Cookie": f"__Host-refresh={ada.cookie}", "X-Requested-With": "test"}
    body = {"email": ada.email, "password": PASSWORD}
    new = {"email": f"new-{ada.email}", "password": PASSWORD, "display_name": "New"}
    headers = key() | ada.authorization
    for path, json, extra in (("login", body, {}), ("refresh", None, cookie), ("register", new, {})):
        response = await ada.http.post(f"{API}/auth/{path}", json=json, headers=headers | extra)
        assert response.is_success, response.text
        assert "idempotency-replayed" not in response.headers
    kept = b"".join(known.answer.body for known in house.database().committed[ANSWERS].values())
    assert b"access_token" not in kept


async def test_an_answer_with_a_secret_comes_twice_and_is_kept_in_no_readable_form(
    house: Container, ada: Person
) -> None:
    path, headers = f"/workspaces/{(await ada.create_team())['id']}/invitations", key()
    first = await ada.post(path, {"max_uses": 2}, headers=headers)
    again = await ada.post(path, {"max_uses": 2}, headers=headers)
    token = done(first)["token"]
    (kept,) = [
        answer
        for (_, name), answer in house.database().committed[ANSWERS].items()
        if name == headers["Idempotency-Key"]
    ]

    assert again.headers["idempotency-replayed"] == "true"
    assert stable(again) == stable(first)
    assert token not in repr(kept)
    assert len(done(await ada.get(path))["data"]) == 1


async def test_an_answer_with_a_secret_that_was_lost_is_a_conflict_and_not_done_again() -> None:
    house = house_in_memory()
    async with visited(house) as http:
        ada = await sign_up(http)
        path, headers = f"/workspaces/{(await ada.create_team())['id']}/invitations", key()
        done(await ada.post(path, {}, headers=headers))
        house.answering()._secret_answers = SecretAnswers(HmacSecrets("what the secret was replaced by, long enough"))

        problem(await ada.post(path, {}, headers=headers), 409, "answer_lost")
        assert len(done(await ada.get(path))["data"]) == 1


async def test_an_answer_that_is_given_again_is_compressed_no_more_than_the_first(ada: Person) -> None:
    path, headers = f"/workspaces/{(await ada.create_team())['id']}/invitations", key() | {"Accept-Encoding": "gzip"}
    for _ in range(2):
        answer = await ada.post(path, {}, headers=headers)
        assert answer.status_code == 201
        assert "content-encoding" not in answer.headers
