"""The port to kinds of credentials besides access tokens."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.principal import Principal


class CredentialKind(Protocol):
    """A kind of credential that has to be looked up, unlike an access token."""

    def recognises(self, text: str) -> bool:
        """Whether the text itself proves that this installation issued it as such a credential. Asks no store.

        Only this installation can make such a text, so a stranger's text is never looked up.
        """
        ...

    async def find(self, text: str) -> Principal:
        """The principal of a recognised text, as of now. Its scopes are a set, perhaps empty, and never None.

        The place that it is `within` never changes.

        Unauthenticated if there is none; a credential that has ended or expired never has one again. Unavailable if the
        store does not answer.
        """
        ...

    async def ended_since(self, since: datetime | None) -> tuple[Collection[UUID], datetime]:
        """The credentials of this kind that have ended, exactly as in `SessionQueries.ended_since`.

        A credential that loses a scope or a network has to end, because connections opened with it keep what it had.
        """
        ...
