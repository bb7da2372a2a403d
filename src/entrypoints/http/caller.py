"""The caller of a request, as every part that handles the request sees it."""

from collections.abc import Mapping

from application.principal import Principal
from domain.ids import AccountId


class Caller:
    """Who sends a request: the network address, the headers, and the principal if there is one.

    `address` is what is counted and logged: of IPv6 it is the /64, which one household has. `whole_address` is the one
    that networks are compared with.

    It also notes the outcome: the `account` that signed in, the `code` of a refusal, the bytes read of the body, the
    live `connection`, and whether the answer holds a secret.
    """

    __slots__ = (
        "account",
        "address",
        "bytes_in",
        "code",
        "connection",
        "headers",
        "holds_secret",
        "principal",
        "whole_address",
    )

    def __init__(self, address: str, whole_address: str, headers: Mapping[bytes, bytes]) -> None:
        self.address = address
        self.whole_address = whole_address
        self.headers = headers
        self.principal: Principal | None = None
        self.account: AccountId | None = None
        self.code = ""
        self.connection = ""
        self.bytes_in = 0
        self.holds_secret = False
