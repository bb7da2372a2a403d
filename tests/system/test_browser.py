"""The JavaScript client in a real browser, on a page of another site."""

import asyncio
from pathlib import Path

from tests.http.house import house_in_memory, served, set_to
from tests.support.clients import client, sign_up
from tests.system.browser import browser, site

PAGE = """<!doctype html><script type="module">
import { SignalboxClient } from "URL/client.js";
const client = new SignalboxClient("URL", { token: async () => "TOKEN" });
client.on("event", (frame) => fetch("/heard", { method: "POST", body: frame.event.type }));
await client.connect();
await client.subscribe("CHANNEL", { since: 1 });
</script>"""


async def test_a_page_of_another_site_hears_what_happens(tmp_path: Path) -> None:
    async with site() as another:
        house = house_in_memory(settings=set_to(cors_origin=(another.origin,)))
        async with served(house) as url, client(url) as http:
            ada = await sign_up(http)
            await ada.open_task()
            page = PAGE.replace("URL", url).replace("TOKEN", ada.token)
            another.page = page.replace("CHANNEL", f"workspace:{ada.id}")
            async with browser(another.origin, tmp_path), asyncio.timeout(30):
                assert await another.heard.get() == "task.created"
