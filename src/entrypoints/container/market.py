"""What the market brings to the assembly."""

from dependency_injector.providers import Singleton

from application.market import MARKET_READ, MarketFeeds
from entrypoints.container.table import Container


def _with_market(house: Container) -> Container:
    house.scopes.add_args(MARKET_READ)
    house.feeds.add_args(Singleton(MarketFeeds))
    return house


on_postgres = in_memory = _with_market
