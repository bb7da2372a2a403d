"""The use cases of somebody who has forgotten the password."""

from collections.abc import Sequence

from application.authentication import Authentication
from application.identity.ending import end_all_sessions, end_sessions
from application.identity.links import AddressWork, Links
from application.identity.measures import LETTERS_PER_ADDRESS, LINKS_PER_ADDRESS
from application.identity.messages import AddressNamed, Device, PasswordReset
from application.identity.requests import AddressRequests
from application.limits import Limits
from application.ports.identity import PasswordHasher
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from domain.identity import AddressPurpose, EndReason, check_password, normal_email
from domain.ids import SessionId


class ForgottenPasswords:
    """Sets another password for somebody who reads the mail of an account's address."""

    def __init__(
        self,
        work: UnitOfWork[AddressWork],
        requests: AddressRequests,
        links: Links,
        hasher: PasswordHasher,
        authentication: Authentication,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._work = work
        self._requests = requests
        self._links = links
        self._hasher = hasher
        self._authentication = authentication
        self._limits = limits
        self._clock = clock

    async def forgot(self, named: AddressNamed, device: Device) -> None:
        """Mail a link to the owner of the account with this address. Nothing happens if there is none."""
        await self._limits.require(LETTERS_PER_ADDRESS, device.address)
        await self._requests.reset(normal_email(named.email))

    async def reset(self, reset: PasswordReset, device: Device) -> None:
        """Set another password by a link that was mailed, and end all sessions. The owner is told by a notice.

        It verifies the address too, and signs nobody in. LinkExpired if the link can no longer be used.
        """
        await self._limits.require(LINKS_PER_ADDRESS, device.address)
        await self.set(reset, AddressPurpose.RESET)

    async def set(self, reset: PasswordReset, purpose: AddressPurpose) -> None:
        """The same by a link for this purpose, which is not counted as an attempt."""
        async with self._work() as work:
            _, account = await self._links.find(work, reset.token, self._clock.now(), purpose)
        check_password(reset.password, account.email or "")
        encoded = await self._hasher.hash(reset.password)
        self._authentication.end(await self._set(reset.token, encoded, purpose))
        # A login with the old password may have begun a session at the same moment.
        late = await end_all_sessions(self._work, account.id, EndReason.PASSWORD_CHANGED, account.id, self._clock)
        self._authentication.end(late)

    @retried
    async def _set(self, token: str, encoded: str, purpose: AddressPurpose) -> Sequence[SessionId]:
        now = self._clock.now()
        async with self._work() as work:
            _, account = await self._links.use(work, token, now, purpose)
            account.reset_password(encoded, now)
            account.verify_email(account.id, now)
            work.accounts.save(account)
            return await end_sessions(work, account.id, EndReason.PASSWORD_CHANGED, account.id, now)
