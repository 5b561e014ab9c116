"""What a job may have beside its five verbs: news that it hears, a launch that breaks off, words of its own."""

from __future__ import annotations

import asyncio

import pytest

from runner.errors import StopFailed, Transient
from runner.events import Launched, Phase
from runner.job import StopAnswer
from runner.signals import Stopping
from runner.supervise import launched
from runner.testing import FakeJob, MemorySink
from tests.unit.doubles import Watched, cancelled_at, follow, notices, now, until

pytestmark = pytest.mark.looptime


class Hearing(Watched):
    """Hears of its end."""

    def __init__(self, **given: float) -> None:
        super().__init__(**given)
        self.news = asyncio.Event()


class Unstoppable(Watched):
    """Can't be stopped by anybody; its launch may be broken off."""

    breaks_off = True
    outcome = ""
    answer = StopAnswer.GOES_ON

    async def stop(self) -> StopAnswer:
        self.times.append(("stop", now()))
        return self.answer


async def test_the_status_is_read_as_soon_as_the_job_hears_that_it_changed(looptime: float) -> None:
    job = Hearing(runs=1000.5, launching=0)
    task = asyncio.create_task(follow(job))
    await until(1000.5)
    job.news.set()
    status = await task
    assert status.phase is Phase.SUCCEEDED
    assert looptime == 1000.5


async def test_one_piece_of_news_makes_for_one_look() -> None:
    job = Hearing(runs=1e6, launching=0)
    task = asyncio.create_task(follow(job))
    await until(500)
    job.news.set()
    await until(500.5)
    looks = [time for time in job.asked("describe") if time >= 500]
    assert looks == [500]
    await cancelled_at(task, 501)


async def test_without_news_the_status_is_read_at_its_usual_pace() -> None:
    heard, plain = Hearing(runs=300, launching=0), Watched(runs=300, launching=0)
    await follow(heard)
    await follow(plain)
    assert abs(len(heard.asked("describe")) - len(plain.asked("describe"))) <= 5


async def test_what_can_not_be_stopped_is_said_to_go_on() -> None:
    job, sink = Unstoppable(runs=1e6), MemorySink()
    task = asyncio.create_task(follow(job, sink))
    assert isinstance(await cancelled_at(task, 20), asyncio.CancelledError)
    assert job.asked("stop") == [20]
    assert notices(sink) == ["fake-job goes on: the service can't stop it"]


async def test_a_job_s_own_words_are_told_in_one_line_for_the_engine_s() -> None:
    job, stopping = Unstoppable(runs=1e6), Stopping()
    job.outcome = "the server goes on\nbuilding m:3"

    async def body() -> None:
        async with launched(job, stopping=stopping):
            await asyncio.sleep(1e6)

    await cancelled_at(asyncio.create_task(body()), 5)
    assert stopping.outcome == "the server goes on building m:3"


async def test_a_launch_that_breaks_off_ends_with_the_cancellation(looptime: float) -> None:
    job = Unstoppable(launching=100)
    job.answer = StopAnswer.ENDED
    job.outcome = "nothing was made"
    assert isinstance(await cancelled_at(asyncio.create_task(follow(job)), 7), asyncio.CancelledError)
    assert looptime == 7
    assert job.asked("stop") == [7]


async def test_any_other_launch_is_finished_first(looptime: float) -> None:
    job = FakeJob(launching=10, runs=1e6)
    await cancelled_at(asyncio.create_task(follow(job)), 7)
    assert looptime >= 10
    assert not job.running


async def test_a_launch_that_breaks_off_is_tried_again_like_any() -> None:
    job, sink = Unstoppable(runs=5, launch_failures=[Transient("reset")]), MemorySink()
    await follow(job, sink)
    assert [e.adopted for e in sink.events if isinstance(e, Launched)] == [True]


async def test_a_stop_that_is_not_confirmed_is_a_failed_stop_whatever_the_words() -> None:
    job = Unstoppable(launching=100)
    job.answer = StopAnswer.UNKNOWN
    with pytest.raises(StopFailed):
        raise await cancelled_at(asyncio.create_task(follow(job)), 7)  # type: ignore[misc]
