"""What a notification and an inbox promise, whoever keeps them."""

from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from domain.ids import AccountId, NotificationId
from domain.kernel import Aggregate
from domain.notifications import Digest, Inbox, Medium, Notification, QuietHours, Subject

ADA, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))
TASK = Subject("task", UUID(int=3), "OPS-1 Write the rollout plan", UUID(int=4))
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)
UTC_ZONE, TOKYO, NEW_YORK = ZoneInfo("UTC"), ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York")


def told(aggregate: Aggregate) -> list[str]:
    return [event.type for event in aggregate.take_news()]


@pytest.fixture
def notification() -> Notification:
    made = Notification.make(NotificationId(UUID(int=5)), ADA, "task.commented", TASK, BOB, {"comment_id": 6}, NOW)
    (event,) = made.take_news()
    assert (event.type, event.stream, event.actor) == ("notification.created", f"account:{ADA}", BOB)
    assert event.data["about"] == {"type": "task", "id": TASK.id}
    return made


def test_what_happens_again_is_counted_and_shown_as_of_the_last_time(notification: Notification) -> None:
    notification.repeat("OPS-1 Write it", ADA, {"comment_id": 7}, SOON)
    assert (notification.count, notification.title, notification.actor_id) == (2, "OPS-1 Write it", ADA)
    assert (notification.created_at, notification.updated_at, notification.unread_since) == (NOW, SOON, SOON)
    (event,) = notification.take_news()
    assert (event.type, event.changes, event.data["details"]) == (
        "notification.repeated",
        {"count": (1, 2)},
        {"comment_id": 7},
    )


def test_marking_it_twice_changes_nothing_more(notification: Notification) -> None:
    notification.mark(False, SOON)
    notification.mark(True, SOON)
    notification.mark(True, SOON + timedelta(minutes=1))
    assert notification.read_at == SOON
    notification.mark(False, SOON + timedelta(minutes=2))
    assert notification.read_at is None
    assert notification.unread_since == SOON + timedelta(minutes=2)
    assert told(notification) == ["notification.read", "notification.unread"]


def test_everything_is_read_up_to_a_time_that_never_goes_back_nor_lies_ahead() -> None:
    inbox = Inbox(ADA)
    inbox.read(NOW, SOON)
    inbox.read(NOW, SOON)
    inbox.read(NOW - timedelta(days=1), SOON)
    assert inbox.read_before == NOW
    inbox.read(SOON + timedelta(days=1), SOON)
    assert inbox.read_before == SOON
    assert told(inbox) == ["inbox.read", "inbox.read"]


def test_choosing_the_same_again_tells_nobody() -> None:
    inbox, quiet = Inbox(ADA), QuietHours(time(22), time(7))
    inbox.choose({}, None, Digest.OFF, NOW)
    assert not inbox.has_news
    for _ in range(2):
        inbox.choose({"task.commented": frozenset({Medium.EMAIL})}, quiet, Digest.DAILY, NOW)
    (event,) = inbox.take_news()
    assert event.changes == {
        "choices": ({}, {"task.commented": ["email"]}),
        "quiet_hours": (None, {"begin": "22:00", "end": "07:00"}),
        "digest": ("off", "daily"),
    }


NIGHT, LUNCH = QuietHours(time(22), time(7)), QuietHours(time(12), time(13, 30))


@pytest.mark.parametrize(
    ("digest", "quiet", "zone", "now", "at"),
    [
        (Digest.OFF, None, UTC_ZONE, "2026-01-05T09:17", "2026-01-05T09:17"),
        (Digest.OFF, NIGHT, UTC_ZONE, "2026-01-05T21:59", "2026-01-05T21:59"),
        (Digest.OFF, NIGHT, UTC_ZONE, "2026-01-05T22:00", "2026-01-06T07:00"),
        (Digest.OFF, NIGHT, UTC_ZONE, "2026-01-06T06:59", "2026-01-06T07:00"),
        (Digest.OFF, NIGHT, UTC_ZONE, "2026-01-06T07:00", "2026-01-06T07:00"),
        (Digest.OFF, LUNCH, UTC_ZONE, "2026-01-06T12:00", "2026-01-06T13:30"),
        (Digest.OFF, LUNCH, UTC_ZONE, "2026-01-06T13:30", "2026-01-06T13:30"),
        (Digest.OFF, NIGHT, TOKYO, "2026-01-05T14:00", "2026-01-05T22:00"),
        # The clocks of New York go forward from 2 to 3 in that night.
        (Digest.OFF, NIGHT, NEW_YORK, "2026-03-08T04:00", "2026-03-08T11:00"),
        (Digest.OFF, QuietHours(time(1), time(2, 30)), NEW_YORK, "2026-03-08T06:30", "2026-03-08T07:30"),
        (Digest.HOURLY, None, UTC_ZONE, "2026-01-05T09:17", "2026-01-05T10:00"),
        (Digest.HOURLY, NIGHT, UTC_ZONE, "2026-01-05T21:17", "2026-01-06T07:00"),
        (Digest.DAILY, None, UTC_ZONE, "2026-01-05T07:59", "2026-01-05T08:00"),
        (Digest.DAILY, None, TOKYO, "2026-01-05T09:17", "2026-01-05T23:00"),
        (Digest.DAILY, QuietHours(time(6), time(9)), UTC_ZONE, "2026-01-05T09:17", "2026-01-06T09:00"),
    ],
)
def test_a_letter_waits_for_its_digest_and_for_the_end_of_quiet_hours(
    digest: Digest, quiet: QuietHours | None, zone: ZoneInfo, now: str, at: str
) -> None:
    inbox = Inbox(ADA, quiet_hours=quiet, digest=digest)
    sent = inbox.letter_at(datetime.fromisoformat(f"{now}Z"), zone)
    assert sent == datetime.fromisoformat(f"{at}Z")
    assert sent.tzinfo is UTC
