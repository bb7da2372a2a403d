"""What a server accepts as its settings, and that it says everything that is wrong with them at once."""

from ipaddress import ip_network

import pytest

from entrypoints.settings import InvalidSettings, Settings

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
    "secret", ["x" * 64, "changeme-changeme-changeme-changeme", "your-secret-0123456789-abcdefghijk"]
)
def test_production_refuses_weak_and_well_known_secrets(secret: str) -> None:
    assert Settings.read(ENOUGH | {"JWT_SECRET": secret}).jwt_secret == secret
    assert [problem.partition(":")[0] for problem in problems(ENVIRONMENT="production", JWT_SECRET=secret)] == [
        "JWT_SECRET"
    ]


def test_production_refuses_what_only_a_trial_may_do() -> None:
    found = problems(ENVIRONMENT="production", CORS_ORIGIN="*", RATE_LIMIT_ENABLED="false")
    assert [problem.partition(":")[0] for problem in found] == ["CORS_ORIGIN", "RATE_LIMIT_ENABLED"]


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
