"""The command line: serve, run the worker, administer the installation, and try it without services."""

import gc

# What is imported stays. To look through it for garbage, time and again while it grows, took a fourth of every start.
gc.disable()

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import msgspec

from adapters.embedded import EmbeddedPostgres, EmbeddedPostgresError
from adapters.postgres import migrations
from application.administration import AccountLine, Administration
from application.ports.mail import Letter, MailRefused, Sending
from domain.errors import DomainError
from entrypoints import VERSION, logs
from entrypoints.client import Client, CommandRefused, Stopped
from entrypoints.container import Container, assembled, in_memory
from entrypoints.demo import DEMO_EMAIL, DEMO_PASSWORD, seed
from entrypoints.doctor import examine, is_well
from entrypoints.http.openapi import document
from entrypoints.lifetimes import opened
from entrypoints.server import serve
from entrypoints.settings import InvalidSettings, Settings, table
from entrypoints.worker import work

gc.freeze()
gc.enable()

R = TypeVar("R")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 if it worked, 1 if it failed, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="signalbox", description="A backend for applications that people use together."
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve HTTP and WebSocket on HOST:PORT")
    serving.add_argument("--no-worker", action="store_true", help="leave the work of `worker` to a process of its own")
    serving.add_argument("--print-config", action="store_true", help="print the settings, without secrets, and end")
    commands.add_parser("worker", help="do what has to be done beside the requests, and serve nothing")
    commands.add_parser("demo", help="the same with a PostgreSQL of its own, under DATA_DIR, and a demo account")
    commands.add_parser("migrate", help="bring the database at DATABASE_URL to the newest schema")
    doctor = commands.add_parser("doctor", help="look for what is wrong with this deployment; 1 if something is")
    doctor.add_argument("--json", action="store_true", help="for machines")
    commands.add_parser("settings", help="print a table of all settings, in Markdown")
    for command, what in {
        "create-admin": "make an account an admin of this installation, and take its address for verified",
        "demote": "make an admin a user again",
        "disable": "let nobody in under an e-mail address any more, and end its sessions",
        "enable": "let the owner of a disabled account in again",
        "reset-mfa": "remove all second factors of somebody who has lost them",
        "verify-email": "take an e-mail address for verified, without a mail",
    }.items():
        commands.add_parser(command, help=what).add_argument("email", help="the address of the account")
    commands.add_parser(
        "reencrypt",
        help="encrypt secrets of authenticator apps under a new JWT_SECRET; needs the old one in JWT_PREVIOUS_SECRETS",
    )
    listing = commands.add_parser("list-accounts", help="print every account, one a line")
    listing.add_argument("--json", action="store_true", help="for machines")
    trial = commands.add_parser("trial-mail", help="send a mail at once, to see whether mail arrives")
    trial.add_argument("to", help="an address that you can look at")
    commands.add_parser(
        "new-epoch", help="after a restore from a backup: tell every client that what it has seen may not have been"
    )
    commands.add_parser("consumers", help="print what has to follow from events and has not been done yet")
    giving_up = commands.add_parser(
        "give-up", help="leave undone what a consumer has before it, so that it holds back no old events any more"
    )
    giving_up.add_argument("consumer", help="as `consumers` and the metrics name it")
    giving_up.add_argument("stream", nargs="?", help="such as workspace:ID; all of them without it")
    commands.add_parser("openapi", help="print the OpenAPI document")
    tail = commands.add_parser("tail", help="print the events of a channel as they happen, one line of JSON each")
    tail.add_argument("channel", help="such as workspace:ID, task:ID or me")
    tail.add_argument("--url", default="http://127.0.0.1:8000", help="the server; %(default)s without it")
    tail.add_argument("--since", type=int, help="start behind this offset, and not with what happens from now on")
    tail.add_argument("--token", default=os.environ.get("SIGNALBOX_TOKEN"), help="or in SIGNALBOX_TOKEN")
    tail.add_argument("--email", help="sign in under this address instead, with the password in SIGNALBOX_PASSWORD")
    chosen = parser.parse_args(arguments)
    try:
        return _COMMANDS[chosen.command](chosen)
    except InvalidSettings as error:
        print("These settings do not describe a server:", *error.problems, sep="\n  ", file=sys.stderr)
    except (DomainError, EmbeddedPostgresError, CommandRefused, Stopped) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error}; `signalbox doctor` looks at what this needs.", file=sys.stderr)
    return 1


