"""The conversations in docs/realtime.md, held again with a real server."""

import json
from pathlib import Path
from typing import Any

from tests.support.clients import Json, Person, done, listening

PAGE = Path(__file__).parents[2] / "docs" / "realtime.md"


def conversations() -> list[list[str]]:
    """The lines of each conversation, with continued lines put together."""
    found = []
    for block in PAGE.read_text().split("```live\n")[1:]:
        lines: list[str] = []
        for line in block.split("```")[0].splitlines():
            if line.startswith(" "):
                lines[-1] += line.strip()
            else:
                lines.append(line)
        found.append(lines)
    return found


def is_like(actual: Any, expected: Any) -> bool:
    """Whether something is what the page shows; `…` stands for anything, and as a name for further members."""
    match expected:
        case "…":
            return True
        case dict():
            named = {name: value for name, value in expected.items() if name != "…"}
            complete = "…" in expected or actual.keys() == named.keys()
            return complete and all(name in actual and is_like(actual[name], value) for name, value in named.items())
        case list():
            return len(actual) == len(expected) and all(map(is_like, actual, expected))
        case _:
            return bool(actual == expected)


async def test_the_page_shows_what_a_server_says(live_url: str, grace: Person) -> None:
    task = await grace.open_task()
    stands_for = {"W": grace.id, "T": task["id"], "TOKEN": grace.token}

    def filled(text: str) -> Json:
        frame: Json = json.loads(
            text.replace(':W"', f':{grace.id}"').replace(':T"', f':{task["id"]}"'),
            object_hook=lambda members: {
                name: [stands_for.get(v, v) if isinstance(v, str) else v for v in value]
                if isinstance(value, list)
                else stands_for.get(value, value)
                if isinstance(value, str)
                else value
                for name, value in members.items()
            },
        )
        return frame

    for lines in conversations():
        async with listening(live_url) as live:
            for line in lines:
                sign, _, text = line.partition(" ")
                if sign == "$":
                    method, path, body = text.split(" ", 2)
                    done(await grace.send(method, path.replace("/T", f"/{task['id']}"), json=json.loads(body)))
                elif sign == "→":
                    await live.send(json.dumps(filled(text)))
                else:
                    said = json.loads(await live.socket.recv())
                    assert is_like(said, filled(text)), f"{line}\n{said}"
