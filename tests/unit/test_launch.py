"""Contract "Launch": names first, one attempt a call, and a signal during Create orphans nothing."""

from __future__ import annotations

import asyncio

import pytest

from runner.deadline import Deadline
from runner.errors import NameTaken, RunnerError, ServiceError, StopFailed, Throttled, Transient, Unreachable
from runner.events import Finished, Launched, Phase, Status
from runner.publish import Publisher
from runner.signals import DEFAULT_GRACE, Reason, Stopping
from runner.supervise import STOP_RESERVE, Run, Timing, launched
from runner.testing import MemorySink
from tests.unit.doubles import Watched, cancelled_at, follow, notices, until

pytestmark = pytest.mark.looptime


async def test_the_first_event_tells_of_the_launch_and_the_last_of_the_end() -> None:
    sink = MemorySink()
    status = await follow(Watched(runs=10, lines=["hello"]), sink)
    assert status.phase is Phase.SUCCEEDED
    assert sink.events[0] == Launched("fake-job", "fake")
    assert isinstance(sink.events[-1], Finished)
    assert sink.events[-1].status is status
    assert sink.events[-1].lines == 1
    assert sink.closed


async def test_nothing_is_sent_before_the_scope_is_entered(looptime: float) -> None:
    job = Watched()
    launched(job)
    await asyncio.sleep(5)
    assert job.calls == []
    assert looptime == 5


@pytest.mark.parametrize("failure", [Throttled("slow down"), Unreachable("no route"), Transient("500")])
async def test_launch_1_2_a_transient_failure_is_tried_again_by_us(failure: Transient) -> None:
    job, sink = Watched(launch_failures=[failure, failure]), MemorySink()
    assert (await follow(job, sink)).phase is Phase.SUCCEEDED
    assert len(job.asked("launch")) == 3
    assert job.calls.count("made") == 1
    assert notices(sink) == [f"could not launch or attach yet, trying again: {failure}"]


async def test_launch_2_after_a_lost_answer_the_job_is_adopted_not_made_twice() -> None:
    job, sink = Watched(launch_failures=[Transient("connection reset")]), MemorySink()
    await follow(job, sink)
    assert job.calls.count("made") == 1
    assert [e for e in sink.events if isinstance(e, Launched)] == [Launched("fake-job", "fake", adopted=True)]


async def test_launch_2_patience_with_a_service_that_breaks_ends_and_the_unsure_job_is_stopped() -> None:
    job = Watched(launching=1, launch_failures=[Transient("500")] * 1000, runs=1e6)
    with pytest.raises(Transient, match="500"):
        await follow(job, timing=Timing(launch_patience=120))
    assert 120 <= job.asked("launch")[-1] + 1 <= 120 + 30 + 1
    assert job.asides[-2:] == ["stop", "stopped"]
    assert not job.running


async def test_launch_2_a_service_out_of_reach_is_given_up_sooner_and_needs_no_stop(looptime: float) -> None:
    job = Watched(launching=1, launch_failures=[Unreachable("no route")] * 1000)
    with pytest.raises(Unreachable):
        await follow(job, timing=Timing(connect_patience=20))
    assert 20 <= looptime <= 20 + 30 + 1
    assert job.asked("stop") == []


@pytest.mark.parametrize(
    "refusal", [ServiceError("access denied"), RunnerError("no"), Throttled("slow down")]
)
async def test_launch_2_a_plain_refusal_made_no_job_so_none_is_stopped(refusal: RunnerError) -> None:
    job = Watched(launch_failures=[refusal] * 3)
    with pytest.raises(type(refusal)) as raised:
        await follow(job, timing=Timing(launch_patience=1))
    assert raised.value is refusal
    assert "stop" not in job.calls
    assert "describe" not in job.calls


async def test_launch_2_a_refusal_after_a_lost_answer_does_not_tell_so_the_job_is_stopped() -> None:
    job = Watched(launch_failures=[Transient("500"), ServiceError("access denied")], runs=1e6)
    with pytest.raises(ServiceError, match="access denied"):
        await follow(job)
    assert job.asides[-2:] == ["stop", "stopped"]


async def test_launch_2_a_job_that_is_not_ours_is_not_touched() -> None:
    job, sink = Watched(launch_failures=[NameTaken("in use by somebody else")]), MemorySink()
    with pytest.raises(NameTaken):
        await follow(job, sink)
    assert job.calls == ["launch"]
    assert not [e for e in sink.events if isinstance(e, Launched | Status)]


