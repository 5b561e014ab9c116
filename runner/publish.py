"""Events on their way to the sinks: each sink has a queue and a task of its own, so none can hold up or fail another.

Publishing never waits, so that neither a slow disk nor a stalled terminal delays watching or stopping. Feeds, which alone
can produce without bound, wait for `room()` between their events. A slow sink gets everything; one that stands still is
waited for no longer, and one that stands still and is far behind is switched off.

A sink may have, beside its two methods: `label`, its name for people; `progress`, a number that grows whenever something
has got through; `unshown`, the events that it took, but has not shown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from types import TracebackType
from typing import Self

from runner.events import Event, Level, LogLine, Notice
from runner.job import Sink
from runner.signals import MOMENT
from runner.sinks import words
from runner.sinks.quiet import say

_log = logging.getLogger(__name__)

ROOM = 10_000
"""Events a sink may be behind before feeds are asked to wait."""
MOST = 10 * ROOM
"""Events that a sink which stands still may be behind before it is switched off."""
STALLED_SECONDS = 5.0
"""A sink that nothing got through for so long stands still."""
FLUSH_SECONDS = 5.0
"""How long leaving waits for sinks that are behind and stand still."""
_TICK = 1e-3
"""Seconds that are none: a clock's own steps may keep it from ever reaching a moment exactly."""
_LOOK = 0.5
"""Seconds between two looks at the sinks' progress."""
_SAY_SECONDS = 0.1
"""How long standard error may hold us up; it is written to all the same."""


class Publisher:
    """Carries events to sinks, in order, for the length of its context.

    `patience` says how long to wait for sinks that stand still when the context is left. Less than `FLUSH_SECONDS` means
    that a deadline draws near: then it is all the time there is, for those that get on as well.
    """

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
        """Let the sinks catch up as long as they get on; what they have not shown by then is abandoned.

        A cancellation cuts that short, but never takes the place of an error that is on its way up.
        """
        cancelled = None
        for lane in self._lanes:
            lane.finish()
        try:
            await self._caught_up()
        except asyncio.CancelledError as caught:
            cancelled = caught
        for lane in self._lanes:
            lane.abandon()
        try:
            await self._settled(self._lanes, MOMENT)
        except asyncio.CancelledError as caught:
            cancelled = caught
        for lane in self._lanes:
            if lost := sum(isinstance(event, LogLine) for event in lane.unshown()):
                lines = words.count(lost, "log line")
                say(f"up to {lines} were not shown: the reader of {lane.name} did not keep up", _SAY_SECONDS)
        if cancelled is not None and error is None:
            raise cancelled

    async def _caught_up(self) -> None:
        """Wait for every sink that gets on, until the deadline if there is one."""
        clock = asyncio.get_running_loop().time
        longest, end = self._patience(), float("inf")
        while True:
            if (patience := self._patience()) < FLUSH_SECONDS:
                end = min(end, clock() + patience)
            left = {lane: min(longest - lane.still(), end - clock()) for lane in self._lanes if lane.runs}
            waited_for = [lane for lane, seconds in left.items() if seconds > _TICK]
            if not waited_for:
                return
            await self._settled(waited_for, min(_LOOK, *(left[lane] for lane in waited_for)))

    async def _settled(self, lanes: Iterable[_Lane], seconds: float) -> None:
        tasks = {lane.task for lane in lanes if lane.task is not None and not lane.task.done()}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def publish(self, event: Event) -> None:
        """Put an event on its way."""
        for lane in self._lanes:
            lane.put(event)

    async def room(self) -> None:
        """Return when every sink that doesn't stand still has room for more."""
        for lane in self._lanes:
            await lane.room()

    def _switched_off(self, lane: _Lane, error: Exception) -> None:
        _log.debug("sink %s failed", lane.name, exc_info=error)
        text = f"{lane.name} is switched off after an error ({str(error) or type(error).__name__}); the job goes on"
        others = [other for other in self._lanes if other is not lane and other.on]
        for other in others:
            other.put(Notice(text, Level.WARNING))
        if not others:
            say(text, _SAY_SECONDS)


class _Lane:
    def __init__(self, sink: Sink, failed: Callable[[_Lane, Exception], None]) -> None:
        self.sink = sink
        self.name: str = getattr(sink, "label", type(sink).__name__)
        self.on = True
        """Whether it takes events."""
        self.task: asyncio.Task[None] | None = None
        self._failed = failed
        self._switched_off = False
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._roomy = asyncio.Event()
        self._roomy.set()
        self._clock = asyncio.get_running_loop().time
        self._moved = self._clock()
        self._progress = 0
        self._busy = False

    @property
    def runs(self) -> bool:
        """Whether there is something left to do."""
        return self.task is not None and not self.task.done()

    def start(self) -> None:
        self.task = asyncio.create_task(self._carry(), name=f"sink {type(self.sink).__name__}")

    def put(self, event: Event | None) -> None:
        if not self.on:
            return
        if self._queue.empty() and not self._busy:
            self._moved = self._clock()
        self._queue.put_nowait(event)
        if self._queue.qsize() >= ROOM:
            self._roomy.clear()
        if self._queue.qsize() > MOST and self.still() >= STALLED_SECONDS:
            self.abandon()
            self._switch_off(TimeoutError(f"nothing got through for {self.still():.0f} s"))

    def still(self) -> float:
        """Return for how many seconds nothing has got through."""
        progress = getattr(self.sink, "progress", 0)
        if progress != self._progress:
            self._progress, self._moved = progress, self._clock()
        return self._clock() - self._moved

    async def room(self) -> None:
        while not self._roomy.is_set() and (left := STALLED_SECONDS - self.still()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._roomy.wait()

    def finish(self) -> None:
        """Close the sink once it has had everything; from now on it has to get on."""
        self.put(None)
        self._moved = self._clock()

    def abandon(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def unshown(self) -> Iterable[Event]:
        """Iterate over what the sink was sent, but has not shown; nothing if it was switched off."""
        if not self._switched_off:
            waiting = (self._queue.get_nowait() for _ in range(self._queue.qsize()))
            yield from (e for e in chain(getattr(self.sink, "unshown", ()), waiting) if e is not None)

    async def _carry(self) -> None:
        try:
            while (event := await self._queue.get()) is not None:
                self._busy, self._moved = True, self._clock()
                await self.sink.write(event)
                self._busy = False
                if self._queue.qsize() < ROOM:
                    self._roomy.set()
            await self.sink.close()
        except Exception as error:  # noqa: BLE001  a sink may raise anything, and can't fail the job
            self._switch_off(error)
        finally:
            # However it ended, nobody waits for it any more.
            self.on = False
            self._roomy.set()

    def _switch_off(self, error: Exception) -> None:
        self.on, self._switched_off = False, True
        self._queue = asyncio.Queue()
        self._roomy.set()
        self._failed(self, error)
