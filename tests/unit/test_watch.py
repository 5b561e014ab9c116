"""Contract "Watching": an outage is outlived, a refusal is not, and feeds can never fail a job."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest

from runner.errors import NotFound, ServiceError, Throttled, Transient
from runner.events import Finished, Level, LogLine, LogSummary, Metric, Notice, Phase, Status
from runner.job import Ended, Feed, FeedEvent
from runner.pace import GROWTH
from runner.publish import ROOM
from runner.supervise import Timing, launched
from runner.testing import MemorySink
from tests.unit.doubles import HangingSink, Watched, cancelled_at, feed, follow, notices, now

pytestmark = pytest.mark.looptime


class Scripted(Watched):
    """A job whose status follows a script of (from this age on, status)."""

    script: Sequence[tuple[float, Status]] = ()

    async def describe(self) -> Status:
        await super().describe()
        age = now() - (self.made_at or 0.0)
        return [status for since, status in self.script if since <= age][-1]


class Outage(Watched):
    """A job whose status can't be read for a while."""

    begins, ends, error = 100.0, 700.0, Transient("503 service unavailable")

    async def describe(self) -> Status:
        status = await super().describe()
        if self.begins <= now() < self.ends:
            raise self.error
        return status


def pauses(times: Sequence[float]) -> list[float]:
    return [b - a for a, b in pairwise(times)]


@pytest.mark.parametrize(
    "error", [Transient("503"), Throttled("slow down"), Transient("the token has expired")]
)
async def test_watching_1_a_ten_minute_outage_is_outlived_and_told_once(error: Transient) -> None:
    job, sink = Outage(runs=3600), MemorySink()
    job.error = error
    assert (await follow(job, sink)).phase is Phase.SUCCEEDED
    assert "stop" not in job.calls
    failed = len([t for t in job.asked("describe") if 100 <= t < 700])
    assert notices(sink) == [
        f"could not read the status, the job goes on: {error}",
        f"reading the status works again (after {failed} failed tries)",
    ]


async def test_watching_1_pauses_during_an_outage_grow_and_are_jittered() -> None:
    job = Outage(runs=3600)
    await follow(job)
    waited = pauses([t for t in job.asked("describe") if 100 <= t < 700])
    assert waited[0] <= 0.5
    assert all(b >= a * 0.999 for a, b in pairwise(waited[:6]))
    settled = waited[7:]
    assert all(15 <= pause <= 30 for pause in settled)
    assert len({round(pause, 3) for pause in settled}) == len(settled) > 5


async def test_watching_1_a_single_failure_is_told_in_the_singular() -> None:
    job, sink = Watched(runs=10, describe_failures=[Transient("reset")]), MemorySink()
    await follow(job, sink)
    assert notices(sink)[-1] == "reading the status works again (after 1 failed try)"


async def test_watching_1_two_outages_are_told_of_twice() -> None:
    job, sink = Watched(runs=100, describe_failures=[Transient("a")]), MemorySink()
    task = asyncio.create_task(follow(job, sink))
    await asyncio.sleep(50)
    job.describe_failures.append(Transient("b"))
    await task
    assert len(notices(sink, "could not read the status")) == 2
    assert len(notices(sink, "works again")) == 2


async def test_watching_1_it_can_be_stopped_in_an_outage(looptime: float) -> None:
    job = Outage(runs=3600)
    task = asyncio.create_task(follow(job))
    assert isinstance(await cancelled_at(task, 400), asyncio.CancelledError)
    assert job.asked("stop") == [400]
    assert looptime == 400.5


@pytest.mark.parametrize(
    "refusal", [ServiceError("access denied"), NotFound("no such job"), KeyError("Status")]
)
async def test_watching_1_a_permanent_refusal_stops_the_job_and_comes_up_as_it_is(refusal: Exception) -> None:
    job, sink = Watched(runs=1e6, describe_failures=[refusal], lines=["a line"]), MemorySink()
    with pytest.raises(type(refusal)) as raised:
        await follow(job, sink)
    assert raised.value is refusal
    assert job.asides[-2:] == ["stop", "stopped"]
    assert not [e for e in sink.events if isinstance(e, Finished)]


async def test_watching_1_a_refusal_nobody_awaits_does_not_leak() -> None:
    job = Watched(runs=1e6, describe_failures=[ServiceError("access denied")])
    async with launched(job):
        await asyncio.sleep(3)
    assert not job.running


async def test_watching_2_polls_grow_from_1_to_30_s_with_jitter() -> None:
    job = Watched(runs=1000)
    await follow(job)
    waited = pauses(job.asked("describe"))
    assert 0.9 <= waited[0] <= 1.1
    assert all(27 <= pause <= 33 for pause in waited[19:])
    assert len({round(pause, 3) for pause in waited[19:]}) > 5
    assert max(waited) <= 33


