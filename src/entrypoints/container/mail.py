"""What sends mail. Every context may write some, so this comes before them."""

from functools import partial
from operator import attrgetter
from urllib.parse import urlsplit

from dependency_injector.providers import Provider, Singleton

from adapters.mail import FolderMailer, KeptMailer, Letters, SmtpMailer
from adapters.memory import MemoryDeadlines
from adapters.memory.mail import MAILS, MemoryMails, MemoryMailStore, is_waiting
from adapters.memory.store import Weighed
from adapters.postgres import PostgresDeadlines, tables
from adapters.postgres.mail import PostgresMails, PostgresMailStore
from application.gauges import figure
from application.mail import AT_ONCE, ATTEMPTED, DEADLINE_SECONDS, OLDEST, WAITING, Post, Postbox, waiting_seconds
from application.ports import Deadlines, Due, Mailer, MailStore
from application.ports.observer import Gauge
from application.retention import Aging
from entrypoints.container.table import Container
from entrypoints.settings import Settings


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(mails=PostgresMails)
    house.figures.add_kwargs(mails_waiting=tables.waiting_mails)
    mailer: Provider[Mailer] = Singleton(_mailer, house.settings, _letters(house))
    return _with_mail(
        house,
        mailer,
        Singleton(PostgresMailStore, house.database),
        Singleton(PostgresDeadlines, house.database, tables.mails),
    )


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(mails=MemoryMails)
    house.figures.add_kwargs(mails_waiting=Weighed(MAILS, is_waiting))
    return _with_mail(
        house,
        Singleton(KeptMailer, _letters(house)),
        Singleton(MemoryMailStore, house.database),
        Singleton(MemoryDeadlines, house.database, MAILS, attrgetter("due_at")),
    )


def _with_mail(
    house: Container, mailer: Provider[Mailer], mail_store: Provider[MailStore], mail_deadlines: Provider[Deadlines]
) -> Container:
    clock, store = house.clock, house.store
    post = Singleton(Post, house.work, mailer, house.secrets, clock, house.observer)
    house.set_providers(
        postbox=Singleton(Postbox, house.secrets, house.ids),
        post=post,
        mailer=mailer,
        mail_store=mail_store,
        mail_deadlines=mail_deadlines,
    )
    house.happenings.add_args(ATTEMPTED)
    house.breakers.add_kwargs(smtp=mailer)
    house.due.add_args(Singleton(Due, "mails", mail_deadlines, post.provided.elapse, AT_ONCE, DEADLINE_SECONDS))
    house.gauges.add_args(
        Singleton(Gauge, *WAITING, Singleton(partial, figure, store, "mails_waiting")),
        Singleton(Gauge, *OLDEST, Singleton(partial, waiting_seconds, mail_store, clock)),
    )
    house.retention.add_args(
        Singleton(Aging, "mails", house.settings.provided.mail_retention_days, mail_store.provided.forget, clock)
    )
    return house


def _letters(house: Container) -> Provider[Letters]:
    given = house.settings.provided
    return Singleton(Letters, given.mail_from, given.public_url)


def _mailer(settings: Settings, letters: Letters) -> Mailer:
    if settings.smtp_url:
        return SmtpMailer(settings.smtp_url, urlsplit(settings.public_url).hostname or "localhost", letters)
    return FolderMailer(settings.data_dir / "mail", letters)
