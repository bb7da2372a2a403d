"""The client in JavaScript: ES modules that pages import from this server."""

from collections.abc import Mapping
from importlib.resources import files

_FOLDER = files("entrypoints.http.browser")

# By address. They import each other by relative addresses, so they are in one folder; the first has a short one too.
MODULES: Mapping[str, bytes] = {
    "/client.js": (_FOLDER / "client.js").read_bytes(),
    **{
        f"/client/{module.name}": module.read_bytes()
        for module in sorted(_FOLDER.iterdir(), key=lambda each: each.name)
        if module.name.endswith(".js")
    },
}
