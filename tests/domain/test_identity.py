"""Accounts, the rules for their passwords, and how long a sign-in lasts."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.identity import (
    ACCESS_LIFETIME,
    DISPLAY_NAME_MAX,
    EMAIL_MAX,
    PASSWORD_MAX,
    SESSION_ABSOLUTE,
    SESSION_IDLE,
    USER_AGENT_MAX,
    Account,
    AccountKind,
    AccountRole,
    EndReason,
    GuestPass,
    RefreshToken,
    Session,
    check_password,
    normal_email,
    normal_locale,
)
from domain.ids import AccountId, GuestPassId, SessionId

ADA = AccountId(UUID(int=1))
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)


def an_account() -> Account:
    account = Account.register(ADA, "ada@example.org", "Ada", "a hash", NOW)
    account.take_news()
    return account


def a_session() -> Session:
    session = Session.begin(SessionId(UUID(int=2)), ADA, b"digest", b"key", "203.0.113.7", "a browser", NOW)
    session.take_news()
    return session


def refreshed(session: Session, token: RefreshToken, at: datetime) -> RefreshToken:
    following = session.refresh(token, at, at, "203.0.113.7")
    assert following
    return following


# ------------------------------------------------------------------------------------------------------------- accounts


def test_everybody_registers_as_a_user_under_a_normal_address() -> None:
    account = Account.register(ADA, " Ada@Example.ORG ", " Ada ", "a hash", NOW)
    assert (account.email, account.display_name, account.role) == ("ada@example.org", "Ada", AccountRole.USER)
    (event,) = account.take_news()
    assert (event.type, event.stream, event.actor) == ("account.registered", f"account:{ADA}", ADA)


def test_no_event_of_an_account_holds_its_password_hash_or_address() -> None:
    account = Account.register(ADA, "ada@example.org", "Ada", "the hash", NOW)
    account.change_password("another hash", NOW)
    account.rehash("a third hash", NOW)
    account.change(NOW, "Countess", "Europe/London", "en-GB")
    account.make_admin(NOW)
    account.disable(NOW)
    said = repr(account.take_news())
    assert "hash'" not in said
    assert "ada@example.org" not in said


def test_a_guest_is_known_by_a_name_alone() -> None:
    guest = Account.guest(AccountId(UUID(int=7)), "  Grace ", NOW)
    assert (guest.kind, guest.display_name) == (AccountKind.GUEST, "Grace")
    assert (guest.email, guest.password_hash, guest.role) == (None, None, AccountRole.USER)
    assert [event.type for event in guest.take_news()] == ["account.guest_came"]


def test_a_pass_that_is_over_stays_over() -> None:
    day = timedelta(days=1)
    ended = GuestPass.issue(GuestPassId(UUID(int=8)), AccountId(UUID(int=7)), b"digest", ["look"], NOW + day, NOW)
    assert not ended.is_over(NOW + day - timedelta.resolution)
    assert ended.is_over(NOW + day)
    ended.extend(NOW + day, None, NOW)
    ended.extend(NOW + 2 * day, None, NOW + day)
    assert ended.expires_at == NOW + day
    ended.extend(NOW + 3 * day, None, NOW)
    ended.end(None, NOW)
    ended.end(None, NOW + day)
    ended.extend(NOW + 4 * day, None, NOW)
    assert (ended.expires_at, ended.ended_at, ended.is_over(NOW)) == (NOW + 3 * day, NOW, True)
    assert [event.type for event in ended.take_news()] == [
        "guest_pass.issued",
        "guest_pass.extended",
        "guest_pass.ended",
    ]


def test_a_verb_that_changes_nothing_announces_nothing() -> None:
    account = an_account()
    account.make_admin(NOW)
    account.disable(NOW)
    account.take_news()
    account.change(LATER, "Ada ", "UTC", "EN")
    account.change(LATER)
    account.make_admin(LATER)
    account.disable(LATER)
    assert not account.has_news
    assert account.disabled_at == NOW


@pytest.mark.parametrize("name", ["", "  ", "x" * (DISPLAY_NAME_MAX + 1), "a\x00b"])
def test_a_name_is_something_that_can_be_shown(name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        an_account().change(LATER, name)
    assert refusal.value.pointer == "/display_name"


def test_a_profile_says_what_changed() -> None:
    account = an_account()
    account.take_news()
    assert (account.time_zone, account.locale) == ("UTC", "en")
    account.change(LATER, time_zone="America/Argentina/Buenos_Aires", locale="es-ar")
    (event,) = account.take_news()
    assert event.type == "account.updated"
    assert event.changes == {"time_zone": ("UTC", "America/Argentina/Buenos_Aires"), "locale": ("en", "es-AR")}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "America",
        "../etc/passwd",
        "/etc/localtime",
        "zone.tab",
        "Factory",
        "Europe/Berlin\n",
        "a" * 99,
        "\x00",
    ],
)
def test_a_time_zone_is_one_of_the_database(name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        an_account().change(LATER, time_zone=name)
    assert refusal.value.pointer == "/time_zone"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("de-at", "de-AT"),
        ("ZH-hant-tw", "zh-Hant-TW"),
        ("sr-Latn", "sr-Latn"),
        ("es-419", "es-419"),
        ("ca-ES-valencia", "ca-ES-valencia"),
        ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
        ("DE-DE-u-CO-phonebk", "de-DE-u-co-phonebk"),
        ("en-a-bbb-bbb-b-bbb", "en-a-bbb-bbb-b-bbb"),
    ],
)
def test_a_locale_is_kept_in_its_usual_form(typed: str, kept: str) -> None:
    assert normal_locale(typed) == kept == normal_locale(kept)


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "d",
        "deutsch",
        "de_AT",
        "de-",
        "de-x",
        "de--AT",
        "\u017fl",
        "e\n",
        "en-" + "a" * 40,
        "de-1996-1996",
        "de-DE-1901-1901",
        "en-a-bbb-a-ccc",
    ],
)
def test_a_locale_is_a_tag_of_a_language(tag: str) -> None:
    with pytest.raises(Invalid) as refusal:
        an_account().change(LATER, locale=tag)
    assert refusal.value.pointer == "/locale"


# ------------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "email",
    ["a@b.co", "ada.lovelace+tag@mail.example.org", "o'hara@example.org", "用户@例子.公司", f"{'x' * 64}@example.org"],
)
def test_addresses_of_every_plausible_shape_are_taken(email: str) -> None:
    assert normal_email(email) == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@example",
        "ada@.org",
        "ada@example.",
        "ada@exam ple.org",
        "ada@@example.org",
        "a@b@example.org",
        "ada@example..org",
        "ada\n@example.org",
        f"{'x' * 65}@example.org",
        f"ada@{'x' * EMAIL_MAX}.org",
        "ada@example.org\x00",
    ],
)
def test_what_cannot_be_an_address_is_refused(email: str) -> None:
    with pytest.raises(Invalid) as refusal:
        normal_email(email)
    assert refusal.value.pointer == "/email"


@given(st.emails())
def test_an_address_is_found_however_it_is_capitalised(email: str) -> None:
    assert normal_email(email.upper()) == normal_email(email.lower()) == normal_email(f" {email} ")


# ------------------------------------------------------------------------------------------------------------ passwords


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "x7#mQ!w2Zp",
        "пароль-не-простой",
        "🐢🐇🦊🐻🐼🐨🐯🦁🐮🐷",
        "p" + "assword" * 3,
        "84915730264851",
    ],
)
def test_a_password_that_takes_guessing_is_accepted(password: str) -> None:
    check_password(password, "ada@example.org")


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "123456789",
        "aaaaaaaaaaaa",
        "abababababab",
        "password123",
        "Password123!",
        "qwertyuiop",
        "1234567890",
        "0987654321",
        "abcdefghijkl",
        "letmein2024",
        "iloveyou!!",
        "adminadmin",
        "signalbox1",
        "2024-01-31",
        "ada@example.org",
        "ADA@EXAMPLE.ORG",
        "x" * (PASSWORD_MAX + 1),
    ],
)
def test_a_password_that_everybody_tries_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_password(password, "ada@example.org")
    assert refusal.value.pointer == "/password"


def test_the_name_before_the_at_is_no_password() -> None:
    with pytest.raises(Invalid):
        check_password("adalovelace", "ada.lovelace@example.org".replace(".", "", 1))
    check_password("adalovelace", "bob@example.org")


def test_the_refusal_points_to_the_field_that_it_is_told() -> None:
    with pytest.raises(Invalid) as refusal:
        check_password("short", "ada@example.org", "/new_password")
    assert refusal.value.pointer == "/new_password"


# ------------------------------------------------------------------------------------------------------------- sessions


def test_a_session_remembers_where_it_began_within_bounds() -> None:
    session = Session.begin(SessionId(UUID(int=2)), ADA, b"digest", b"key", "203.0.113.7", "x" * 10_000, NOW)
    assert len(session.user_agent) == USER_AGENT_MAX
    (event,) = session.take_news()
    assert (event.type, event.stream) == ("session.created", f"account:{ADA}")
    assert event.data.keys() == {"address", "user_agent"}


def test_an_idle_session_runs_out_after_seven_days_and_a_used_one_after_thirty() -> None:
    session = a_session()
    assert not session.is_over(NOW + SESSION_IDLE - MOMENT)
    assert session.is_over(NOW + SESSION_IDLE)
    token = RefreshToken(0, NOW)
    while token.issued_at < NOW + SESSION_ABSOLUTE - timedelta(days=6):
        token = refreshed(session, token, token.issued_at + timedelta(days=6))
    assert session.expires_at == NOW + SESSION_ABSOLUTE
    assert not session.is_over(NOW + SESSION_ABSOLUTE - MOMENT)
    assert session.is_over(NOW + SESSION_ABSOLUTE)


@given(st.lists(st.timedeltas(timedelta(0), timedelta(days=8)), max_size=10))
def test_no_refresh_ever_shortens_a_session_or_lets_it_outlast_thirty_days(pauses: list[timedelta]) -> None:
    session, token = a_session(), RefreshToken(0, NOW)
    for number, pause in enumerate(pauses, start=1):
        before = session.expires_at
        token = refreshed(session, token, token.issued_at + pause)
        assert (token.number, session.rotations) == (number, number)
        assert before <= session.expires_at <= NOW + SESSION_ABSOLUTE


def test_a_session_ends_once_and_the_first_reason_stays() -> None:
    session = a_session()
    session.end(EndReason.LOGGED_OUT, ADA, LATER)
    assert session.is_over(LATER)
    (event,) = session.take_news()
    assert (event.type, event.actor, event.data) == ("session.ended", ADA, {"reason": EndReason.LOGGED_OUT})
    session.end(EndReason.TOKEN_REUSED, None, LATER + MOMENT)
    assert not session.has_news
    assert (session.ended_at, session.ended_because) == (LATER, EndReason.LOGGED_OUT)


def test_an_access_token_never_outlives_the_idle_time_of_its_session() -> None:
    assert ACCESS_LIFETIME < SESSION_IDLE < SESSION_ABSOLUTE
