"""Contract "Stop": the request first, one deadline for everything, the truth about what could not be confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from runner.deadline import Deadline, finish
from runner.errors import ServiceError, StopFailed, Throttled, Transient, Unreachable
from runner.events import Finished, Launched, Level, LogLine, Notice, Phase, Status
from runner.job import Ended, FeedEvent, StopAnswer
from runner.publish import FLUSH_SECONDS
from runner.signals import DEFAULT_GRACE, MOMENT, Reason, Stopping, stop_signals
from runner.supervise import LOOK_SECONDS, Timing, launched
from runner.testing import MemorySink
from tests.unit.doubles import (
    HangingSink,
    Minutes,
    RaisingSink,
    Watched,
    cancelled_at,
    deaf_feed,
    feed,
    follow,
    notices,
    now,
    until,
)

pytestmark = pytest.mark.looptime
POD_GRACE = 30.0
"""Seconds after which Kubernetes kills a pod that was told to end."""


async def failing_body(job: Watched, error: BaseException) -> None:
    async with launched(job):
        await asyncio.sleep(10)
        raise error


# ── (1) the request goes out first ──────────────────────────────────────────────────────────────────────────────────


async def test_stop_1_goes_out_before_a_task_is_cancelled_or_a_sink_is_written_to(looptime: float) -> None:
    job = Watched(runs=1e6, lines=["hello"])
    job.followed = [deaf_feed(10, job.calls)]
    task = asyncio.create_task(follow(job, Minutes(job.calls), RaisingSink(), HangingSink()))
    await until(20.0001)
    job.calls.clear()
    assert isinstance(await cancelled_at(task, 20.0001), asyncio.CancelledError)
    calls = job.asides
    assert calls[:2] == ["stop", "stopped"]
    assert sorted(calls[2:]) == ["feed cancelled", "write Notice"]
    assert job.asked("stop") == [20.0001]
    assert looptime <= 20.0001 + DEFAULT_GRACE


async def test_stop_1_in_the_very_iteration_in_which_the_cancellation_arrives() -> None:
    job = Watched(runs=1e6)
    task = asyncio.create_task(follow(job))
    await until(5)
    task.cancel()
    for _ in range(4):
        await asyncio.sleep(0)
    assert "stop" in job.calls
    await asyncio.wait({task})


@pytest.mark.parametrize("at", [1.5, 10, 33, 59])
async def test_cancelled_at_any_moment_of_the_watch(at: float) -> None:
    job = Watched(runs=60)
    task = asyncio.create_task(follow(job))
    assert isinstance(await cancelled_at(task, at), asyncio.CancelledError)
    assert (await job.describe()).phase is Phase.STOPPED


async def test_the_watch_goes_on_until_the_stop_is_agreed() -> None:
    """What the job says while it is being stopped is still shown."""
    job, sink = Watched(runs=1e6, stopping=8), MemorySink()
    task = asyncio.create_task(follow(job, sink, timing=Timing(poll_longest=1)))
    await cancelled_at(task, 5)
    assert any(5 < t <= 13 for t in job.asked("describe"))
    assert not any(t > 13 for t in job.asked("describe"))


# ── (2) one deadline for everything ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("grace", [5.0, 12.0, DEFAULT_GRACE])
async def test_stop_2_a_hanging_stop_is_given_up_at_the_deadline(grace: float, looptime: float) -> None:
    job = Watched(runs=1e6, stopping=1e6)
    task = asyncio.create_task(follow(job, stopping=Stopping(grace)))
    assert isinstance(await cancelled_at(task, 7), StopFailed)
    assert looptime == 7 + grace


async def test_stop_2_the_deadline_counts_from_the_signal_not_from_the_leaving(looptime: float) -> None:
    stopping, job = Stopping(), Watched(runs=1e6, stopping=1e6)

    async def dawdling() -> None:
        async with launched(job, stopping=stopping):
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(10)  # A user's cleaning up costs time too.

    task = asyncio.create_task(dawdling())
    await until(7)
    stopping.begin(Reason.TERMINATED)
    task.cancel()
    await asyncio.wait({task})
    assert isinstance(task.exception(), StopFailed)
    assert looptime == 7 + DEFAULT_GRACE


async def test_stop_2_also_when_the_block_is_left_without_any_signal(looptime: float) -> None:
    """Without a reason the deadline counts from the moment the block is left: a stop that hangs is no way to hang."""
    job = Watched(runs=1e6, stopping=1e6)
    with pytest.raises(StopFailed) as raised:
        await failing_body(job, ValueError("the body's own"))
    assert looptime == 1 + 10 + DEFAULT_GRACE
    assert isinstance(raised.value.__context__, ValueError)


async def test_stop_2_launch_and_stop_together_keep_within_the_deadline(looptime: float) -> None:
    job = Watched(launching=17, stopping=17, runs=1e6)
    task = asyncio.create_task(follow(job))
    assert isinstance(await cancelled_at(task, 1), StopFailed)
    assert job.asked("stop") == [17]
    assert looptime == 1 + DEFAULT_GRACE


async def test_stop_2_whatever_hangs_the_last_word_comes_before_the_pod_is_killed(looptime: float) -> None:
    job = Watched(runs=1e6, stopping=1e6)
    job.followed = [deaf_feed(100, [])]
    task = asyncio.create_task(follow(job, HangingSink(), HangingSink(deaf=100)))
    assert isinstance(await cancelled_at(task, 7), StopFailed)
    assert looptime - 7 < POD_GRACE
    await asyncio.sleep(200)


async def test_stop_2_sinks_that_hang_are_given_less_once_the_clock_runs(looptime: float) -> None:
    job = Watched(runs=1e6, stopping=DEFAULT_GRACE - 2)
    task = asyncio.create_task(follow(job, HangingSink()))
    assert isinstance(await cancelled_at(task, 5), asyncio.CancelledError)
    assert looptime == 5 + DEFAULT_GRACE


async def test_stop_2_a_stop_that_heeds_no_cancellation_is_abandoned(looptime: float) -> None:
    job = Watched(runs=1e6)

    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(100)
                break
            except asyncio.CancelledError:
                job.calls.append("deaf")

    job.stop = deaf  # type: ignore[method-assign]
    task = asyncio.create_task(follow(job))
    # The second cancellation falls into the moment that an abandoned stop is given.
    error = await cancelled_at(task, 2, 2 + DEFAULT_GRACE + MOMENT / 2)
    assert isinstance(error, StopFailed)
    assert looptime <= 2 + DEFAULT_GRACE + 3 * MOMENT
    assert "deaf" in job.calls
    await asyncio.sleep(200)


async def test_stop_2_a_scope_left_without_reason_uses_up_nothing_of_the_next_ones_time() -> None:
    stopping = Stopping()
    for moment in (3, 60):  # In the middle of the launch, and of the watch.
        job = Watched(runs=1e6, launching=5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(moment):
                await follow(job, stopping=stopping)
        assert not job.running
        await asyncio.sleep(10 * DEFAULT_GRACE)
    third = Watched(runs=1e6, stopping=20)
    task = asyncio.create_task(follow(third, stopping=stopping))
    await asyncio.sleep(10)
    stopping.begin(Reason.TERMINATED)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert not third.running


async def test_stop_2_scopes_side_by_side_that_share_a_signal_share_its_deadline(looptime: float) -> None:
    stopping = Stopping(10)
    jobs = [Watched(name=f"job-{n}", runs=1e6, stopping=s) for n, s in enumerate((1, 5, 1e6))]
    tasks = [asyncio.create_task(follow(job, stopping=stopping)) for job in jobs]
    await until(20)
    stopping.begin(Reason.TERMINATED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert looptime == 30
    assert [task.cancelled() for task in tasks] == [True, True, False]
    assert [job.running for job in jobs] == [False, False, True]


async def test_finish_bounds_what_a_shield_would_not(looptime: float) -> None:
    """Learned from the prototype: a shield inside `asyncio.timeout` waits for ever."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_later(3, task.cancel)
    work, cancelled = await finish(asyncio.sleep(1e6), Deadline(Stopping(20)), reserve=5)
    assert work.cancelled()
    assert isinstance(cancelled, asyncio.CancelledError)
    assert looptime == 3 + 20 - 5
    task.uncancel()


