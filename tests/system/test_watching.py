"""RoomPlayer over real media elements of a real browser."""

import asyncio
import io
import json
import wave
from contextlib import AsyncExitStack
from pathlib import Path

from dependency_injector.providers import Singleton

from adapters.system import SystemClock
from tests.end_to_end.test_watching_together import open_room
from tests.http.house import house_in_memory, served, set_to
from tests.support.clients import Json, client, listening, sign_up
from tests.system.browser import Site, browser, site

HERE = Path(__file__).parent
DOCUMENTED = (HERE.parents[1] / "docs/realtime.md").read_text().partition("```html\n")[2].partition("```")[0]
TELLS = """<script>
  setInterval(() => {
    const { currentTime, paused, playbackRate } = video;
    const told = { who: location.hash, began_at: Date.now() / 1000 - currentTime, position: currentTime, paused };
    fetch("/heard", { method: "POST", body: JSON.stringify({ ...told, rate: playbackRate }) });
  }, 100);
</script>"""
PLAYS_BY_ITSELF = "--autoplay-policy=no-user-gesture-required"
APART_SECONDS = 0.15


def tone(seconds: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 1, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(128 + i % 20 for i in range(8000 * seconds)))
    return file.getvalue()


async def first_told(profile: Path, *flags: str) -> Json:
    """What a page with two elements and a room of its own tells first."""
    async with site() as page, served(house_in_memory(settings=set_to(cors_origin=(page.origin,)))) as url:
        page.page = (HERE / "watching.html").read_text().replace("URL/", f"{url}/")
        async with browser(page.origin, profile, *flags), asyncio.timeout(60):
            told: Json = json.loads(await page.heard.get())
            return told


async def test_two_elements_start_seek_bend_pause_and_end_together(tmp_path: Path) -> None:
    told = await first_told(tmp_path, PLAYS_BY_ITSELF)
    assert all(abs(off) < 0.1 for off in told["seek"])
    assert told["bent"][0] == [1.1, True]
    assert told["paused"] == [31, 31]
    assert told["ended"] == [[True, 60], [True, 60]]
    assert told["durations"] == [None, 60_000]  # the first is from before it was loaded
    assert told["commands"] == [0, 1]


async def test_a_page_is_told_that_the_browser_wants_a_click(tmp_path: Path) -> None:
    told = await first_told(tmp_path, "--autoplay-policy=document-user-activation-required")
    assert "blocked" in told


async def together(page: Site, beyond: float) -> None:
    """Wait until both pages play on behind this position, at the same moment of the item."""
    newest: dict[str, Json] = {}
    while True:
        told = json.loads(await page.heard.get())
        newest[told["who"]] = told
        began = [each["began_at"] for each in newest.values()]
        play_on = [not each["paused"] and each["rate"] == 1 and each["position"] > beyond for each in newest.values()]
        if len(newest) == 2 and all(play_on) and max(began) - min(began) < APART_SECONDS:
            return


async def test_two_pages_as_documented_start_and_jump_together(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(site()) for _ in range(2)]
        origins = tuple(page.origin for page in pages)
        house = house_in_memory(settings=set_to(cors_origin=origins), clock=Singleton(SystemClock))
        url = await stack.enter_async_context(served(house))
        http = await stack.enter_async_context(client(url))
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        room_id = await open_room(house, ada)
        for person, page in zip((ada, bob), pages, strict=True):
            page.heard, page.sound = pages[0].heard, tone(60)
            page.page = DOCUMENTED.replace("http://127.0.0.1:8000", url) + TELLS
            address = f"{page.origin}/#{person.token},{room_id}"
            await stack.enter_async_context(browser(address, tmp_path / person.id, PLAYS_BY_ITSELF))
        live = await stack.enter_async_context(listening(url, ada.token))

        async def call(method: str, **params: object) -> Json:
            answer: Json = (await live.call("call", method=method, params={"id": room_id, **params}))["data"]
            return answer

        item = await call("room.queue.add", url=f"{pages[0].origin}/sound", duration_ms=60_000)
        await call("room.control", action="load", item_id=item["id"])
        async with asyncio.timeout(60):
            await together(pages[0], 0.5)
            await call("room.control", action="seek", position_ms=30_000)
            await together(pages[0], 30.5)
