"""What every answer carries: a request id, security headers, and for pages of other sites what they may have."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from entrypoints.http.cors import ACCEPTED, EXPOSED
from tests.http.house import house_in_memory, set_to, visited
from tests.support.clients import API, PASSWORD, Person, sign_up

GOOD = "https://app.example.org"
SECURITY = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


async def some_answers(ada: Person) -> list[httpx.Response]:
    """Answers of every sort: with and without a body, refused by a use case, by the router and before both."""
    task = await ada.open_task()
    fresh = {"If-None-Match": '"1"'}
    return [
        await ada.get("/tasks"),
        await ada.get(f"/tasks/{task['id']}", headers=fresh),
        await ada.delete(f"/tasks/{task['id']}"),
        await ada.post("/tasks", {"title": 5}),
        await ada.get("/tasks?nothing=x"),
        await ada.get("/nowhere"),
        await ada.send("LOCK", "/tasks"),
        await ada.send("POST", "/tasks", content=b"x", headers={"Content-Type": "text/plain"}),
        await ada.http.get(f"{API}/tasks"),
        await ada.http.get("/live"),
        await ada.http.get("/ready"),
        await ada.http.get("/health"),
        await ada.http.get("/nowhere"),
        await ada.http.get("/api/openapi.json"),
        await ada.http.post(f"{API}/auth/login", json={"email": ada.email, "password": PASSWORD}),
        await ada.http.options(f"{API}/tasks", headers={"Origin": GOOD, "Access-Control-Request-Method": "POST"}),
    ]


async def test_every_answer_has_the_security_headers(ada: Person) -> None:
    for answer in await some_answers(ada):
        kept = {"cache-control": "no-cache"} if answer.url.path == "/api/openapi.json" else {}
        assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY | kept, answer.url
        assert "server" not in answer.headers


async def test_every_answer_has_one_request_id(ada: Person) -> None:
    ids = [answer.headers.get_list("x-request-id") for answer in await some_answers(ada)]

    assert all(len(found) == 1 and re.fullmatch("[0-9a-f]{32}", found[0]) for found in ids)
    assert len({found[0] for found in ids}) == len(ids)


@pytest.mark.parametrize("given", ["a", "order-4711", "A.b_c-9", "x" * 128])
async def test_a_request_id_that_fits_is_kept(ada: Person, given: str) -> None:
    assert (await ada.get("/me", headers={"X-Request-Id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "a\tb", "<script>", 'a"b', "späße", "a, b"])
async def test_a_request_id_that_does_not_fit_is_replaced(ada: Person, given: str) -> None:
    response = await ada.get("/me", headers={"X-Request-Id": given.encode()})

    assert response.status_code == 200
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_a_request_id_reaches_the_event_of_what_the_request_did(ada: Person) -> None:
    done = await ada.post("/tasks", {"title": "x"}, headers={"X-Request-Id": "order-4711"})

    (newest, *_) = (await ada.get("/events")).json()["data"]
    assert (newest["resource"]["id"], newest["request_id"]) == (done.json()["id"], "order-4711")


async def test_a_trace_is_carried_on_into_the_event(ada: Person) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await ada.post("/tasks", {"title": "x"}, headers={"traceparent": traceparent})

    (newest, *_) = (await ada.get("/events")).json()["data"]
    assert newest["traceparent"] == traceparent
    for bad in (
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "x",
    ):
        problem = (await ada.get("/nowhere", headers={"traceparent": bad})).json()
        assert re.fullmatch("[0-9a-f]{32}", problem["trace_id"])
        assert problem["trace_id"] not in bad


async def test_the_answers_of_a_server_without_origins_let_no_page_in(ada: Person) -> None:
    for answer in await some_answers(ada):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_page_of_an_allowed_origin_can_read_every_answer() -> None:
    async with visited(house_in_memory(settings=set_to(cors_origin=(GOOD, "http://localhost:5173")))) as http:
        ada = await sign_up(http)
        http.headers["Origin"] = GOOD
        for answer in await some_answers(ada):
            assert answer.headers.get_list("access-control-allow-origin") == [GOOD], answer.url
            assert answer.headers.get_list("access-control-allow-credentials") == ["true"]
            assert "origin" in answer.headers["vary"]
            exposed = answer.headers["access-control-expose-headers"].split(", ")
            assert {"ETag", "RateLimit", "Retry-After", "X-Request-Id", "Idempotency-Replayed"} <= set(exposed)


async def test_a_browser_may_ask_before_it_calls_with_a_token() -> None:
    async with visited(house_in_memory(settings=set_to(cors_origin=(GOOD,)))) as http:
        ask = {
            "Origin": GOOD,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,content-type,if-match,idempotency-key",
        }
        answer = await http.options(f"{API}/tasks/x", headers=ask)

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == GOOD
    assert "PATCH" in answer.headers["access-control-allow-methods"].split(", ")
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert set(ask["Access-Control-Request-Headers"].split(",")) <= set(allowed)


@pytest_asyncio.fixture(scope="module")
async def choosy() -> AsyncIterator[httpx.AsyncClient]:
    """Somebody unknown who calls an assembly that lets pages of one origin in."""
    async with visited(house_in_memory(settings=set_to(cors_origin=(GOOD,)))) as http:
        yield http


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "*",
        "https://good.evil",
        "https://example.org",
        "https://appXexample.org",
        "https://evil-app.example.org",
        "https://sub.app.example.org",
        "https://app.example.org.evil.com",
        "https://app.example.org@evil.com",
        "https://app.example.org:8443",
        "https://app.example.org/",
        "http://app.example.org",
        "HTTPS://APP.EXAMPLE.ORG",
    ],
)
async def test_no_other_origin_is_let_in(choosy: httpx.AsyncClient, origin: str) -> None:
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for answer in (await choosy.get("/live", headers={"Origin": origin}), await choosy.options("/live", headers=ask)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["vary"] == "origin"


async def test_any_origin_is_let_in_without_credentials_only() -> None:
    async with visited(house_in_memory(settings=set_to(cors_origin=("*",)))) as http:
        answer = await http.get("/live", headers={"Origin": "https://anywhere.example"})

    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_nothing_in_an_answer_comes_from_the_host_header(ada: Person) -> None:
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}):
        for path in ("/api/docs", "/api/openapi.json", "/nowhere", f"{API}/me", "/health"):
            answer = await ada.http.get(path, headers=headers | ada.authorization)
            assert "evil.example" not in answer.text
            assert not [value for value in answer.headers.values() if "evil.example" in value]


def documented(of: str) -> set[str]:
    """The names of headers that docs/api.md says go in, or out."""
    (sentence,) = re.findall(rf"\*\*Headers {of}\*\*: (.*?)\. ", Path("docs/api.md").read_text() + " ", re.DOTALL)
    return {
        name.lower() for name in re.findall(r"`([A-Za-z][\w-]+)`", re.sub(r"\(.*?\)", "", sentence, flags=re.DOTALL))
    }


def test_a_page_may_send_and_read_the_headers_that_are_documented_and_no_others() -> None:
    accepted = {name.strip().lower() for name in ACCEPTED.decode().split(",")}
    exposed = {name.strip().lower() for name in EXPOSED.decode().split(",")}
    assert accepted == documented("in") | {"content-type"}
    assert exposed == documented("out")
