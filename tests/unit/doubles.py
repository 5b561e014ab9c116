"""What the engine's tests share: sinks that misbehave, a job that keeps its own minutes, one way to run a scope."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from runner.errors import NameTaken, RunnerError, Transient
from runner.events import Event, Launched, LogLine, Notice, Status
from runner.job import Ended, Feed, FeedEvent, Sink
from runner.signals import Stopping
from runner.supervise import Timing, launched
from runner.testing import FakeJob, MemorySink

USUAL = Timing()


def now() -> float:
    """Return the loop's time, to the microsecond."""
    return round(asyncio.get_running_loop().time(), 6)


async def until(moment: float) -> None:
    """Sleep to a moment of the loop's clock."""
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))


@dataclass
class Watched(FakeJob):
    """A fake job that writes down when it was asked for what, and what became of each attempt to launch it."""

    times: list[tuple[str, float]] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    """`accepted`, `refused` (certainly not carried out), `taken`, or `unknown`."""
    followed: Sequence[Feed] = ()

    async def launch(self) -> Launched:
        self.times.append(("launch", now()))
        self.attempts.append("unknown")
        try:
            event = await super().launch()
        except NameTaken:
            self.attempts[-1] = "taken"
            raise
        except RunnerError as error:
            self.attempts[-1] = "unknown" if isinstance(error, Transient) and error.ambiguous else "refused"
            raise
        self.attempts[-1] = "accepted"
        return event

    async def stop(self) -> bool:
        self.times.append(("stop", now()))
        return await super().stop()

    async def describe(self) -> Status:
        self.times.append(("describe", now()))
        return await super().describe()

    def feeds(self) -> Sequence[Feed]:
        return [*super().feeds(), *self.followed]

    @property
    def asides(self) -> list[str]:
        """What was asked of it beside its status, which is read at moments that vary."""
        return [call for call in self.calls if call != "describe"]

    def asked(self, verb: str) -> list[float]:
        """Return when a verb was called."""
        return [time for name, time in self.times if name == verb]


class Minutes(MemorySink):
    """Writes what it is given among a job's calls, so that their order can be told."""

    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self._calls = calls

    async def write(self, event: Event) -> None:
        await super().write(event)
        self._calls.append(f"write {type(event).__name__}")


class HangingSink:
    """Takes its first event and never comes back; `deaf` ones don't even heed a cancellation, for so many seconds."""

    def __init__(self, deaf: float = 0.0) -> None:
        self._deaf = deaf

    async def write(self, event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self._deaf)

    async def close(self) -> None: ...


class RaisingSink:
    """Fails at every event."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or OSError("disk full")
        self.writes = 0

    async def write(self, event: Event) -> None:
        self.writes += 1
        raise self.error

    async def close(self) -> None: ...


def feed(*lines: str, error: BaseException | None = None) -> Feed:
    """Make a feed that tells lines, then fails or waits for the end."""

    async def telling(ended: Ended) -> AsyncIterator[FeedEvent]:
        for line in lines:
            yield LogLine(line)
        if error is not None:
            raise error
        await ended.wait()

    return telling


def deaf_feed(seconds: float, calls: list[str]) -> Feed:
    """Make a feed that swallows its cancellation for so long."""

    async def deaf(_: Ended) -> AsyncIterator[FeedEvent]:
        try:
            yield LogLine("I hear nothing")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            calls.append("feed cancelled")
            loop = asyncio.get_running_loop()
            end = loop.time() + seconds
            while end - loop.time() > 1e-3:  # The virtual clock stands still for less than a microsecond.
                try:
                    await asyncio.sleep(end - loop.time())
                except asyncio.CancelledError:
                    calls.append("feed cancelled again")

    return deaf


async def follow(
    job: FakeJob,
    *sinks: Sink,
    timing: Timing = USUAL,
    stopping: Stopping | None = None,
    stop_on_exit: bool = True,
) -> Status:
    """Run a job in a scope, to its end."""
    async with launched(job, sinks, timing=timing, stopping=stopping, stop_on_exit=stop_on_exit) as run:
        return await run.finished()


async def cancelled_at(task: asyncio.Task[Status], *moments: float) -> BaseException | None:
    """Cancel a task at moments of the loop's clock; return what it ended with."""
    for moment in moments:
        await until(moment)
        task.cancel()
    await asyncio.wait({task})
    return outcome(task)


def outcome(task: asyncio.Task[Status]) -> BaseException | None:
    """Return what a done task raised."""
    try:
        return task.exception()
    except asyncio.CancelledError as error:
        return error


def notices(sink: MemorySink, matching: Callable[[str], bool] | str = "") -> list[str]:
    """Return the notices that a sink was given."""
    texts = [event.text for event in sink.events if isinstance(event, Notice)]
    return [t for t in texts if (matching in t if isinstance(matching, str) else matching(t))]
