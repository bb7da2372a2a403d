"""Signing in with a second factor and with passkeys, as pages and programs do it."""

from typing import NamedTuple, cast

import httpx
import pytest

from adapters.mail import KeptMailer
from adapters.memory.system import MovableClock
from entrypoints.container import Container
from tests.http.test_problems import problem
from tests.support.authenticators import Authenticator, a_passkey, code_of
from tests.support.clients import API, PASSWORD, Json, Person, done, refresh_cookie, sign_up, signed_in, until


class Home(NamedTuple):
    """Ada, the assembly that she has signed in at, and its clock."""

    ada: Person
    house: Container
    clock: MovableClock

    @property
    def http(self) -> httpx.AsyncClient:
        return self.ada.http

    async def log_in(self) -> httpx.Response:
        return await self.http.post(f"{API}/auth/login", json={"email": self.ada.email, "password": PASSWORD})

    async def verify(self, **step: object) -> httpx.Response:
        return await self.http.post(f"{API}/auth/mfa/verify", json=step)


@pytest.fixture
def home(house: Container, ada: Person) -> Home:
    return Home(ada, house, cast(MovableClock, house.clock()))


async def set_up(home: Home) -> tuple[str, list[str]]:
    """The secret of an app whose codes are asked for, and the recovery codes."""
    secret = done(await home.ada.post("/auth/mfa/totp", {"password": PASSWORD}))["secret"]
    code = code_of(secret, home.clock.now())
    return secret, done(await home.ada.post("/auth/mfa/totp/confirm", {"code": code}))["recovery_codes"]


async def test_a_code_is_the_second_step(home: Home) -> None:
    secret, codes = await set_up(home)
    assert len(set(codes)) == 10
    asked = await home.log_in()
    said = problem(asked, 401, "mfa_required")
    assert "set-cookie" not in asked.headers
    assert (said["methods"], said["public_key"], said["expires_in"]) == (["totp", "recovery_code"], None, 300)
    problem(await home.verify(mfa_token=said["mfa_token"], code="000000"), 401, "invalid_credentials")
    answer = await home.verify(mfa_token=said["mfa_token"], code=code_of(secret, home.clock.now(), 1))
    again = signed_in(home.http, answer)
    assert answer.json()["scopes"] is None
    assert done(await again.get("/auth/mfa"))["recovery_codes_left"] == 10
    assert refresh_cookie(answer)


async def test_a_passkey_is_a_second_step_and_a_sign_in_of_its_own(home: Home) -> None:
    device = Authenticator()
    added = await a_passkey(home.ada, device)
    assert len(added["recovery_codes"]) == 10
    said = problem(await home.log_in(), 401, "mfa_required")
    assert said["methods"] == ["passkey", "recovery_code"]
    proof = device.prove(said["public_key"])
    assert signed_in(home.http, await home.verify(mfa_token=said["mfa_token"], passkey=proof)).id == home.ada.id

    question = done(await home.http.post(f"{API}/auth/passkeys/options"))["public_key"]
    answer = await home.http.post(f"{API}/auth/passkeys/login", json={"passkey": device.prove(question)})
    again = signed_in(home.http, answer)
    (passkey,) = done(await again.get("/auth/mfa"))["passkeys"]
    renamed = done(await again.patch(f"/auth/mfa/passkeys/{passkey['id']}", {"name": "Telephone"}))
    assert renamed | {"name": "Laptop"} == passkey
    body = {"password": PASSWORD, "recovery_code": added["recovery_codes"][0]}
    assert (await again.delete(f"/auth/mfa/passkeys/{passkey['id']}", json=body)).status_code == 204
    done(await home.log_in())


async def test_on_postgresql_a_passkey_signs_in_alone_and_what_it_has_counted_is_kept(
    stored: httpx.AsyncClient,
) -> None:
    ada, device = await sign_up(stored), Authenticator()
    await a_passkey(ada, device)

    async def answer(count: int | None = None) -> Json:
        question = done(await stored.post(f"{API}/auth/passkeys/options"))["public_key"]
        device.count = device.count if count is None else count
        return {"passkey": device.prove(question)}

    async def log_in(body: Json) -> httpx.Response:
        return await stored.post(f"{API}/auth/passkeys/login", json=body)

    first = await answer()
    assert signed_in(stored, await log_in(first)).id == ada.id
    for refused in (first, await answer(count=0)):
        problem(await log_in(refused), 401, "invalid_credentials")
    done(await log_in(await answer()))

    said = problem(
        await stored.post(f"{API}/auth/login", json={"email": ada.email, "password": PASSWORD}), 401, "mfa_required"
    )
    step = {"mfa_token": said["mfa_token"], "passkey": device.prove(said["public_key"])}
    done(await stored.post(f"{API}/auth/mfa/verify", json=step))
    again = problem(await stored.post(f"{API}/auth/mfa/verify", json=step), 401, "invalid_credentials")
    assert "copy" not in again["detail"]

    proven = await answer() | {"password": PASSWORD}
    codes = done(await ada.post("/auth/mfa/recovery-codes", proven))["recovery_codes"]
    problem(await ada.post("/auth/mfa/recovery-codes", proven), 422, "passkey_refused")
    (passkey,) = done(await ada.get("/auth/mfa"))["passkeys"]
    removal = {"password": PASSWORD, "recovery_code": codes[0]}
    assert (await ada.delete(f"/auth/mfa/passkeys/{passkey['id']}", json=removal)).status_code == 204
    assert done(await ada.get("/auth/mfa"))["recovery_codes_left"] == 0


