"""A door before the embedded AWS, one for each step under test: it sees every call, holds it where a test says, spoils it.

The service behind is shared by all tests; what goes wrong, and when, is each step's own affair. Held calls are events, so
that a signal can be sent at an exact moment: a request on its way, an answer on its way back.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

CREATE, DESCRIBE, STOP = "CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob"
FOREVER = 1_000_000
CREDENTIALS = "/credentials"
"""Path under which a door hands out credentials as a container's agent does."""
_SPOILT = {
    "throttle": (400, "ThrottlingException", "Rate exceeded"),
    "error": (500, "InternalFailure", "An internal failure occurred."),
    "expired": (400, "ExpiredTokenException", "The security token included in the request is expired"),
    "denied": (400, "AccessDeniedException", "User: step is not authorized to perform this action"),
}


@dataclass(eq=False)
class Rule:
    """What happens to the next `times` calls of an operation."""

    operation: str
    spoil: str = ""
    """`throttle`, `error`, `expired`, `denied`, `drop`; empty: the call's own answer."""
    work: bool = True
    """Whether the call is carried out, although its answer is spoilt."""
    hold: str = ""
    """`request` or `answer`: held back there until `release`."""
    times: int = 1
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """A call has come to where it is held."""
    _go: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let held calls pass."""
        self._go.set()

    async def held(self, where: str) -> None:
        """Wait here if this is where calls are held."""
        if self.hold == where:
            self.reached.set()
            await self._go.wait()


@dataclass(eq=False)
class Call:
    """One call through the door."""

    operation: str
    body: Mapping[str, Any]
    at: float
    """Arrival, on `time.monotonic`'s clock."""
    carried_out: int = 0
    """The service's own HTTP status; 0: it never heard of the call, or has not answered yet."""
    answered: float = 0.0
    """When the answer, of whatever kind, went back."""


class Door:
    """See the module's docstring."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.rules: list[Rule] = []
        self._upstream = upstream
        self._session = session
        self._news = asyncio.Condition()

    def rule(self, operation: str, **how: Any) -> Rule:
        """Lay down a rule; the first one that matches a call, and is not used up, counts."""
        self.rules.append(Rule(operation, **how))
        return self.rules[-1]

    def of(self, operation: str) -> list[Call]:
        """The calls of one operation."""
        return [call for call in self.calls if call.operation == operation]

    @property
    def created(self) -> list[str]:
        """Names of the jobs that the service has accepted through this door."""
        return [call.body["TrainingJobName"] for call in self.of(CREATE) if call.carried_out == 200]

    async def seen(
        self, operation: str, count: int = 1, *, answered: bool = False, seconds: float = 30
    ) -> Call:
        """Return the `count`-th call of an operation once it has come, or been answered."""

        def there() -> bool:
            calls = self.of(operation)
            return len(calls) >= count and (not answered or calls[count - 1].answered > 0)

        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(there)
        return self.of(operation)[count - 1]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one call through."""
        content = await request.read()
        target = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        operation = target or (CREDENTIALS if request.path == CREDENTIALS else f"{request.method} S3")
        call = Call(operation, json.loads(content) if target else {}, time.monotonic())
        self.calls.append(call)
        await self._tell()
        rule = next((r for r in self.rules if r.operation == operation and r.times > 0), Rule(operation))
        rule.times -= 1
        await rule.held("request")
        answer = await self._work(request, content, call) if rule.work else web.Response()
        await rule.held("answer")
        if rule.spoil == "drop":
            answer = web.Response()
            if request.transport is not None:
                request.transport.abort()
        elif rule.spoil:
            status, code, text = _SPOILT[rule.spoil]
            answer = web.json_response({"__type": code, "message": text}, status=status)
        call.answered = time.monotonic()
        await self._tell()
        return answer

    async def _work(self, request: web.BaseRequest, content: bytes, call: Call) -> web.Response:
        if call.operation == CREDENTIALS:
            expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            keys = {"AccessKeyId": "AKIADOOR", "SecretAccessKey": "secret", "Token": "token"}
            return web.json_response({**keys, "Expiration": expires})
        kept = {k: v for k, v in request.headers.items() if k.lower() not in {"host", "content-length"}}
        async with self._session.request(
            request.method, self._upstream + request.raw_path, headers=kept, data=content
        ) as got:
            call.carried_out = got.status
            return web.Response(status=got.status, body=await got.read(), content_type=got.content_type)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def door(upstream: str) -> AsyncIterator[Door]:
    """Open a door on loopback for the length of the block."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        opened = Door(upstream, session)
        runner = web.ServerRunner(web.Server(opened.handle, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            opened.url = "http://{}:{}".format(*runner.addresses[0][:2])
            yield opened
        finally:
            for rule in opened.rules:
                rule.release()
            await runner.cleanup()
