"""A stream of server-sent events as the answer to a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

from aiohttp import web

from components.hydrosphere.embedded.faults import Fault
from components.hydrosphere.embedded.wire.sse import HEARTBEAT, Source

GARBAGE = b"<html><body>this line is no server-sent event</body></html>\n"


@dataclass(frozen=True, slots=True)
class Feed:
    """What is to be streamed."""

    opened: Callable[[], AbstractContextManager[Source]]
    """Open the source; it is closed when nobody listens any more."""
    heartbeat: float
    """Seconds of silence after which something is said."""
    fault: Fault | None = None

    async def run(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer until there is nothing more to come; cancelled when the client has gone."""
        kind, seconds = (self.fault.kind, self.fault.seconds) if self.fault else ("", 0.0)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        # Whoever has the head of the answer misses nothing that happens from then on; who has gone is told nothing.
        with suppress(ConnectionError), self.opened() as source:
            await response.prepare(request)
            if kind == "silent":
                await asyncio.Event().wait()
            if kind == "garbage":
                await response.write(GARBAGE)
            life = seconds if kind == "cut" else 0.0
            with suppress(TimeoutError):
                async with asyncio.timeout(life or None):
                    await self._pump(response, source, once=kind == "cut" and not life)
            await response.write_eof()
        return response

    async def _pump(self, response: web.StreamResponse, source: Source, *, once: bool) -> None:
        while True:
            try:
                async with asyncio.timeout(self.heartbeat):
                    event = await source.next()
            except TimeoutError:
                await response.write(HEARTBEAT)
                continue
            if event is None:
                return
            await response.write(event.encode())
            if once:
                return
