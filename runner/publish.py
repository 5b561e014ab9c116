"""Events on their way to the sinks: each sink has a queue and a task of its own, so none can hold up or fail another.

Publishing never waits, so that neither a slow disk nor a stalled terminal delays watching or stopping. Feeds, which alone
can produce without bound, wait for `room()` between their events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from runner.events import Event, Level, Notice
from runner.job import Sink
from runner.signals import MOMENT

_log = logging.getLogger(__name__)

ROOM = 10_000
"""Events a sink may be behind before feeds are asked to wait."""
FLUSH_SECONDS = 5.0
"""How long leaving waits for sinks that are behind."""


class Publisher:
    """Carries events to sinks, in order, for the length of its context."""

    def __init__(self, sinks: Sequence[Sink], patience: Callable[[], float] = lambda: FLUSH_SECONDS) -> None:
        self._lanes = [_Lane(sink, self._switched_off) for sink in sinks]
        self._patience = patience

    async def __aenter__(self) -> Self:
        for lane in self._lanes:
            lane.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the sinks catch up, for a bounded time; what they have not shown by then is abandoned.

        A cancellation cuts that short, but never takes the place of an error that is on its way up.
        """
        for lane in self._lanes:
            lane.put(None)
        cancelled = await self._settled(self._patience())
        for lane in self._lanes:
            lane.abandon()
        cancelled = await self._settled(MOMENT) or cancelled
        if cancelled is not None and error is None:
            raise cancelled

    async def _settled(self, seconds: float) -> asyncio.CancelledError | None:
        tasks = {lane.task for lane in self._lanes if lane.task is not None and not lane.task.done()}
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=seconds)
        except asyncio.CancelledError as cancelled:
            return cancelled
        return None

    def publish(self, event: Event) -> None:
        """Put an event on its way."""
        for lane in self._lanes:
            lane.put(event)

    async def room(self) -> None:
        """Return when every sink has room for more."""
        for lane in self._lanes:
            await lane.room()

    def _switched_off(self, lane: _Lane, error: Exception) -> None:
        name = type(lane.sink).__name__
        _log.debug("sink %s failed", name, exc_info=error)
        text = (
            f"{name} is switched off after an error ({str(error) or type(error).__name__}); the job goes on"
        )
        for other in self._lanes:
            if other is not lane:
                other.put(Notice(text, Level.WARNING))


class _Lane:
    def __init__(self, sink: Sink, failed: Callable[[_Lane, Exception], None]) -> None:
        self.sink = sink
        self._failed = failed
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._roomy = asyncio.Event()
        self._roomy.set()
        self.task: asyncio.Task[None] | None = None
        self._on = True

    def start(self) -> None:
        self.task = asyncio.create_task(self._carry(), name=f"sink {type(self.sink).__name__}")

    def put(self, event: Event | None) -> None:
        if self._on:
            self._queue.put_nowait(event)
            if self._queue.qsize() >= ROOM:
                self._roomy.clear()

    async def room(self) -> None:
        await self._roomy.wait()

    def abandon(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def _carry(self) -> None:
        try:
            while (event := await self._queue.get()) is not None:
                await self.sink.write(event)
                if self._queue.qsize() < ROOM:
                    self._roomy.set()
            await self.sink.close()
        except Exception as error:  # noqa: BLE001  a sink may raise anything, and can't fail the job
            self._failed(self, error)
        finally:
            # However it ended, nobody waits for it any more.
            self._on = False
            self._roomy.set()
