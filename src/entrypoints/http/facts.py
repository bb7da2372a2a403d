"""What a route declares beside its signature, for the edge, the memory of answers and the OpenAPI document."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from application.scopes import Scope

# The id in examples.
AN_ID = "0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e"

Callers: TypeAlias = Literal["known", "anybody", "either"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The option `facts` of a handler. A handler without it is closed, and has no body, secret or condition.

    `callers`: who may call it. `known`: only a principal. `anybody`: it acts for nobody, and an invalid credential
    counts as none. `either`: it acts for a principal or for a stranger, and a credential that is sent has to be valid.
    `sets_cookie`: its answers set or clear the refresh cookie.
    `is_secret`: its answers hold a secret. They are not compressed, and are stored encrypted only.
    `is_keyless`: it ignores idempotency keys, as routes for `anybody` do: a repetition is carried out again.
    `example`: a body that works.
    `current`: the message that a condition on its version is about, and that a 412 carries.
    `by_header`: that version comes in `If-Match`.
    `later`: why it may answer 202 without a body in place of its usual answer.
    `streamed`: an example of a streamed answer.
    `file`: the media type of an answer that is a file.
    `has_version`: its answers have an ETag, though no field says so.
    `scope`: the scope that a credential needs, if the `scopes` of its router do not say it.
    `takes_forms`: its body may be a form, as programs and pages outside of this API send one. It is not read.
    `refuses`: statuses besides those that follow from its parameters and answers.
    """

    callers: Callers = "known"
    sets_cookie: bool = False
    is_secret: bool = False
    is_keyless: bool = False
    example: Mapping[str, object] | None = None
    current: type | None = None
    by_header: bool = True
    later: str | None = None
    streamed: str | None = None
    file: str | None = None
    has_version: bool = False
    scope: Scope | None = None
    takes_forms: bool = False
    refuses: Collection[int] = ()


_NONE = Facts()


def facts_of(handler: BaseRouteHandler) -> Facts:
    """The facts of this handler."""
    return cast(Facts, handler.opt.get("facts", _NONE))


def scope_of(handler: HTTPRouteHandler) -> Scope | None:
    """The scope that a credential needs to call this. None if that depends on the request, or it needs none.

    The use case decides; this is for the document only. The `scopes` of a router are one for reading and one for
    everything else.
    """
    facts = facts_of(handler)
    if facts.callers == "anybody" or facts.scope is not None:
        return facts.scope
    reading, changing = handler.opt.get("scopes", (None, None))
    return cast("Scope | None", reading if "GET" in handler.http_methods else changing)


def matching(app: Litestar, wanted: Callable[[Facts], bool]) -> re.Pattern[str]:
    """Matches the paths of all routes whose facts are wanted, and is for `fullmatch`."""
    return re.compile("|".join(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(each)) for each in sorted(_found(app, wanted))))


def paths(app: Litestar, wanted: Callable[[Facts], bool]) -> frozenset[str]:
    """The paths of all routes whose facts are wanted. ValueError for a path with a parameter: it stands for many."""
    found = _found(app, wanted)
    if several := sorted(path for path in found if "{" in path):
        raise ValueError(f"What is open to strangers has one path: {several}")
    return frozenset(found)


def _found(app: Litestar, wanted: Callable[[Facts], bool]) -> set[str]:
    return {
        route.path
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler, _ in route.route_handler_map.values()
        if wanted(facts_of(handler))
    }


def open_paths(app: Litestar) -> Mapping[str, Callers]:
    """Who may call the paths that are open to strangers. ValueError for a path with a parameter: it stands for many."""
    anybody = dict.fromkeys(paths(app, lambda facts: facts.callers == "anybody"), "anybody")
    return cast(
        Mapping[str, Callers], anybody | dict.fromkeys(paths(app, lambda facts: facts.callers == "either"), "either")
    )


def form_paths(app: Litestar) -> frozenset[str]:
    """The paths at which a body may be a form. ValueError for a path with a parameter."""
    return paths(app, lambda facts: facts.takes_forms)
