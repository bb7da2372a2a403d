"""How many live connections may wait for their `connect`: of one address as the edge finds it, and of all."""

from contextlib import AsyncExitStack
from ipaddress import ip_network

import pytest
from websockets.exceptions import InvalidStatus

from entrypoints.container import Container
from tests.http.house import served, watched_house
from tests.support.clients import client, listening, sign_up, until
from tests.support.exposition import Samples

PROXIES = (ip_network("127.0.0.0/8"),)


def crowded(**settings: object) -> Container:
    limits = {"unconnected_per_address": 2, "unconnected_max": 3, "rate_limit_enabled": True}
    return watched_house(**({"trusted_proxies": PROXIES} | limits | settings))


async def refused(url: str, address: str) -> tuple[int, str | None]:
    """With which status an upgrade is refused, and when to come back."""
    with pytest.raises(InvalidStatus) as refusal:
        async with listening(url, additional_headers={"X-Forwarded-For": address}):
            pass
    answer = refusal.value.response
    return answer.status_code, answer.headers.get("Retry-After")


@pytest.mark.parametrize(
    ("first", "second", "third", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"),
    ],
)
async def test_an_address_may_have_so_many_connections_before_connect_and_all_together_may(
    first: str, second: str, third: str, other: str
) -> None:
    async with served(crowded()) as url, AsyncExitStack() as stack:
        for address in (first, second):
            await stack.enter_async_context(listening(url, additional_headers={"X-Forwarded-For": address}))
        assert await refused(url, third) == (429, "1")
        await stack.enter_async_context(listening(url, additional_headers={"X-Forwarded-For": other}))
        assert await refused(url, "198.51.100.1") == (503, "1")


async def test_a_place_is_free_again_after_connect_after_the_end_and_after_a_refusal_and_all_that_is_counted() -> None:
    async with served(crowded(trusted_proxies=())) as url, client(url) as http, AsyncExitStack() as stack:
        ada = await sign_up(http)

        async def counted() -> tuple[float, float]:
            samples = Samples((await http.get("/metrics")).text)
            return samples("signalbox_ws_unconnected"), samples("signalbox_ws_connections")

        for _ in range(3):
            await stack.enter_async_context(listening(url, ada.token, "me"))
        assert await counted() == (0, 3)
        for _ in range(3):
            with pytest.raises(InvalidStatus):
                async with listening(url, path="/api/v1/ws?ticket=nonsense"):
                    pass
        assert await counted() == (0, 3)
        for _ in range(2):
            async with listening(url), listening(url):
                assert await counted() == (2, 5)
                assert (await refused(url, ""))[0] == 429

            async def are_gone() -> bool:
                return await counted() == (0, 3)

            await until(are_gone)
        samples = Samples((await http.get("/metrics")).text)
        assert samples("signalbox_rate_limited_total", policy="unconnected") == 2
        assert samples("signalbox_ws_opened_total", status_code="429") == 2


async def test_without_limits_anybody_may_wait() -> None:
    async with served(crowded(rate_limit_enabled=False)) as url, AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(listening(url))
