"""Watching a job to its end: its status, its feeds beside, and the drain.

(1) A transient failure to read the status never ends the watch. (2) A permanent refusal does. (3) Feeds are best effort;
they learn of the end through an event and are given time to drain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import suppress

from runner.errors import Transient
from runner.events import Finished, Level, LogLine, LogSummary, Notice, Status
from runner.job import Feed, FeedEvent, Job
from runner.pace import Pace
from runner.publish import Publisher
from runner.retry import retrying
from runner.timing import Timing

NEWS_SECONDS = 0.5
"""Least seconds between two reads of the status, whatever news there is."""


class Watch:
    """Follows one job that is on the service's books."""

    def __init__(self, job: Job, publisher: Publisher, timing: Timing, ended: Callable[[], None]) -> None:
        """`ended` is called once, as soon as the job is known to have ended."""
        self._job = job
        self._publisher = publisher
        self._timing = timing
        self._tell_ended = ended
        self._ended = asyncio.Event()
        self._began = asyncio.get_running_loop().time()
        self._lines = self._late = 0

    async def follow(self) -> Status:
        """Watch the job to its end, feeds beside; return its final status once they have drained."""
        outcome: Status | Exception
        async with asyncio.TaskGroup() as group:
            pumps = [group.create_task(self._pump(feed)) for feed in self._feeds()]
            try:
                outcome = await self._final_status()
            except Exception as refusal:  # noqa: BLE001  raised below, as itself: the group would wrap it
                outcome = refusal
            else:
                self._tell_ended()
                self._ended.set()
                if pumps:
                    await asyncio.wait(pumps, timeout=self._timing.drain)
            for pump in pumps:
                pump.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        for metric in outcome.metrics:
            self._publisher.publish(metric)
        took = asyncio.get_running_loop().time() - self._began
        self._publisher.publish(Finished(outcome, took, self._lines, self._late))
        return outcome

    async def _final_status(self) -> Status:
        pace, last = Pace(self._timing.poll_first, self._timing.poll_longest), None
        while True:
            status = await self._status()
            if status != last:
                self._publisher.publish(status)
                pace.news()
            if status.phase.final:
                return status
            last = status
            await self._pause(pace.pause(brief=status.brief))

    async def _pause(self, seconds: float) -> None:
        """Wait until it is time to look again, or the job has heard that there is something to see."""
        news: asyncio.Event | None = getattr(self._job, "news", None)
        if news is None:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(min(seconds, NEWS_SECONDS))
                await news.wait()
        news.clear()

    async def _status(self) -> Status:
        failures = 0

        def told(error: Transient, count: int) -> None:
            nonlocal failures
            failures = count
            if count == 1:
                self._say(f"could not read the status, the job goes on: {error}", Level.WARNING)

        async for attempt in retrying(lambda _: float("inf"), told=told):
            with attempt:
                status = await self._job.describe()
        if failures:
            tries = "try" if failures == 1 else "tries"
            self._say(f"reading the status works again (after {failures} failed {tries})")
        return status

    def _feeds(self) -> Sequence[Feed]:
        try:
            return self._job.feeds()
        except Exception as error:  # noqa: BLE001  telemetry may raise anything, and can't fail the job
            text = f"only the status can be followed, the job goes on: {str(error) or repr(error)}"
            self._say(text, Level.WARNING)
            return ()

    async def _pump(self, feed: Feed) -> None:
        try:
            events = feed(self._ended)
            try:
                await self._carry(events)
            finally:
                if isinstance(events, AsyncGenerator):
                    await events.aclose()  # Now, while its connection is open, not when the loop finds it.
        except Exception as error:  # noqa: BLE001  telemetry may raise anything, and can't fail the job
            text = f"{_name(feed)} can't be followed any more, the job goes on: {str(error) or repr(error)}"
            self._say(text, Level.WARNING)

    async def _carry(self, events: AsyncIterator[FeedEvent]) -> None:
        async for event in events:
            if isinstance(event, LogLine):
                self._lines += 1
                self._late += event.late
            elif isinstance(event, LogSummary):
                self._lines, self._late = event.lines, event.late
            self._publisher.publish(event)
            await self._publisher.room()

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        self._publisher.publish(Notice(text, level))


def _name(feed: Feed) -> str:
    label: str = getattr(feed, "label", "") or getattr(feed, "__name__", "a feed").strip("_")
    return label
