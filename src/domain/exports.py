"""The aggregate of an export: a file with all that there is of a person, made for them alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from domain.channels import account_stream
from domain.errors import Conflict
from domain.ids import AccountId, ExportId
from domain.kernel import Aggregate, EventType, declared

EXPORT_KEPT = timedelta(hours=24)
EXPORT_MAX_BYTES = 256 * 1024 * 1024


class ExportState(StrEnum):
    """Whether the file is being made, can be fetched, or became too large."""

    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


class ExportRunning(Conflict):
    """An export of the account is being made."""

    code = "export_running"


@dataclass(slots=True)
class Export(Aggregate):
    """A file with all that there is of its owner. It is gone at `expires_at`. Its `size` is in bytes, unpacked.

    While it is being made, `size` is 0.
    """

    resource_type: ClassVar[str] = "export"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("export.requested", "account", "Somebody wants a file with all that there is of them."),
        EventType(
            "export.ready",
            "account",
            "The file can be fetched.",
            {"size": "Its bytes, unpacked.", "expires_at": "Until when."},
        ),
        EventType("export.failed", "account", "There is too much for one file."),
    )

    id: ExportId
    account_id: AccountId
    state: ExportState
    size: int
    created_at: datetime
    expires_at: datetime
    ready_at: datetime | None = None

    @classmethod
    def request(cls, id: ExportId, account: AccountId, at: datetime) -> "Export":
        export = cls(id, account, ExportState.MAKING, 0, at, at + EXPORT_KEPT)
        export._tell("export.requested", account, at)
        return export

    def finish(self, size: int, at: datetime) -> None:
        """The file is whole. From now on it is kept for a day."""
        if self.state is ExportState.MAKING:
            self.state, self.size, self.ready_at, self.expires_at = ExportState.READY, size, at, at + EXPORT_KEPT
            self._tell("export.ready", None, at, {"size": size, "expires_at": self.expires_at})

    def fail(self, at: datetime) -> None:
        """The file would be too large."""
        if self.state is ExportState.MAKING:
            self.state = ExportState.FAILED
            self._tell("export.failed", None, at)

    def _tell(self, type: str, by: AccountId | None, at: datetime, data: Mapping[str, object] | None = None) -> None:
        self._announce(type, account_stream(self.account_id), self.id, at, by, None, data)
