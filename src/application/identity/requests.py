"""What is asked for under an address is written down, and done by a worker after the answer.

So no answer, and not the time that it takes, depends on whether there is an account with that address.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from application.identity.links import AddressWork, Links
from application.identity.measures import LETTERS_PER_MAILBOX
from application.limits import Limits
from application.mail import Postbox
from application.ports.mail import Letter
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import Stale, UnitOfWork, retried
from domain.identity import Account, AddressPurpose, AddressRequest, EmailTaken
from domain.ids import AccountId, AddressRequestId


class AddressRequests:
    """Takes requests, and does what they ask for. `registered` follows a registration, as in `Identity`.

    A mailbox gets five letters of a kind in an hour; more requests for it are dropped, and nobody is told so.
    """

    def __init__(
        self,
        work: UnitOfWork[AddressWork],
        registered: Callable[[Any, Account], None],
        links: Links,
        postbox: Postbox,
        limits: Limits,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._work = work
        self._registered = registered
        self._links = links
        self._postbox = postbox
        self._limits = limits
        self._clock = clock
        self._ids = ids

    async def register(self, email: str, display_name: str, password_hash: str) -> None:
        """Ask for a new account. Invalid if none can have that address and name."""
        id = AccountId(self._ids.new())
        account = Account.register(id, email, display_name, password_hash, self._clock.now())
        assert account.email is not None
        await self._add(AddressPurpose.REGISTER, account.email, id, account.display_name, password_hash)

    async def verify(self, email: str) -> None:
        """Ask for another link that verifies this address."""
        await self._add(AddressPurpose.VERIFY, email)

    async def reset(self, email: str) -> None:
        """Ask for a link for a forgotten password."""
        await self._add(AddressPurpose.RESET, email)

    async def change(self, account: AccountId, email: str) -> None:
        """Ask for a link that makes this the address of the account."""
        await self._add(AddressPurpose.CHANGE, email, account)

    async def _add(
        self,
        purpose: AddressPurpose,
        address: str,
        account: AccountId | None = None,
        display_name: str = "",
        password_hash: str = "",
    ) -> None:
        request = AddressRequest(
            id=AddressRequestId(self._ids.new()),
            purpose=purpose,
            address=address,
            due_at=self._clock.now(),
            account_id=account,
            display_name=display_name,
            password_hash=password_hash,
        )
        async with self._work() as work:
            work.addresses.add_request(request)

    async def elapse(self, id: UUID, now: datetime) -> None:
        """Do what a request asks for; NotFound if that is done."""
        async with self._work() as work:
            request = await work.addresses.request(AddressRequestId(id))
        may_mail = await self._limits.allows(LETTERS_PER_MAILBOX, f"{request.purpose}:{request.address}")
        await self._answer(request, may_mail, now)

    @retried
    async def _answer(self, request: AddressRequest, may_mail: bool, now: datetime) -> None:
        try:
            async with self._work() as work:
                work.addresses.remove_request(request)
                known = await work.accounts.find(request.address)
                if request.purpose is AddressPurpose.REGISTER and known is None:
                    self._sign_up(work, request, now)
                elif may_mail:
                    await self._write(work, request, known, now)
        except EmailTaken:  # somebody signed up with it at the same moment
            raise Stale from None

    def _sign_up(self, work: AddressWork, request: AddressRequest, now: datetime) -> None:
        assert request.account_id is not None
        account = Account.register(
            request.account_id, request.address, request.display_name, request.password_hash, now
        )
        work.accounts.add(account)
        self._registered(work, account)

    async def _write(self, work: AddressWork, request: AddressRequest, known: Account | None, now: datetime) -> None:
        is_open = known is not None and known.disabled_at is None
        match request.purpose:
            case AddressPurpose.CHANGE:
                assert request.account_id is not None
                asking = await work.accounts.get(request.account_id)
                if asking.email is None or asking.disabled_at is not None or asking.email == request.address:
                    return
                # Its reader may be who asks, so it tells nothing of the other address.
                self._postbox.post(work, Letter("address_changing", asking.email), now)
                if known is None:
                    self._links.mail(work, asking, request.purpose, request.address, now)
                elif is_open:
                    self._postbox.post(work, Letter("address_in_use", request.address), now)
            case AddressPurpose.RESET if known is not None and is_open:
                self._links.mail(work, known, request.purpose, request.address, now)
            case _ if known is not None and is_open and known.email_verified_at is None:
                self._links.mail(work, known, AddressPurpose.VERIFY, request.address, now)
            case AddressPurpose.REGISTER if is_open:
                self._postbox.post(work, Letter("already_registered", request.address), now)
