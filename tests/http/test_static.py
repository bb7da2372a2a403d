"""What a release brings is made and compressed once, and whoever has it already does not get it again."""

import asyncio
import re
import zlib
from urllib.parse import urljoin

import brotli
import httpx
import pytest
import zstandard

from entrypoints.http.answer import COMPRESS_FROM_BYTES
from entrypoints.http.browser import MODULES
from entrypoints.http.compression import ENCODINGS, THOROUGH, StaticBody, compressed

PATHS = (
    "/api/docs",
    "/api/docs/start.js",
    "/api/docs/swagger_bundle.js",
    "/api/docs/swagger_style.css",
    "/api/openapi.json",
    "/api/asyncapi.json",
    *MODULES,
)


@pytest.mark.parametrize("path", PATHS)
async def test_whoever_has_it_is_told_so_in_whatever_encoding_it_came(http: httpx.AsyncClient, path: str) -> None:
    plain = await http.get(path, headers={"Accept-Encoding": "identity"})
    assert plain.status_code == 200
    assert plain.headers["cache-control"] == "no-cache"
    for encoding in ENCODINGS:
        answer = await http.get(path, headers={"Accept-Encoding": encoding})
        assert answer.content == plain.content
        assert answer.headers["etag"] == plain.headers["etag"]
        assert answer.headers["cache-control"] == "no-cache"
        if len(plain.content) >= COMPRESS_FROM_BYTES:
            assert answer.headers["content-encoding"] == encoding
            assert "accept-encoding" in answer.headers["vary"]
        again = await http.get(path, headers={"Accept-Encoding": encoding, "If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (again.headers["etag"], again.headers["cache-control"]) == (plain.headers["etag"], "no-cache")
    changed = await http.get(path, headers={"If-None-Match": 'W/"another"'})
    assert changed.status_code == 200


async def test_everything_has_a_tag_of_its_own(http: httpx.AsyncClient) -> None:
    paths = [path for path in PATHS if path != "/client/client.js"]  # the same as /client.js
    assert len({(await http.get(path)).headers["etag"] for path in paths}) == len(paths)


async def test_every_module_that_a_module_imports_is_there(http: httpx.AsyncClient) -> None:
    imported = 0
    for path in MODULES:
        for name in re.findall(r'^import .* from "(.+)";$', (await http.get(path)).text, flags=re.MULTILINE):
            assert urljoin(path, name) in MODULES
            imported += 1
    assert imported


async def test_a_body_is_packed_once_however_many_want_it_at_once() -> None:
    body = StaticBody(b"lorem ipsum " * 50_000)
    crowd = await asyncio.gather(*(body.packed("br") for _ in range(20)))
    assert all(packed is crowd[0] for packed in crowd)
    assert await body.packed("br") is crowd[0]
    assert brotli.decompress(crowd[0]) == body
    assert zstandard.ZstdDecompressor().decompressobj().decompress(await body.packed("zstd")) == body
    assert zlib.decompress(await body.packed("gzip"), 31) == body


async def test_whoever_leaves_while_a_body_is_packed_spoils_it_for_nobody() -> None:
    body = StaticBody(b"lorem ipsum " * 50_000)
    leaving = asyncio.create_task(body.packed("br"))
    staying = asyncio.create_task(body.packed("br"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert brotli.decompress(await staying) == body


async def test_a_large_script_is_as_small_as_only_what_is_packed_once_can_be(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await http.get("/api/docs/swagger_bundle.js", headers={"Accept-Encoding": "br"})
        length = int(answer.headers["content-length"])
        assert length == len(compressed("br", answer.content, THOROUGH)) < len(compressed("br", answer.content))
