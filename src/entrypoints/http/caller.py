"""Who sends a request, as all that handle it see them."""

from collections.abc import Mapping

from application.principal import Principal
from domain.ids import AccountId


class Caller:
    """Who sends a request: the network address, the headers, the principal if there is one.

    And what became of it: the `account` that signed in, the `code` of a refusal, the bytes of the body that were read,
    the live `connection`, and whether the answer holds a secret.
    """

    __slots__ = ("account", "address", "bytes_in", "code", "connection", "headers", "holds_secret", "principal")

    def __init__(self, address: str, headers: Mapping[bytes, bytes]) -> None:
        self.address = address
        self.headers = headers
        self.principal: Principal | None = None
        self.account: AccountId | None = None
        self.code = ""
        self.connection = ""
        self.bytes_in = 0
        self.holds_secret = False
