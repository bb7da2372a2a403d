"""Signing in, staying in and getting out, with a cookie that only pages of this site can use."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from statistics import median
from time import process_time
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from dependency_injector import providers

from adapters.memory.system import MovableClock
from adapters.security.passwords import Argon2Hasher
from tests.http.house import house_in_memory, set_to, visited
from tests.http.test_problems import problem
from tests.support.clients import API, PASSWORD, Person, done, log_in, refresh_cookie, sign_up, signed_in, until

TRUSTED = {"X-Requested-With": "test"}
SITE = "https://signalbox.test"


def with_cookie(cookie: str, **headers: str) -> dict[str, str]:
    return {"Cookie": f"theme=dark; __Host-refresh={cookie}"} | headers


async def refresh(http: httpx.AsyncClient, cookie: str) -> httpx.Response:
    return await http.post(f"{API}/auth/refresh", headers=with_cookie(cookie) | TRUSTED)


async def test_the_answer_has_an_access_token_and_only_the_cookie_has_the_refresh_token(
    http: httpx.AsyncClient,
) -> None:
    body = {"email": "Grace@Example.org", "password": PASSWORD, "display_name": "Grace"}
    response = await http.post(f"{API}/auth/register", json=body)
    said = done(response)

    assert set(said) == {"access_token", "token_type", "expires_in", "user", "scopes"}
    assert (said["token_type"], said["expires_in"]) == ("Bearer", 900)
    assert said["user"]["email"] == "grace@example.org"
    assert "password" not in response.text
    assert refresh_cookie(response) not in response.text


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(ada: Person) -> None:
    body = {"email": ada.email, "password": PASSWORD}
    answers = [await ada.http.post(f"{API}/auth/login", json=body), await refresh(ada.http, ada.cookie)]
    for answer in answers:
        name, *attributes = answer.headers["set-cookie"].split("; ")
        assert name.startswith("__Host-refresh=")
        assert {attribute.lower() for attribute in attributes} == {
            "httponly", "secure", "path=/", "samesite=strict", f"max-age={7 * 24 * 3600}"
        }  # fmt: skip


async def test_pages_of_other_sites_get_the_cookie_if_the_settings_say_so_and_each_site_its_own() -> None:
    settings = set_to(cors_origin=("https://app.example.org",), cookie_samesite="none")
    async with visited(house_in_memory(settings=settings)) as http:
        ada = await sign_up(http)
        answer = await refresh(http, ada.cookie)
        attributes = {attribute.lower() for attribute in answer.headers["set-cookie"].split("; ")[1:]}
        assert attributes >= {"httponly", "secure", "path=/", "samesite=none", "partitioned"}


@pytest_asyncio.fixture(scope="module", params=["strict", "none"])
async def allowing(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody unknown who calls an assembly that allows the pages of one other site, with either kind of cookie."""
    settings = set_to(cors_origin=("https://app.example.org",), cookie_samesite=request.param)
    async with visited(house_in_memory(settings=settings)) as http:
        yield http


