"""What a server accepts as its settings, and that it says everything that is wrong with them at once."""

import os
import socket
from ipaddress import ip_network
from pathlib import Path

import pytest

from entrypoints.settings import InvalidSettings, Settings, table

ROOT = Path(__file__).parents[2]
SECRET = "fJ8w!kQ2zR7v#Lm4Xc9p@Tn6Bs1d^Hg3"
ENOUGH = {"DATABASE_URL": "postgresql://db/signalbox", "JWT_SECRET": SECRET}


def problems(**environ: str) -> list[str]:
    with pytest.raises(InvalidSettings) as refused:
        Settings.read(ENOUGH | environ)
    return refused.value.problems


def test_a_secret_and_a_database_are_enough() -> None:
    settings = Settings.read(ENOUGH)
    assert (settings.environment, settings.host, settings.port) == ("development", "127.0.0.1", 8000)
    assert settings.rate_limit_enabled


def test_every_problem_is_reported_at_once() -> None:
    found = problems(PORT="eighty", JWT_SECRET="short", DATABASE_URL="mysql://db", LOG_LEVEL="loud", REDIS_URL="db")
    named = {problem.partition(":")[0] for problem in found}
    assert named == {"PORT", "DATABASE_URL", "REDIS_URL", "LOG_LEVEL", "JWT_SECRET"}


@pytest.mark.parametrize("name", ["DATABASE_URL", "JWT_SECRET"])
def test_what_is_needed_and_missing_is_named(name: str) -> None:
    assert any(problem.startswith(f"{name}:") for problem in problems(**{name: ""}))


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 64,
        "changeme-changeme-changeme-changeme",
        "your-secret-0123456789-abcdefghijk",
        "0123456789" * 4,
        "83kd92ls0x" * 3 + "83",
        "abcdefghijklmnopqrstuvwxyz0123456789",
    ],
)
def test_production_refuses_weak_and_well_known_secrets(secret: str) -> None:
    assert Settings.read(ENOUGH | {"JWT_SECRET": secret}).jwt_secret == secret
    assert [problem.partition(":")[0] for problem in problems(ENVIRONMENT="production", JWT_SECRET=secret)] == [
        "JWT_SECRET"
    ]


def test_production_refuses_what_only_a_trial_may_do() -> None:
    found = problems(
        ENVIRONMENT="production", CORS_ORIGIN="*", RATE_LIMIT_ENABLED="false", DELETION_GRACE_SECONDS="86399"
    )
    names = [problem.partition(":")[0] for problem in found]
    assert names == ["CORS_ORIGIN", "DELETION_GRACE_SECONDS", "RATE_LIMIT_ENABLED"]


def test_production_listens_on_every_address_unless_it_is_told_otherwise() -> None:
    assert Settings.read(ENOUGH | {"ENVIRONMENT": "production"}).host == "0.0.0.0"
    assert Settings.read(ENOUGH | {"ENVIRONMENT": "production", "HOST": "::1"}).host == "::1"


@pytest.mark.parametrize("url", ["postgres://u:p@db/app", "postgresql+asyncpg://u:p@db/app", "postgresql://u:p@db/app"])
def test_database_addresses_are_understood_as_platforms_hand_them_out(url: str) -> None:
    assert Settings.read(ENOUGH | {"DATABASE_URL": url}).database_url == "postgresql://u:p@db/app"


def test_lists_and_networks_are_read_from_commas() -> None:
    settings = Settings.read(
        ENOUGH | {"CORS_ORIGIN": "https://a.example, https://b.example", "TRUSTED_PROXIES": "10.0.0.0/8,::1"}
    )
    assert settings.cors_origin == ("https://a.example", "https://b.example")
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://app.example.org/", "https://app.example.org"),
        ("HTTPS://App.Example.org:443", "https://app.example.org"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://[2001:0DB8:0:0:0:0:0:1]:08443", "https://[2001:db8::1]:8443"),
        ("https://example.org.", "https://example.org."),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, kept: str) -> None:
    assert Settings.read(ENOUGH | {"CORS_ORIGIN": given}).cors_origin == (kept,)


@pytest.mark.parametrize(
    "given",
    [
        "null",
        "app.example.org",
        "https://app.example.org/path",
        "https://*.example.org",
        "https://bücher.example",
        "https://user@app.example.org",
        "https://app.example.org:port",
        "https://app.example.org:99999",
        "https://app.example.org:0",
        "https://app.example.org:\uff14\uff14\uff13",
        "https://app..example.org",
        "https://[2001:db8:::1]",
        "https://[192.0.2.1]",
        "https://a.example https://b.example",
    ],
)
def test_what_is_no_origin_or_host_is_refused_with_all_other_problems(given: str) -> None:
    found = problems(CORS_ORIGIN=f"https://good.example,{given}", HOST="a host", TRUSTED_PROXIES="10.0.0.0/8,proxy")
    assert [problem.partition(":")[0] for problem in found] == ["HOST", "CORS_ORIGIN", "TRUSTED_PROXIES"]


