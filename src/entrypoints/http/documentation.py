"""What there is to read about the interfaces: their documents, a page for the first, and the JavaScript client."""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from litestar import Litestar, MediaType, Response, Router, get

from entrypoints.http.codec import encode, none_matches
from entrypoints.http.openapi import document
from entrypoints.http.request import ApiRequest
from entrypoints.websocket import asyncapi

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Signalbox API</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/api/docs/swagger_style.css"></head>
<body><div id="docs"></div>
<script src="/api/docs/swagger_bundle.js"></script><script src="/api/docs/start.js"></script></body>
</html>"""
_START = """SwaggerUIBundle({url: "/api/openapi.json", dom_id: "#docs", deepLinking: true, persistAuthorization: true,
  presets: [SwaggerUIBundle.presets.apis]});"""


def documentation_routes(version: str) -> Router:
    """The documents, the page, and the client as an ES module."""
    assets = files("offapi")
    client = files("entrypoints.http").joinpath("client.js").read_bytes()
    # Weak, as the edge may compress it.
    version_of_client = f'W/"{sha256(client).hexdigest()[:32]}"'

    # Made when somebody first asks for them: they take as long as the rest of the start.
    @cache
    def described(app: Litestar) -> bytes:
        return encode(document(app, version))

    @cache
    def described_live() -> bytes:
        return encode(asyncapi.document(version))

    @get("/api/openapi.json", include_in_schema=False, sync_to_thread=False)
    def openapi(request: ApiRequest) -> Response[bytes]:
        return Response(described(request.app), media_type=MediaType.JSON)

    @get("/api/asyncapi.json", include_in_schema=False, sync_to_thread=False)
    def live_document() -> Response[bytes]:
        return Response(described_live(), media_type=MediaType.JSON)

    @get("/api/docs", include_in_schema=False, media_type=MediaType.HTML, sync_to_thread=False)
    def page() -> Response[str]:
        return Response(_PAGE, media_type=MediaType.HTML)

    @get("/api/docs/start.js", include_in_schema=False, sync_to_thread=False)
    def start() -> Response[str]:
        return Response(_START, media_type="text/javascript")

    @get("/api/docs/swagger_bundle.js", include_in_schema=False, sync_to_thread=False)
    def script() -> Response[bytes]:
        return Response((assets / "swagger_bundle.js").read_bytes(), media_type="text/javascript")

    @get("/api/docs/swagger_style.css", include_in_schema=False, sync_to_thread=False)
    def style() -> Response[bytes]:
        return Response((assets / "swagger_style.css").read_bytes(), media_type="text/css")

    @get("/client.js", include_in_schema=False, sync_to_thread=False)
    def live_client(request: ApiRequest) -> Response[bytes]:
        headers = {"etag": version_of_client}
        if none_matches(request, version_of_client.encode()):
            return Response(b"", status_code=304, headers=headers)
        return Response(client, media_type="text/javascript", headers=headers)

    return Router("/", route_handlers=[openapi, live_document, page, start, script, style, live_client])
