"""Requests that a machine makes up from the OpenAPI document get the answers that it promises."""

from collections.abc import Callable, Iterator
from http.cookiejar import DefaultCookiePolicy
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance, unsupported_method

from entrypoints.container import in_memory
from entrypoints.http.openapi import document
from tests.http.operations import fill
from tests.support.authenticators import Authenticator, a_passkey
from tests.support.clients import API, Json, Person, client, done, sign_up
from tests.support.server import ServerProcess
from tests.support.services import run_apart

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(document(in_memory().litestar()))


@pytest.fixture(scope="module")
def server(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("contract") / "server.log"
    server = ServerProcess(new_database(), log, None, {"RATE_LIMIT_ENABLED": "false"}).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def owners(server: ServerProcess) -> Callable[[str], tuple[Person, dict[str, str]]]:
    """Somebody with one of everything, whose things only one operation touches if it may destroy them."""
    made: dict[str, tuple[Person, dict[str, str]]] = {}

    async def make() -> tuple[Person, dict[str, str]]:
        async with client(server.base_url) as http:
            owner = await sign_up(http)
            team = (await owner.create_team())["id"]
            task = (await owner.open_task(workspace_id=team))["id"]
            comment: Json = done(await owner.post(f"/tasks/{task}/comments", {"text": "hello"}))
            invitation: Json = done(await owner.post(f"/workspaces/{team}/invitations", {}))["invitation"]
            sessions: list[Json] = done(await owner.get("/auth/sessions"))["data"]
            room: Json = done(await owner.post("/rooms", {"name": "Film night"}))
            path = f"/rooms/{room['id']}"
            item: Json = done(await owner.post(f"{path}/queue", {"url": "https://videos.example.org/film.mp4"}))
            message: Json = done(await owner.post(f"{path}/messages", {"text": "hello"}))
            passkey: Json = (await a_passkey(owner, Authenticator(origin=server.base_url)))["passkey"]
        ids = {"workspaces": team, "tasks": task, "members": owner.id, "assignees": owner.id}
        return owner, ids | {
            "comments": comment["id"],
            "invitations": invitation["id"],
            "sessions": sessions[0]["id"],
            "rooms": room["id"],
            "participants": room["participants"][0]["id"],
            "queue": item["id"],
            "messages": message["id"],
            "notifications": str(uuid4()),  # nobody else is there who could do something
            "export": str(uuid4()),  # `test_exporting.py` has one
            "passkeys": passkey["id"],
        }

    def owner_for(operation: str) -> tuple[Person, dict[str, str]]:
        toucher = "" if operation.startswith("GET ") else operation
        if toucher not in made:
            made[toucher] = run_apart(make)
        return made[toucher]

    return owner_for


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Calls over one connection, and keeps no cookies. A connection for each call would be a third of their price."""
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        yield session


_turns = count()


# Valid data may be refused all the same, for what no schema can say: a weak password, a foreign cursor, a used key.
# The stream has no end; its own tests read it.
@SCHEMA.exclude(operation_id="stream_events").parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_an_operation_answers_as_documented(
    case: schemathesis.Case[Any],
    server: ServerProcess,
    owners: Callable[[str], tuple[Person, dict[str, str]]],
    session: requests.Session,
) -> None:
    owner, ids = owners(case.operation.label)
    if next(_turns) % 2 and all(map(is_id, case.path_parameters.values())):
        # Of something that exists, every other time.
        case.path_parameters = dict(fill(case.operation.path.removeprefix(API), ids))
    # A repeated key gets the first answer, whatever else has become wrong, be it the method; and the token is put right
    # below.
    has_other_answers = not {"Idempotency-Key", "Authorization"}.isdisjoint(case.headers or ())
    case.call_and_validate(
        base_url=server.base_url,
        session=session,
        headers=owner.authorization,
        excluded_checks=[
            positive_data_acceptance,
            *([negative_data_rejection, unsupported_method] if has_other_answers else []),
        ],
        timeout=10,
    )


def is_id(value: object) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True
