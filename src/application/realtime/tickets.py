"""Tickets: they authenticate live connections of clients that can send neither a header nor a first frame."""

from datetime import timedelta

import msgspec
from msgspec import Struct

from application.authentication import Authentication
from application.limits import Limits
from application.ports.secrets import Secrets
from application.ports.system import Clock
from application.ports.tickets import TicketStore
from application.principal import Principal
from application.realtime.frames import Opening
from domain.errors import Invalid, Unauthenticated

LIFETIME = timedelta(seconds=30)
_PURPOSE = b"ticket"
_MILLISECOND = timedelta(milliseconds=1)
# An opening with the most channels and positions fits. Everything that is stored for an account has a bound.
OPENING_MAX_BYTES = 32_768

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Opening).decode


class Ticket(Struct, frozen=True):
    """A secret that opens one live connection, `expires_in` seconds from now at the latest."""

    ticket: str
    expires_in: int


class TicketInvalid(Unauthenticated):
    """The ticket is unknown, used or expired, or the credential that it was issued for has ended."""

    code = "ticket_invalid"


class Tickets:
    """Issues tickets to authenticated accounts, and redeems each ticket once."""

    def __init__(
        self, store: TicketStore, secrets: Secrets, authentication: Authentication, limits: Limits, clock: Clock
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._authentication = authentication
        self._limits = limits
        self._clock = clock

    async def issue(self, actor: Principal, opening: Opening) -> Ticket:
        """A ticket for a connection that begins with `opening`, for 30 s or as long as the actor's credential lasts.

        If the account then has too many tickets, its oldest one becomes void. Invalid if the opening is over 32 KiB.
        """
        encoded = _encode(opening)
        if len(encoded) > OPENING_MAX_BYTES:
            raise Invalid(f"This may have {OPENING_MAX_BYTES} bytes.", pointer="")
        secret = self._secrets.signed(_PURPOSE, self._secrets.new())
        lifetime = min(LIFETIME, actor.expires_at - self._clock.now())
        await self._store.keep(self._secrets.digest(secret), actor, encoded, lifetime // _MILLISECOND)
        return Ticket(secret, int(lifetime.total_seconds()))

    async def redeem(self, ticket: str, address: str, whole_address: str = "") -> tuple[Principal, Opening]:
        """The principal that the ticket was issued to, and the opening that the connection begins with.

        TicketInvalid if the ticket cannot be used, whatever the reason; another try cannot help. Exhausted after too
        many attempts from the address, of which `whole_address` is the whole form. The store is asked only about
        tickets that this installation signed.
        """
        await self._limits.ticket(address)
        taken = None
        if self._secrets.is_signed(_PURPOSE, ticket):
            taken = await self._store.take(self._secrets.digest(ticket))
        if taken is not None:
            principal, opening = taken
            if self._authentication.is_live(principal) and principal.may_come_from(whole_address):
                return principal, _decode(opening)
        raise TicketInvalid("This ticket opens nothing; get a new one.")
