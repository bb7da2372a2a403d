"""What is asked of those who know a kind of credential besides access tokens."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.principal import Principal


class CredentialKind(Protocol):
    """One kind of credential besides access tokens, which has to be looked up."""

    def recognises(self, text: str) -> bool:
        """Whether this installation issued the text as one of these, as far as the text itself tells; at once.

        Nobody else can make such a text, so that strangers cannot have anything looked up.
        """
        ...

    async def find(self, text: str) -> Principal:
        """Whom a recognised text stands for, as of now. Its scopes are a set, perhaps an empty one, and never None.

        Unauthenticated if nobody, which is so for ever once it has ended or run out. Unavailable if that is not known.
        """
        ...

    async def ended_since(self, since: datetime | None) -> tuple[Collection[UUID], datetime]:
        """The credentials of this kind that have ended, exactly as `SessionQueries.ended_since` tells of sessions.

        One whose scopes become fewer has to end, since what was opened with it keeps those that it had.
        """
        ...