async def test_removing_the_app_takes_the_password_and_a_factor(home: Home) -> None:
    secret, codes = await set_up(home)
    right = {"password": PASSWORD, "recovery_code": codes[0]}
    problem(await home.ada.delete("/auth/mfa/totp", json=right | {"password": "a wrong guess"}), 422, "wrong_password")
    problem(await home.ada.delete("/auth/mfa/totp", json={"password": PASSWORD}), 422, "validation_failed")
    problem(await home.ada.delete("/auth/mfa/totp", json=right | {"code": "000000"}), 422, "validation_failed")
    used = {"password": PASSWORD, "code": code_of(secret, home.clock.now())}
    problem(await home.ada.delete("/auth/mfa/totp", json=used), 422, "wrong_code")
    assert (await home.ada.delete("/auth/mfa/totp", json=right)).status_code == 204
    done(await home.log_in())
    problem(await home.ada.delete("/auth/mfa/totp", json=used), 409, "factor_missing")
    problem(await home.ada.post("/auth/mfa/recovery-codes", used), 409, "factor_missing")


@pytest.mark.parametrize(
    "typed", [{"code": code} for code in ("00000", "0000000", "１２３４５６", "1234 5x", "      ")]  # noqa: RUF001
    + [{"recovery_code": code} for code in ("0000-0000-0000-0000", "aaaa-aaaa-aaaa-aaaa-a", "-" * 20)],
)  # fmt: skip
async def test_what_cannot_be_a_code_is_told_so(home: Home, typed: Json) -> None:
    await set_up(home)
    token = (await home.log_in()).json()["mfa_token"]
    said = problem(await home.verify(mfa_token=token, **typed), 422, "validation_failed")
    assert [each["pointer"] for each in said["errors"]] == [f"/{name}" for name in typed]


async def test_a_code_is_typed_as_apps_show_it_and_a_password_alone_adds_and_renews_nothing(home: Home) -> None:
    secret, codes = await set_up(home)
    token = (await home.log_in()).json()["mfa_token"]
    code = code_of(secret, home.clock.now(), 1)
    done(await home.verify(mfa_token=token, code=f" {code[:3]} {code[3:]}"))
    alone = {"password": PASSWORD}
    for path in ("recovery-codes", "passkeys/options", "totp"):
        problem(await home.ada.post(f"/auth/mfa/{path}", alone), 422, "validation_failed")
    done(await home.ada.post("/auth/mfa/passkeys/options", alone | {"recovery_code": codes[0]}))
    renewed = done(await home.ada.post("/auth/mfa/recovery-codes", alone | {"recovery_code": codes[1]}))
    assert len(set(renewed["recovery_codes"]) - set(codes)) == 10


async def test_the_owner_is_mailed_what_happens_to_the_factors(home: Home) -> None:
    _, codes = await set_up(home)
    token = (await home.log_in()).json()["mfa_token"]
    done(await home.verify(mfa_token=token, recovery_code=codes[0]))
    removal = {"password": PASSWORD, "recovery_code": codes[1]}
    assert (await home.ada.delete("/auth/mfa/totp", json=removal)).status_code == 204
    mailer = cast(KeptMailer, home.house.mailer())
    told = {"security.factor_added", "security.recovery_code_used", "security.factor_removed"}
    types = done(await home.ada.get("/notification-preferences"))["types"]
    sentences = {types[name]["description"] for name in told}

    def is_mailed() -> bool:
        letters = [each.letter for each in mailer.sent if each.letter.to == home.ada.email]
        said = {letter.data.get("sentence") for letter in letters}
        assert not any(code in str(letter.data) for code in codes for letter in letters)
        return sentences <= said

    await until(is_mailed)


async def test_answers_with_secrets_are_not_compressed_and_replayed_only_to_whom_they_were_for(home: Home) -> None:
    key = {"Idempotency-Key": "once", "Accept-Encoding": "gzip"}
    answers = [await home.ada.post("/auth/mfa/totp", {"password": PASSWORD}, headers=key) for _ in range(2)]
    assert done(answers[0]) == done(answers[1])
    assert "content-encoding" not in answers[0].headers


PARTS = dict.fromkeys(("clientDataJSON", "authenticatorData", "signature"), "AA")
NONSENSE: Json = {"passkey": {"id": "AA", "response": PARTS}}


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/auth/mfa/verify", {"mfa_token": "1.x.y", "code": "000000"}, "mfa_token_invalid"),
        ("/auth/passkeys/login", NONSENSE, "invalid_credentials"),
    ],
)
async def test_no_page_of_a_foreign_site_takes_the_last_step(home: Home, path: str, body: Json, code: str) -> None:
    answer = await home.http.post(API + path, json=body, headers={"Origin": "https://evil.example"})
    problem(answer, 403, "cross_site")
    problem(await home.http.post(API + path, json=body), 401, code)
