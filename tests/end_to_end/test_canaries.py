"""Secrets never reach the log, the metrics or the traces, whatever is done with them and whatever goes wrong."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.authenticators import code_of
from tests.support.clients import API, client, done, listening, sign_up, signed_in, until
from tests.support.clients import PASSWORD as SIGN_UP_PASSWORD
from tests.support.collector import collecting
from tests.support.server import JWT_SECRET, ServerProcess

PASSWORD = "canary-of-a-password-1"
NEXT_PASSWORD = "canary-of-a-password-2"
WORDS = "canary of what people write"
METRICS_TOKEN = "canary-of-metrics-0123456789-abcdefghij"


async def test_no_secret_and_nothing_that_people_write_is_in_any_sink(
    start_server: Callable[..., ServerProcess], redis_url: str, tmp_path: Path
) -> None:
    async with collecting() as collector:
        server = await asyncio.to_thread(
            start_server,
            None,
            redis_url,
            LOG_LEVEL="debug",
            LOG_FORMAT="json",
            SLOW_REQUEST_MS="0",
            SLOW_QUERY_MS="0",
            METRICS_TOKEN=METRICS_TOKEN,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            DATA_DIR=str(tmp_path),
        )
        async with client(server.base_url) as http:
            secrets = await a_story(server, http, tmp_path)
            metrics = await http.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
            assert "signalbox_" in metrics.text
            await until(lambda: len(collector.spans) > 20)
        log = server.log()
        assert '"event":"request"' in log
        sinks = {"log": log, "metrics": metrics.text, "traces": collector.raw.decode("latin-1")}
        for name, secret in secrets.items():
            assert len(secret) >= 10
            assert {sink for sink, text in sinks.items() if secret in text} == set(), name


async def until_mailed(folder: Path, letter: str) -> str:
    """The token of the link in a mail, as soon as it is in the folder."""
    await until(lambda: any(folder.glob(f"*{letter}*.eml")))
    (path,) = folder.glob(f"*{letter}*.eml")
    found = re.search(r"#token=([\w-]+)", path.read_text())
    assert found
    return found[1]


async def a_story(server: ServerProcess, http: httpx.AsyncClient, folder: Path) -> dict[str, str]:
    """All that somebody does with secrets, rightly and wrongly; the secrets by their name."""
    ada = await sign_up(http)
    credentials = {"email": "canary@example.org", "password": PASSWORD, "display_name": "Canary"}
    welcome = await http.post(f"{API}/auth/register", json=credentials)
    person = signed_in(http, welcome)
    headers = {"Cookie": f"__Host-refresh={person.cookie}", "X-Requested-With": "test"}
    renewed = signed_in(http, await http.post(f"{API}/auth/refresh", headers=headers))
    await http.post(f"{API}/auth/login", json={"email": credentials["email"], "password": NEXT_PASSWORD})
    await http.post(f"{API}/auth/login", content=json.dumps({"email": 1, "password": PASSWORD}))
    await http.get(f"{API}/me?token={renewed.token}", headers={"Authorization": f"Basic {renewed.token}"})
    await http.get(f"{API}/me", headers={"Authorization": f"Bearer {renewed.token[:-3]}"})
    team = await ada.create_team()
    invitation = done(await ada.post(f"/workspaces/{team['id']}/invitations", {"role": "member"}))
    keyed = {"Idempotency-Key": "canary-of-a-key"}
    await renewed.post("/tasks", {"title": WORDS, "description": WORDS}, headers=keyed)
    await renewed.get("/tasks", params={"q": WORDS, "assignee": WORDS})
    ticket = done(await renewed.post("/live/tickets", {"subscribe": ["me"]}))["ticket"]
    for _ in range(2):
        try:
            async with connect(f"ws{server.base_url.removeprefix('http')}{API}/ws?ticket={ticket}", proxy=None):
                pass
        except InvalidStatus:
            pass
    async with listening(server.base_url, renewed.token, "me") as live:
        await live.call("authenticate", token=renewed.token)
        await live.socket.send(json.dumps({"type": "authenticate", "id": 9, "token": PASSWORD}))
        await live.call("call", method="task.create", params={"title": WORDS}, key="canary-of-a-key-2")
    secret = done(await ada.post("/auth/mfa/totp", {"password": SIGN_UP_PASSWORD}))["secret"]
    now = datetime.now(UTC)
    recovery = done(await ada.post("/auth/mfa/totp/confirm", {"code": code_of(secret, now)}))["recovery_codes"]
    asked = await http.post(f"{API}/auth/login", json={"email": ada.email, "password": SIGN_UP_PASSWORD})
    second = {"mfa_token": asked.json()["mfa_token"]}
    for proof in ({"code": code_of(secret, now)}, {"recovery_code": recovery[1] + "x"}, {"recovery_code": recovery[0]}):
        await http.post(f"{API}/auth/mfa/verify", json=second | proof)
    await http.post(f"{API}/auth/password/forgot", json={"email": ada.email})
    link = await until_mailed(folder / "mail", "reset_password")
    for token in (link + "x", link):
        await http.post(f"{API}/auth/password/reset", json={"token": token, "password": NEXT_PASSWORD})
    await renewed.post("/me/password", {"current_password": PASSWORD, "new_password": NEXT_PASSWORD})
    # The same cookie again is reuse, and ends everything.
    await http.post(f"{API}/auth/refresh", headers=headers)
    return {
        "password": PASSWORD,
        "next password": NEXT_PASSWORD,
        "first access token": person.token,
        "access token": renewed.token,
        "signature of it": renewed.token.rpartition(".")[2],
        "refresh token": person.cookie,
        "next refresh token": renewed.cookie,
        "invitation": invitation["secret"] if "secret" in invitation else invitation["token"],
        "ticket": ticket,
        "secret of an app": secret,
        "recovery code": recovery[0],
        "recovery code that is wrong": recovery[1],
        "token of the second step": second["mfa_token"],
        "token of a link": link,
        "words": WORDS,
        "words in a URL": WORDS.replace(" ", "%20"),
        "words in a query": WORDS.replace(" ", "+"),
        "metrics token": METRICS_TOKEN,
        "JWT secret": JWT_SECRET,
        "database": server.database_url,
    }
