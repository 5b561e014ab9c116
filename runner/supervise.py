"""The scope: a remote job lives no longer than the block that launched it.

    async with launched(job, sinks) as run:
        status = await run.finished()

**Launch.** (1) Signal handlers are the caller's and in place before. (2) Every attempt is one call of `Job.launch`; we own
the retries. (3) An attempt under way is finished despite cancellation, and the job then stopped: a signal during Create
orphans nothing.

**Stop.** (1) The stop request goes out first: before a task is cancelled, a line printed or a file written. (2) One
deadline for everything, from the moment of the reason. (3) What could not be confirmed by then is `StopFailed`.

What goes on in between is told in `runner.watch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto

from runner.deadline import Deadline, finish
from runner.errors import NameTaken, RunnerError, StopFailed, Transient, Unreachable
from runner.events import Launched, Level, Notice, Status
from runner.job import Job, Sink, StopAnswer
from runner.publish import FLUSH_SECONDS, Publisher
from runner.retry import retrying
from runner.signals import MOMENT, NO_JOB, Stopping
from runner.sinks.text import one_line
from runner.timing import USUAL, Timing
from runner.watch import Watch

__all__ = ["Run", "Timing", "launched"]

STOP_RESERVE = 5.0
"""Seconds before the deadline at which a launch that was never answered is given up, so that a stop can still be tried."""
LOOK_SECONDS = 3.0
"""How long a job that may exist is looked for when the service says that it knows none."""


class _Launch(Enum):
    """What we know of the launch."""

    NOT_SENT = auto()
    REFUSED = auto()
    """The service said no: there is no job."""
    UNANSWERED = auto()
    """No attempt got through: this start made no job, but an earlier one of the same step may have."""
    DOUBTFUL = auto()
    """The answer to an attempt was lost, or none came in time: there may be a job."""
    ACCEPTED = auto()


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
        self._launch = _Launch.NOT_SENT
        self._ended = False
        self._watch: asyncio.Task[Status] | None = None
        self._refusal: Transient | None = None
        """What the service last answered to the stop request instead of agreeing."""

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
                self._say(f"could not launch or attach yet, trying again: {error}", Level.WARNING)

        def patient(error: BaseException) -> float:
            return gone if isinstance(error, Unreachable) else patience

        self._stopping.arm()
        async for attempt in retrying(patient, longest=5.0, told=told):
            with attempt:
                event = await self._attempt()
        self._stopping.launched = True
        self._publisher.publish(event)
        watch = Watch(self.job, self._publisher, self._timing, self._has_ended)
        self._watch = asyncio.create_task(watch.follow(), name=f"watch {self.job.name}")

    async def _attempt(self) -> Launched:
        """Make one attempt, and finish it though we are cancelled: only then is known whether there is a job to stop."""
        before, self._launch = self._launch, _Launch.DOUBTFUL
        if getattr(self.job, "breaks_off", False):
            return await self._broken_off(before)
        attempt, cancelled = await finish(self.job.launch(), self._deadline, reserve=STOP_RESERVE)
        if not attempt.done() or attempt.cancelled():
            raise cancelled or asyncio.CancelledError("the launch was given up before its answer came")
        self._launch = _known(attempt.exception(), before)
        if cancelled is not None:
            raise cancelled
        return attempt.result()

    async def _broken_off(self, before: _Launch) -> Launched:
        """Make one attempt that a cancellation breaks off; what became of it then, the job's `stop` tells."""
        try:
            event = await self.job.launch()
        except Exception as error:
            self._launch = _known(error, before)
            raise
        self._launch = _Launch.ACCEPTED
        return event

    def _has_ended(self) -> None:
        self._ended = True
        self._stopping.disarm()

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
        name = self.job.name
        if self._launch is _Launch.NOT_SENT:
            return None
        resumes = getattr(self.job, "resumes", False)
        if self._launch is _Launch.REFUSED or (self._launch is _Launch.UNANSWERED and not resumes):
            self._stopping.outcome = NO_JOB
        elif self._ended:
            self._stopping.outcome = f"{name} had already ended"
        elif not self._stop_on_exit:
            self._stopping.outcome = f"{name} goes on without us"
        else:
            return await self._stop_job()
        return None

    async def _stop_job(self) -> asyncio.CancelledError | None:
        self._deadline.begin()
        stop, cancelled = await finish(self._stop(), self._deadline, least=MOMENT)
        error: BaseException | None
        if not stop.done() or stop.cancelled():
            last = f"; its last answer: {_text(self._refusal)}" if self._refusal else ""
            error = TimeoutError(f"the service did not agree in time{last}")
        else:
            error = stop.exception()
        if error is not None and self._only_looking:
            self._stopping.outcome = (
                f"no job was made; whether an earlier start's {self.job.name} runs can't be told ({_text(error)}); "
                f"if it does, stop it with: {self.job.stop_command}"
            )
            self._say(self._stopping.outcome, Level.WARNING)
            return cancelled
        if error is not None:
            failure = StopFailed(
                f"could not stop {self.job.name}: {_text(error)}\n"
                f"It may still run and cost money. Stop it with: {self.job.stop_command}"
            )
            self._stopping.outcome = str(failure)
            self._say(str(failure), Level.ERROR)
            raise failure from error
        self._stopping.outcome = self._told(stop.result())
        self._say(self._stopping.outcome, Level.WARNING)
        return cancelled

    @property
    def _only_looking(self) -> bool:
        """Whether it is our own launch that came to nothing, with no reason to end and nothing of ours to stop."""
        return self._launch is _Launch.UNANSWERED and self._stopping.reason is None

    async def _stop(self) -> StopAnswer:
        """Ask until there is an answer. That there is no such job is none, as long as there may be one."""

        def patience(error: BaseException) -> float:
            return LOOK_SECONDS if self._only_looking or isinstance(error, _Unknown) else float("inf")

        def told(error: Transient, _count: int) -> None:
            self._refusal = error

        async for attempt in retrying(patience, first=0.1, longest=2.0, told=told):
            with attempt:
                answer = await self.job.stop()
                if answer is StopAnswer.UNKNOWN and self._launch is not _Launch.UNANSWERED:
                    doubtful = self._launch is _Launch.DOUBTFUL
                    launch = "its launch was not answered" if doubtful else "the service took it"
                    raise _Unknown(f"{launch}, and the service knows no such job")
        return answer

    def _told(self, answer: StopAnswer) -> str:
        name, words = self.job.name, getattr(self.job, "outcome", "")
        if words:
            return one_line(words)
        if answer is StopAnswer.GOES_ON:
            return f"{name} goes on: the service can't stop it"
        if answer is StopAnswer.AGREED:
            return f"the service was told to stop {name}, and agreed"
        if answer is StopAnswer.ENDED:
            return f"{name} had already ended"
        if answer is StopAnswer.UNKNOWN:
            return NO_JOB
        return (
            f"there is a job {name} that can't be proved to be ours, so it was not touched; "
            f"if it is, stop it with: {self.job.stop_command}"
        )

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

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        self._publisher.publish(Notice(text, level))


