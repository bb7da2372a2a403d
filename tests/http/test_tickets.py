"""Whoever is signed in gets tickets for live connections over HTTP, each anew and none of them kept."""

import httpx
import pytest

from adapters.memory.idempotency import ANSWERS
from application.realtime.tickets import Tickets
from entrypoints.container import Container
from tests.http.house import house_in_memory, set_to, visited
from tests.http.test_problems import problem
from tests.support.clients import API, Json, Person, done, sign_up

OPENING: Json = {"subscribe": ["me"], "resume": {"workspace:W": 812}, "epoch": "29be7eb5"}


@pytest.fixture
def tickets(house: Container) -> Tickets:
    """Where the tickets are taken back."""
    return house.tickets()


async def test_a_ticket_is_for_whoever_asks_and_opens_what_was_asked_for(ada: Person, tickets: Tickets) -> None:
    response = await ada.post("/live/tickets", OPENING)
    said = response.json()

    assert response.status_code == 201
    assert (set(said), said["expires_in"]) == ({"ticket", "expires_in"}, 30)
    assert response.headers["cache-control"] == "no-store"
    principal, opening = await tickets.redeem(said["ticket"], "192.0.2.1")
    assert str(principal.account_id) == ada.id
    assert (opening.subscribe, opening.resume, opening.epoch) == (["me"], {"workspace:W": 812}, "29be7eb5")


async def test_a_connection_may_begin_with_nothing(ada: Person, tickets: Tickets) -> None:
    _, opening = await tickets.redeem(done(await ada.post("/live/tickets", {}))["ticket"], "192.0.2.1")

    assert (opening.subscribe, opening.resume, opening.epoch) == ([], {}, None)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"subscribe": "me"},
        {"subscribe": ["m"]},
        {"subscribe": ["x" * 65]},
        {"subscribe": ["me"] * 129},
        {"resume": {"workspace:W": -1}},
        {"resume": {"workspace:W": 2**53}},
        {"resume": {"workspace:W": "1"}},
        {"resume": {"x" * 40_000: 1}},
        {"epoch": "x" * 40_000},
        {"epoch": 5},
        {"token": "x"},
    ],
)
async def test_an_opening_that_is_none_is_refused(ada: Person, body: object) -> None:
    problem(await ada.post("/live/tickets", body), 422, "validation_failed")


async def test_a_stranger_gets_no_ticket(http: httpx.AsyncClient, ada: Person) -> None:
    problem(await http.post(f"{API}/live/tickets", json=OPENING), 401, "token_missing")
    ticket = done(await ada.post("/live/tickets", OPENING))["ticket"]
    by_ticket = {"Authorization": f"Bearer {ticket}"}
    problem(await http.post(f"{API}/live/tickets", json=OPENING, headers=by_ticket), 401, "token_invalid")
    problem(await http.get(f"{API}/me", headers=by_ticket), 401, "token_invalid")
    problem(await http.get(f"{API}/me?ticket={ticket}"), 401, "token_missing")


async def test_a_ticket_is_neither_kept_for_a_repetition_nor_compressed(house: Container, ada: Person) -> None:
    headers = {"Idempotency-Key": "a-ticket", "Accept-Encoding": "br, zstd, gzip"}
    answers = [await ada.post("/live/tickets", OPENING, headers=headers) for _ in range(2)]

    assert len({done(answer)["ticket"] for answer in answers}) == 2
    for answer in answers:
        assert {"idempotency-replayed", "content-encoding"}.isdisjoint(answer.headers)
    kept = b"".join(known.answer.body for known in house.database().committed[ANSWERS].values())
    assert b'"ticket"' not in kept


async def test_tickets_count_as_requests() -> None:
    limits = {"rate_limit_enabled": True, "rate_limit_max_requests": 3, "rate_limit_window_ms": 3_600_000}
    async with visited(house_in_memory(settings=set_to(**limits))) as http:
        ada = await sign_up(http)
        for _ in range(3):
            done(await ada.post("/live/tickets", {}))
        problem(await ada.post("/live/tickets", {}), 429, "rate_limited")