# ── retries within the deadline ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_stop_that_fails_transiently_is_sent_again(looptime: float) -> None:
    job, sink = (
        Watched(runs=1e6, stop_failures=[Throttled("slow down"), Transient("503"), Transient("reset")]),
        MemorySink(),
    )
    task = asyncio.create_task(follow(job, sink))
    assert isinstance(await cancelled_at(task, 5), asyncio.CancelledError)
    assert len(job.asked("stop")) == 4
    assert not job.running
    assert looptime <= 5 + 4 * 0.5 + 0.1 + 0.2 + 0.4
    assert notices(sink) == ["the service was told to stop fake-job, and agreed"]


async def test_it_is_sent_again_and_again_until_the_deadline_and_the_last_answer_is_told(
    looptime: float,
) -> None:
    job = Watched(runs=1e6, stop_failures=[Throttled("slow down")] * 999)
    task = asyncio.create_task(follow(job))
    error = await cancelled_at(task, 5)
    assert isinstance(error, StopFailed)
    assert looptime == 5 + DEFAULT_GRACE
    assert len(job.asked("stop")) >= DEFAULT_GRACE / (2 + 0.5)
    assert "slow down" in str(error)


async def test_a_stop_that_is_refused_is_not_repeated(looptime: float) -> None:
    job = Watched(runs=1e6, stop_failures=[ServiceError("access denied")])
    task = asyncio.create_task(follow(job))
    assert isinstance(await cancelled_at(task, 5), StopFailed)
    assert job.asked("stop") == [5]
    assert looptime == 5.5