def test_what_differs_in_production_is_so_unless_it_is_said() -> None:
    trial, production = Settings.read(ENOUGH), Settings.read(ENOUGH | {"ENVIRONMENT": "Production"})
    assert (trial.log_format, trial.otel_traces_sampler_arg) == ("text", 1.0)
    assert (production.log_format, production.otel_traces_sampler_arg) == ("json", 0.01)
    assert Settings.read(ENOUGH | {"ENVIRONMENT": "production", "LOG_FORMAT": "text"}).log_format == "text"


@pytest.mark.parametrize(
    "platform",
    [
        {"RAILWAY_ENVIRONMENT": "staging", "RAILWAY_REPLICA_ID": "7"},
        {"RENDER": "true", "RENDER_INSTANCE_ID": "7"},
    ],
)
def test_hosting_platforms_are_understood(platform: dict[str, str]) -> None:
    hosted = Settings.read(ENOUGH | platform | {"PORT": "10000", "DATABASE_URL": "postgres://db/app"})
    assert (hosted.environment, hosted.host, hosted.port, hosted.instance) == ("production", "0.0.0.0", 10000, "7")
    assert hosted.database_url == "postgresql://db/app"
    own = Settings.read(ENOUGH | platform | {"ENVIRONMENT": "development", "INSTANCE": "mine"})
    assert (own.environment, own.host, own.instance) == ("development", "127.0.0.1", "mine")


def test_links_lead_to_where_people_reach_the_server() -> None:
    assert Settings.read(ENOUGH).public_url == "http://127.0.0.1:8000"
    assert Settings.read(ENOUGH | {"PORT": "9001"}).public_url == "http://127.0.0.1:9001"
    assert Settings.read(ENOUGH | {"PORT": "0"}).public_url == "http://127.0.0.1:8000"
    assert [problem.partition(":")[0] for problem in problems(PORT="65536")] == ["PORT"]
    assert (
        Settings.read(ENOUGH | {"RAILWAY_PUBLIC_DOMAIN": "a.up.railway.app"}).public_url == "https://a.up.railway.app"
    )
    assert Settings.read(ENOUGH | {"PUBLIC_URL": "https://Live.Example.org/"}).public_url == "https://live.example.org"
    wrong = "live.example.org https://live.example.org/app https://a% javascript:alert(1) https:// ftp://example.org"
    for each in wrong.split():
        (problem,) = problems(PUBLIC_URL=each)
        assert problem.startswith("PUBLIC_URL: an origin like")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("SMTP_URL", "mail.example.org:587"),
        ("SMTP_URL", "http://mail.example.org"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://ada:hunter2@:587"),
        ("SMTP_URL", "smtp://ada:hunter2@mail.example.org:99999"),
        ("SMTP_URL", "smtp://ada:hunt/er2@mail.example.org"),
        *(("SMTP_URL", f"smtp://{who}@mail.example.org") for who in ("", "ada", "ada:", ":hunter2", "a%20:hunter2%zz")),
        *(("SMTP_URL", f"smtp://{who}@mail.example.org") for who in ("ada:hunter2%", "a%ff:hunter2", "ada:hunter2%e9")),
        ("MAIL_FROM", "Signalbox"),
        ("MAIL_FROM", "=?utf-8?q?a=0D=0ABcc=3Ab=40example.org?= <a@example.org>"),
        ("MAIL_FROM", "Signalbox <a@example.org>, b@example.org"),
        ("MAIL_FROM", "Signalbox <a@example.org>\r\nBcc: b@example.org"),
        ("MAIL_FROM", "žofie@example.org"),
        ("MAIL_FROM", "@example.org"),
    ],
)
def test_a_mail_server_or_sender_that_is_none_is_refused(name: str, wrong: str) -> None:
    (problem,) = problems(**{name: wrong})
    assert problem.startswith(f"{name}: ")
    assert "hunter2" not in problem
    assert "er2" not in problem


def test_production_with_a_mail_server_has_to_say_who_writes_and_where_links_lead() -> None:
    mail = {"ENVIRONMENT": "production", "SMTP_URL": "smtps://ada:hunter2@mail.example.org"}
    assert [problem.partition(":")[0] for problem in problems(**mail)] == ["PUBLIC_URL", "MAIL_FROM"]
    said = {"PUBLIC_URL": "https://live.example.org", "MAIL_FROM": "Žofie's Signalbox <post@example.org>"}
    settings = Settings.read(ENOUGH | mail | said)
    assert "hunter2" not in repr(settings)
    assert settings.mail_from == "Žofie's Signalbox <post@example.org>"


