"""The scope: a remote job lives no longer than the block that launched it.

    async with launched(job, sinks) as run:
        status = await run.finished()

**Launch.** (1) Signal handlers are the caller's and in place before. (2) Every attempt is one call of `Job.launch`; we own
the retries. (3) An attempt under way is finished despite cancellation, and the job then stopped: a signal during Create
orphans nothing.

**Stop.** (1) The stop request goes out first: before a task is cancelled, a line printed or a file written. (2) One
deadline for everything, from the moment of the reason. (3) What could not be confirmed by then is `StopFailed`.

**Watch.** (1) A transient failure to read the status never ends the watch. (2) A permanent refusal does: the job is
stopped. (3) Feeds are best effort; they learn of the end through an event and are given time to drain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from runner.errors import NameTaken, RunnerError, StopFailed, Transient, Unreachable
from runner.events import Finished, Launched, Level, LogSummary, Notice, Status
from runner.job import Feed, FeedEvent, Job, Sink
from runner.pace import Pace
from runner.publish import FLUSH_SECONDS, Publisher
from runner.retry import retrying
from runner.signals import MOMENT, Deadline, Stopping

T = TypeVar("T")

STOP_RESERVE = 5.0
"""Seconds before the deadline at which a launch that was never answered is given up, so that a stop can still be tried."""
_TICK = 1e-3
"""Seconds that are none: a clock's own steps may keep it from ever reaching a moment exactly."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for what, in seconds."""

    poll_first: float = 1.0
    """Between the first two reads of the status; after any news, again."""
    poll_longest: float = 30.0
    """Between reads of a status that has not changed for long."""
    launch_patience: float = 120.0
    """How long a service that throttles or breaks is asked again to take the job."""
    connect_patience: float = 15.0
    """How long a service that can't be reached at all is asked again to take the job."""
    drain: float = 300.0
    """How long feeds may go on after the job's end; each bounds itself far below."""


class Run:
    """A job that was launched, as seen from within its scope."""

    def __init__(
        self, job: Job, publisher: Publisher, timing: Timing, deadline: Deadline, *, stop_on_exit: bool
    ) -> None:
        self.job = job
        self._stop_on_exit = stop_on_exit
        self._publisher = publisher
        self._timing = timing
        self._deadline = deadline
        self._stopping = deadline.stopping
        self._watch: asyncio.Task[Status] | None = None
        self._may_exist = False
        """An attempt to launch went out and was not plainly refused."""
        self._unanswered = False
        """The last attempt was given up before its answer came."""
        self._refusal: Transient | None = None
        """What the service last answered to the stop request instead of agreeing."""
        self._ended = asyncio.Event()
        self._began = asyncio.get_running_loop().time()
        self._lines = LogSummary(0)

    async def finished(self) -> Status:
        """Return the final status, once the job has ended and its feeds have drained.

        Raises `ServiceError` where the service refuses to say how the job is.
        """
        if self._watch is None:
            raise RuntimeError("the job was not launched")
        return await asyncio.shield(self._watch)

    async def launch(self) -> None:
        """Submit the job, or adopt it; then start to watch."""
        patience, gone = self._timing.launch_patience, self._timing.connect_patience

        def told(error: Transient, count: int) -> None:
            if count == 1:
                self._say(f"could not submit yet, trying again: {error}", Level.WARNING)

        def patient(error: BaseException) -> float:
            return gone if isinstance(error, Unreachable) else patience

        async for attempt in retrying(patient, longest=5.0, told=told):
            with attempt:
                event = await self._attempt()
        self._publisher.publish(event)
        self._watch = asyncio.create_task(self._follow(), name=f"watch {self.job.name}")

    async def _attempt(self) -> Launched:
        """Make one attempt, and finish it though we are cancelled: only then is known whether there is a job to stop."""
        before, self._may_exist, self._unanswered = self._may_exist, True, True
        attempt, cancelled = await finish(self.job.launch(), self._deadline, reserve=STOP_RESERVE)
        if not attempt.done() or attempt.cancelled():
            raise cancelled or asyncio.CancelledError("the launch was given up before its answer came")
        self._unanswered = False
        error = attempt.exception()
        if isinstance(error, NameTaken):
            # It was looked whose the job is. One of ours can't have been made under that name.
            self._may_exist = False
        elif isinstance(error, RunnerError):
            # A plain refusal: this attempt made no job. What an earlier, ambiguous one made may still exist.
            self._may_exist = before or (isinstance(error, Transient) and error.ambiguous)
        if cancelled is not None:
            raise cancelled
        return attempt.result()

    async def leave(self) -> asyncio.CancelledError | None:
        """Stop the remote job, then end the watch; return the cancellation that came meanwhile.

        Raises `StopFailed`. A cancellation breaks off neither: whoever leaves with an error has its reason already.
        """
        cancelled = None
        try:
            cancelled = await self._leave_job()
        finally:
            later = await self._unwind()
        return later or cancelled

    async def _leave_job(self) -> asyncio.CancelledError | None:
        """Stop the remote job unless it has ended or never was; raise `StopFailed` if that can't be confirmed."""
        if not self._may_exist:
            return None
        if self._ended.is_set():
            self._stopping.outcome = f"{self.job.name} had already ended"
            return None
        if not self._stop_on_exit:
            self._stopping.outcome = f"{self.job.name} goes on without us"
            return None
        self._deadline.begin()
        stop, cancelled = await finish(self._stop(), self._deadline)
        error: BaseException | None
        if not stop.done() or stop.cancelled():
            last = f"; its last answer: {_text(self._refusal)}" if self._refusal else ""
            error = TimeoutError(f"the service did not agree in time{last}")
        else:
            error = stop.exception()
        if error is None and self._unanswered:
            error = TimeoutError("its launch was never answered, so it may have been made after we looked")
        if error is not None:
            failure = StopFailed(
                f"could not stop {self.job.name}: {_text(error)}\n"
                f"It may still run and cost money. Stop it with: {self.job.stop_command}"
            )
            self._say(str(failure), Level.ERROR)
            raise failure from error
        if stop.result():
            self._stopping.outcome = f"the service was told to stop {self.job.name}, and agreed"
        else:
            self._stopping.outcome = f"{self.job.name} is not running, so there was nothing to stop"
        self._say(self._stopping.outcome, Level.WARNING)
        return cancelled

    async def _stop(self) -> bool:
        def told(error: Transient, _count: int) -> None:
            self._refusal = error

        async for attempt in retrying(lambda _: float("inf"), first=0.1, longest=2.0, told=told):
            with attempt:
                stopped = await self.job.stop()
        return stopped

    async def _unwind(self) -> asyncio.CancelledError | None:
        """End what still runs of the watch; the remote job has been dealt with."""
        watch = self._watch
        if watch is None:
            return None
        cancelled = None
        if not watch.done():
            watch.cancel()
            self._deadline.begin()
            _, cancelled = await finish(watch, self._deadline)
        if not watch.done():
            self._say("a feed would not end, and was abandoned", Level.WARNING)
        elif not watch.cancelled():
            watch.exception()  # Whoever awaited finished() has had it.
        return cancelled

    async def _follow(self) -> Status:
        """Watch the job to its end, feeds beside; return its final status."""
        outcome: Status | Exception
        async with asyncio.TaskGroup() as group:
            pumps = [group.create_task(self._pump(feed)) for feed in self._feeds()]
            try:
                outcome = await self._final_status()
            except Exception as refusal:  # noqa: BLE001  raised below, as itself: the group would wrap it
                outcome = refusal
            else:
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
        self._publisher.publish(Finished(outcome, took, self._lines.lines, self._lines.late))
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
            await asyncio.sleep(pace.pause(brief=status.brief))

    async def _status(self) -> Status:
        failures = 0

        def told(error: Transient, count: int) -> None:
            nonlocal failures
            failures = count
            if count == 1:
                self._say(f"could not read the status, the job goes on: {error}", Level.WARNING)

        async for attempt in retrying(lambda _: float("inf"), told=told):
            with attempt:
                status = await self.job.describe()
        if failures:
            self._say(
                f"reading the status works again (after {failures} failed {'try' if failures == 1 else 'tries'})"
            )
        return status

    def _feeds(self) -> Sequence[Feed]:
        try:
            return self.job.feeds()
        except Exception as error:  # noqa: BLE001  telemetry may raise anything, and can't fail the job
            self._say(f"only the status can be followed, the job goes on: {_text(error)}", Level.WARNING)
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
            self._say(
                f"{_name(feed)} can't be followed any more, the job goes on: {_text(error)}", Level.WARNING
            )

    async def _carry(self, events: AsyncIterator[FeedEvent]) -> None:
        async for event in events:
            if isinstance(event, LogSummary):
                self._lines = event
            self._publisher.publish(event)
            await self._publisher.room()

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        self._publisher.publish(Notice(text, level))


