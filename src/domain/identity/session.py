"""The aggregate of a sign-in, and the refresh tokens that keep it alive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from domain.channels import account_stream
from domain.errors import Unauthenticated
from domain.identity.logins import ADDRESS, FROM_WHERE, USER_AGENT_MAX
from domain.ids import AccountId, SessionId
from domain.kernel import Aggregate, EventType, declared

ACCESS_LIFETIME = timedelta(minutes=15)
SESSION_IDLE = timedelta(days=7)
SESSION_ABSOLUTE = timedelta(days=30)
# A reply that has not arrived this long after it was made never arrives.
REPLY_MAX = timedelta(seconds=10)
SPENT_MAX = 32
# A place from which an account was used within this time is known.
PLACES_KNOWN = timedelta(days=90)


class EndReason(StrEnum):
    """Why a session ended."""

    LOGGED_OUT = "logged_out"
    LOGGED_OUT_EVERYWHERE = "logged_out_everywhere"
    ENDED_BY_OWNER = "ended_by_owner"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # a reason
    TOKEN_REUSED = "token_reused"  # noqa: S105  # a reason
    DISABLED = "disabled"
    DISPLACED = "displaced"
    DELETION_REQUESTED = "deletion_requested"


class SessionOver(Unauthenticated):
    """The session has ended or expired, or the token never belonged to a session."""

    code = "token_invalid"


class TokenReused(Unauthenticated):
    """A refresh token came back after its successor was used. A second client has a copy, so the session has ended."""

    code = "refresh_token_reused"


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The content of a refresh token: its number within the session, counted from 0, and when it was issued."""

    number: int
    issued_at: datetime


@dataclass(slots=True)
class Session(Aggregate):
    """One sign-in. Refresh tokens keep it alive: using one issues the next.

    All of them contain the secret of `token_digest`; from the second on they are signed with `signing_key`. `rotations`
    is the number of the newest token. `used` is the number of the token used last, at `rotated_at`; `spent` holds the
    numbers of the last 32 used before it. A session expires after 7 days without a refresh, and after 30 days in any
    case.
    """

    resource_type: ClassVar[str] = "session"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType(
            "session.created",
            "account",
            "Somebody signed in.",
            {**FROM_WHERE, "new_place": "True if the account was not used from there with that client lately."},
        ),
        EventType("session.refreshed", "account", "A refresh token was used."),
        EventType("session.grace_used", "account", "A refresh token other than the newest was honoured.", ADDRESS),
        EventType(
            "session.ended",
            "account",
            "A sign-in is over.",
            {
                "reason": f"Why: {', '.join(EndReason)}.",
                "address": "Of a token that came twice: from where.",
            },
        ),
    )

    id: SessionId
    account_id: AccountId
    token_digest: bytes
    signing_key: bytes
    rotations: int
    used: int
    spent: list[int]
    address: str
    user_agent: str
    created_at: datetime
    rotated_at: datetime
    ended_at: datetime | None = None
    ended_because: EndReason | None = None

    @classmethod
    def begin(
        cls,
        id: SessionId,
        account: AccountId,
        token_digest: bytes,
        signing_key: bytes,
        address: str,
        user_agent: str,
        at: datetime,
        is_new_place: bool = False,
    ) -> "Session":
        session = cls(id, account, token_digest, signing_key, 0, 0, [], address, user_agent[:USER_AGENT_MAX], at, at)
        told: dict[str, object] = {"address": address, "user_agent": session.user_agent}
        session._tell("session.created", account, at, told | ({"new_place": True} if is_new_place else {}))
        return session

    @property
    def expires_at(self) -> datetime:
        return min(self.rotated_at + SESSION_IDLE, self.created_at + SESSION_ABSOLUTE)

    def is_over(self, at: datetime) -> bool:
        return self.ended_at is not None or at >= self.expires_at

    def refresh(self, token: RefreshToken, arrived_at: datetime, at: datetime, address: str) -> RefreshToken | None:
        """Use a token that arrived from `address`, and return the next one.

        Returns None and ends the session if two clients hold copies of its cookie. A single client never uses a token
        again after it used a different one, and it receives each token within 10 s after it was issued, or never. So
        there is a second client in two cases: a token comes back after a different one was used, or a token comes for
        the first time although a different one was used more than 10 s after it was issued. In all other cases a reply
        was lost or a tab was late, and the token is honoured, which is called grace.
        """
        # Until the first use, `rotated_at` comes from the clock of a process, and not from the clock of the store.
        was_overtaken = self.rotations > 0 and arrived_at < self.rotated_at
        is_back = token.number in self.spent and not was_overtaken
        is_late = token.number not in self.spent and self.rotated_at > token.issued_at + REPLY_MAX
        if token.number != self.used and (is_back or is_late):
            self._end(EndReason.TOKEN_REUSED, None, at, {"address": address})
            return None
        if not was_overtaken:
            if token.number != self.used:
                self.spent = [*self.spent, self.used][-SPENT_MAX:]
            self.used, self.rotated_at = token.number, arrived_at
        if token.number == self.rotations:
            self._tell("session.refreshed", self.account_id, at)
        else:
            self._tell("session.grace_used", self.account_id, at, {"address": address})
        self.rotations += 1
        return RefreshToken(self.rotations, at)

    def end(self, because: EndReason, by: AccountId | None, at: datetime) -> None:
        self._end(because, by, at, {})

    def _end(self, because: EndReason, by: AccountId | None, at: datetime, data: Mapping[str, object]) -> None:
        if self.ended_at is None:
            self.ended_at, self.ended_because = at, because
            self._tell("session.ended", by, at, {"reason": because, **data})

    def _tell(self, type: str, by: AccountId | None, at: datetime, data: Mapping[str, object] | None = None) -> None:
        self._announce(type, account_stream(self.account_id), self.id, at, by, None, data)
