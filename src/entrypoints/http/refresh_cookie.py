"""The cookie of the refresh token: sets it, and decides which pages may use it."""

from collections.abc import Sequence
from typing import Literal

from litestar import Response

from application.identity import Device, SignedIn
from domain.identity import SESSION_ABSOLUTE, SESSION_IDLE
from domain.ids import AccountId
from entrypoints.addresses import may_send
from entrypoints.http.edge import CrossSite
from entrypoints.http.request import ApiRequest

# The prefix makes browsers insist on Secure, Path=/ and no Domain, so no sibling site can plant one.
COOKIE = "__Host-refresh"

SameSite = Literal["strict", "none"]


class RefreshCookie:
    """The cookie for pages of this site and of `origins`. Those on other sites need `same_site` "none".

    With `Partitioned`, a browser that blocks third-party cookies keeps one cookie for each site that embeds us.
    """

    def __init__(self, origins: Sequence[str], same_site: SameSite) -> None:
        self._origins = origins
        self._attributes = "Path=/; HttpOnly; Secure; SameSite=" + (
            "None; Partitioned" if same_site == "none" else "Strict"
        )

    def signed_in(
        self, request: ApiRequest, signed_in: SignedIn, refresh: str, status: int = 200
    ) -> Response[SignedIn]:
        """The answer to somebody who has signed in, with the refresh token in the cookie."""
        request.caller.account = AccountId(signed_in.user.id)
        lifetime = int(min(SESSION_IDLE, SESSION_ABSOLUTE).total_seconds())
        return Response(signed_in, status_code=status, headers=self.header(refresh, lifetime))

    def header(self, token: str, max_age: int) -> dict[str, str]:
        """The header that sets the cookie for `max_age` seconds, or removes it if `max_age` is 0."""
        return {"Set-Cookie": f"{COOKIE}={token}; Max-Age={max_age}; {self._attributes}"}

    def guard(self, request: ApiRequest) -> None:
        """CrossSite if the browser's headers name a page that may not set or use the cookie."""
        self._is_vouched_for(request)

    def of(self, request: ApiRequest) -> str | None:
        """The token in the cookie, or None. CrossSite unless the browser's headers name a page that may use it.

        SameSite alone would admit sibling subdomains. Without those headers the caller has to send X-Requested-With,
        which no form can set.
        """
        token = request.cookies.get(COOKIE)
        asked = b"x-requested-with" in request.caller.headers
        if token is not None and not self._is_vouched_for(request) and not asked:
            raise CrossSite("The refresh cookie is for pages of this site; without a browser, send X-Requested-With.")
        return token

    def _is_vouched_for(self, request: ApiRequest) -> bool:
        """True if the browser's headers name a page that may, False without such headers. CrossSite if it may not."""
        headers = request.caller.headers
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin", b"").decode("latin-1")
        if origin in self._origins:
            return True
        if site is not None:
            trusted = site in (b"same-origin", b"none")
        elif origin:
            trusted = may_send(origin, headers.get(b"host", b"").decode("latin-1"), self._origins)
        else:
            return False
        if not trusted:
            raise CrossSite("The refresh cookie is for pages of this site and of CORS_ORIGIN.")
        return True


def device_of(request: ApiRequest) -> Device:
    """The client that signs in."""
    caller = request.caller
    return Device(caller.address, caller.headers.get(b"user-agent", b"").decode("latin-1"))
