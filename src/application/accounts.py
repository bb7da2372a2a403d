"""The channel on which an account follows itself."""

from collections.abc import Collection, Mapping, Sequence

from application.ports.feeds import Asked, Feeds, Ground
from application.scopes import Scope
from domain.channels import Channel, ChannelKind, account_stream
from domain.identity import ME
from domain.ids import AccountId

ACCOUNT_READ = Scope("account:read", "Read the account, and read and follow what happens to it.")

ACCOUNT_LEAVE = Scope("account:leave", "Export all that the account has, and keep an account that is to be deleted.")
# The scopes of a session of an account that is to be deleted.
LEAVING = frozenset({ACCOUNT_READ.name, ACCOUNT_LEAVE.name})


class AccountFeeds(Feeds):
    """`me`: the stream of the account that follows it."""

    kinds: Sequence[ChannelKind] = (ME,)
    scope = ACCOUNT_READ

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        return Ground(account_stream(account))

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        return {(place, account): Ground(account_stream(account)) for place, account in asked}
