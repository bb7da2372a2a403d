"""The documentation that a server serves: its OpenAPI and AsyncAPI documents, a page, and the JavaScript client."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

from litestar import Litestar, MediaType, Response, Router, get
from litestar.handlers import HTTPRouteHandler

from application.catalogue import Catalogue
from application.feeds import Channels
from entrypoints.http.browser import MODULES
from entrypoints.http.codec import encode, none_matches
from entrypoints.http.compression import StaticBody
from entrypoints.http.facts import Facts
from entrypoints.http.openapi import document
from entrypoints.http.request import ApiRequest
from entrypoints.websocket import Calls, asyncapi

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


def documentation_routes(version: str, catalogue: Catalogue, calls: Calls, channels: Channels) -> Router:
    """Routes to the documents, the page, and the client as ES modules. All are fixed until the next release."""
    assets = files("offapi")
    return Router(
        "/",
        route_handlers=[
            _static("/api/openapi.json", MediaType.JSON, lambda app: encode(document(app))),
            _static(
                "/api/asyncapi.json",
                MediaType.JSON,
                lambda _: encode(asyncapi.document(version, catalogue, calls, channels)),
            ),
            _static("/api/docs", MediaType.HTML, lambda _: _PAGE.encode()),
            _static("/api/docs/start.js", "text/javascript", lambda _: _START.encode()),
            *(
                _static(f"/api/docs/{name}", kind, lambda _, name=name: (assets / name).read_bytes())  # type: ignore[misc]
                for name, kind in (("swagger_bundle.js", "text/javascript"), ("swagger_style.css", "text/css"))
            ),
            *(_static(path, "text/javascript", lambda _, body=body: body) for path, body in MODULES.items()),  # type: ignore[misc]
        ],
    )


def _static(path: str, media_type: str, make: Callable[[Litestar], bytes]) -> HTTPRouteHandler:
    """A route to a body that is made at its first request."""

    @cache
    def made(app: Litestar) -> StaticBody:
        return StaticBody(make(app))

    # In a thread, because the largest document takes as long to make as the rest of the start.
    @get(path, include_in_schema=False, sync_to_thread=True, facts=Facts(callers="anybody"))
    def answer(request: ApiRequest) -> Response[bytes]:
        body = made(request.app)
        headers = {"etag": body.tag}
        if none_matches(request, body.tag.encode()):
            return Response(b"", status_code=304, headers=headers)
        return Response(body, media_type=media_type, headers=headers)

    return answer
