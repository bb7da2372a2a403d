"""The doctor finds what is wrong with a deployment, says what to do, and leaves what is well alone."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from redis import Redis

from adapters.postgres import migrations
from entrypoints.doctor import Diagnosis, examine, is_well
from tests.support.mail_server import mail_server
from tests.support.server import JWT_SECRET, ROOT, ServerProcess
from tests.support.services import PostgresService, RedisService, free_port


def described(database_url: str, **more: str) -> Mapping[str, str]:
    return {"DATABASE_URL": database_url, "JWT_SECRET": JWT_SECRET, "PORT": str(free_port()), **more}


def about(diagnoses: list[Diagnosis], check: str) -> Diagnosis:
    """The only thing that was said about this."""
    (found,) = (diagnosis for diagnosis in diagnoses if diagnosis.check == check)
    return found


async def test_a_deployment_that_is_well_is_told_so(database_url: str, redis_url: str) -> None:
    diagnoses = await examine(described(database_url, REDIS_URL=redis_url))
    assert is_well(diagnoses)
    checks = {diagnosis.check for diagnosis in diagnoses}
    expected = {"settings", "database", "clock", "migrations", "redis", "memory", "disk", "port", "files", "mail"}
    assert checks == expected
    assert "Version 18" in about(diagnoses, "database").found


async def test_every_setting_that_will_not_do_is_named() -> None:
    diagnoses = await examine({"JWT_SECRET": "short", "PORT": "eighty", "DATABASE_URL": "mysql://ada:hunter2@db/app"})
    assert not is_well(diagnoses)
    assert {d.found.partition(" ")[0] for d in diagnoses} == {"JWT_SECRET", "PORT", "DATABASE_URL"}
    assert "hunter2" not in str(diagnoses)


async def test_what_does_not_answer_does_not_hide_the_rest() -> None:
    nowhere = free_port()
    diagnoses = await examine(
        described(
            f"postgresql://ada:hunter2@127.0.0.1:{nowhere}/app", REDIS_URL=f"redis://:hunter2@127.0.0.1:{nowhere}"
        )
    )
    assert not is_well(diagnoses)
    for check in ("database", "redis"):
        found = about(diagnoses, check)
        assert found.verdict == "wrong"
        assert str(nowhere) in found.found
        assert f"{check.upper()}_URL" in found.advice
    assert "migrations" not in {diagnosis.check for diagnosis in diagnoses}
    assert about(diagnoses, "port").verdict == "ok"
    assert "hunter2" not in str(diagnoses)


async def test_a_schema_that_is_missing_is_to_be_made(postgres_service: PostgresService) -> None:
    diagnoses = await examine(described(postgres_service.create()))
    found = about(diagnoses, "migrations")
    assert (found.verdict, found.advice) == ("wrong", "Run `signalbox migrate`.")
    assert migrations.head() in found.found


async def test_a_redis_that_may_evict_is_noted(database_url: str) -> None:
    redis = RedisService()
    try:
        with Redis.from_url(redis.url, protocol=2) as admin:
            admin.config_set("maxmemory-policy", "allkeys-lru")
        diagnoses = await examine(described(database_url, REDIS_URL=redis.url))
        assert is_well(diagnoses)
        # Besides, it may be noted to be slow.
        assert [d.verdict for d in diagnoses if d.check == "redis" and "allkeys-lru" in d.found] == ["note"]
    finally:
        redis.stop()


async def test_a_port_that_a_server_of_ours_has_is_well_and_one_of_another_is_not(
    database_url: str, start_server: Callable[..., ServerProcess]
) -> None:
    server = start_server(database_url)
    found = about(await examine(described(database_url, PORT=str(server.port))), "port")
    assert found.verdict == "ok"
    assert "Signalbox" in found.found
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        found = about(await examine(described(database_url, PORT=str(other.getsockname()[1]))), "port")
    assert found.verdict == "wrong"


async def test_production_is_told_what_it_may_have_forgotten(database_url: str) -> None:
    production = described(
        database_url, ENVIRONMENT="production", HOST="127.0.0.1", JWT_SECRET="fJ8w!kQ2zR7v#Lm4Xc9p@Tn6Bs1d^Hg3"
    )
    diagnoses = await examine(production)
    assert is_well(diagnoses)
    noted = " ".join(d.found for d in diagnoses if d.verdict == "note")
    assert "REDIS_URL" in noted
    assert "TRUSTED_PROXIES" in noted


async def test_production_is_told_of_a_redis_without_a_password(database_url: str) -> None:
    for password, is_noted in (("", True), (":hidden@", False)):
        production = described(
            database_url,
            ENVIRONMENT="production",
            HOST="127.0.0.1",
            JWT_SECRET="fJ8w!kQ2zR7v#Lm4Xc9p@Tn6Bs1d^Hg3",
            REDIS_URL=f"redis://{password}127.0.0.1:{free_port()}/0",
        )
        noted = [d for d in await examine(production) if d.verdict == "note" and "has no password" in d.found]
        assert bool(noted) == is_noted


async def test_a_mail_server_is_tried_and_its_lack_is_noted(database_url: str, tmp_path: Path) -> None:
    found = about(await examine(described(database_url, DATA_DIR=str(tmp_path))), "mail")
    assert (found.verdict, str(tmp_path / "mail") in found.found) == ("note", True)
    assert not (tmp_path / "mail").exists()
    async with mail_server() as server:
        assert about(await examine(described(database_url, SMTP_URL=server.url)), "mail").verdict == "ok"
        assert server.taken == []
    found = about(await examine(described(database_url, SMTP_URL=server.url)), "mail")
    assert (found.verdict, str(server.port) in found.found, "SMTP_URL" in found.advice) == ("wrong", True, True)


def test_a_trial_mail_goes_out_at_once_and_says_what_became_of_it(tmp_path: Path) -> None:
    sent = run("postgresql://nowhere.invalid/app", "trial-mail", "ada@example.org", DATA_DIR=str(tmp_path))
    (file,) = (tmp_path / "mail").glob("*-trial-*.eml")
    assert (sent.returncode, str(file.parent) in sent.stdout) == (0, True)
    refused = run("postgresql://nowhere.invalid/app", "trial-mail", "ada", DATA_DIR=str(tmp_path))
    assert (refused.returncode, refused.stderr) == (1, "No mail can be sent to such an address.\n")


def run(database_url: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "src", **described(database_url, **more)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_fails_when_something_is_wrong_and_only_then(database_url: str) -> None:
    well = run(database_url, "doctor", "--json")
    assert well.returncode == 0, well.stdout + well.stderr
    assert {"check", "verdict", "found", "advice"} == set(json.loads(well.stdout)[0])
    ill = run(f"postgresql://127.0.0.1:{free_port()}/app", "doctor")
    assert ill.returncode == 1
    assert "→ Start PostgreSQL" in ill.stdout


def test_a_command_that_cannot_reach_the_database_says_so_and_names_the_doctor() -> None:
    port = free_port()
    failed = run(f"postgresql://127.0.0.1:{port}/app", "migrate")
    assert failed.returncode == 1
    assert str(port) in failed.stderr
    assert "signalbox doctor" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_settings_can_be_printed_and_show_no_secret() -> None:
    printed = run("postgres://ada:hunter2@db/app", "serve", "--print-config", DRAIN_SECONDS="7")
    assert printed.returncode == 0
    lines = printed.stdout.splitlines()
    assert "DATABASE_URL=postgresql://ada:***@db/app" in lines
    assert "JWT_SECRET=***" in lines
    assert "DRAIN_SECONDS=7" in lines
    assert "hunter2" not in printed.stdout
    assert JWT_SECRET not in printed.stdout
