"""A mail is tried for a day, sent once it is accepted, and forgets its content as soon as nobody needs it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.ids import MailId
from domain.mail import LOST, REASON_MAX, SCHEDULE, Mail

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_mail() -> Mail:
    return Mail.write(MailId(UUID(int=1)), "welcome", b"hidden", NOW)


def begun() -> Mail:
    mail = a_mail()
    assert mail.begin(NOW)
    return mail


def test_a_mail_is_due_when_it_is_written() -> None:
    assert a_mail().due_at == NOW


def test_an_attempt_begins_once() -> None:
    mail = begun()
    assert not mail.begin(NOW + SCHEDULE.lease - timedelta(microseconds=1))
    assert mail.attempts.begun == 1


def test_a_mail_that_was_accepted_is_over_and_has_no_content() -> None:
    mail = begun()
    mail.accept(NOW)
    assert (mail.due_at, mail.sent_at, mail.given_up_at, mail.hidden) == (None, NOW, None, None)
    assert not mail.begin(NOW)


def test_a_mail_that_failed_is_tried_again_and_says_why() -> None:
    mail = begun()
    mail.fail(1, NOW, "busy" * REASON_MAX, for_good=False, chance=0)
    assert mail.due_at == NOW + SCHEDULE.pauses[1]
    assert (mail.last_error, mail.hidden) == (("busy" * REASON_MAX)[:REASON_MAX], b"hidden")


def test_a_mail_that_is_refused_for_good_is_given_up_at_once() -> None:
    mail = begun()
    mail.fail(1, NOW, "no such user", for_good=True, chance=0)
    assert (mail.due_at, mail.given_up_at, mail.last_error, mail.hidden) == (None, NOW, "no such user", None)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_mail_is_given_up_after_a_day(chance: float) -> None:
    mail, now = a_mail(), NOW
    while mail.begin(now):
        mail.fail(mail.attempts.begun, now, "busy", for_good=False, chance=chance)
        now = mail.due_at or now
    assert timedelta(hours=24) <= now - NOW <= timedelta(hours=29)
    assert (mail.given_up_at, mail.hidden) == (now, None)


def test_a_mail_whose_last_attempt_was_lost_is_given_up() -> None:
    mail, now = a_mail(), NOW
    while mail.begin(now):
        now += SCHEDULE.lease
    assert (mail.attempts.begun, mail.given_up_at, mail.last_error) == (len(SCHEDULE.pauses), now, LOST)


def test_a_failure_of_an_attempt_that_was_taken_for_lost_changes_nothing() -> None:
    mail = begun()
    assert mail.begin(NOW + SCHEDULE.lease)
    before = mail.attempts
    mail.fail(1, NOW + SCHEDULE.lease, "too slow", for_good=True, chance=0)
    assert (mail.attempts, mail.given_up_at, mail.last_error) == (before, None, None)


def test_a_mail_that_was_accepted_late_is_sent_though_it_was_given_up() -> None:
    mail = begun()
    mail.fail(1, NOW, "no", for_good=True, chance=0)
    mail.accept(NOW)
    assert (mail.sent_at, mail.given_up_at) == (NOW, None)
