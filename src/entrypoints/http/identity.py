"""The routes to register, sign in and out, and manage one's account."""

from litestar import Response, Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from application.accounts import ACCOUNT_READ
from application.identity import (
    Addresses,
    Credentials,
    Identity,
    PasswordChange,
    ProfilePatch,
    Registration,
    SignedIn,
)
from application.paging import Page
from application.ports.identity import SessionView, UserView
from application.scopes import SESSION
from domain.ids import SessionId
from entrypoints.http.addresses import underway
from entrypoints.http.facts import Facts
from entrypoints.http.refresh_cookie import RefreshCookie, device_of
from entrypoints.http.request import ApiRequest


def identity_routes(identity: Identity, addresses: Addresses, cookie: RefreshCookie) -> Router:
    """Routes under `/auth` and `/me`. Each that sets, uses or clears the cookie checks the site of the request."""

    def registered(request: ApiRequest, outcome: tuple[SignedIn, str] | None) -> Response[SignedIn]:
        return cookie.signed_in(request, *outcome, status=201) if outcome else underway()

    @post(
        "/auth/register",
        facts=Facts(
            callers="anybody",
            sets_cookie=True,
            is_secret=True,
            example={"email": "ada@example.org", "password": "correct horse battery", "display_name": "Ada"},
            refuses={409},
            later="Addresses have to be verified here: a letter to this one says how it goes on.",
        ),
    )
    async def register(request: ApiRequest, data: JSONBody[Registration]) -> Response[SignedIn]:
        """Create an account with a personal workspace, and sign in."""
        cookie.guard(request)
        return registered(request, await addresses.register(data, device_of(request)))

    @post(
        "/auth/login",
        status_code=200,
        facts=Facts(
            callers="anybody",
            sets_cookie=True,
            is_secret=True,
            example={"email": "ada@example.org", "password": "correct horse battery"},
            refuses={401},
        ),
    )
    async def log_in(request: ApiRequest, data: JSONBody[Credentials]) -> Response[SignedIn]:
        """Sign in: an access token in the answer, and a refresh token in an HttpOnly cookie."""
        cookie.guard(request)
        return cookie.signed_in(request, *await identity.log_in(data, device_of(request)))

    @post(
        "/auth/refresh",
        status_code=200,
        security=[{"refresh": []}],
        facts=Facts(callers="anybody", sets_cookie=True, is_secret=True, refuses={401, 403}),
    )
    async def refresh(request: ApiRequest) -> Response[SignedIn]:
        """Exchange the refresh cookie for a new access token and a new cookie."""
        return cookie.signed_in(request, *await identity.refresh(cookie.of(request), device_of(request)))

    @post(
        "/auth/logout",
        status_code=204,
        security=[{"refresh": []}, {}],
        facts=Facts(callers="anybody", sets_cookie=True, is_secret=True, refuses={403}),
    )
    async def log_out(request: ApiRequest) -> Response[None]:
        """End the session of the refresh cookie."""
        await identity.log_out(cookie.of(request))
        return Response(None, status_code=204, headers=cookie.header("", 0))

    @post("/auth/logout-all", status_code=204)
    async def log_out_everywhere(request: ApiRequest) -> Response[None]:
        """End all sessions of the caller, including this one."""
        cookie.guard(request)
        await identity.log_out_everywhere(request.actor)
        return Response(None, status_code=204, headers=cookie.header("", 0))

    @get("/auth/sessions", facts=Facts(is_secret=True))  # the answer shows addresses and devices
    async def list_sessions(request: ApiRequest) -> Page[SessionView]:
        """The caller's live sessions, oldest first."""
        return await identity.sessions(request.actor)

    @delete("/auth/sessions/{id:uuid}")
    async def end_session(request: ApiRequest, id: FromPath[SessionId]) -> None:
        """End one session of the caller. An admin can end any session."""
        await identity.end_session(request.actor, id)

    @get("/me", facts=Facts(scope=ACCOUNT_READ))
    async def read_me(request: ApiRequest) -> UserView:
        """The caller's account."""
        return await identity.me(request.actor)

    @patch(
        "/me",
        facts=Facts(
            example={"display_name": "Augusta", "time_zone": "Europe/London", "locale": "en-GB"}, current=UserView
        ),
    )
    async def change_me(request: ApiRequest, data: JSONBody[ProfilePatch]) -> UserView:
        """Change the caller's profile; with `If-Match`, only that version."""
        return await identity.change_profile(request.actor, data, request.version)

    @post(
        "/me/password",
        status_code=204,
        facts=Facts(example={"current_password": "correct horse battery", "new_password": "a better horse battery"}),
    )
    async def change_password(request: ApiRequest, data: JSONBody[PasswordChange]) -> None:
        """Replace the password, given the current one. Every session ends, including this one."""
        await identity.change_password(request.actor, data)

    return Router(
        "/",
        route_handlers=[
            register,
            log_in,
            refresh,
            log_out,
            log_out_everywhere,
            list_sessions,
            end_session,
            read_me,
            change_me,
            change_password,
        ],
        tags=["identity"],
        opt={"about": "Signing up, in and out; one's own account and sessions.", "scopes": (SESSION, SESSION)},
    )
