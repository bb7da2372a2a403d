"""The routes of second factors and passkeys."""

from litestar import Response, Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from application.identity import (
    CodeProof,
    FactorAddition,
    FactorChange,
    Factors,
    FactorsView,
    NewPasskey,
    PasskeyAdded,
    PasskeyPatch,
    PasskeyQuestion,
    Passkeys,
    PasskeySignIn,
    PasskeyView,
    RecoveryCodes,
    SecondStep,
    SecondSteps,
    SignedIn,
    TotpSecret,
)
from application.scopes import MFA_SETUP
from domain.ids import PasskeyId
from entrypoints.http.facts import Facts
from entrypoints.http.refresh_cookie import RefreshCookie, device_of
from entrypoints.http.request import ApiRequest

_PASSWORD = {"password": "correct horse battery"}
_ATTESTATION = {"response": {"clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0", "attestationObject": "o2NmbXQ"}}
_ASSERTION = {
    "id": "lZqFkPzvN1kxQv0",
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0",
        "authenticatorData": "SZYN5YgOjGh0NBcP",
        "signature": "MEUCIQDq",
        "userHandle": "AZXzonxBez6dUj9qHCtNXg",
    },
}


def factor_routes(factors: Factors, passkeys: Passkeys, steps: SecondSteps, cookie: RefreshCookie) -> Router:
    """Routes under `/auth/mfa` and `/auth/passkeys`."""

    @get("/auth/mfa")
    async def read_factors(request: ApiRequest) -> FactorsView:
        """The caller's second factors."""
        return await factors.overview(request.actor)

    @post("/auth/mfa/totp", status_code=200, facts=Facts(is_secret=True, example=_PASSWORD, refuses={409}))
    async def begin_totp(request: ApiRequest, data: JSONBody[FactorAddition]) -> TotpSecret:
        """A secret for an authenticator app. Its codes are asked for once one of them was confirmed.

        It takes the password, and any second factor if there is one already.
        """
        return await factors.begin_totp(request.actor, data)

    @post(
        "/auth/mfa/totp/confirm",
        status_code=200,
        facts=Facts(is_secret=True, example={"code": "492039"}, refuses={409}),
    )
    async def confirm_totp(request: ApiRequest, data: JSONBody[CodeProof]) -> RecoveryCodes:
        """Ask for codes of the app from now on. The answer holds ten recovery codes, which nothing shows again."""
        return await factors.confirm_totp(request.actor, data)

    @delete("/auth/mfa/totp", facts=Facts(example=_PASSWORD | {"code": "492039"}, refuses={409}))
    async def remove_totp(request: ApiRequest, data: JSONBody[FactorChange]) -> None:
        """Ask for no more codes of the app. It takes the password and any second factor."""
        await factors.remove_totp(request.actor, data)

    @post(
        "/auth/mfa/recovery-codes",
        status_code=200,
        facts=Facts(is_secret=True, example=_PASSWORD | {"code": "492039"}, refuses={409}),
    )
    async def renew_recovery_codes(request: ApiRequest, data: JSONBody[FactorChange]) -> RecoveryCodes:
        """Ten new recovery codes in place of those that are left. It takes the password and any second factor."""
        return await factors.renew_recovery_codes(request.actor, data)

    @post("/auth/mfa/passkeys/options", status_code=200, facts=Facts(is_secret=True, example=_PASSWORD, refuses={409}))
    async def ask_for_passkey(request: ApiRequest, data: JSONBody[FactorAddition]) -> PasskeyQuestion:
        """What to ask an authenticator for a new passkey; good for five minutes.

        It takes the password, and any second factor if there is one already.
        """
        return await passkeys.begin(request.actor, data)

    @post(
        "/auth/mfa/passkeys",
        facts=Facts(is_secret=True, example={"passkey": _ATTESTATION, "name": "Laptop"}, refuses={409}),
    )
    async def add_passkey(request: ApiRequest, data: JSONBody[NewPasskey]) -> PasskeyAdded:
        """Take a new passkey. If there were no recovery codes, the answer holds ten, which nothing shows again."""
        return await passkeys.add(request.actor, data)

    @patch("/auth/mfa/passkeys/{id:uuid}", facts=Facts(example={"name": "Old laptop"}))
    async def rename_passkey(request: ApiRequest, id: FromPath[PasskeyId], data: JSONBody[PasskeyPatch]) -> PasskeyView:
        """Give a passkey another name."""
        return await passkeys.rename(request.actor, id, data)

    @delete("/auth/mfa/passkeys/{id:uuid}", facts=Facts(example=_PASSWORD | {"code": "492039"}, refuses={409}))
    async def remove_passkey(request: ApiRequest, id: FromPath[PasskeyId], data: JSONBody[FactorChange]) -> None:
        """Take a passkey no more. It takes the password and any second factor."""
        await passkeys.remove(request.actor, id, data)

    @post(
        "/auth/mfa/verify",
        status_code=200,
        facts=Facts(
            callers="anybody",
            sets_cookie=True,
            is_secret=True,
            example={"mfa_token": "1764400300.0195f3a27c41", "code": "492039"},
            refuses={401},
        ),
    )
    async def verify_factor(request: ApiRequest, data: JSONBody[SecondStep]) -> Response[SignedIn]:
        """The second step of signing in: the `mfa_token` of the first one, and a second factor."""
        cookie.guard(request)
        return cookie.signed_in(request, *await steps.verify(data, device_of(request)))

    @post("/auth/passkeys/options", status_code=200, facts=Facts(callers="anybody"))
    async def ask_for_any_passkey() -> PasskeyQuestion:
        """What to ask an authenticator for any passkey of this site; good for five minutes."""
        return await passkeys.question()

    @post(
        "/auth/passkeys/login",
        status_code=200,
        facts=Facts(
            callers="anybody",
            sets_cookie=True,
            is_secret=True,
            example={"passkey": _ASSERTION},
            refuses={401},
        ),
    )
    async def log_in_with_passkey(request: ApiRequest, data: JSONBody[PasskeySignIn]) -> Response[SignedIn]:
        """Sign in with a passkey alone, whose authenticator has verified its user."""
        cookie.guard(request)
        return cookie.signed_in(request, *await passkeys.log_in(data, device_of(request)))

    return Router(
        "/",
        route_handlers=[
            read_factors,
            begin_totp,
            confirm_totp,
            remove_totp,
            renew_recovery_codes,
            ask_for_passkey,
            add_passkey,
            rename_passkey,
            remove_passkey,
            verify_factor,
            ask_for_any_passkey,
            log_in_with_passkey,
        ],
        tags=["second factors"],
        opt={"about": "Codes of an app, recovery codes and passkeys.", "scopes": (MFA_SETUP, MFA_SETUP)},
    )