async def test_watching_2_a_change_is_seen_within_a_quarter_of_its_stages_age(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    job = Watched(runs=1000)
    await follow(job, timing=Timing(poll_longest=1e6))
    times = job.asked("describe")
    assert all(
        pause <= 0.25 * before + 1.1 * GROWTH
        for before, pause in zip(times[1:], pauses(times[1:]), strict=False)
    )


async def test_watching_2_they_start_over_after_news_and_a_status_is_news_once() -> None:
    job, sink = Scripted(), MemorySink()
    first, second, last = Status(Phase.PENDING), Status(Phase.RUNNING), Status(Phase.SUCCEEDED)
    job.script = [(0, first), (300, second), (900, last)]
    await follow(job, sink)
    assert [e for e in sink.events if isinstance(e, Status)] == [first, second, last]
    times = job.asked("describe")
    seen = next(t for t in times if t - (job.made_at or 0) >= 300)
    following = times[times.index(seen) :]
    assert 0.9 <= following[1] - following[0] <= 1.1
    assert following[2] - following[1] <= 1.1 * GROWTH


async def test_watching_2_a_brief_stage_is_not_slept_through() -> None:
    job = Scripted()
    job.script = [
        (0, Status(Phase.RUNNING)),
        (500, Status(Phase.RUNNING, stage="Uploading", brief=True)),
        (900, Status(Phase.SUCCEEDED)),
    ]
    await follow(job)
    waited = [b - a for a, b in pairwise(job.asked("describe")) if a - (job.made_at or 0) > 500]
    assert max(waited) <= 5.5


@pytest.mark.parametrize(
    "error", [OSError("no such log group"), ServiceError("access denied"), TimeoutError()]
)
async def test_watching_3_a_feed_that_raises_is_told_once_and_fails_nothing(error: Exception) -> None:
    job, sink = Watched(runs=60), MemorySink()
    job.followed = [feed("before", error=error), feed("another's")]
    assert (await follow(job, sink)).phase is Phase.SUCCEEDED
    assert notices(sink) == [
        f"telling can't be followed any more, the job goes on: {str(error) or repr(error)}"
    ]
    assert Notice(notices(sink)[0], Level.WARNING) in sink.events
    assert [e.text for e in sink.events if isinstance(e, LogLine)] == ["before", "another's"]


async def test_watching_3_feeds_that_cannot_even_be_listed_fail_nothing() -> None:
    class Odd(Watched):
        def feeds(self) -> Sequence[Feed]:
            raise RuntimeError("no feeds today")

    job, sink = Odd(runs=10), MemorySink()
    assert (await follow(job, sink)).phase is Phase.SUCCEEDED
    assert notices(sink, "no feeds today") == [
        "only the status can be followed, the job goes on: no feeds today"
    ]


async def test_watching_3_feeds_learn_of_the_end_through_the_event_and_drain() -> None:
    job, sink, told = Watched(runs=10), MemorySink(), []

    async def draining(ended: Ended) -> AsyncIterator[FeedEvent]:
        assert not ended.is_set()
        await ended.wait()
        for number in range(3):
            await asyncio.sleep(20)
            yield LogLine(f"late line {number}")
        told.append("drained")
        yield LogSummary(3, late=3)

    job.followed = [draining]
    await follow(job, sink)
    assert told == ["drained"]
    assert [e.text for e in sink.events if isinstance(e, LogLine)] == [f"late line {n}" for n in range(3)]
    assert isinstance(sink.events[-1], Finished)
    assert (sink.events[-1].lines, sink.events[-1].late) == (3, 3)


async def test_watching_3_draining_is_bounded(looptime: float) -> None:
    job, calls = Watched(runs=0, launching=1), []

    async def endless(ended: Ended) -> AsyncIterator[FeedEvent]:
        try:
            while True:
                yield LogLine("and on")
                await asyncio.sleep(1)
        finally:
            calls.append(now())

    job.followed = [endless]
    status = await follow(job, timing=Timing(drain=40))
    assert status.phase is Phase.SUCCEEDED
    assert calls == [41]
    assert looptime == 41


async def test_watching_3_a_feed_is_closed_within_the_scope_wherever_it_stands() -> None:
    """Also where it waits for a sink to catch up: what it holds must not be released after its connection is gone."""
    job, closed = Watched(runs=1e6), []

    async def flood(_: Ended) -> AsyncIterator[FeedEvent]:
        try:
            for number in range(10 * ROOM):
                yield LogLine(str(number))
        finally:
            await asyncio.sleep(10)
            closed.append(now())

    job.followed = [flood]
    async with launched(job, [HangingSink()]):
        await asyncio.sleep(3)
        assert closed == []
    assert closed == [14.5]


async def test_final_metrics_come_before_the_last_word() -> None:
    metric = Metric("accuracy", 0.9, final=True)
    job, sink = Scripted(), MemorySink()
    job.script = [(0, Status(Phase.SUCCEEDED, metrics=(metric,)))]
    await follow(job, sink)
    assert sink.events[-2] == metric
    assert isinstance(sink.events[-1], Finished)


async def test_a_job_whose_first_status_is_final_is_no_special_case(looptime: float) -> None:
    job, sink = Watched(runs=0), MemorySink()
    assert (await follow(job, sink)).phase is Phase.SUCCEEDED
    assert len(job.asked("describe")) == 1
    assert looptime == 1
    assert [type(e).__name__ for e in sink.events] == ["Launched", "Status", "Finished"]


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.STOPPED])
async def test_a_job_that_fails_is_a_status_not_an_error_and_is_not_stopped(phase: Phase) -> None:
    job = Scripted()
    job.script = [(0, Status(Phase.RUNNING)), (50, Status(phase, reason="out of memory"))]
    assert (await follow(job)).reason == "out of memory"
    assert "stop" not in job.calls
