"""The build log, live: every line once, whatever becomes of the connection.

The cluster numbers the lines from 0 and continues after the one that `Last-Event-ID` names; after the last it says
`EndOfStream`. A live stream may miss its last lines there, so once the build has ended the rest is read again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from components.hydrosphere.api import Api
from components.hydrosphere.following import Pauses, lasting
from components.hydrosphere.sse import ServerSentEvent
from components.hydrosphere.versions import VERSIONS
from runner.errors import ServiceError
from runner.events import LogLine, LogSummary
from runner.job import Ended, FeedEvent
from runner.sinks.text import clipped, one_line

STREAM = "build"
SILENCE = 45.0
"""Seconds without a word after which a stream is given up: three heartbeats are due by then."""
GRACE = 5.0
"""Seconds that a stream has, after the build's end, to come to its own."""
SWEEPS = 3
"""How often the rest is asked for after the build's end, without anything coming."""
SHOWN = 300
"""Characters of the last line that a reason repeats."""
_NUMBER = re.compile(r"[0-9]{1,10}")
_LINE, _LAST = "Log", "EndOfStream"


class BuildLog:
    """The log of one version's build."""

    label = "the build log"

    def __init__(self, api: Api, version_id: int, built: Ended, news: asyncio.Event) -> None:
        """`built`: turns true when the build has ended, whatever else the job waits for; `news`: set when it may have."""
        self._api = api
        self._built = built
        self._news = news
        self._path = f"{VERSIONS}/{version_id}/logs"
        self._shown = 0
        """Lines so far; the next one's number."""
        self._latest = ""
        """The last line so far that is not blank."""
        self._at = 0
        """The number of the next line on the stream that is open."""
        self._whole = False
        """Whether the latest stream came to its end."""

    async def __call__(self, _: Ended) -> AsyncIterator[FeedEvent]:
        """Follow the log until the build has ended and all of it is read. A log that can't be read is no failure."""
        pauses, left = Pauses(self._built), SWEEPS
        while left:
            sweeping, shown = self._built.is_set(), self._shown
            self._whole = False
            async with aclosing(self._stream()) as lines:
                async for line in lines:
                    yield line
            if self._shown > shown:
                pauses.news()
            if self._whole:
                self._news.set()
            if sweeping:
                left = 0 if self._whole else left - (self._shown == shown)
            if left and not (self._built.is_set() and self._whole):
                await pauses.pause()
        yield LogSummary(self._shown, complete=self._whole)

    async def last_line(self) -> str:
        """Return the last line of a build that has ended; blank if it can't be read in time."""
        line = self._latest
        last = str(self._shown - 1) if self._shown else ""
        with suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(GRACE), aclosing(self._api.stream(self._path, GRACE, last)) as events:
                async for event in events:
                    if event is not None and event.kind == _LAST:
                        return clipped(one_line(line).strip(), SHOWN)
                    line = event.data if event is not None and event.data.strip() else line
        return ""

    async def _stream(self) -> AsyncGenerator[LogLine, None]:
        """Open the stream behind what was shown; tell its lines until it ends or breaks."""
        last = str(self._shown - 1) if self._shown else ""
        self._at = 0
        try:
            stream = lasting(self._api.stream(self._path, SILENCE, last), self._built, GRACE)
            async with aclosing(stream) as events:
                async for event in events:
                    if event is not None and event.kind == _LAST:
                        self._whole = True
                        return
                    if event is not None and self._is_next(event):
                        self._latest = event.data if event.data.strip() else self._latest
                        yield LogLine(event.data, STREAM, time.time())
        except ServiceError:
            return  # It is opened again, also where there is none yet: what counts is what was read in the end.

    def _is_next(self, event: ServerSentEvent) -> bool:
        """Whether it is a line that was not shown before. One without a number comes after the one before it."""
        if event.kind != _LINE and not event.id:
            return False
        number = int(event.id) if _NUMBER.fullmatch(event.id) else self._at
        self._at = number + 1
        if number < self._shown:
            return False
        self._shown = self._at
        return True