async def test_launch_2_nor_is_it_after_a_lost_answer() -> None:
    """Whose the job is was looked up, so none of ours can bear that name."""
    job = Watched(launch_failures=[Throttled("slow down"), Transient("500"), NameTaken("not ours")])
    job.made_at = -1e9  # Somebody else's, long since.
    with pytest.raises(NameTaken):
        await follow(job)
    assert "stop" not in job.calls


async def test_launch_2_what_nobody_foresaw_leaves_the_job_in_doubt_so_it_is_stopped() -> None:
    job = Watched(launch_failures=[KeyError("TrainingJobArn")], runs=1e6)
    with pytest.raises(StopFailed, match="its launch was not answered") as raised:
        await follow(job)
    assert isinstance(raised.value.__cause__, Transient)
    assert job.asked("stop") != []


@pytest.mark.parametrize("at", [0.0, 0.2, 0.5, 0.99, 1.0])
async def test_launch_3_a_launch_under_way_is_finished_then_stopped(at: float, looptime: float) -> None:
    job, sink = Watched(launching=1, stopping=0.5, runs=1e6), MemorySink()
    task = asyncio.create_task(follow(job, sink))
    await asyncio.sleep(0)
    assert isinstance(await cancelled_at(task, at), asyncio.CancelledError)
    assert job.asides == ["launch", "made", "stop", "stopped"]
    assert looptime == 1.5
    assert job.asked("stop") == [1.0]


async def test_launch_3_however_often_it_is_cancelled() -> None:
    job = Watched(launching=10, runs=1e6)
    task = asyncio.create_task(follow(job))
    assert isinstance(await cancelled_at(task, *range(1, 10)), asyncio.CancelledError)
    assert job.calls == ["launch", "made", "stop", "stopped"]


async def test_launch_3_a_launch_that_is_refused_meanwhile_needs_no_stop(looptime: float) -> None:
    job = Watched(launching=4, launch_failures=[ServiceError("access denied")])
    task = asyncio.create_task(follow(job))
    assert isinstance(await cancelled_at(task, 1), asyncio.CancelledError)
    assert job.calls == ["launch"]
    assert looptime == 4


async def test_launch_3_a_launch_that_is_never_answered_is_given_up_in_time_for_a_stop(
    looptime: float,
) -> None:
    job = Watched(launching=1e6, stopping=1)
    task = asyncio.create_task(follow(job))
    error = await cancelled_at(task, 3)
    gives_up = 3 + DEFAULT_GRACE - STOP_RESERVE
    assert job.asked("stop")[0] == gives_up
    assert gives_up < looptime <= 3 + DEFAULT_GRACE
    # Whether it is made after we looked can't be known, so success can't be claimed.
    assert isinstance(error, StopFailed)
    assert "its launch was not answered" in str(error)
    assert str(error).endswith("Stop it with: stop-fake-job fake-job")


async def test_launch_3_without_a_stop_a_given_up_launch_ends_as_the_cancellation_it_is() -> None:
    job = Watched(launching=1e6)
    task = asyncio.create_task(follow(job, stop_on_exit=False))
    assert isinstance(await cancelled_at(task, 3), asyncio.CancelledError)
    assert "stop" not in job.calls


@pytest.mark.parametrize(
    ("failure", "stops"), [(Throttled("slow"), 0), (Unreachable("x"), 0), (Transient("500"), 1)]
)
async def test_cancelled_between_attempts_there_is_no_further_attempt(
    failure: Transient, stops: int, looptime: float
) -> None:
    job = Watched(launching=1, stopping=0.5, launch_failures=[failure], runs=1e6)
    task = asyncio.create_task(follow(job))
    await until(1.1)  # The first pause is of a quarter to half a second.
    assert isinstance(await cancelled_at(task, 1.1), asyncio.CancelledError)
    assert job.asked("launch") == [0]
    assert len(job.asked("stop")) == stops
    assert looptime == 1.1 + 0.5 * stops
    assert not job.running


async def test_a_reason_recorded_before_counts_for_the_launch_too(looptime: float) -> None:
    stopping = Stopping()
    job = Watched(launching=1e6, stopping=1e6)
    task = asyncio.create_task(follow(job, stopping=stopping))
    await until(2)
    stopping.begin(Reason.TERMINATED)
    error = await cancelled_at(task, 4)
    assert isinstance(error, StopFailed)
    assert job.asked("stop") == [2 + DEFAULT_GRACE - STOP_RESERVE]
    assert looptime == 2 + DEFAULT_GRACE


async def test_finished_needs_a_launch() -> None:
    run = Run(Watched(), Publisher([]), Timing(), Deadline(Stopping()), stop_on_exit=True)
    with pytest.raises(RuntimeError, match="not launched"):
        await run.finished()
