"""An OTLP/HTTP receiver, as Jaeger has one, that puts the spans it gets back together as trees."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_SECONDS = 60.0


@dataclass
class Recorded:
    """A span, the service instance that sent it, and the spans below it."""

    name: str
    trace_id: str
    id: str
    parent_id: str
    instance: str
    attributes: dict[str, Any]
    links: list[str]
    failed: bool
    began_ns: int
    ended_ns: int
    children: list["Recorded"] = field(default_factory=list)

    def below(self) -> list["Recorded"]:
        """This span and all under it."""
        return [self, *(found for child in self.children for found in child.below())]


class Collector:
    """What has arrived so far."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.raw = b""
        self.spans: dict[str, Recorded] = {}

    def take(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans[span.span_id.hex()] = Recorded(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        about["service.instance.id"],
                        {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes},
                        [link.span_id.hex() for link in span.links],
                        span.status.code == span.status.STATUS_CODE_ERROR,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                    )

    def trees(self) -> list[Recorded]:
        """The roots; a span whose parent is not here is none."""
        for span in self.spans.values():
            span.children = []
        for span in self.spans.values():
            if span.parent_id in self.spans:
                self.spans[span.parent_id].children.append(span)
        return [span for span in self.spans.values() if not span.parent_id]

    async def tree(self, wanted: Callable[[Recorded], bool]) -> Recorded:
        """The first tree that is as wanted, once it has arrived; an AssertionError if it does not."""
        await self.until(lambda: any(map(wanted, self.trees())))
        return next(filter(wanted, self.trees()))

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until what has arrived is enough; an AssertionError with all of it if it never is."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not met():
            if time.monotonic() > deadline:
                raise AssertionError([(root.name, [span.name for span in root.below()]) for root in self.trees()])
            await asyncio.sleep(0.02)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A receiver on a free port of the loopback interface."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower():
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                body = await reader.readexactly(length)
                collector.take(gzip.decompress(body) if "content-encoding: gzip" in head else body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    collector = Collector(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield collector
    finally:
        server.close()
