"""Whoever has as many as may be is told so, sees how many these are, and signs in nevertheless."""

import asyncio

import pytest
from dependency_injector import providers

from adapters.security.passwords import Argon2Hasher
from entrypoints.container import Container
from tests.http.house import house_in_memory, house_on_postgres, set_to, visited
from tests.http.test_problems import problem
from tests.support.clients import API, PASSWORD, Person, done, sign_up


def a_house(database_url: str, **settings: int) -> Container:
    """The assembly on PostgreSQL with these settings."""
    hasher = providers.Singleton(Argon2Hasher, memory_kib=8, passes=1)  # it ends with the assembly
    return house_on_postgres(database_url, settings=set_to(database_url=database_url, **settings), hasher=hasher)


async def test_what_is_too_much_is_refused_with_the_quota_and_its_limit() -> None:
    async with visited(house_in_memory(settings=set_to(quota_tasks=2))) as http:
        ada = await sign_up(http, "Ada")
        for _ in range(2):
            await ada.open_task()
        body = problem(await ada.post("/tasks", {"title": "One more"}), 409, "quota_exceeded")
        assert (body["quota"], body["limit"]) == ("tasks", 2)
        usage = done(await ada.get(f"/workspaces/{ada.id}/usage"))
        assert usage["tasks"] == {"used": 2, "limit": 2}


async def test_a_bulk_that_has_no_room_is_refused_as_a_whole_and_in_parts_only_beyond_the_room() -> None:
    async with visited(house_in_memory(settings=set_to(quota_tasks=3))) as http:
        ada = await sign_up(http, "Ada")
        operations = [{"op": "create", "task": {"title": f"Task {number}"}} for number in range(5)]
        problem(await ada.post("/tasks/bulk", {"mode": "atomic", "operations": operations}), 409, "quota_exceeded")
        report = done(await ada.post("/tasks/bulk", {"mode": "partial", "operations": operations}))
        assert [(result["error"] or {}).get("code") for result in report["results"]] == [
            *[None] * 3,
            *["quota_exceeded"] * 2,
        ]


async def test_a_stranger_does_not_learn_what_is_used(ada: Person, bob: Person) -> None:
    team = await ada.create_team()
    problem(await bob.get(f"/workspaces/{team['id']}/usage"), 404, "not_found")


async def test_one_session_too_many_ends_the_oldest_however_many_sign_in_at_once(database_url: str) -> None:
    house = a_house(database_url, quota_sessions=3)
    async with visited(house) as http:
        first = await sign_up(http, "Ada")
        credentials = {"email": first.email, "password": PASSWORD}
        answers = await asyncio.gather(*(http.post(f"{API}/auth/login", json=credentials) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        problem(await first.get("/tasks"), 401, "session_ended")
        tokens = [answer.json()["access_token"] for answer in answers]
        asked = [await http.get(f"{API}/auth/sessions", headers={"Authorization": f"Bearer {t}"}) for t in tokens]
        (alive,) = {len(answer.json()["data"]) for answer in asked if answer.status_code == 200}
        assert alive == sum(answer.status_code == 200 for answer in asked) == 3


@pytest.mark.parametrize("most", [1, 4])
async def test_an_account_has_so_many_tickets_as_the_setting_says(database_url: str, most: int) -> None:
    house = a_house(database_url, quota_tickets=most)
    async with visited(house) as http:
        ada = await sign_up(http, "Ada")
        for _ in range(most + 3):
            done(await ada.post("/live/tickets", {}))
        async with house.database().connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM tickets") == most