# ── (3) cancelled again and again ───────────────────────────────────────────────────────────────────────────────────


async def test_stop_3_cancelling_while_stopping_changes_nothing() -> None:
    job = Watched(runs=1e6, stopping=10)
    task = asyncio.create_task(follow(job))
    assert isinstance(await cancelled_at(task, 5, 5, 5.1, 6, 14.9), asyncio.CancelledError)
    assert job.asked("stop") == [5]
    assert not job.running


async def test_stop_3_cancelling_while_feeds_and_sinks_end_does_not_hide_a_failed_stop() -> None:
    job = Watched(runs=1e6, stop_failures=[ServiceError("access denied")])
    job.followed = [deaf_feed(8, [])]
    task = asyncio.create_task(follow(job, HangingSink()))
    assert isinstance(await cancelled_at(task, 5, 6, 14, 15), StopFailed)


async def test_stop_3_every_task_cancelled_at_once_does_not_lose_the_job() -> None:
    """Some programs end by cancelling all tasks, those that carry the stop request and the launch among them."""
    job = Watched(runs=1e6, stopping=2)
    task = asyncio.create_task(follow(job))
    await until(5)
    task.cancel()
    await until(6)
    for each in asyncio.all_tasks() - {asyncio.current_task()}:
        each.cancel()
    await asyncio.wait({task})
    assert isinstance(task.exception(), StopFailed)


async def test_a_cancellation_while_an_orderly_left_block_stops_its_job_is_not_swallowed() -> None:
    job, after_block = Watched(runs=1e6, stopping=2), []

    async def orderly() -> None:
        async with launched(job):
            await asyncio.sleep(3)
        after_block.append("went on")

    task = asyncio.create_task(orderly())
    await until(5)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert after_block == []
    assert not job.running


async def test_a_timeout_around_the_scope_is_a_timeout_and_stops_the_job(looptime: float) -> None:
    job = Watched(runs=1e6)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await follow(job)
    assert job.asked("stop") == [30]
    assert not job.running


async def test_a_failing_sibling_stops_the_job_and_is_what_comes_up() -> None:
    """A cancellation that meets a failing child comes up as a group; the job is stopped whatever the shape."""
    job = Watched(runs=1e6)

    async def failing() -> None:
        await asyncio.sleep(9)
        raise ValueError("sibling")

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(job))
            group.create_task(failing())

    with pytest.raises(ExceptionGroup) as raised:
        await together()
    assert raised.group_contains(ValueError, match="sibling")
    assert job.asked("stop") == [9]
    assert not job.running


# ── (4, 5) what is said of it ───────────────────────────────────────────────────────────────────────────────────────


async def test_stop_4_the_agreement_is_told_once() -> None:
    stopping, job, sink = Stopping(), Watched(runs=1e6), MemorySink()
    task = asyncio.create_task(follow(job, sink, stopping=stopping))
    await cancelled_at(task, 5)
    assert sink.events[-1] == Notice("the service was told to stop fake-job, and agreed", Level.WARNING)
    assert stopping.outcome == "the service was told to stop fake-job, and agreed"
    assert sink.closed


async def test_stop_5_a_failed_stop_is_told_to_the_sinks_and_names_the_job_and_the_command() -> None:
    job, sink = Watched(name="my-job", runs=1e6, stop_failures=[ServiceError("access denied")]), MemorySink()
    task = asyncio.create_task(follow(job, sink))
    error = await cancelled_at(task, 5)
    assert str(error) == (
        "could not stop my-job: access denied\n"
        "It may still run and cost money. Stop it with: stop-fake-job my-job"
    )
    assert isinstance(error, StopFailed)
    assert error.exit_code == 3
    assert sink.events[-1] == Notice(str(error), Level.ERROR)


async def test_stop_5_an_error_without_a_text_is_named() -> None:
    job = Watched(runs=1e6, stop_failures=[TimeoutError()])
    task = asyncio.create_task(follow(job))
    assert str(await cancelled_at(task, 5)).startswith("could not stop fake-job: TimeoutError()\n")