@asynccontextmanager
async def launched(
    job: Job,
    sinks: Sequence[Sink] = (),
    *,
    timing: Timing = USUAL,
    stopping: Stopping | None = None,
    stop_on_exit: bool = True,
    notices: Sequence[Notice] = (),
) -> AsyncIterator[Run]:
    """Launch `job`, or adopt it; leaving the block before it has ended stops it, however the block is left.

    `stopping` carries the one deadline from a signal (see `runner.signals`); without it, the deadline counts from the
    moment the block is left. With `stop_on_exit=False` the job is only watched: leaving lets it run on. `notices` are
    told to the sinks before anything else.

    Raises `NameTaken` or another `ServiceError` when the job can't be launched, and `StopFailed` when leaving could not
    confirm the stop.
    """
    deadline = Deadline(stopping or Stopping())

    def patience() -> float:
        # After a signal there may be less than a second to live; without one, a slow reader is worth waiting for.
        return deadline.spare(MOMENT if deadline.stopping.reason else FLUSH_SECONDS)

    async with Publisher(sinks, patience) as publisher:
        for notice in notices:
            publisher.publish(notice)
        run = Run(job, publisher, timing, deadline, stop_on_exit=stop_on_exit)
        try:
            await run.launch()
            yield run
        except BaseException:
            await run.leave()
            raise
        if cancelled := await run.leave():
            raise cancelled


class _Unknown(Transient):
    """The service knows no such job, but there may be one."""


def _known(error: BaseException | None, before: _Launch) -> _Launch:
    """Return what an answered attempt says of the launch."""
    if error is None:
        return _Launch.ACCEPTED
    if isinstance(error, NameTaken):
        return (
            _Launch.REFUSED
        )  # It was looked whose the job is. One of ours can't have been made under that name.
    if isinstance(error, RunnerError) and not (isinstance(error, Transient) and error.ambiguous):
        # This attempt made no job. What an earlier, ambiguous one made may still exist.
        if before is _Launch.DOUBTFUL:
            return _Launch.DOUBTFUL
        return _Launch.UNANSWERED if isinstance(error, Transient) else _Launch.REFUSED
    return _Launch.DOUBTFUL


def _text(error: BaseException) -> str:
    # In one line: a service's words must not pass for a line of ours, such as the command that stops the job.
    return one_line(str(error)) or repr(error)
