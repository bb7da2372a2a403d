"""Attempts to sign in that failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.channels import account_stream
from domain.errors import Unauthenticated
from domain.ids import AccountId
from domain.kernel import Aggregate, EventType, declared

USER_AGENT_MAX = 256


class InvalidCredentials(Unauthenticated):
    """No account has this address and password. The answer does not say which of the two is wrong."""

    code = "invalid_credentials"


ADDRESS = {"address": "The network address that asked."}
FROM_WHERE = {**ADDRESS, "user_agent": "What the client called itself."}


@dataclass(slots=True)
class FailedLogin(Aggregate):
    """A failed attempt to sign in. Only its event is stored, so that the owner of the account can see it."""

    resource_type: ClassVar[str] = "login"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("login.failed", "account", "Somebody did not get in; at most 10 an hour are told.", FROM_WHERE)
    )

    id: UUID

    @classmethod
    def of(cls, id: UUID, account: AccountId, address: str, user_agent: str, at: datetime) -> "FailedLogin":
        failed = cls(id)
        data = {"address": address, "user_agent": user_agent[:USER_AGENT_MAX]}
        failed._announce("login.failed", account_stream(account), id, at, None, None, data)
        return failed