# ── leaving ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_leaving_early_without_an_error_stops_the_job(looptime: float) -> None:
    job = Watched(runs=1e6)
    async with launched(job):
        await asyncio.sleep(10)
    assert job.asides[-2:] == ["stop", "stopped"]
    assert looptime == 11.5


@pytest.mark.parametrize(
    "error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), ExceptionGroup("g", [OSError()])]
)
async def test_an_error_of_the_body_stops_the_job_and_comes_up_as_it_is(error: BaseException) -> None:
    job = Watched(runs=1e6)
    job.followed = [feed("a line"), feed("another", error=OSError("telemetry"))]
    with pytest.raises(type(error)) as raised:
        await failing_body(job, error)
    assert raised.value is error
    assert job.asides[-2:] == ["stop", "stopped"]


async def test_an_error_of_the_body_comes_up_though_cancelled_while_stopping() -> None:
    job = Watched(runs=1e6, stopping=4)

    async def body() -> Status:
        async with launched(job):
            await asyncio.sleep(1)
            raise ValueError("mine")

    task = asyncio.create_task(body())
    assert isinstance(await cancelled_at(task, 4), ValueError)
    assert not job.running


async def test_a_job_that_has_ended_is_not_stopped() -> None:
    job = Watched(runs=5)
    async with launched(job) as run:
        await run.finished()
    assert "stop" not in job.calls


async def test_nor_is_it_when_cancelled_while_its_feeds_drain(looptime: float) -> None:
    job, stopping = Watched(runs=5), Stopping()

    async def slow(ended: Ended) -> AsyncIterator[FeedEvent]:
        await ended.wait()
        await asyncio.sleep(100)
        yield LogLine("last words")

    job.followed = [slow]
    task = asyncio.create_task(follow(job, stopping=stopping, timing=Timing(poll_longest=1)))
    assert isinstance(await cancelled_at(task, 20), asyncio.CancelledError)
    assert "stop" not in job.calls
    assert stopping.outcome == "fake-job had already ended"
    assert looptime == 20


async def test_stop_on_exit_off_leaves_the_job_alone(looptime: float) -> None:
    job, stopping = Watched(runs=1e6), Stopping()
    task = asyncio.create_task(follow(job, stopping=stopping, stop_on_exit=False))
    assert isinstance(await cancelled_at(task, 10), asyncio.CancelledError)
    assert "stop" not in job.calls
    assert job.running
    assert stopping.outcome == "fake-job goes on without us"
    assert looptime == 10


async def test_stop_on_exit_off_however_it_is_left() -> None:
    job = Watched(runs=1e6)
    async with launched(job, stop_on_exit=False):
        await asyncio.sleep(3)
    with pytest.raises(ValueError, match="mine"):
        async with launched(job, stop_on_exit=False):
            raise ValueError("mine")
    assert "stop" not in job.calls
    assert job.running


async def test_nothing_runs_on_after_the_scope() -> None:
    job = Watched(runs=1e6, lines=["hello"])
    job.followed = [feed("a"), deaf_feed(3, [])]
    before = asyncio.all_tasks()
    task = asyncio.create_task(follow(job, MemorySink(), RaisingSink(), HangingSink()))
    await cancelled_at(task, 9)
    assert asyncio.all_tasks() == before


async def test_a_stalled_sink_does_not_hold_up_the_stop_of_others(looptime: float) -> None:
    job, sink = Watched(runs=5), MemorySink()
    await follow(job, sink, HangingSink(), timing=Timing(poll_longest=1))
    assert isinstance(sink.events[-1], Finished)
    assert looptime <= 1 + 5 + 1.1 + FLUSH_SECONDS


# ── what the service may answer ─────────────────────────────────────────────────────────────────────────────────────


class Answering(Watched):
    """Answers stop requests from a list, then with its last."""

    answers: tuple[StopAnswer, ...] = ()

    async def stop(self) -> StopAnswer:
        self.times.append(("stop", now()))
        first, *rest = self.answers
        self.answers = tuple(rest) or (first,)
        return first


async def test_stop_5_a_job_that_may_exist_and_is_unknown_is_looked_for_and_then_a_failed_stop(
    looptime: float,
) -> None:
    job = Answering(launch_failures=[Transient("the answer was lost")] * 99, launching=0)
    job.answers = (StopAnswer.UNKNOWN,)
    task = asyncio.create_task(follow(job))
    error = await cancelled_at(task, 0.25)
    assert isinstance(error, StopFailed)
    assert "its launch was not answered, and the service knows no such job" in str(error)
    assert str(error).endswith(f"Stop it with: {job.stop_command}")
    assert len(job.asked("stop")) > 2
    assert looptime <= 0.25 + LOOK_SECONDS + 2


