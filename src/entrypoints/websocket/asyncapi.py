"""The AsyncAPI document of the live connection, generated from the message types of both directions."""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from application.catalogue import Catalogue
from application.feeds import Channels
from application.realtime.frames import ClientFrame, CloseCode, ServerFrame
from entrypoints.websocket.calls import Calls

DESCRIPTION = """One WebSocket with many channels. Frames are JSON objects in text frames; the first is `connect`,
within 10 seconds. What is followed, how to resume and what each close code means is written in `docs/realtime.md`."""


def document(version: str, catalogue: Catalogue, calls: Calls, channels: Channels) -> Mapping[str, Any]:
    """The document, in AsyncAPI 3.0.

    `x-event-types` has the schema of each type of event, `x-methods` the params and the answer of each method of
    `call`, and `x-channels` the class of each kind of channel, with the value of those that are not durable.
    """
    commands, announcements = get_args(ClientFrame), get_args(ServerFrame)
    methods, values = calls.methods, channels.values
    asked, answered = [each.params for each in methods.values()], [each.answer for each in methods.values()]
    references, schemas = msgspec.json.schema_components(
        [*asked, *answered, *values.values(), *commands, *announcements],
        ref_template="#/components/schemas/{name}",
        schema_hook=_anything,
    )
    told = dict(zip(values, references[2 * len(methods) :], strict=False))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Signalbox live", "version": version, "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            "live": {
                "address": "/api/v1/ws",
                "description": "Close codes: " + ", ".join(f"{code.value} {code.name.lower()}" for code in CloseCode),
                "messages": {
                    _name(frame): {"$ref": f"#/components/messages/{_name(frame)}"}
                    for frame in (*commands, *announcements)
                },
                "bindings": {
                    "ws": {
                        "query": {
                            "type": "object",
                            "properties": {"ticket": {"type": "string", "description": "A single-use ticket."}},
                        }
                    }
                },
            }
        },
        "operations": {
            "command": _operation("receive", "What a client may send.", commands),
            "announce": _operation("send", "What the server sends.", announcements),
        },
        "components": {
            "messages": {
                _name(frame): {
                    "name": frame.__struct_config__.tag,
                    "summary": (frame.__doc__ or "").split("\n", 1)[0],
                    "payload": {"$ref": f"#/components/schemas/{frame.__name__}"},
                }
                for frame in (*commands, *announcements)
            },
            "schemas": schemas,
        },
        "x-event-types": catalogue.types,
        "x-methods": {
            name: {"params": params, "answer": answer}
            for name, params, answer in zip(methods, references, references[len(methods) :], strict=False)
        },
        "x-channels": {
            kind.name: {"class": kind.promises.value} | ({"value": told[kind]} if kind in told else {})
            for kind in channels.grammar.kinds.values()
        },
    }


def _operation(action: str, summary: str, frames: tuple[type, ...]) -> Mapping[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/live"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/live/messages/{_name(frame)}"} for frame in frames],
    }


def _name(frame: type) -> str:
    return frame.__name__[0].lower() + frame.__name__[1:]


def _anything(_: type) -> dict[str, Any]:
    """The schema of a field whose value can be any JSON."""
    return {"description": "Any JSON."}
