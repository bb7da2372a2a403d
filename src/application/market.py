"""Quotes: the newest of each symbol, for everybody who is signed in."""

from collections.abc import Collection, Mapping, Sequence

from application.ports.feeds import Asked, Feeds, Ground
from domain.channels import Channel, ChannelClass, ChannelKind, by_symbol
from domain.ids import AccountId

MARKET = ChannelKind("market", ChannelClass.KEYED, by_symbol)


class MarketFeeds(Feeds):
    """`market:{SYMBOL}`, for everybody."""

    kinds: Sequence[ChannelKind] = (MARKET,)

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        return Ground(None)

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        return dict.fromkeys(asked, Ground(None))