@pytest.mark.parametrize(
    ("headers", "is_trusted"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": SITE}, True),
        ({"Origin": "https://app.example.org", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://evil.signalbox.test"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://evil.example", "X-Requested-With": "x"}, False),
        ({"Origin": "null"}, False),
    ],
)
async def test_no_page_of_a_foreign_site_signs_anybody_in_or_out(
    allowing: httpx.AsyncClient, headers: dict[str, str], is_trusted: bool
) -> None:
    ada = await sign_up(allowing)
    credentials = {"email": ada.email, "password": PASSWORD}
    registration = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD, "display_name": "Bob"}
    for path, body in (("login", credentials), ("register", registration), ("logout-all", None)):
        answer = await allowing.post(f"{API}/auth/{path}", json=body, headers=ada.authorization | headers)
        if is_trusted:
            assert answer.is_success
        else:
            problem(answer, 403, "cross_site")
            assert "set-cookie" not in answer.headers
    assert (await ada.get("/me")).status_code == (401 if is_trusted else 200)


@pytest.mark.parametrize("path", ["refresh", "logout"])
@pytest.mark.parametrize(
    ("headers", "is_trusted"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "X-Requested-With": "x"}, False),
        ({"Sec-Fetch-Site": "nonsense"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://evil.signalbox.test"}, False),
        ({"Origin": SITE}, True),
        ({"Origin": SITE, "Host": "signalbox.test:443"}, True),
        ({"Origin": SITE, "Host": "SIGNALBOX.test"}, True),
        ({"Origin": SITE, "Host": "signalbox.test:8443"}, False),
        ({"Origin": f"{SITE}:8443", "Host": "signalbox.test:8443"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://evil.example", "X-Requested-With": "x"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://signalbox.test.evil.example"}, False),
        ({"Origin": "https://app.example.org"}, True),
        ({"Origin": "https://app.example.org", "Sec-Fetch-Site": "cross-site"}, True),
        ({"X-Requested-With": "x"}, True),
        ({}, False),
    ],
)
async def test_the_cookie_works_for_pages_of_this_site_and_the_allowed_ones_only(
    allowing: httpx.AsyncClient, path: str, headers: dict[str, str], is_trusted: bool
) -> None:
    ada = await sign_up(allowing)
    response = await allowing.post(f"{API}/auth/{path}", headers=with_cookie(ada.cookie, **headers))
    if is_trusted:
        assert response.is_success
    else:
        problem(response, 403, "cross_site")
        assert (await ada.get("/me")).status_code == 200
        done(await refresh(allowing, ada.cookie))


async def test_the_cookie_opens_nothing_but_refresh_and_logout(ada: Person) -> None:
    for method, path in (("GET", "/me"), ("GET", "/tasks"), ("POST", "/auth/logout-all"), ("GET", "/auth/sessions")):
        response = await ada.http.request(method, API + path, headers=with_cookie(ada.cookie) | TRUSTED)
        assert response.status_code == 401


async def test_a_refresh_gives_a_new_token_of_each_kind(ada: Person) -> None:
    response = await refresh(ada.http, ada.cookie)
    said = done(response)

    assert said["user"]["id"] == ada.id
    assert refresh_cookie(response) not in (ada.cookie, "")
    headers = {"Authorization": f"Bearer {said['access_token']}"}
    assert (await ada.http.get(f"{API}/me", headers=headers)).status_code == 200


async def test_a_lost_answer_can_be_asked_for_again() -> None:
    house = house_in_memory()
    clock: MovableClock = house.clock()  # type: ignore[assignment]
    async with visited(house) as http:
        ada = await sign_up(http)
        lost = refresh_cookie(await refresh(http, ada.cookie))
        clock.advance(timedelta(minutes=10))
        found = refresh_cookie(await refresh(http, ada.cookie))
        done(await refresh(http, found))
        problem(await refresh(http, lost), 401, "refresh_token_reused")


async def test_a_late_answer_to_another_tab_logs_nobody_out(ada: Person) -> None:
    first = refresh_cookie(await refresh(ada.http, ada.cookie))
    late = refresh_cookie(await refresh(ada.http, ada.cookie))
    refresh_cookie(await refresh(ada.http, first))
    found = refresh_cookie(await refresh(ada.http, late))
    done(await refresh(ada.http, found))


async def test_a_stolen_token_ends_the_session_for_both_as_soon_as_it_shows(ada: Person) -> None:
    stolen = ada.cookie
    for _ in range(2):
        ada = signed_in(ada.http, await refresh(ada.http, ada.cookie))

    problem(await refresh(ada.http, stolen), 401, "refresh_token_reused")
    problem(await refresh(ada.http, ada.cookie), 401, "token_invalid")
    problem(await ada.get("/me"), 401, "session_ended")


async def test_twenty_tabs_that_refresh_at_once_stay_signed_in(ada: Person) -> None:
    answers = await asyncio.gather(*(refresh(ada.http, ada.cookie) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    successors = [refresh_cookie(answer) for answer in answers]
    assert len(set(successors)) == 20
    assert (await refresh(ada.http, successors[7])).status_code == 200


@pytest.mark.parametrize("cookie", ["", "x", "x.y", "é", ".", "0" * 32 + ".x", "a" * 10_000, "%00", '"x"'])
async def test_a_cookie_that_is_none_is_a_401(http: httpx.AsyncClient, cookie: str) -> None:
    headers: list[tuple[bytes, bytes]] = [(b"Cookie", f"__Host-refresh={cookie}".encode()), (b"X-Requested-With", b"x")]
    response = await http.post(f"{API}/auth/refresh", headers=headers)

    assert response.status_code == 401


async def test_logging_out_ends_the_session_and_takes_the_cookie_back(ada: Person) -> None:
    other = await log_in(ada.http, ada.email)
    response = await ada.http.post(f"{API}/auth/logout", headers=with_cookie(ada.cookie) | TRUSTED)

    assert response.status_code == 204
    assert "max-age=0" in response.headers["set-cookie"].lower()
    problem(await ada.get("/me"), 401, "session_ended")
    problem(await refresh(ada.http, ada.cookie), 401, "token_invalid")
    assert (await other.get("/me")).status_code == 200


async def test_logging_out_everywhere_ends_every_session(ada: Person) -> None:
    other = await log_in(ada.http, ada.email)
    assert (await ada.post("/auth/logout-all")).status_code == 204

    for person in (ada, other):
        problem(await person.get("/me"), 401, "session_ended")
        problem(await refresh(ada.http, person.cookie), 401, "token_invalid")


async def test_a_new_password_needs_the_present_one_and_ends_every_session(ada: Person) -> None:
    change = {"current_password": "a wrong guess", "new_password": "a better horse battery"}
    problem(await ada.post("/me/password", change), 422, "wrong_password")
    assert (await ada.post("/me/password", change | {"current_password": PASSWORD})).status_code == 204

    problem(await ada.get("/me"), 401, "session_ended")
    body = {"email": ada.email, "password": PASSWORD}
    problem(await ada.http.post(f"{API}/auth/login", json=body), 401, "invalid_credentials")
    await log_in(ada.http, ada.email, "a better horse battery")


@pytest.mark.parametrize(
    ("password", "is_accepted"),
    [
        ("password123", False),
        ("qwertyuiop", False),
        ("1234567890", False),
        ("aaaaaaaaaaaa", False),
        ("short", False),
        ("x" * 1_025, False),
        ("lower case only", True),
        ("0 1 2 3 x 4 5 6 7", True),
        ("пароль из слов", True),
        ("🔑🔒🗝️🔓🔐 five keys", True),
        ("long enough" * 90, True),
    ],
)
async def test_a_password_is_refused_for_being_guessable_and_for_nothing_else(
    http: httpx.AsyncClient, password: str, is_accepted: bool
) -> None:
    email = f"{abs(hash(password))}@example.org"
    body = {"email": email, "password": password, "display_name": "x"}
    response = await http.post(f"{API}/auth/register", json=body)

    assert response.status_code == (201 if is_accepted else 422), response.text
    if is_accepted:
        assert (await log_in(http, email, password)).email == email
        wrong = {"email": email, "password": password[:-1] + "?"}
        assert (await http.post(f"{API}/auth/login", json=wrong)).status_code == 401
    else:
        assert response.json()["errors"][0]["pointer"] == "/password"
        assert password not in response.text


async def test_nobody_learns_from_a_login_which_addresses_have_an_account(ada: Person) -> None:
    wrong = [{"email": email, "password": "a wrong guess"} for email in (ada.email, "nobody@example.org")]
    known, unknown = [await ada.http.post(f"{API}/auth/login", json=body) for body in wrong]
    hidden = ("request_id", "trace_id")

    assert known.status_code == unknown.status_code == 401
    assert {k: v for k, v in known.json().items() if k not in hidden} == {
        k: v for k, v in unknown.json().items() if k not in hidden
    }


async def test_an_unknown_address_takes_as_long_as_a_wrong_password() -> None:
    hasher = providers.Singleton(Argon2Hasher, memory_kib=19_456, passes=2)
    async with visited(house_in_memory(hasher=hasher)) as http:
        ada = await sign_up(http)
        took: dict[str, list[float]] = {ada.email: [], "nobody@example.org": []}
        for _ in range(15):
            for email, times in took.items():
                began = process_time()
                await http.post(f"{API}/auth/login", json={"email": email, "password": "a wrong guess"})
                times.append(process_time() - began)
    known, unknown = (median(times) for times in took.values())

    # Without the hash for nobody the second would be some twenty times as fast.
    assert 0.5 < known / unknown < 2


async def test_a_crowd_at_the_login_keeps_nobody_else_waiting_and_has_an_end() -> None:
    hasher = providers.Singleton(Argon2Hasher, memory_kib=19_456, passes=2)
    async with visited(house_in_memory(hasher=hasher)) as http:
        ada = await sign_up(http)
        body = {"email": ada.email, "password": PASSWORD}
        crowd = [asyncio.create_task(http.post(f"{API}/auth/login", json=body)) for _ in range(200)]
        await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
        assert (await ada.get("/me")).status_code == 200
        waiting = sum(not task.done() for task in crowd)
        answers = await asyncio.gather(*crowd)

    assert waiting > 10
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert int(refused.headers["retry-after"]) >= 1


async def test_one_sees_and_ends_ones_own_sessions_only(ada: Person, bob: Person) -> None:
    other = await log_in(ada.http, ada.email, headers={"User-Agent": "Pocket/1.0"})
    sessions = done(await ada.get("/auth/sessions"))["data"]
    (elsewhere,) = [session for session in sessions if not session["current"]]

    assert elsewhere["user_agent"] == "Pocket/1.0"
    problem(await bob.delete(f"/auth/sessions/{elsewhere['id']}"), 404, "not_found")
    assert (await ada.delete(f"/auth/sessions/{elsewhere['id']}")).status_code == 204
    problem(await other.get("/me"), 401, "session_ended")
    problem(await ada.delete(f"/auth/sessions/{elsewhere['id']}"), 404, "not_found")


async def is_out(person: Person) -> bool:
    return (await person.get("/me")).status_code == 401


async def test_an_admin_ends_anybodys_session() -> None:
    house = house_in_memory()
    async with visited(house) as http:
        ada, root = await sign_up(http, "Ada"), await sign_up(http, "Root")
        (session,) = done(await ada.get("/auth/sessions"))["data"]
        await house.administration().make_admin(root.email)
        await until(lambda: is_out(root))
        root = await log_in(http, root.email)

        assert (await root.delete(f"/auth/sessions/{session['id']}")).status_code == 204
        problem(await ada.get("/me"), 401, "session_ended")


@pytest.mark.parametrize(
    ("registered", "typed"),
    [
        ("rene\u0301{n}@example.org", "REN\u00c9{n}@example.org"),
        ("user{n}@b\u00fccher.example", "user{n}@xn--bcher-kva.example"),
        ("user{n}@xn--r8jz45g.example", "user{n}@\u4f8b\u3048\u3002example"),
        ("ada{n}@example.org\u200b", "ada{n}@example.org"),
        ("grace{n}@example.org", "\ufeffgrace{n}@example.org "),
    ],
)
async def test_one_address_is_one_account_however_it_is_typed(
    http: httpx.AsyncClient, registered: str, typed: str
) -> None:
    number = uuid4().hex
    body = {"email": registered.format(n=number), "password": PASSWORD, "display_name": "Rene\u0301\u200b"}
    said = done(await http.post(f"{API}/auth/register", json=body))
    assert said["user"]["display_name"] == "Ren\u00e9"
    for spelling in (registered, typed):
        again = await http.post(f"{API}/auth/register", json=body | {"email": spelling.format(n=number)})
        problem(again, 409, "already_exists")
        assert (await log_in(http, spelling.format(n=number))).id == said["user"]["id"]


async def test_a_password_is_judged_and_known_in_its_normal_form(http: httpx.AsyncClient) -> None:
    wide = "".join(chr(ord(character) + 0xFEE0) for character in "password12")
    body = {"email": f"{uuid4().hex}@example.org", "password": wide, "display_name": "Ada"}
    problem(await http.post(f"{API}/auth/register", json=body), 422, "validation_failed")
    # Ten characters as typed, and five as they are hashed; and the other way about.
    short = body | {"password": "e\u0301u\u0308o\u0302a\u0300i\u0301"}
    problem(await http.post(f"{API}/auth/register", json=short), 422, "validation_failed")
    done(await http.post(f"{API}/auth/register", json=body | {"password": "\ufb03\ufb04x\ufb03y"}))
    await log_in(http, body["email"], "ffifflxffiy")
