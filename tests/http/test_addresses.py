"""Verified addresses, other addresses and forgotten passwords over HTTP; no answer tells who has an account."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest_asyncio
from dependency_injector import providers

from adapters.mail import KeptMailer, Letters
from adapters.memory.observer import MemoryObserver
from adapters.security.passwords import Argon2Hasher
from application.identity import Device, Registration
from entrypoints.container import Container
from entrypoints.lifetimes import furnished
from tests.contracts.house import eventually
from tests.http.house import house_in_memory, house_on_postgres, set_to, visited
from tests.http.test_problems import problem
from tests.support.clients import API, PASSWORD, Person, client, done, log_in, signed_in

NEW_PASSWORD = "another good password"
BODY = {"password": PASSWORD, "display_name": "Ada"}


class Mailbox:
    """What was sent to one address."""

    def __init__(self, house: Container, address: str) -> None:
        mailer = house.mailer()
        assert isinstance(mailer, KeptMailer)
        self._mailer = mailer
        self.address = address

    @property
    def letters(self) -> list[str]:
        return [mail.letter.name for mail in self._mailer.sent if mail.letter.to == self.address]

    async def token(self, letter: str) -> str:
        """The secret in the newest of these letters, once there is one."""
        await eventually(lambda: letter in self.letters)
        return next(
            str(mail.letter.data["token"])
            for mail in reversed(self._mailer.sent)
            if (mail.letter.name, mail.letter.to) == (letter, self.address)
        )


@pytest_asyncio.fixture(scope="module")
async def strict_house() -> AsyncIterator[tuple[Container, httpx.AsyncClient]]:
    """Where nobody signs in before the address was verified, with its loops running."""
    house = house_in_memory(settings=set_to(email_verification="required"))
    async with visited(house) as http:
        yield house, http


async def test_from_signing_up_to_another_password(strict_house: tuple[Container, httpx.AsyncClient]) -> None:
    house, http = strict_house
    mailbox = Mailbox(house, "ada@example.org")
    account = BODY | {"email": mailbox.address}
    answers = [await http.post(f"{API}/auth/register", json=account) for _ in range(2)]
    assert [(answer.status_code, answer.content, answer.headers.get("set-cookie")) for answer in answers] == [
        (202, b"", None)
    ] * 2
    await eventually(lambda: mailbox.letters.count("verify_address") == 2)
    credentials = {"email": mailbox.address, "password": PASSWORD}
    waiting, unknown = [
        problem(await http.post(f"{API}/auth/login", json=credentials | named), 401, "invalid_credentials")
        for named in ({}, {"email": "nobody@example.org"})
    ]
    own = dict.fromkeys(("request_id", "trace_id"))
    assert waiting | own == unknown | own
    await eventually(lambda: mailbox.letters.count("verify_address") == 3)
    proof = {"token": await mailbox.token("verify_address")}
    refused = await http.post(f"{API}/auth/email/verify", json=proof)
    assert problem(refused, 422, "validation_failed")["errors"][0]["pointer"] == "/password"
    proof["password"] = PASSWORD
    assert (await http.post(f"{API}/auth/email/verify", json=proof)).status_code == 204
    problem(await http.post(f"{API}/auth/email/verify", json=proof), 410, "link_expired")
    ada = signed_in(http, await http.post(f"{API}/auth/login", json=credentials))
    assert done(await ada.get("/me"))["email_verified_at"] is not None

    answer = await http.post(f"{API}/auth/password/forgot", json={"email": mailbox.address})
    assert (answer.status_code, answer.content) == (202, b"")
    proof = {"token": await mailbox.token("reset_password"), "password": NEW_PASSWORD}
    assert (await http.post(f"{API}/auth/password/reset", json=proof)).status_code == 204
    problem(await ada.get("/me"), 401, "session_ended")
    problem(await http.post(f"{API}/auth/password/reset", json=proof), 410, "link_expired")
    ada = await log_in(http, mailbox.address, NEW_PASSWORD)

    moved = Mailbox(house, "ada@example.net")
    asked = await ada.post("/me/email", {"email": moved.address, "password": NEW_PASSWORD})
    assert (asked.status_code, asked.content) == (202, b"")
    proof = {"token": await moved.token("change_address"), "password": NEW_PASSWORD}
    assert (await http.post(f"{API}/auth/email/verify", json=proof)).status_code == 204
    await eventually(lambda: mailbox.letters[-1] == "address_changed")
    assert done(await ada.get("/me"))["email"] == moved.address


async def test_another_address_takes_the_password(ada: Person) -> None:
    refused = await ada.post("/me/email", {"email": "ada@example.net", "password": "a wrong password"})
    assert problem(refused, 422, "wrong_password")["errors"][0]["pointer"] == "/password"


Ask = Callable[[httpx.AsyncClient, str, Person], Awaitable[httpx.Response]]
ASKING: dict[str, Ask] = {
    "register": lambda http, email, _: http.post(f"{API}/auth/register", json=BODY | {"email": email}),
    "resend": lambda http, email, _: http.post(f"{API}/auth/email/resend", json={"email": email}),
    "forgot": lambda http, email, _: http.post(f"{API}/auth/password/forgot", json={"email": email}),
    "change": lambda http, email, bob: bob.post("/me/email", {"email": email, "password": PASSWORD}),
}


class CountingHasher(Argon2Hasher):
    """Counts its hashes, and makes them as cheap as argon2 allows."""

    def __init__(self) -> None:
        super().__init__(memory_kib=8, passes=1)
        self.hashed = 0

    async def _run(self, work: Any, *arguments: object) -> Any:
        self.hashed += 1
        return await super()._run(work, *arguments)


async def test_an_answer_takes_the_same_work_whether_there_is_an_account_or_not(database_url: str) -> None:
    settings = set_to(database_url=database_url, email_verification="required")
    hasher, observer = CountingHasher(), MemoryObserver()
    mailer = KeptMailer(Letters("post@example.org", "http://signalbox.test"))
    swapped = {"hasher": hasher, "observer": observer, "mailer": mailer}
    house = house_on_postgres(
        database_url, settings=settings, **{name: providers.Object(part) for name, part in swapped.items()}
    )
    transport = httpx.ASGITransport(house.app())  # type: ignore[arg-type]
    async with furnished(house), client(transport=transport) as http:  # no loop runs, so nobody else does anything
        bob, known = [
            await house.identity().register(Registration(f"{name}@example.org", PASSWORD, name), Device("", ""))
            for name in ("bob", "known")
        ]
        asker = Person(http, bob[0].user.id, bob[0].user.email, bob[0].access_token, bob[1])

        async def work(asking: Ask, email: str) -> tuple[object, ...]:
            calls, hashed = Counter(observer.calls), hasher.hashed
            answer = await asking(http, email, asker)
            headers = sorted(name for name in answer.headers if name != "x-request-id")
            return answer.status_code, answer.content, headers, observer.calls - calls, hasher.hashed - hashed

        for name, asking in ASKING.items():
            await work(asking, f"{name}.first@example.org")  # after it nothing is done for the first time any more
            unknown = await work(asking, f"{name}.unknown@example.org")
            assert unknown[:2] == (202, b""), name
            assert unknown == await work(asking, known[0].user.email), name
            while await house.operations.later().turn():
                pass

        assert Counter((mail.letter.name, mail.letter.to.partition("@")[0]) for mail in mailer.sent) == {
            ("verify_address", "bob"): 1,
            ("verify_address", "register.first"): 1,
            ("verify_address", "register.unknown"): 1,
            ("verify_address", "known"): 3,
            ("reset_password", "known"): 1,
            ("change_address", "change.first"): 1,
            ("change_address", "change.unknown"): 1,
            ("address_changing", "bob"): 3,
            ("address_in_use", "known"): 1,
        }
        mailbox = Mailbox(house, known[0].user.email)
        verifying = {"token": await mailbox.token("verify_address"), "password": PASSWORD}
        resetting = {"token": await mailbox.token("reset_password"), "password": NEW_PASSWORD}
        for path, proof in (("email/verify", verifying), ("password/reset", resetting)):
            used = [await http.post(f"{API}/auth/{path}", json=proof) for _ in range(2)]
            assert [answer.status_code for answer in used] == [204, 410], path
