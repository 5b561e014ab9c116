"""Follows the log streams of one job in CloudWatch Logs: every line once, live, and all of them at the end.

What a reader has to reckon with (AWS's documentation and public threads): a stream appears late or never; the group does
not exist before the account's first job; a page may be empty without being the last; events arrive late, out of order,
and seconds after they were written. So the truth is a sliding window that is read again and again, de-duplicated, and
swept once from the head when the job has ended and the log has gone quiet.

Two ways to read stand behind one interface: `components.aws.readers`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from components.aws.readers import LogEvent, Reader
from runner.errors import NotFound, Transient
from runner.events import Level, LogLine, LogSummary, Notice
from runner.job import Ended


@dataclass(frozen=True, slots=True)
class FollowTiming:
    """How often to look, and how far back; in seconds."""

    period: float = 1.0
    """Between two reads while lines come."""
    idle_period: float = 5.0
    """Between two reads of a log that has long been silent."""
    idle_after: float = 60.0
    """Silence that makes a log idle."""
    overlap: float = 10.0
    """How far behind the newest line each read starts again."""
    deep_every: float = 30.0
    """Between two reads that start far behind, for events that came very late."""
    deep_overlap: float = 600.0
    deep_lines: int = 20_000
    """About so many lines such a read goes back at most: a chatty job's would hold up what is new."""
    quiet_floor: float = 5.0
    quiet_cap: float = 60.0
    """Bounds of the quiet that is waited for after the job's end: 3 × the 90th percentile of the lag seen."""
    sweep: float = 180.0
    """How long the closing sweep may take."""
    closing: float = 280.0
    """How long all that follows the job's end may take: less than `runner.supervise` gives a feed to drain."""
    late_across: float = 10.0
    """A line so far behind another stream's newest is late, though it is in order within its own."""


def usual(*, embedded: bool) -> FollowTiming:
    """Return how to follow a log. The embedded cloud's lines can be read as soon as they are written."""
    return FollowTiming(quiet_floor=1.0) if embedded else FollowTiming()


class LogFeed:
    """A feed of one job's log lines. Iterating ends when the job has ended and the log is complete."""

    label = "the log"

    def __init__(
        self,
        reader: Reader,
        stream_label: Callable[[str], str],
        since: Callable[[], float],
        timing: FollowTiming = FollowTiming(),
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`since` tells when the job was created (epoch seconds; 0 where unknown): no line is older.

        `wall` is the clock by which lines' times are told, the epoch's.
        """
        self._reader = reader
        self._label = stream_label
        self._since = since
        self._timing = timing
        self._wall = wall
        self._order = _Order(timing.late_across)
        self._lags: deque[float] = deque(maxlen=1000)
        self._lines = self._late = 0
        self._caught_up = False
        self._troubles = 0
        self._marks: deque[float] = deque([0.0], maxlen=max(2, timing.deep_lines // _MARK_EVERY))
        """The newest time as it was every so many lines."""

    async def __call__(self, ended: Ended) -> AsyncIterator[LogLine | LogSummary | Notice]:
        """Yield lines as they become readable; drain after `ended`, sweep once from the head, and sum up."""
        clock = asyncio.get_running_loop().time
        last_news = deep_at = clock()
        while not ended.is_set():
            if deep := clock() - deep_at >= self._timing.deep_every:
                deep_at = clock()
            async for item in self._read(self._start(deep=deep)):
                last_news = clock()
                yield item
            await either([ended], self._pause(clock() - last_news))
        ended_at = last_news = clock()
        while clock() < last_news + self._quiet() and clock() < ended_at + self._timing.sweep:
            async for item in self._read(self._start()):
                last_news = clock()
                yield item
            await asyncio.sleep(self._timing.period)
        async for last in self._sweep(min(clock() + self._timing.sweep, ended_at + self._timing.closing)):
            yield last

    async def _sweep(self, until: float) -> AsyncIterator[LogLine | LogSummary | Notice]:
        """Read everything once more, for what came so late that no window saw it; then sum up."""
        clock = asyncio.get_running_loop().time
        complete = False
        while not complete and clock() < until:
            async for item in self._read(self._since(), until):
                yield item
            complete = not self._troubles
            if not complete:
                await asyncio.sleep(self._timing.period)
        yield LogSummary(self._lines, self._late, complete)

    async def _read(self, start: float, sweep_until: float | None = None) -> AsyncIterator[LogLine | Notice]:
        try:
            async for event in self._reader.read(max(start, self._since()), sweep_until):
                yield self._line(event)
        except NotFound:
            pass  # Neither group nor stream exists before somebody writes.
        except Transient as error:
            self._troubles, self._caught_up = self._troubles + 1, False
            if self._troubles == 1:
                yield Notice(f"could not read the log, trying again: {error}", Level.WARNING)
            return
        if self._troubles:
            yield Notice(f"reading the log works again (after {self._troubles} failed tries)")
        self._troubles, self._caught_up = 0, True

    def _line(self, event: LogEvent) -> LogLine:
        late = self._order.behind(event, across=self._reader.in_order)
        self._lines += 1
        self._late += late
        if self._lines % _MARK_EVERY == 0:
            self._marks.append(self._order.newest)
        if self._caught_up:  # Of what was there before we came, or could read again, the lag is not known.
            self._lags.append(max(0.0, self._wall() - event.time))
        return LogLine(event.text, self._label(event.stream), event.time, late)

    def _start(self, *, deep: bool = False) -> float:
        near = self._order.newest - max(self._timing.overlap, self._quiet())
        return (
            min(near, max(self._order.newest - self._timing.deep_overlap, self._marks[0])) if deep else near
        )

    def _quiet(self) -> float:
        ranked = sorted(self._lags)
        p90 = ranked[int(len(ranked) * 0.9)] if ranked else 0.0
        return min(max(3 * p90, self._timing.quiet_floor), self._timing.quiet_cap)

    def _pause(self, silence: float) -> float:
        if self._troubles:
            return min(self._timing.period * 2.0 ** min(self._troubles, 5), 30.0)
        over = silence / self._timing.idle_after
        return (
            self._timing.period
            if over < 1
            else min(self._timing.period * (1 + over), self._timing.idle_period)
        )


_MARK_EVERY = 1000


class _Order:
    """Knows what was shown, by time."""

    def __init__(self, across: float) -> None:
        self._across = across
        self._of_stream: dict[str, float] = {}
        self.newest = 0.0

    def behind(self, event: LogEvent, *, across: bool) -> bool:
        """Say whether an event's time lies behind what was shown before it, and count it as shown.

        `across`: also behind what other streams showed, which says nothing where they are read one after the other.
        """
        own = self._of_stream.get(event.stream, 0.0)
        late = event.time < own or (across and event.time < self.newest - self._across)
        # A clock that runs ahead must not drag the window past lines that are yet to come.
        sound = min(event.time, event.ingested)
        self._of_stream[event.stream] = max(own, event.time)
        self.newest = max(self.newest, sound)
        return late


async def either(events: Sequence[Ended], seconds: float) -> None:
    """Return after `seconds`, or as soon as one of the events comes."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
