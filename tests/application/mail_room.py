"""The front door with the letters that leave through it, for tests of addresses and of what is mailed to them."""

from typing import Any

import msgspec
from dependency_injector import providers
from msgspec import UnsetType

from adapters.mail import KeptMailer
from application.identity import (
    Addresses,
    AddressNamed,
    EmailProof,
    ForgottenPasswords,
    PasswordReset,
    Registration,
)
from application.ports.mail import Letter
from entrypoints.container import offline
from tests.application.front_door import (
    HOME,
    PASSWORD,
    FrontDoor,
    Visit,
)

ADA, NEW, BOB = "ada@example.org", "ada@example.net", "bob@example.org"
UNMAILABLE = "=?utf-8?q?a=0d=0abcc=3aeve?=@example.org"
NEW_PASSWORD = "an entirely new one"


class MailRoom(FrontDoor):
    """The front door with what is behind it: what is asked for is done, and what is written is sent, by `settle`."""

    def __init__(self, verification: str = "off", **settings: Any) -> None:
        given = msgspec.structs.replace(offline(), email_verification=verification, **settings)
        super().__init__(settings=providers.Object(given))
        self.addresses: Addresses = self.container.addresses()
        self.forgotten: ForgottenPasswords = self.container.forgotten_passwords()
        mailer = self.container.mailer()
        assert isinstance(mailer, KeptMailer)
        self.mailer = mailer

    async def settle(self) -> list[tuple[str, str]]:
        """Do all that is due. Returns the letters that were sent by it, and to whom."""
        before = len(self.mailer.sent)
        while await self.container.operations.later().turn():
            pass
        return [(mail.letter.name, mail.letter.to) for mail in list(self.mailer.sent)[before:]]

    async def token(self, *to: str) -> str:
        """The secret in the newest letter that has one, or in the newest such letter to one of these addresses."""
        await self.settle()
        letters = [mail.letter for mail in self.mailer.sent if "token" in mail.letter.data]
        return [str(letter.data["token"]) for letter in letters if not to or letter.to in to][-1]

    async def told(self, visit: Visit) -> list[str]:
        """The types of what the account is told, once all that follows from events was done."""
        while await self.container.following_up().turn():
            pass
        page = await self.container.notifications().page(visit.actor, False, None, 200)
        return [each.type for each in page.data]

    async def letters_about(self, visit: Visit, *types: str) -> list[Letter]:
        """The letter about each of these, which the account is told once."""
        assert {*types} <= {*await self.told(visit)}
        await self.settle()
        said = {notice.name: notice.sentence for notice in self.container.notices()}
        letters = [mail.letter for mail in self.mailer.sent]
        return [next(each for each in letters if each.data.get("sentence") == said[type]) for type in types]

    async def sign_up(self, email: str = ADA) -> bool:
        """Whether somebody who signs up is signed in at once."""
        return await self.addresses.register(Registration(email, PASSWORD, "Ada"), HOME) is not None

    async def verify(self, token: str, password: str | UnsetType = PASSWORD) -> None:
        await self.addresses.verify(EmailProof(token, password), HOME)

    async def forget(self, email: str = ADA) -> None:
        await self.forgotten.forgot(AddressNamed(email), HOME)

    async def reset(self, token: str, password: str = NEW_PASSWORD) -> None:
        await self.forgotten.reset(PasswordReset(token, password), HOME)
