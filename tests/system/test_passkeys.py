"""A passkey in a real browser: what it makes of our questions, and what we make of its answers."""

import asyncio
import json
from pathlib import Path

import httpx
from dependency_injector import providers
from websockets.asyncio.client import connect

from adapters.security import WebAuthn
from tests.http.house import house_in_memory, served, set_to
from tests.support.clients import PASSWORD, PATIENCE_SECONDS, client, sign_up
from tests.system.browser import browser, site

PAGE = """<!doctype html><script type="module">
const ask = async (path, body, token) => {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch("API/api/v1/auth/" + path, { method: "POST", headers, body: JSON.stringify(body) });
  return [answer.status, await answer.json()];
};
const heard = [];
try {
  const [, asked] = await ask("mfa/passkeys/options", { password: "PASSWORD" }, "TOKEN");
  const made = await navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked.public_key),
  });
  heard.push((await ask("mfa/passkeys", { passkey: made.toJSON(), name: "Browser" }, "TOKEN"))[0]);
  const prove = async (question) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(question);
    return (await navigator.credentials.get({ publicKey })).toJSON();
  };
  const [, any] = await ask("passkeys/options");
  heard.push((await ask("passkeys/login", { passkey: await prove(any.public_key) }))[0]);
  const [status, first] = await ask("login", { email: "EMAIL", password: "PASSWORD" });
  heard.push(status);
  const passkey = await prove(first.public_key);
  heard.push((await ask("mfa/verify", { mfa_token: first.mfa_token, passkey }))[0]);
} catch (error) {
  heard.push(String(error));
}
await fetch("/heard", { method: "POST", body: JSON.stringify(heard) });
</script>"""
# A device that is there and whose user is verified without anybody who touches it.
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


async def show(profile: Path, address: str) -> None:
    """Give the browser of this profile an authenticator, and let it show the page at the address."""
    told = profile / "DevToolsActivePort"
    while not told.exists() or len(told.read_text().splitlines()) < 2:
        await asyncio.sleep(0.05)
    port = told.read_text().split()[0]
    async with httpx.AsyncClient(trust_env=False) as http:
        pages = (await http.get(f"http://127.0.0.1:{port}/json/list")).json()
    (page,) = [each["webSocketDebuggerUrl"] for each in pages if each["type"] == "page"]
    async with connect(page, proxy=None) as tools:
        for number, (method, params) in enumerate(
            [
                ("WebAuthn.enable", {}),
                ("WebAuthn.addVirtualAuthenticator", {"options": DEVICE}),
                ("Page.navigate", {"url": address}),
            ]
        ):
            await tools.send(json.dumps({"id": number, "method": method, "params": params}))
            while "id" not in (answer := json.loads(await tools.recv())):
                pass
            assert "result" in answer, answer
        await asyncio.Event().wait()  # the authenticator is there for as long as somebody is connected


async def test_a_browser_makes_a_passkey_and_signs_in_with_it(tmp_path: Path) -> None:
    async with site() as own:
        origin = own.origin.replace("127.0.0.1", "localhost")  # no passkey is for an address
        house = house_in_memory(
            settings=set_to(cors_origin=(origin,)), authenticators=providers.Singleton(WebAuthn, origin)
        )
        async with served(house) as api, client(api) as http:
            ada = await sign_up(http)
            values = {"API": api, "TOKEN": ada.token, "EMAIL": ada.email, "PASSWORD": PASSWORD}
            own.page = PAGE
            for name, value in values.items():
                own.page = own.page.replace(name, value)
            async with asyncio.timeout(PATIENCE_SECONDS), browser("about:blank", tmp_path):
                showing = asyncio.create_task(show(tmp_path, origin))
                heard = json.loads(await own.heard.get())
                showing.cancel()
    assert heard == [201, 200, 401, 200]
