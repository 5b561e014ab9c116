"""The same promise, with the service's failures and the cancellations arriving in any order, step by step."""

from __future__ import annotations

import asyncio
import copy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from looptime import new_event_loop

from runner.errors import RunnerError, ServiceError, StopFailed, Throttled, Transient, Unreachable
from runner.events import Status
from runner.signals import DEFAULT_GRACE, Reason, Stopping
from tests.unit.doubles import HangingSink, RaisingSink, Watched, feed, follow, outcome

seconds = st.one_of(st.floats(0.001, 2), st.floats(2, 40))
passing = st.sampled_from([Throttled("slow"), Unreachable("no route"), Transient("reset")])
failures = st.one_of(passing, st.just(ServiceError("access denied")))
ALWAYS = 1e4


class Scope(RuleBasedStateMachine):
    """A scope in virtual time, to which things happen."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = new_event_loop()
        self.stopping = Stopping()
        self.cancelled_at: float | None = None
        self.launches_then = 0
        self.job = Watched(runs=ALWAYS)
        self.task: asyncio.Task[Status] | None = None

    @initialize(launching=seconds, stopping=seconds, first=st.lists(passing, max_size=3))
    def start(self, launching: float, stopping: float, first: list[Exception]) -> None:
        self.job = Watched(
            runs=ALWAYS, launching=launching, stopping=stopping, followed=[feed("a", error=OSError())]
        )
        self.job.launch_failures = [copy.copy(error) for error in first]
        self.task = self.loop.create_task(
            follow(self.job, HangingSink(), RaisingSink(), stopping=self.stopping), name="scope"
        )

    def _run(self, for_seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(for_seconds))

    @property
    def alive(self) -> bool:
        return self.task is not None and not self.task.done()

    @rule(for_seconds=seconds)
    def time_passes(self, for_seconds: float) -> None:
        self._run(for_seconds)

    @precondition(lambda self: self.alive)
    @rule(error=failures)
    def the_next_launch_fails(self, error: Exception) -> None:
        self.job.launch_failures.append(copy.copy(error))

    @precondition(lambda self: self.alive)
    @rule(error=failures)
    def the_next_read_fails(self, error: Exception) -> None:
        self.job.describe_failures.append(copy.copy(error))

    @precondition(lambda self: self.alive)
    @rule(error=failures)
    def the_next_stop_fails(self, error: Exception) -> None:
        self.job.stop_failures.append(copy.copy(error))

    @precondition(lambda self: self.alive)
    @rule(reason=st.sampled_from([None, Reason.TERMINATED, Reason.TIME_LIMIT]))
    def it_is_cancelled(self, reason: Reason | None) -> None:
        assert self.task is not None

        def cancel() -> None:
            assert self.task is not None
            if reason is not None:
                self.stopping.begin(reason)
            self.task.cancel()

        self.loop.call_soon(cancel)
        if self.cancelled_at is None:
            self.cancelled_at, self.launches_then = self.loop.time(), len(self.job.asked("launch"))
        self._run(0)

    @invariant()
    def nothing_is_launched_after_a_cancellation(self) -> None:
        if self.cancelled_at is not None:
            # One whose turn had come in that very moment is let go; it is then stopped.
            assert len(self.job.asked("launch")) <= self.launches_then + 1

    @invariant()
    def a_cancelled_scope_ends_within_the_deadline(self) -> None:
        if self.alive and self.cancelled_at is not None:
            assert self.loop.time() <= self.cancelled_at + DEFAULT_GRACE + 40 + 4

    @invariant()
    def what_was_never_accepted_is_never_touched(self) -> None:
        if set(self.job.attempts) == {"refused"}:
            assert not self.job.asked("stop")

    def teardown(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            if self.task is not None:
                runner.run(self._end(self.task))

    async def _end(self, task: asyncio.Task[Status]) -> None:
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(41)  # What is still on its way arrives.
        error = outcome(task)
        assert error is None or isinstance(error, asyncio.CancelledError | RunnerError)
        if self.job.running:
            assert isinstance(error, StopFailed)
            assert str(error).endswith(self.job.stop_command)


TestScope = Scope.TestCase
TestScope.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
