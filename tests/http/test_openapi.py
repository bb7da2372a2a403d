"""The OpenAPI document is complete, its examples work, and what is answered is what it says."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import pytest
import schemathesis
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from entrypoints.container import in_memory
from entrypoints.http.facts import facts_of, paths
from entrypoints.http.openapi import document
from tests.http.operations import BODIES, BY_MAIL, INTERNAL, OPERATIONS, PUBLIC, Operation, a_world, request_for
from tests.support.clients import API, Json, Person

LITESTAR = in_memory().litestar()
DOCUMENT = document(LITESTAR)


def described(operation: Operation) -> Json:
    found: Json = DOCUMENT["paths"][API + operation.path][operation.method.lower()]
    return found


def resolved(node: Json) -> Json:
    """The same, or what it refers to."""
    while "$ref" in node:
        found: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def validator(schema: Json) -> jsonschema_rs.Draft202012Validator:
    """Checks JSON against a schema of the document, formats included."""
    return jsonschema_rs.Draft202012Validator(schema | {"components": DOCUMENT["components"]}, validate_formats=True)


def test_it_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    for reference in set(references(DOCUMENT)):
        assert resolved({"$ref": reference})


def test_every_route_is_in_the_document_or_on_the_internal_list() -> None:
    routes = {route.path_format for route in LITESTAR.routes}

    assert routes == set(DOCUMENT["paths"]) | INTERNAL
    assert not set(DOCUMENT["paths"]) & INTERNAL


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=str)
def test_an_operation_says_what_it_does_and_what_it_needs(operation: Operation) -> None:
    said = described(operation)

    assert said["operationId"] == operation.name
    assert len(said["summary"]) > 5
    assert not said["summary"].endswith(".")
    assert said["description"].startswith(said["summary"])
    assert len(said["tags"]) == 1
    assert said["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert ([list(way) for way in said.get("security", [])] == [["bearer"]]) == (API + operation.path not in PUBLIC)
    names = {parameter["name"] for parameter in said["parameters"] if parameter["in"] == "path"}
    assert all(f"{{{name}}}" in operation.path for name in names)
    assert len(names) == operation.path.count("{")
    assert all(parameter["schema"] for parameter in said["parameters"])


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=str)
def test_an_operation_declares_every_refusal(operation: Operation) -> None:
    said = described(operation)["responses"]
    expected = {"400", "408", "429", "431", "500", "503"}
    if API + operation.path not in PUBLIC:
        expected |= {"401"}
    if operation.method != "GET":
        expected |= {"413", "415"}
    if operation.name in BODIES:
        expected |= {"422"}
    if "{" in operation.path:
        expected |= {"404"}

    assert expected <= set(said)
    for status, response in said.items():
        if int(status) >= 400:
            shown = resolved(response)
            assert shown["description"]
            assert set(shown["content"]) == {"application/problem+json"}
            assert "X-Request-Id" in shown["headers"]
    (success, *_) = [status for status in said if status.startswith("2")]
    if success != "202":  # which has content only if there is something to see at once
        assert ("content" in said[success]) == (success != "204")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=str)
def test_an_operation_with_a_body_has_an_example_that_its_message_accepts(operation: Operation) -> None:
    said = described(operation)
    assert ("requestBody" in said) == (operation.name in BODIES)
    for kind, content in said.get("requestBody", {"content": {}})["content"].items():
        assert kind in {"application/json", "application/merge-patch+json"}
        assert content["examples"]
        for example in content["examples"].values():
            validator(content["schema"]).validate(example["value"])
            msgspec.json.decode(json.dumps(example["value"]), type=message_of(operation))


def handler_of(operation: Operation) -> HTTPRouteHandler:
    for route in LITESTAR.routes:
        if isinstance(route, HTTPRoute) and route.path_format == API + operation.path:
            handler, _ = route.route_handler_map[operation.method]  # type: ignore[index]
            return handler
    raise AssertionError(operation)


def message_of(operation: Operation) -> Any:
    taken = handler_of(operation).parsed_data_field
    assert taken is not None
    return taken.annotation


@pytest.mark.parametrize("name", BODIES)
def test_the_bodies_of_these_tests_have_every_field_that_the_document_knows(name: str) -> None:
    content = described(OPERATIONS[name])["requestBody"]["content"]["application/json"]
    known = set(resolved(content["schema"])["properties"])

    assert set(BODIES[name](defaultdict(str))) == known


def closed(schema: object) -> Any:
    """The same schema with no room for what it does not name."""
    if isinstance(schema, dict):
        shut = {name: closed(value) for name, value in schema.items()}
        return shut | {"additionalProperties": False} if "properties" in shut else shut
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=str)
async def test_an_answer_has_the_documented_fields_and_no_other(http: httpx.AsyncClient, operation: Operation) -> None:
    # An endless one; the same as register; what takes a secret out of a mail.
    if operation.name in {"stream_events", "fetch_export", "log_in", "refresh", "log_out"} | BY_MAIL:
        return
    if operation.name in {"verify_factor", "log_in_with_passkey", "remove_totp"}:  # likewise; one that says nothing
        return
    world = await a_world(http)
    actor: Person = world.people["stranger"] if operation.name in {"accept_invitation", "delete_me"} else world.owner
    response = await actor.send(**request_for(operation, world.ids))
    said = described(operation)["responses"][str(response.status_code)]

    assert response.is_success, response.text
    if "content" in said:
        schema = closed(said["content"]["application/json"]["schema"])
        shut = {"components": closed(DOCUMENT["components"])}
        jsonschema_rs.Draft202012Validator(schema | shut, validate_formats=True).validate(response.json())
    else:
        assert response.content == b""
    documented = {name.lower() for name in said["headers"]}
    assert {"etag"} & documented == {"etag"} & set(response.headers)


async def test_a_problem_is_what_the_document_says(ada: Person) -> None:
    task = await ada.open_task()
    path = f"/tasks/{task['id']}"
    answers = [
        (await ada.get("/tasks?nothing=1"), "/tasks", "get"),
        (await ada.http.get(f"{API}/tasks"), "/tasks", "get"),
        (await ada.post("/tasks", {"title": 5}), "/tasks", "post"),
        (await ada.patch(path, {"title": "x"}, headers={"If-Match": '"9"'}), "/tasks/{id}", "patch"),
        (await ada.get(f"/tasks/{ada.id}"), "/tasks/{id}", "get"),
    ]
    for response, where, method in answers:
        said = resolved(DOCUMENT["paths"][API + where][method]["responses"][str(response.status_code)])
        validator(said["content"]["application/problem+json"]["schema"]).validate(response.json())


async def test_the_document_is_served_to_anybody(http: httpx.AsyncClient) -> None:
    response = await http.get("/api/openapi.json")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == DOCUMENT


async def test_the_interactive_page_loads_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    page = await http.get("/api/docs")

    assert page.headers["content-type"].startswith("text/html")
    assert "'unsafe-inline'" not in page.headers["content-security-policy"].split("style-src")[0]
    sources = [part.partition('"')[0] for mark in ('src="', 'href="') for part in page.text.split(mark)[1:]]
    sources.remove("data:,")  # no picture
    assert len(sources) == 3
    for source in sources:
        assert source.startswith("/api/docs/")
        response = await http.get(source)
        assert response.status_code == 200, source
        assert "javascript" in response.headers["content-type"] or "css" in response.headers["content-type"]


def test_nothing_is_public_unless_it_is_meant_to_be() -> None:
    assert paths(LITESTAR, lambda facts: facts.callers != "known") == PUBLIC


# Fields of answers by which somebody gets in.
SECRETS = {"token", "access_token", "refresh_token", "ticket", "secret"}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=str)
def test_a_route_whose_answer_holds_a_secret_says_so(operation: Operation) -> None:
    success = next(said for status, said in described(operation)["responses"].items() if status.startswith("2"))
    answer = resolved(success.get("content", {}).get("application/json", {"schema": {}})["schema"])
    named = SECRETS & set(answer.get("properties", ()))

    if named or "Set-Cookie" in success["headers"]:
        assert facts_of(handler_of(operation)).is_secret
