"""What a route says of itself beside its signature, for the edge, the memory of answers and the OpenAPI document."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import cast

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from application.scopes import Scope

# What an id looks like, in examples.
AN_ID = "0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Stands at a handler as `facts`; a handler without any is closed, and has no body, secret or condition.

    `is_public`: anybody may call it, without a principal.
    `is_secret`: its answers hold a secret, so they are not compressed, and never kept in clear.
    `is_keyless`: an idempotency key means nothing to it, as none to what is public: a repetition just gets another.
    `example`: a body that works.
    `current`: what it may be meant for one version of, and a 412 carries; `by_header` if that version is in `If-Match`.
    `streamed`: an example of what a stream sends.
    `has_version`: its answers have an ETag, though no field says so.
    `scope`: what a credential needs to call it, if that is not what the `scopes` of its router say.
    `refuses`: statuses besides those that follow from what it takes and answers.
    """

    is_public: bool = False
    is_secret: bool = False
    is_keyless: bool = False
    example: Mapping[str, object] | None = None
    current: type | None = None
    by_header: bool = True
    streamed: str | None = None
    has_version: bool = False
    scope: Scope | None = None
    refuses: Collection[int] = ()


_NONE = Facts()


def facts_of(handler: BaseRouteHandler) -> Facts:
    """What this handler says of itself."""
    return cast(Facts, handler.opt.get("facts", _NONE))


def scope_of(handler: HTTPRouteHandler) -> Scope | None:
    """What a credential needs to call this; None if that depends on what is asked for, or it needs nothing.

    The use case decides; this is what the document tells of it. `scopes` of a router are one for reading and one for
    everything else.
    """
    facts = facts_of(handler)
    if facts.is_public or facts.scope is not None:
        return facts.scope
    reading, changing = handler.opt.get("scopes", (None, None))
    return cast("Scope | None", reading if "GET" in handler.http_methods else changing)


def paths(app: Litestar, wanted: Callable[[Facts], bool]) -> frozenset[str]:
    """The paths of all routes whose facts are wanted; ValueError for one with a parameter, which has many paths."""
    found = {
        route.path
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler, _ in route.route_handler_map.values()
        if wanted(facts_of(handler))
    }
    if several := sorted(path for path in found if "{" in path):
        raise ValueError(f"What is public or keyless has one path: {several}")
    return frozenset(found)
