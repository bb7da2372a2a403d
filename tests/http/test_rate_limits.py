"""Who asks too often is told so, and nobody else feels it; only a trusted proxy says who somebody is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import httpx
import pytest
import pytest_asyncio
from dependency_injector import providers

from adapters.memory.idempotency import ANSWERS
from adapters.memory.system import MovableClock
from entrypoints.container import Container
from tests.http.house import house_in_memory, served, set_to, visited
from tests.http.test_problems import problem
from tests.support.badges import Badges
from tests.support.clients import API, PASSWORD, Json, Person, client, done, listening, log_in, sign_up

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


def limited(**changes: object) -> Container:
    """An assembly with ten requests an hour."""
    limits = {"rate_limit_enabled": True, "rate_limit_max_requests": 10, "rate_limit_window_ms": 3_600_000}
    return house_in_memory(settings=set_to(**(limits | changes)))


async def test_every_answer_tells_what_is_left_of_the_limit() -> None:
    async with visited(limited()) as http:
        ada = await sign_up(http)
        answers = [await ada.get("/me"), await ada.get("/nowhere"), await ada.post("/tasks", {"title": 5})]

        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=9", "r=8", "r=7"]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=10;w=3600'}
        assert answers[0].headers["ratelimit"] == '"default";r=9;t=360'


async def test_a_credential_with_a_limit_of_its_own_is_told_of_that_over_http_and_live() -> None:
    house = limited()
    badges = Badges(MovableClock())
    house.credentials.override(providers.List(providers.Object(badges)))
    async with served(house) as url, client(url) as http:
        ada = await sign_up(http)
        holder = replace(ada, token=badges.issue(ada.id, *house.scopes(), a_minute=3)[0])
        for left in (2, 1):
            answer = await holder.get("/me")
            assert answer.headers["ratelimit-policy"] == '"default";q=3;w=60'
            assert answer.headers["ratelimit"].startswith(f'"default";r={left};')
        async with listening(url, holder.token) as live:
            assert (await live.call("subscribe", channel="me"))["code"] == "rate_limited"
        problem(await holder.get("/me"), 429, "rate_limited")
        assert (await ada.get("/me")).headers["ratelimit"].startswith('"default";r=9;')


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    house = limited()
    async with visited(house) as http:
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        for _ in range(10):
            done(await ada.get("/me"))
        refused = await ada.get("/me")

        problem(refused, 429, "rate_limited")
        assert refused.headers["retry-after"] == "360"
        assert refused.headers["ratelimit"] == '"default";r=0;t=3600'
        assert (await bob.get("/me")).status_code == 200
        assert (await http.get("/live")).status_code == 200

        clock: MovableClock = house.clock()  # type: ignore[assignment]
        clock.advance(timedelta(seconds=359))
        assert (await ada.get("/me")).status_code == 429
        clock.advance(timedelta(seconds=1))
        assert (await ada.get("/me")).status_code == 200
        assert (await ada.get("/me")).status_code == 429


@pytest.mark.parametrize("authorization", [{}, {"Authorization": "Bearer nonsense"}])
async def test_strangers_are_counted_by_their_address(authorization: dict[str, str]) -> None:
    async with visited(limited()) as http:
        answers = [await http.get(f"{API}/me", headers=authorization) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert answers[0].headers["ratelimit"] == '"default";r=9;t=360'


@pytest.mark.parametrize("spelling", ["{}/", "/{}", "//{}", "{}//", "/{}/"])
async def test_another_spelling_of_a_path_is_no_way_around_the_edge(spelling: str) -> None:
    def url(path: str) -> str:
        return "https://signalbox.test" + spelling.format(f"{API}/{path}")

    house = limited()
    async with visited(house) as http:
        http.headers["User-Agent"] = "a browser " * 100
        ada = await sign_up(http)
        anonymous = await http.get(url("me"))
        problem(anonymous, 401, "token_missing")
        assert "ratelimit" in anonymous.headers
        assert (await http.get(url("me"), headers=ada.authorization)).status_code == 200
        body = {"email": ada.email, "password": PASSWORD}
        headers = ada.authorization | {"Idempotency-Key": "k", "Accept-Encoding": "gzip"}
        for extra in ({}, headers):
            answer = await http.post(url("auth/login"), json=body, headers=extra)
            assert answer.status_code == 200
            assert "ratelimit" in answer.headers
        sessions = await http.get(url("auth/sessions"), headers=headers)
        assert len(sessions.content) > 1_024
        assert "content-encoding" not in sessions.headers
        assert house.database().committed[ANSWERS] == {}


async def test_of_a_hundred_requests_at_once_ten_pass() -> None:
    async with visited(limited()) as http:
        ada = await sign_up(http)
        answers = await asyncio.gather(*(ada.post("/tasks", {"title": str(n)}) for n in range(100)))
        passed = [answer for answer in answers if answer.status_code == 201]

        assert len(passed) == 10
        assert {answer.status_code for answer in answers} == {201, 429}
        assert sorted(int(answer.headers["ratelimit"].split(";")[1][2:]) for answer in passed) == list(range(10))


async def test_a_bulk_costs_what_it_does() -> None:
    def bulk_of(count: int) -> Json:
        return {"operations": [{"op": "create", "task": {"title": str(n)}} for n in range(count)], "mode": "partial"}

    def left(answer: httpx.Response) -> int:
        return int(answer.headers["ratelimit"].split(";")[1][2:])

    async with visited(limited(rate_limit_max_requests=20)) as http:
        ada = await sign_up(http)
        of_ten, of_a_hundred = await ada.post("/tasks/bulk", bulk_of(10)), await ada.post("/tasks/bulk", bulk_of(100))
        refused = await ada.post("/tasks/bulk", bulk_of(100))
        cheap = await ada.get("/tasks")

    assert [(answer.status_code, left(answer)) for answer in (of_ten, of_a_hundred)] == [(200, 18), (200, 7)]
    problem(refused, 429, "rate_limited")
    # It was one request, and those are 180 s apart: another 4 have to come back.
    assert (left(refused), refused.headers["retry-after"]) == (6, "720")
    assert (cheap.status_code, left(cheap)) == (200, 5)
    assert len(cheap.json()["data"]) == 50


async def test_a_bulk_that_is_repeated_with_its_key_costs_one_request() -> None:
    bulk = {"operations": [{"op": "create", "task": {"title": str(n)}} for n in range(80)]}
    async with visited(limited()) as http:
        ada = await sign_up(http)
        for _ in range(2):
            answer = await ada.post("/tasks/bulk", bulk, headers={"Idempotency-Key": "once"})
            assert answer.status_code == 200
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.headers["ratelimit"] == '"default";r=0;t=3600'


async def test_an_account_has_at_most_so_many_requests_in_hand() -> None:
    house = limited(rate_limit_max_requests=1_000, rate_limit_in_hand=5)
    async with visited(house) as http:
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        answers = await asyncio.gather(*(ada.post("/tasks", {"title": str(n)}) for n in range(20)), bob.get("/me"))
        assert answers.pop().status_code == 200
        passed = [answer for answer in answers if answer.status_code == 201]
        assert len(passed) == 5
        for answer in answers:
            if answer not in passed:
                problem(answer, 429, "too_many_at_once")
                assert answer.headers["retry-after"] == "1"
        # What was refused did not count.
        assert int((await ada.get("/me")).headers["ratelimit"].split(";")[1][2:]) == 1_000 - 6
        for _ in range(10):
            assert (await ada.get("/me")).status_code == 200
            assert (await ada.get("/nowhere")).status_code == 404


async def test_a_server_without_limits_says_nothing_of_them(ada: Person) -> None:
    for _ in range(30):
        answer = await ada.get("/me")
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def address_seen(http: httpx.AsyncClient, **headers: str) -> str:
    """From where the server thinks that a request with these headers comes."""
    person = await sign_up(http, headers=headers)
    (session,) = done(await person.get("/auth/sessions"))["data"]
    return str(session["address"])


@pytest.mark.parametrize("trusted", [(), PROXIES])
async def test_nobody_but_a_trusted_proxy_says_where_somebody_comes_from(trusted: tuple[object, ...]) -> None:
    async with visited(house_in_memory(settings=set_to(trusted_proxies=trusted)), "203.0.113.9") as http:
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"):
            assert await address_seen(http, **{name: "198.51.100.1"}) == "203.0.113.9", name


async def test_changing_addresses_in_a_header_gets_nobody_more_requests() -> None:
    async with visited(limited(trusted_proxies=PROXIES), "203.0.113.9") as http:
        answers = [await http.get(f"{API}/me", headers={"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(11)]

    assert answers[-1].status_code == 429


@pytest_asyncio.fixture(scope="module")
async def proxy() -> AsyncIterator[httpx.AsyncClient]:
    """A proxy that is trusted."""
    async with visited(house_in_memory(settings=set_to(trusted_proxies=PROXIES)), "10.0.0.7") as http:
        yield http


@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("198.51.100.66, 198.51.100.1", "198.51.100.1"),
        ("198.51.100.66, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("198.51.100.1,10.1.1.1 , 10.9.9.9", "198.51.100.1"),
        ("nonsense, 198.51.100.1", "198.51.100.1"),
        ("198.51.100.1, nonsense", "10.0.0.7"),
        ("", "10.0.0.7"),
        ("unknown", "10.0.0.7"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("198.51.100.1:4711, 10.9.9.9:80", "198.51.100.1"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("198.51.100.1, ::ffff:10.9.9.9", "198.51.100.1"),
        ("198.51.100.1:port", "10.0.0.7"),
        ("[198.51.100.1", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9, 2001:db8:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
async def test_behind_trusted_proxies_the_right_most_foreign_hop_counts(
    proxy: httpx.AsyncClient, forwarded: str, seen: str
) -> None:
    assert await address_seen(proxy, **{"X-Forwarded-For": forwarded}) == seen


async def test_several_forwarding_headers_are_one_list() -> None:
    async with visited(house_in_memory(settings=set_to(trusted_proxies=PROXIES)), "10.0.0.7") as http:
        body = {"email": "ada@example.org", "password": PASSWORD, "display_name": "Ada"}
        headers = [("X-Forwarded-For", "198.51.100.66"), ("X-Forwarded-For", "198.51.100.1")]
        said = done(await http.post(f"{API}/auth/register", json=body, headers=headers))
        sessions = await http.get(f"{API}/auth/sessions", headers={"Authorization": f"Bearer {said['access_token']}"})

    assert done(sessions)["data"][0]["address"] == "198.51.100.1"


async def test_the_addresses_of_one_ipv6_network_share_a_limit() -> None:
    async with visited(limited(trusted_proxies=PROXIES), "10.0.0.7") as http:

        async def ask(address: str) -> int:
            return (await http.get(f"{API}/me", headers={"X-Forwarded-For": address})).status_code

        assert [await ask(f"2001:db8:1:2::{n:x}") for n in range(1, 12)] == [401] * 10 + [429]
        assert await ask("2001:db8:1:3::1") == 401


async def test_who_guesses_a_password_is_stopped_and_the_owner_elsewhere_is_not() -> None:
    house = limited(rate_limit_max_requests=1_000, trusted_proxies=PROXIES)
    async with visited(house, "10.0.0.7") as http:
        ada = await sign_up(http)

        async def guess(email: str, address: str) -> httpx.Response:
            body = {"email": email, "password": "a wrong guess"}
            return await http.post(f"{API}/auth/login", json=body, headers={"X-Forwarded-For": address})

        guesses = [await guess(ada.email, "198.51.100.1") for _ in range(11)]
        assert [answer.status_code for answer in guesses] == [401] * 10 + [429]
        assert int(guesses[-1].headers["retry-after"]) > 0
        right = {"email": ada.email, "password": PASSWORD}
        stopped = await http.post(f"{API}/auth/login", json=right, headers={"X-Forwarded-For": "198.51.100.1"})
        assert stopped.status_code == 429
        await log_in(http, ada.email, headers={"X-Forwarded-For": "198.51.100.2"})

        sprayed = [await guess(f"nobody{n}@example.org", "198.51.100.3") for n in range(101)]
        assert [answer.status_code for answer in sprayed] == [401] * 100 + [429]


async def test_a_success_forgets_the_failures_before_it() -> None:
    async with visited(limited(rate_limit_max_requests=1_000)) as http:
        ada = await sign_up(http)
        wrong = {"email": ada.email, "password": "a wrong guess"}
        for _ in range(3):
            for _ in range(9):
                assert (await http.post(f"{API}/auth/login", json=wrong)).status_code == 401
            await log_in(http, ada.email)


async def test_nobody_signs_up_without_end_from_one_address() -> None:
    async with visited(limited(rate_limit_max_requests=1_000)) as http:
        for _ in range(30):
            await sign_up(http)
        body = {"email": "one-more@example.org", "password": PASSWORD, "display_name": "x"}
        problem(await http.post(f"{API}/auth/register", json=body), 429, "rate_limited")


async def test_a_stolen_token_cannot_be_used_to_guess_the_password() -> None:
    async with visited(limited(rate_limit_max_requests=1_000)) as http:
        ada = await sign_up(http)
        change = {"current_password": "a wrong guess", "new_password": "a better horse battery"}
        answers = [await ada.post("/me/password", change) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [422] * 10 + [429]