def test_a_process_without_a_name_is_called_after_its_host_and_pid() -> None:
    assert Settings.read(ENOUGH).instance == f"{socket.gethostname()}-{os.getpid()}"


def test_no_secret_shows_in_anything_that_is_printed() -> None:
    settings = Settings.read(
        ENOUGH
        | {
            "DATABASE_URL": "postgres://ada:hunter2@db/app?sslpassword=hunter2&sslmode=require",
            "DATABASE_READ_REPLICA_URL": "postgresql://ada:hunter2:hunter2@one,two:5433/app?password=hunter2",
            "REDIS_URL": "rediss://:hunter2@cache:6379/0",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://key:hunter2@traces:4318",
            "JWT_PREVIOUS_SECRETS": SECRET[::-1],
            "METRICS_TOKEN": SECRET,
        }
    )
    for said in (repr(settings), str(list(settings.shown())), str(settings.__rich_repr__())):
        assert "hunter2" not in said
        assert SECRET not in said
        assert SECRET[::-1] not in said
        assert "postgresql://ada:***@db/app?sslpassword=***&sslmode=require" in said
        assert "JWT_SECRET" in said


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"])
@pytest.mark.parametrize(
    "address", ["//u:hunter2/2@host/x", "//u:hunter2#2@host/x", "//u:hunter2?2@host", "//[hunter2"]
)
def test_a_problem_with_an_address_never_repeats_a_password(name: str, address: str) -> None:
    scheme = {"DATABASE_URL": "postgresql", "REDIS_URL": "redis", "OTEL_EXPORTER_OTLP_ENDPOINT": "http"}[name]
    (problem,) = problems(**{name: f"{scheme}:{address}"})
    assert problem.startswith(f"{name}: ")
    assert "hunter2" not in problem


def test_addresses_of_several_hosts_and_of_sockets_are_understood() -> None:
    for url in (
        "postgresql://u:p@one:5432,two:5433/app",
        "postgresql://u@/app?host=/run/postgresql&port=5432",
        "postgresql://u:p@[::1]:5432/app",
    ):
        assert Settings.read(ENOUGH | {"DATABASE_URL": url}).database_url == url
    assert Settings.read(ENOUGH | {"REDIS_URL": "unix:///run/redis.sock?db=1"}).redis_url


def test_settings_that_contradict_each_other_are_refused() -> None:
    assert problems(PORT="9000", PROBE_PORT="9000") == ["PORT and PROBE_PORT: each needs a port of its own"]
    assert [p.partition(":")[0] for p in problems(MEMORY_DEGRADED_PERCENT="96")] == ["MEMORY_DEGRADED_PERCENT"]
    assert [p.partition(":")[0] for p in problems(METRICS_TOKEN="short")] == ["METRICS_TOKEN"]


@pytest.mark.parametrize("origins", ["", "*"])
def test_a_cookie_for_other_sites_needs_the_origins_that_get_it(origins: str) -> None:
    environ = {"JWT_SECRET": "x" * 40, "DATABASE_URL": "postgresql://h/d", "COOKIE_SAMESITE": "None"}
    with pytest.raises(InvalidSettings) as refused:
        Settings.read({**environ, "CORS_ORIGIN": origins})
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["COOKIE_SAMESITE"]
    assert Settings.read({**environ, "CORS_ORIGIN": "https://app.example.net"}).cookie_samesite == "none"


def test_the_page_for_operators_has_every_setting_as_it_is() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert table() in page, "docs/operations.md is old: put the output of `signalbox settings` into it"


def test_every_setting_has_a_row_that_says_what_it_means() -> None:
    rows = table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [name.upper() for name in Settings.__struct_fields__]
    for row in rows:
        assert row.split("|")[-2].strip().endswith("."), row


def test_nobody_has_to_verify_an_address_where_no_mail_goes_out() -> None:
    production = {"ENVIRONMENT": "production", "EMAIL_VERIFICATION": "required"}
    assert [problem.partition(":")[0] for problem in problems(**production)] == ["EMAIL_VERIFICATION"]
    mail = {
        "SMTP_URL": "smtps://mail.example.org",
        "MAIL_FROM": "post@example.org",
        "PUBLIC_URL": "https://example.org",
    }
    assert Settings.read(ENOUGH | production | mail).email_verification == "required"
    assert Settings.read(ENOUGH | {"EMAIL_VERIFICATION": "required"}).email_verification == "required"
