"""RoomPlayer over real media elements of a real browser."""

import asyncio
import json
from pathlib import Path

from tests.http.house import house_in_memory, served, set_to
from tests.support.clients import Json
from tests.system.browser import browser, site

PAGE = Path(__file__).with_name("watching.html")


async def first_told(profile: Path, *flags: str) -> Json:
    """What the page tells first."""
    async with site() as page, served(house_in_memory(settings=set_to(cors_origin=(page.origin,)))) as url:
        page.page = PAGE.read_text().replace("URL/", f"{url}/")
        async with browser(page.origin, profile, *flags), asyncio.timeout(60):
            told: Json = json.loads(await page.heard.get())
            return told


async def test_two_elements_start_seek_bend_pause_and_end_together(tmp_path: Path) -> None:
    told = await first_told(tmp_path, "--autoplay-policy=no-user-gesture-required")
    assert all(abs(off) < 0.1 for off in told["seek"])
    assert told["bent"][0] == [1.1, True]
    assert told["paused"] == [31, 31]
    assert told["ended"] == [[True, 60], [True, 60]]
    assert told["durations"] == [None, 60_000]  # the first is from before it was loaded


async def test_a_page_is_told_that_the_browser_wants_a_click(tmp_path: Path) -> None:
    told = await first_told(tmp_path, "--autoplay-policy=document-user-activation-required")
    assert "blocked" in told
