"""Answers above 1 KiB are compressed in the encoding that the caller likes best, but none that holds a token."""

import gzip
import json

import brotli
import httpx
import pytest
import zstandard

from entrypoints.http.answer import COMPRESS_FROM_BYTES
from tests.support.clients import API, PASSWORD, Person, done, log_in

LONG = "lorem ipsum " * 400


async def raw(person: Person, path: str, accept: str) -> tuple[httpx.Response, bytes]:
    """A response with its body as it came over the line."""
    headers = person.authorization | {"Accept-Encoding": accept}
    request = person.http.build_request("GET", API + path, headers=headers)
    response = await person.http.send(request, stream=True)
    body = b"".join([part async for part in response.aiter_raw()])
    return response, body


def decoded(encoding: str | None, body: bytes) -> object:
    match encoding:
        case "br":
            body = brotli.decompress(body)
        case "zstd":
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        case "gzip":
            body = gzip.decompress(body)
    return json.loads(body)


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("zstd", "zstd"),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("*", "br"),
        ("br;q=0.2, zstd;q=0.9, gzip;q=0.5", "zstd"),
        ("br;q=0, *", "zstd"),
        ("br; q=0.1, gzip; q=0.8", "gzip"),
        ("identity", None),
        ("", None),
        ("gzip;q=0", None),
        ("gzip;q=x", None),
        ("compress, deflate", None),
        ("*;q=0", None),
        (",;,;q=,;;=", None),
        ("br," * 500, "br"),
    ],
)
async def test_a_long_answer_comes_in_the_encoding_that_is_liked_best(
    ada: Person, accept: str, encoding: str | None
) -> None:
    task = await ada.open_task(description=LONG)
    response, body = await raw(ada, f"/tasks/{task['id']}", accept)

    assert response.headers.get("content-encoding") == encoding
    assert response.headers["vary"] == "accept-encoding"
    assert int(response.headers["content-length"]) == len(body)
    assert decoded(encoding, body) == task
    assert (encoding is None) == (len(body) > len(LONG))


async def test_a_short_answer_is_not_worth_it(ada: Person) -> None:
    response, body = await raw(ada, "/me", "br, gzip")

    assert "content-encoding" not in response.headers
    assert len(body) < COMPRESS_FROM_BYTES


async def test_an_answer_just_at_the_border_is_compressed(ada: Person) -> None:
    task = await ada.open_task(description="")
    missing = COMPRESS_FROM_BYTES - len((await ada.get(f"/tasks/{task['id']}")).content)
    for length, expected in ((missing - 1, None), (missing, "gzip")):
        done(await ada.patch(f"/tasks/{task['id']}", {"description": "x" * length}))
        response, _ = await raw(ada, f"/tasks/{task['id']}", "gzip")
        assert response.headers.get("content-encoding") == expected


async def test_a_long_problem_is_compressed_too(ada: Person) -> None:
    task = await ada.open_task(description=LONG)
    headers = {"If-Match": '"9"', "Accept-Encoding": "br"}
    response = await ada.patch(f"/tasks/{task['id']}", {"title": "x"}, headers=headers)

    assert response.headers["content-encoding"] == "br"
    assert response.json()["current"] == task


async def test_an_answer_under_auth_is_never_compressed(ada: Person) -> None:
    http, everything = ada.http, {"Accept-Encoding": "br, zstd, gzip"}
    for _ in range(12):
        await log_in(http, ada.email, headers={"User-Agent": "a browser " * 20})
    signed_in = await http.post(
        f"{API}/auth/login", json={"email": ada.email, "password": PASSWORD}, headers=everything
    )
    cookie = {"Cookie": f"__Host-refresh={ada.cookie}", "X-Requested-With": "test"}
    refreshed = await http.post(f"{API}/auth/refresh", headers=everything | cookie)
    sessions = await ada.get("/auth/sessions", headers=everything)

    assert len(sessions.content) > 2 * COMPRESS_FROM_BYTES
    for response in (signed_in, refreshed, sessions):
        assert response.status_code == 200
        assert "content-encoding" not in response.headers
