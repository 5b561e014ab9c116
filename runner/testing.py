"""Doubles for tests of what is built on the engine, yours too: a job on the loop's clock, and a sink that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from runner.errors import NotFound, Transient
from runner.events import Event, Launched, LogLine, LogSummary, Phase, Status
from runner.inputs import Outputs
from runner.job import Ended, Feed, StopAnswer


@dataclass
class FakeJob:
    """A job that lives on the event loop's clock, so that a test can run it in virtual time.

    The service takes the job half-way through the launch request, whoever still listens: as a real one does.
    """

    name: str = "fake-job"
    runs: float = 60.0
    """Seconds from launch to success."""
    launching: float = 1.0
    """Seconds that the launch request takes."""
    stopping: float = 0.5
    """Seconds that the stop request takes."""
    lines: Sequence[str] = ()
    launch_failures: list[Exception] = field(default_factory=list)
    """Raised by the next launches, one each, in place of an answer; an ambiguous `Transient` means that the job was made."""
    describe_failures: list[Exception] = field(default_factory=list)
    """Raised by the next reads of the status, one each."""
    stop_failures: list[Exception] = field(default_factory=list)
    """Raised by the next stops, one each."""
    calls: list[str] = field(default_factory=list)
    """What was asked of the job, in order; `made` and `stopped` mark when the service carried it out."""
    made_at: float | None = None
    stopped_at: float | None = None

    @property
    def stop_command(self) -> str:
        """Name a command that does not exist."""
        return f"stop-fake-job {self.name}"

    @property
    def running(self) -> bool:
        """Whether the job costs money at this moment."""
        return self.made_at is not None and not self._phase().final

    async def launch(self) -> Launched:
        """Take the job after half of `launching`; adopt it where it exists."""
        self.calls.append("launch")
        adopted = self.made_at is not None
        failure = self.launch_failures.pop(0) if self.launch_failures else None
        taken = failure is None or (isinstance(failure, Transient) and failure.ambiguous)
        if taken:
            asyncio.get_running_loop().call_later(self.launching / 2, self._make)
        await asyncio.sleep(self.launching)
        if taken:
            self._make()  # A launch that takes no time is over before the loop comes to its timers.
        if failure is not None:
            raise failure
        return Launched(self.name, "fake", adopted)

    async def describe(self) -> Status:
        """Tell the phase that the clock gives."""
        self.calls.append("describe")
        if self.describe_failures:
            raise self.describe_failures.pop(0)
        if self.made_at is None:
            raise NotFound(f"no job {self.name}")
        return Status(self._phase())

    async def stop(self) -> StopAnswer:
        """Stop the job, and tell what there was to stop."""
        self.calls.append("stop")
        await asyncio.sleep(self.stopping)
        if self.stop_failures:
            raise self.stop_failures.pop(0)
        if self.made_at is None:
            return StopAnswer.UNKNOWN
        if not self.running:
            return StopAnswer.ENDED
        self.stopped_at = self._now()
        self.calls.append("stopped")
        return StopAnswer.AGREED

    async def outputs(self) -> Outputs:
        """Have none."""
        return Outputs()

    def feeds(self) -> Sequence[Feed]:
        """Tell `lines` at once, and sum up when the job has ended."""
        return [self._log] if self.lines else []

    async def _log(self, ended: Ended) -> AsyncIterator[LogLine | LogSummary]:
        for line in self.lines:
            yield LogLine(line, stream="algo-1")
        await ended.wait()
        yield LogSummary(len(self.lines))

    def _make(self) -> None:
        if self.made_at is None:
            self.made_at = self._now()
            self.calls.append("made")

    def _phase(self) -> Phase:
        if self.stopped_at is not None:
            return Phase.STOPPED
        return Phase.SUCCEEDED if self._now() >= (self.made_at or 0.0) + self.runs else Phase.RUNNING

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class MemorySink:
    """Remembers every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = False

    async def write(self, event: Event) -> None:
        """Remember the event."""
        self.events.append(event)

    async def close(self) -> None:
        """Remember that this was all."""
        self.closed = True