def _serve(chosen: argparse.Namespace) -> int:
    settings = _settings(os.environ)
    if chosen.print_config:
        for name, value in settings.shown():
            print(f"{name}={value}")
        return 0
    serve(assembled(settings), works=not chosen.no_worker)
    return 0


def _worker(chosen: argparse.Namespace) -> int:
    work(assembled(_settings(os.environ)))
    return 0


def _doctor(chosen: argparse.Namespace) -> int:
    diagnoses = asyncio.run(examine(os.environ))
    if chosen.json:
        print(msgspec.json.format(msgspec.json.encode(diagnoses)).decode())
    else:
        for diagnosis in diagnoses:
            print(f"{diagnosis.verdict:5}  {diagnosis.check:10}  {diagnosis.found}")
            if diagnosis.advice:
                print(f"{'':17}  → {diagnosis.advice}")
    return 0 if is_well(diagnoses) else 1


def _table(chosen: argparse.Namespace) -> int:
    print(table())
    return 0


def _demo(chosen: argparse.Namespace) -> int:
    data_dir = Path(os.environ.get("DATA_DIR", "").strip() or "var")
    postgres = EmbeddedPostgres(data_dir)
    url = postgres.start()
    try:
        settings = _settings({"JWT_SECRET": _kept_secret(data_dir), **os.environ, "DATABASE_URL": url})
        migrations.upgrade(settings.database_url)
        room = _once(assembled(settings), seed)
        serve(assembled(settings), lambda: _welcome(settings, room))
    finally:
        postgres.stop()
    return 0


def _migrate(chosen: argparse.Namespace) -> int:
    settings = _settings(os.environ)
    migrations.upgrade(settings.database_url)
    print(f"The schema is at revision {migrations.head()}.")
    return 0


def _administer(chosen: argparse.Namespace) -> int:
    said, act = _ADMINISTRATION[chosen.command]
    account = _once(assembled(_settings(os.environ)), lambda house: act(house.administration(), chosen.email))
    print(said.format(account.email))
    return 0


_ADMINISTRATION: Mapping[str, tuple[str, Callable[[Administration, str], Awaitable[AccountLine]]]] = {
    "create-admin": ("{} is an admin now and has to sign in again.", Administration.make_admin),
    "demote": ("{} is no admin any more and has to sign in again.", Administration.demote),
    "disable": ("Nobody gets in as {} any more.", Administration.disable),
    "enable": ("{} may sign in again.", Administration.enable),
    "reset-mfa": ("{} signs in with the password alone again.", Administration.reset_mfa),
    "verify-email": ("{} is verified.", Administration.verify),
}


def _reencrypt(chosen: argparse.Namespace) -> int:
    found = _once(assembled(_settings(os.environ)), lambda house: house.administration().reencrypt())
    print(f"{found.renewed} secrets of authenticator apps are encrypted under the present JWT_SECRET.")
    if found.lost:
        print(f"{found.lost} are under one that is not in JWT_PREVIOUS_SECRETS.", file=sys.stderr)
    return 1 if found.lost else 0


def _list_accounts(chosen: argparse.Namespace) -> int:
    async def show(house: Container) -> None:
        async for account in house.administration().accounts():
            if chosen.json:
                print(msgspec.json.encode(account).decode())
            else:
                who = account.email or account.kind
                print(f"{account.id}  {account.created_at:%Y-%m-%d}  {account.role:5}  {account.state:8}  {who}")

    _once(assembled(_settings(os.environ)), show)
    return 0


def _trial_mail(chosen: argparse.Namespace) -> int:
    settings = _settings(os.environ)
    letter = Letter("trial", chosen.to, {"instance": settings.instance})
    try:
        asyncio.run(assembled(settings).mailer().send(Sending(uuid4(), datetime.now(UTC), letter)))
    except MailRefused as refused:
        print(refused.reason, file=sys.stderr)
        return 1
    where = "The mail server took it." if settings.smtp_url else f"It is in {settings.data_dir.absolute() / 'mail'}."
    print(where)
    return 0


