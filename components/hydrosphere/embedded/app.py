"""The one port: each request is understood, perhaps spoilt by a fault, answered, and noted in the journal."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from components.hydrosphere.embedded.cloud import Journal
from components.hydrosphere.embedded.faults import AFTER, Faults
from components.hydrosphere.embedded.wire import routes, uploads
from components.hydrosphere.embedded.wire.asked import Asked
from components.hydrosphere.embedded.wire.errors import ApiError, internal, not_found
from components.hydrosphere.embedded.wire.feeds import Feed
from components.hydrosphere.embedded.wire.routes import Route
from runner.emulation.control import Control
from runner.emulation.loopback import refusal
from runner.emulation.tasks import Tasks

Answer = web.Response | Feed
MOST_FEEDS = 200
"""Streams of events that are open at a time."""
_PROXY = {
    "bad_gateway": (502, "Bad Gateway"),
    "bad_gateway_after": (502, "Bad Gateway"),
    "unavailable": (503, "Service Temporarily Unavailable"),
    "forbidden": (403, "Forbidden"),
}
_log = logging.getLogger(__name__)


class App:
    """Answers requests."""

    def __init__(
        self,
        operations: Mapping[str, Callable[[Asked], Awaitable[Answer]]],
        faults: Faults,
        journal: Journal,
        tasks: Tasks,
    ) -> None:
        self._operations = operations
        self._faults = faults
        self._journal = journal
        self._tasks = tasks
        self._control = Control(faults, lambda: journal.entries)
        self._feeds = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if why := refusal(request):
            return web.Response(status=403, text=f"embedded Hydrosphere: {why}\n")
        if self._control.means(request):
            return await self._control.answer(request)
        route = routes.find(request.method, request.path)
        asked = Asked(request, route.operation, route.given, time.monotonic())
        if not route.operation:
            asked.operation = f"{request.method} {request.path}"[:200]
            nowhere = _nowhere(route)
            self._note(asked, nowhere.status)
            return nowhere
        answer = await self._answer(asked)
        if isinstance(answer, web.Response):
            return answer
        self._feeds += 1
        try:
            return await answer.run(request)
        finally:
            self._feeds -= 1

    async def _answer(self, asked: Asked) -> Answer:
        """Do what is asked, unless a fault says otherwise."""
        if delay := self._faults.latency(asked.operation):
            await asyncio.sleep(delay)
        fault = self._faults.outcome(asked.operation)
        if fault == "hang":
            self._note(asked, 0)
            # Cancelled when the client has gone, which nobody notices while its body waits to be read.
            await uploads.drain(asked.request)
            await asyncio.Event().wait()
        answer: Answer | None = None
        if not fault or fault in AFTER:
            # What has been received is carried out, though the client may be gone.
            answer = await asyncio.shield(self._tasks.start(self._work(asked)))
        else:
            await uploads.swallow(asked.request)
        if fault:
            answer = self._spoilt(asked, fault)
        assert answer is not None  # noqa: S101  without a fault there is one
        if isinstance(answer, Feed) and self._feeds >= MOST_FEEDS:
            answer = _error(internal(f"more than {MOST_FEEDS} streams are open", 503))
        dropped = fault.startswith("drop")
        self._note(asked, 0 if dropped else answer.status if isinstance(answer, web.Response) else 200)
        return answer

    async def _work(self, asked: Asked) -> Answer:
        try:
            return await self._operations[asked.operation](asked)
        except ApiError as error:
            return _error(error)
        except Exception:  # noqa: BLE001  the server answers on, whatever it is
            _log.exception("%s failed", asked.operation)
            return _error(internal("see the embedded Hydrosphere's log"))

    def _spoilt(self, asked: Asked, fault: str) -> web.Response:
        """The answer in place of the true one."""
        if fault in _PROXY:
            status, title = _PROXY[fault]
            page = f"<html>\n<head><title>{status} {title}</title></head>\n<body><h1>{status} {title}</h1></body>\n</html>\n"
            return web.Response(status=status, text=page, content_type="text/html")
        if fault.startswith("drop"):
            if asked.request.transport is not None:
                asked.request.transport.abort()
            return web.Response()
        return _error(internal("An internal failure occurred (on order)"))

    def _note(self, asked: Asked, status: int) -> None:
        path = asked.request.path_qs[:2000]
        self._journal.add(asked.operation, path, asked.body, asked.members, status, asked.began)


def _error(error: ApiError) -> web.Response:
    return web.json_response({"error": error.error, "message": error.text}, status=error.status)


def _nowhere(route: Route) -> web.Response:
    if route.allowed:
        allowed = ", ".join(route.allowed)
        return web.Response(
            status=405,
            text=f"HTTP method not allowed, supported methods: {allowed}",
            headers={"Allow": allowed},
        )
    if route.known:
        return _error(not_found("not implemented by the embedded Hydrosphere"))
    return web.Response(status=404, text="The requested resource could not be found.")
