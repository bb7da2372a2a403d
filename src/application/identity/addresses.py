"""The use cases of addresses: sign up under one, and verify and change that of one's account."""

from msgspec import UNSET

from application.identity.forgotten import ForgottenPasswords
from application.identity.links import AddressWork, Links
from application.identity.measures import (
    EMAIL_PER_ACCOUNT,
    LETTERS_PER_ADDRESS,
    LINKS_PER_ADDRESS,
    REGISTER_PER_ADDRESS,
)
from application.identity.messages import (
    AddressNamed,
    Device,
    EmailChange,
    EmailProof,
    EmailVerification,
    PasswordReset,
    Registration,
    SignedIn,
)
from application.identity.proofs import Proofs
from application.identity.requests import AddressRequests
from application.identity.use_cases import Identity
from application.limits import Limits
from application.mail import Postbox
from application.ports.identity import PasswordHasher
from application.ports.mail import Letter
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from application.scopes import SESSION
from domain.errors import Invalid
from domain.identity import AddressPurpose, WrongPassword, check_password, new_email, normal_email


class Addresses:
    """The use cases of addresses.

    With `verification` "required", signing up answers the same for every address, and what follows is mailed.
    """

    def __init__(
        self,
        work: UnitOfWork[AddressWork],
        identity: Identity,
        forgotten: ForgottenPasswords,
        requests: AddressRequests,
        links: Links,
        postbox: Postbox,
        proofs: Proofs,
        hasher: PasswordHasher,
        limits: Limits,
        verification: EmailVerification,
        clock: Clock,
    ) -> None:
        self._work = work
        self._identity = identity
        self._forgotten = forgotten
        self._requests = requests
        self._links = links
        self._postbox = postbox
        self._proofs = proofs
        self._hasher = hasher
        self._limits = limits
        self._verification = verification
        self._clock = clock

    async def register(self, registration: Registration, device: Device) -> tuple[SignedIn, str] | None:
        """Create an account, and sign in with it as in `Identity.register`.

        None if addresses have to be verified first. Then the owner of the address gets a letter: with a link, or that
        there is an account whose address was verified.
        """
        if self._verification != "required":
            return await self._identity.register(registration, device)
        await self._limits.require(REGISTER_PER_ADDRESS, device.address)
        check_password(registration.password, new_email(registration.email))
        encoded = await self._hasher.hash(registration.password)
        await self._requests.register(registration.email, registration.display_name, encoded)
        return None

    async def resend(self, named: AddressNamed, device: Device) -> None:
        """Mail another link to an address that is not verified yet. Nothing happens for any other address."""
        await self._limits.require(LETTERS_PER_ADDRESS, device.address)
        await self._requests.verify(normal_email(named.email))

    async def verify(self, proof: EmailProof, device: Device) -> None:
        """Use a link that verifies the address of a new account, or changes the address of an account.

        LinkExpired if it can no longer be used. EmailTaken if a different account has the new address by now. Where
        addresses have to be verified, a link takes a password. So a stranger who signed up with an address gains
        nothing when its owner opens the link. The link of a new account makes this the password of the account, and
        ends every session if it was a different one. The link of a new address takes the present password, else
        WrongPassword.
        """
        await self._limits.require(LINKS_PER_ADDRESS, device.address)
        purposes = AddressPurpose.VERIFY, AddressPurpose.CHANGE
        async with self._work() as work:
            link, account = await self._links.find(work, proof.token, self._clock.now(), *purposes)
        if proof.password is UNSET:
            if self._verification == "required":
                raise Invalid("Give the password of the account too.", pointer="/password")
        elif not await self._hasher.verify(proof.password, account.password_hash):
            if link.purpose is AddressPurpose.CHANGE or account.email_verified_at is not None:
                raise WrongPassword
            return await self._forgotten.set(PasswordReset(proof.token, proof.password), AddressPurpose.VERIFY)
        return await self._verify(proof.token)

    @retried
    async def _verify(self, token: str) -> None:
        now = self._clock.now()
        async with self._work() as work:
            link, account = await self._links.use(work, token, now, AddressPurpose.VERIFY, AddressPurpose.CHANGE)
            if link.purpose is AddressPurpose.VERIFY:
                account.verify_email(account.id, now)
            else:
                if account.email is not None:
                    self._postbox.post(work, Letter("address_changed", account.email), now)
                account.change_email(link.address, now)
            work.accounts.save(account)

    async def change(self, actor: Principal, change: EmailChange) -> None:
        """Ask for a new address, given the password. The address changes once a link that is mailed to it was used.

        A letter tells the present address now, and a second one then. If a different account has the new address, its
        owner gets a letter in place of the link. The caller cannot see the difference.
        """
        actor.require(SESSION)
        email = new_email(change.email)
        account = await self._proofs.password(actor.account_id, change.password)
        if email == account.email:
            raise Invalid("This is your address already.", pointer="/email")
        await self._limits.require(EMAIL_PER_ACCOUNT, str(actor.account_id))
        await self._requests.change(account.id, email)