def _new_epoch(chosen: argparse.Namespace) -> int:
    epoch = _once(assembled(_settings(os.environ)), lambda house: house.upkeep().begin_lineage())
    print(f"The journal has the epoch {epoch} now; every client reads its state anew.")
    return 0


def _consumers(chosen: argparse.Namespace) -> int:
    backlog = _once(assembled(_settings(os.environ)), lambda house: house.cursors().backlog())
    for of in backlog:
        print(f"{of.consumer}  behind in {of.streams} streams, fails in {of.failing}, since {of.oldest_at.isoformat()}")
    if not backlog:
        print("Nothing waits for a consumer.")
    return 0


def _give_up(chosen: argparse.Namespace) -> int:
    given_up = _once(
        assembled(_settings(os.environ)),
        lambda house: house.cursors().give_up(chosen.consumer, chosen.stream),
    )
    print(f"{chosen.consumer} does nothing more of what it had before it in {given_up} streams.")
    return 0


def _openapi(chosen: argparse.Namespace) -> int:
    print(json.dumps(document(in_memory().litestar()), indent=2))
    return 0


def _tail(chosen: argparse.Namespace) -> int:
    async def token() -> str:
        if chosen.email:
            return await asyncio.to_thread(_sign_in, chosen.url, chosen.email, os.environ.get("SIGNALBOX_PASSWORD", ""))
        if not chosen.token:
            raise Stopped(0, "a token is needed, or an e-mail address")
        return str(chosen.token)

    async def run() -> None:
        async with Client(chosen.url, token) as client:
            async for frame in client.subscribe(chosen.channel, chosen.since):
                if frame["type"] == "event":
                    print(json.dumps(frame, ensure_ascii=False), flush=True)
                elif frame["type"] != "subscribed":
                    print(json.dumps(frame), file=sys.stderr, flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
    return 0


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "worker": _worker,
    "demo": _demo,
    "doctor": _doctor,
    "settings": _table,
    "migrate": _migrate,
    **dict.fromkeys(_ADMINISTRATION, _administer),
    "reencrypt": _reencrypt,
    "list-accounts": _list_accounts,
    "trial-mail": _trial_mail,
    "new-epoch": _new_epoch,
    "consumers": _consumers,
    "give-up": _give_up,
    "openapi": _openapi,
    "tail": _tail,
}


def _settings(environ: Mapping[str, str]) -> Settings:
    settings = Settings.read(environ)
    logs.configure(
        settings.log_level,
        settings.log_format,
        **{"service.name": settings.otel_service_name, "service.version": VERSION, "instance": settings.instance},
    )
    return settings


def _once(container: Container, act: Callable[[Container], Awaitable[R]]) -> R:
    """Open the database, do one thing with it, and close it."""

    async def run() -> R:
        async with asynccontextmanager(opened)(container.database(), container.numbers_database()):
            return await act(container)

    return asyncio.run(run())


def _kept_secret(data_dir: Path) -> str:
    """The signing secret of this data directory. It is kept in a file so that tokens outlive the process."""
    path = data_dir / "jwt-secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


def _sign_in(url: str, email: str, password: str) -> str:
    """A new access token. Stopped if the server refuses the address and password."""
    asked = urllib.request.Request(  # noqa: S310  # the user of the command line chose the address
        f"{url.rstrip('/')}/api/v1/auth/login",
        json.dumps({"email": email, "password": password}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as response:  # noqa: S310
            return str(json.load(response)["access_token"])
    except urllib.error.HTTPError as error:
        raise Stopped(error.code, "signing in was refused") from None


def _welcome(settings: Settings, room: UUID | None) -> None:
    address = f"http://{settings.host}:{settings.port}"
    print(
        f"\nSignalbox {VERSION} serves on {address}",
        f"  documentation  {address}/api/docs",
        f"  demo account   {DEMO_EMAIL}   password {DEMO_PASSWORD}",
        *([] if room is None else [f"  demo room      {room}   docs/start.md says how to watch together"]),
        f"  mail           {_mail_leaves(settings)}",
        "  stop           Ctrl-C",
        "",
        sep="\n",
        flush=True,
    )


def _mail_leaves(settings: Settings) -> str:
    if settings.smtp_url:
        return f"as {settings.mail_from}, over SMTP_URL"
    return f"as files in {settings.data_dir.absolute() / 'mail'}"


if __name__ == "__main__":
    sys.exit(main())
