"""The pass of a guest, which says for how long the guest may do what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.channels import account_stream
from domain.ids import AccountId, GuestPassId
from domain.kernel import Aggregate, Changes, EventType, declared


@dataclass(slots=True)
class GuestPass(Aggregate):
    """The only credential of a guest. It names the scopes of what the guest may do, until it ends or expires.

    Once it is over it stays so.
    """

    resource_type: ClassVar[str] = "guest_pass"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType(
            "guest_pass.issued",
            "account",
            "A guest was let in.",
            {"scopes": "What the guest may do.", "expires_at": "Until when, if nothing changes."},
        ),
        EventType("guest_pass.extended", "account", "A guest may stay for longer.", changes=("expires_at",)),
        EventType("guest_pass.ended", "account", "A guest is let in no longer."),
    )

    id: GuestPassId
    account_id: AccountId
    token_digest: bytes
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None

    @classmethod
    def issue(
        cls,
        id: GuestPassId,
        account: AccountId,
        token_digest: bytes,
        scopes: Sequence[str],
        expires_at: datetime,
        at: datetime,
    ) -> "GuestPass":
        issued = cls(id, account, token_digest, list(scopes), at, expires_at)
        issued._tell("guest_pass.issued", account, at, data={"scopes": issued.scopes, "expires_at": expires_at})
        return issued

    def is_over(self, at: datetime) -> bool:
        return self.ended_at is not None or at >= self.expires_at

    def extend(self, expires_at: datetime, by: AccountId | None, at: datetime) -> None:
        """Let it expire later. One that is over, or expires no earlier, stays as it is."""
        if not self.is_over(at) and expires_at > self.expires_at:
            changes = {"expires_at": (self.expires_at, expires_at)}
            self.expires_at = expires_at
            self._tell("guest_pass.extended", by, at, changes)

    def end(self, by: AccountId | None, at: datetime) -> None:
        if self.ended_at is None:
            self.ended_at = at
            self._tell("guest_pass.ended", by, at)

    def _tell(
        self,
        type: str,
        by: AccountId | None,
        at: datetime,
        changes: Changes | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        self._announce(type, account_stream(self.account_id), self.id, at, by, changes, data)
