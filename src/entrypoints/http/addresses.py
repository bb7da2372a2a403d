"""The routes to verify and change the address of an account, and to get in without the password."""

from typing import Any

from litestar import MediaType, Response, Router, post
from litestar.params import JSONBody

from application.identity import (
    Addresses,
    AddressNamed,
    EmailChange,
    EmailProof,
    ForgottenPasswords,
    PasswordReset,
)
from application.scopes import SESSION
from entrypoints.http.facts import Facts
from entrypoints.http.refresh_cookie import device_of
from entrypoints.http.request import ApiRequest

_TOKEN = "kR3v8yT1nQ5wZ7xB2mC4dF6gH9jL0pS_aE-uIoYrTzA1b2c3d4e5f6g7h8i9j0"  # noqa: S105  # an example


def address_routes(addresses: Addresses, forgotten: ForgottenPasswords) -> Router:
    """Routes under `/auth/email`, `/auth/password` and `/me/email`. A 202 never tells whether an account exists."""

    @post(
        "/auth/email/verify",
        status_code=204,
        facts=Facts(callers="anybody", is_secret=True, example={"token": _TOKEN}, refuses={409, 410}),
    )
    async def verify_email(request: ApiRequest, data: JSONBody[EmailProof]) -> None:
        """Use a link that was mailed: it verifies the address of an account, or changes it."""
        await addresses.verify(data, device_of(request))

    @post(
        "/auth/email/resend",
        status_code=202,
        facts=Facts(callers="anybody", is_secret=True, example={"email": "ada@example.org"}),
    )
    async def resend_email(request: ApiRequest, data: JSONBody[AddressNamed]) -> Response[None]:
        """Mail another link, if this address has an account and is not verified yet."""
        await addresses.resend(data, device_of(request))
        return underway()

    @post("/me/email", status_code=202, facts=Facts(example={"email": "ada@example.net", "password": "correct horse"}))
    async def change_email(request: ApiRequest, data: JSONBody[EmailChange]) -> Response[None]:
        """Ask for another address, given the password. It counts once the link that is mailed to it was used."""
        await addresses.change(request.actor, data)
        return underway()

    @post(
        "/auth/password/forgot",
        status_code=202,
        facts=Facts(callers="anybody", is_secret=True, example={"email": "ada@example.org"}),
    )
    async def forgot_password(request: ApiRequest, data: JSONBody[AddressNamed]) -> Response[None]:
        """Mail a link to the owner of the account with this address, if there is one."""
        await forgotten.forgot(data, device_of(request))
        return underway()

    @post(
        "/auth/password/reset",
        status_code=204,
        facts=Facts(
            callers="anybody",
            is_secret=True,
            example={"token": _TOKEN, "password": "a better horse battery"},
            refuses={410},
        ),
    )
    async def reset_password(request: ApiRequest, data: JSONBody[PasswordReset]) -> None:
        """Set another password by a link that was mailed. Every session ends."""
        await forgotten.reset(data, device_of(request))

    return Router(
        "/",
        route_handlers=[verify_email, resend_email, change_email, forgot_password, reset_password],
        tags=["identity"],
        opt={"scopes": (SESSION, SESSION)},
    )


def underway() -> Response[Any]:
    """202 without a body: what was asked for is done soon, and its outcome is told by mail alone."""
    return Response(None, status_code=202, media_type=MediaType.TEXT)
