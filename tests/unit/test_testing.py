"""`FakeJob` keeps the job contract: five verbs, all idempotent, none of which waits for the job."""

from __future__ import annotations

import asyncio

import pytest

from runner.errors import NameTaken, NotFound, Throttled, Transient
from runner.events import Launched, LogLine, LogSummary, Phase
from runner.inputs import Outputs
from runner.job import Job, Sink
from runner.testing import FakeJob, MemorySink

pytestmark = pytest.mark.looptime


async def test_they_are_what_the_protocols_ask_for() -> None:
    job: Job = FakeJob()
    sink: Sink = MemorySink()
    assert job.name in job.stop_command
    assert sink is not None


async def test_launch_makes_the_job_once_and_adopts_it_after_that(looptime: float) -> None:
    job = FakeJob(launching=2)
    assert await job.launch() == Launched("fake-job", "fake")
    assert await job.launch() == Launched("fake-job", "fake", adopted=True)
    assert job.calls.count("made") == 1
    assert job.made_at == 1
    assert looptime == 4


async def test_a_launch_that_takes_no_time_is_a_launch() -> None:
    job = FakeJob(launching=0)
    await job.launch()
    assert job.running
    assert (await job.describe()).phase is Phase.RUNNING


async def test_the_service_makes_the_job_though_nobody_listens_any_more() -> None:
    job = FakeJob(launching=10)
    task = asyncio.create_task(job.launch())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert not job.running
    await asyncio.sleep(5)
    assert job.running


@pytest.mark.parametrize(
    ("failure", "made"), [(Transient("reset"), True), (Throttled("slow"), False), (NameTaken("x"), False)]
)
async def test_an_ambiguous_failure_means_that_the_job_was_made(failure: Exception, made: bool) -> None:
    job = FakeJob(launch_failures=[failure])
    with pytest.raises(type(failure)):
        await job.launch()
    assert job.running is made
    assert (await job.launch()).adopted is made


async def test_describe_reads_and_changes_nothing(looptime: float) -> None:
    job = FakeJob(runs=10)
    with pytest.raises(NotFound):
        await job.describe()
    await job.launch()
    assert [(await job.describe()).phase for _ in range(3)] == [Phase.RUNNING] * 3
    await asyncio.sleep(10)
    assert [(await job.describe()).phase for _ in range(3)] == [Phase.SUCCEEDED] * 3
    assert not job.running
    assert looptime == 11


async def test_stop_is_idempotent() -> None:
    job = FakeJob(runs=1e6)
    await job.launch()
    for _ in range(3):
        await job.stop()
    assert job.calls.count("stopped") == 1
    assert (await job.describe()).phase is Phase.STOPPED
    assert not job.running


async def test_stop_of_an_ended_or_unknown_job_counts_as_stopped() -> None:
    unknown, ended = FakeJob(), FakeJob(runs=0)
    await unknown.stop()
    assert unknown.stopped_at is None
    await ended.launch()
    await ended.stop()
    assert ended.stopped_at is None
    assert (await ended.describe()).phase is Phase.SUCCEEDED


async def test_a_stop_that_fails_has_stopped_nothing() -> None:
    job = FakeJob(stop_failures=[Throttled("slow")])
    await job.launch()
    with pytest.raises(Throttled):
        await job.stop()
    assert job.running
    await job.stop()
    assert not job.running


async def test_outputs_can_be_read_again() -> None:
    job = FakeJob()
    assert await job.outputs() == await job.outputs() == Outputs()


async def test_feeds_tell_the_lines_and_sum_up_at_the_end() -> None:
    job, ended = FakeJob(lines=["a", "a"]), asyncio.Event()
    asyncio.get_running_loop().call_later(5, ended.set)
    for _ in range(2):
        [feed] = job.feeds()
        line = LogLine("a", stream="algo-1")
        assert [event async for event in feed(ended)] == [line, line, LogSummary(2)]
    assert FakeJob().feeds() == []


async def test_memory_sink_remembers() -> None:
    sink = MemorySink()
    await sink.write(LogLine("a"))
    assert not sink.closed
    await sink.close()
    assert (sink.events, sink.closed) == ([LogLine("a")], True)