async def test_a_job_that_appears_while_it_is_looked_for_is_stopped() -> None:
    stopping, job = (
        Stopping(),
        Answering(launch_failures=[Transient("the answer was lost")] * 99, launching=0),
    )
    job.answers = (StopAnswer.UNKNOWN, StopAnswer.UNKNOWN, StopAnswer.AGREED)
    task = asyncio.create_task(follow(job, stopping=stopping))
    assert isinstance(await cancelled_at(task, 0.25), asyncio.CancelledError)
    assert stopping.outcome == "the service was told to stop fake-job, and agreed"
    assert len(job.asked("stop")) == 3


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (StopAnswer.ENDED, "fake-job had already ended"),
        (
            StopAnswer.NOT_OURS,
            (
                "there is a job fake-job that can't be proved to be ours, so it was not touched; "
                "if it is, stop it with: stop-fake-job fake-job"
            ),
        ),
    ],
)
async def test_no_stop_is_claimed_that_was_not_made(answer: StopAnswer, told: str) -> None:
    stopping, job, sink = Stopping(), Answering(runs=1e6), MemorySink()
    job.answers = (answer,)
    task = asyncio.create_task(follow(job, sink, stopping=stopping))
    await cancelled_at(task, 5)
    assert stopping.outcome == told
    assert notices(sink) == [told]


async def test_a_stop_is_tried_even_when_the_deadline_is_over() -> None:
    """A body that dawdles after its cancellation must not cost the job its stop."""
    job = Watched(runs=1e6)

    async def dawdling() -> None:
        stopping = Stopping()
        async with launched(job, stopping=stopping):
            stopping.begin(Reason.TERMINATED)
            await asyncio.sleep(DEFAULT_GRACE + 5)

    await dawdling()
    assert not job.running


async def test_the_time_limit_is_lifted_when_the_job_has_ended() -> None:
    """What comes then, draining its log and writing its outputs, is not the job's time."""
    job, sink = Watched(runs=10), MemorySink()

    async def slow(ended: Ended) -> AsyncIterator[FeedEvent]:
        await ended.wait()
        await asyncio.sleep(60)
        yield LogLine("the last")

    job.followed = [slow]
    with stop_signals(time_limit=30) as stopping:
        status = await follow(job, sink, stopping=stopping)
    assert status.phase is Phase.SUCCEEDED
    assert stopping.reason is None
    assert LogLine("the last") in sink.events


async def test_the_time_limit_counts_from_the_launch() -> None:
    job = Watched(runs=1e6)
    with stop_signals(time_limit=30) as stopping:
        await asyncio.sleep(20)
        with pytest.raises(asyncio.CancelledError):
            await follow(job, stopping=stopping)
    assert stopping.reason is Reason.TIME_LIMIT
    assert job.asked("stop") == [50]


class Resumed(Watched):
    """A step that is started again, whose requests don't get through; an earlier start's job runs, or none does."""

    resumes = True
    runs = True

    async def launch(self) -> Launched:
        raise Throttled("slow down")

    async def stop(self) -> StopAnswer:
        self.times.append(("stop", now()))
        return StopAnswer.AGREED if self.runs else StopAnswer.UNKNOWN


@pytest.mark.parametrize(
    ("runs", "told"),
    [(True, "the service was told to stop job, and agreed"), (False, "no job was made")],
)
@pytest.mark.looptime
async def test_an_earlier_starts_job_is_stopped_though_no_attempt_of_ours_got_through(
    runs: bool, told: str
) -> None:
    job, stopping = Resumed("job"), Stopping()
    job.runs = runs

    async def scope() -> None:
        async with launched(job, stopping=stopping):
            raise AssertionError("it was never launched")

    task = asyncio.create_task(scope())
    await until(3.0)
    stopping.begin(Reason.TERMINATED)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert job.times == [("stop", 3.0)]
    assert stopping.outcome == told


@pytest.mark.looptime
async def test_a_launch_that_is_given_up_comes_up_as_it_is_though_nothing_can_be_looked_at() -> None:
    class Cut(Resumed):
        async def stop(self) -> StopAnswer:
            raise Unreachable("no route")

    stopping = Stopping()
    with pytest.raises(Throttled):
        async with launched(Cut("job"), stopping=stopping):
            raise AssertionError("it was never launched")
    assert "whether an earlier start's job runs can't be told (no route)" in stopping.outcome
