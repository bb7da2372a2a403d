"""Quotes: the newest quote of each symbol, for every account."""

from collections.abc import Collection, Mapping, Sequence

from application.ports.feeds import Asked, Feeds, Ground
from application.scopes import Scope
from domain.channels import Channel, ChannelClass, ChannelKind, by_symbol
from domain.ids import AccountId

MARKET = ChannelKind("market", ChannelClass.KEYED, by_symbol)
MARKET_READ = Scope("market:read", "Follow quotes.")


class MarketFeeds(Feeds):
    """`market:{SYMBOL}`, for every account."""

    kinds: Sequence[ChannelKind] = (MARKET,)
    scope = MARKET_READ

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        return Ground(None)

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        return dict.fromkeys(asked, Ground(None))