@asynccontextmanager
async def launched(
    job: Job,
    sinks: Sequence[Sink] = (),
    *,
    timing: Timing = Timing(),
    stopping: Stopping | None = None,
    stop_on_exit: bool = True,
) -> AsyncIterator[Run]:
    """Launch `job`, or adopt it; leaving the block before it has ended stops it, however the block is left.

    `stopping` carries the one deadline from a signal (see `runner.signals`); without it, the deadline counts from the
    moment the block is left. With `stop_on_exit=False` the job is only watched: leaving lets it run on.

    Raises `NameTaken` or another `ServiceError` when the job can't be launched, and `StopFailed` when leaving could not
    confirm the stop.
    """
    deadline = Deadline(stopping or Stopping())
    async with Publisher(sinks, lambda: deadline.spare(FLUSH_SECONDS)) as publisher:
        run = Run(job, publisher, timing, deadline, stop_on_exit=stop_on_exit)
        try:
            await run.launch()
            yield run
        except BaseException:
            await run.leave()
            raise
        if cancelled := await run.leave():
            raise cancelled


async def finish(
    work: Coroutine[Any, Any, T] | asyncio.Task[T], deadline: Deadline, reserve: float = 0.0
) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    """Run `work` to its end though we are cancelled; return it as a task, and the cancellation that came meanwhile.

    Once the deadline's clock runs, which a cancellation starts, wait until `reserve` seconds before its end, then give up:
    the task is then cancelled, or does not even heed that. An `asyncio.shield` inside `asyncio.timeout` would not do: it
    waits without bound for what it shields.
    """
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        left = deadline.left() - reserve if deadline.runs else None
        given_up = left is not None and left < _TICK
        if given_up:
            task.cancel()
        try:
            await asyncio.wait({task}, timeout=MOMENT if given_up else left)
        except asyncio.CancelledError as error:
            cancelled = error
            deadline.begin()
        if given_up:
            break
    return task, cancelled


def _text(error: BaseException) -> str:
    return str(error) or repr(error)


def _name(feed: Feed) -> str:
    label: str = getattr(feed, "label", "") or getattr(feed, "__name__", "a feed").strip("_")
    return label
