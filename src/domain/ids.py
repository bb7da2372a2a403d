"""The identifiers by which contexts refer to each other's resources. All are time-ordered UUIDs (version 7)."""

from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", UUID)
SessionId = NewType("SessionId", UUID)
ExportId = NewType("ExportId", UUID)
GuestPassId = NewType("GuestPassId", UUID)
PasskeyId = NewType("PasskeyId", UUID)
AddressRequestId = NewType("AddressRequestId", UUID)
WorkspaceId = NewType("WorkspaceId", UUID)
InvitationId = NewType("InvitationId", UUID)
TaskId = NewType("TaskId", UUID)
CommentId = NewType("CommentId", UUID)
EventId = NewType("EventId", UUID)
RoomId = NewType("RoomId", UUID)
ParticipantId = NewType("ParticipantId", UUID)
QueueItemId = NewType("QueueItemId", UUID)
MessageId = NewType("MessageId", UUID)
NotificationId = NewType("NotificationId", UUID)
MailId = NewType("MailId", UUID)
