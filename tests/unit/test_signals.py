"""Signals and the time limit → one recorded reason; the handlers are as before afterwards. The signals are real."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from runner.deadline import Deadline
from runner.errors import ServiceError, StopFailed
from runner.signals import DEFAULT_GRACE, MOMENT, Reason, Stopping, stop_signals
from tests.unit.doubles import Watched, follow, until

pytestmark = pytest.mark.looptime
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def ignored() -> Iterator[None]:
    """See that a signal that a test lets through can't end the test run."""
    before = {number: signal.signal(number, lambda *_: None) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def kill(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


async def stepping(job: Watched, stopping: list[Stopping], time_limit: float | None = None) -> str:
    """Run a job under signals, as a step does; tell how it ended."""
    with stop_signals(time_limit) as state:
        stopping.append(state)
        try:
            await follow(job, stopping=state)
        except asyncio.CancelledError:
            return "cancelled"
        except BaseException as error:  # noqa: BLE001  any will do
            return type(error).__name__
    return "done"


def start(job: Watched, time_limit: float | None = None) -> tuple[asyncio.Task[str], list[Stopping]]:
    states: list[Stopping] = []
    return asyncio.create_task(stepping(job, states, time_limit)), states


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGTERM, Reason.TERMINATED),
        (signal.SIGINT, Reason.INTERRUPTED),
        (signal.SIGHUP, Reason.HUNG_UP),
    ],
)
async def test_the_first_signal_stops_the_job_and_is_recorded(
    number: signal.Signals, reason: Reason, looptime: float
) -> None:
    job = Watched(runs=1e6)
    task, states = start(job)
    await until(20)
    kill(number)
    assert await task == "cancelled"
    assert states[0].reason is reason
    assert states[0].since == 20
    assert job.asked("stop") == [20]
    assert looptime == 20.5


async def test_stop_3_a_second_sigterm_changes_nothing(looptime: float) -> None:
    job = Watched(runs=1e6, stopping=10)
    task, states = start(job)
    for moment in (5, 6, 7, 14.9):
        await until(moment)
        kill(signal.SIGTERM)
    assert await task == "cancelled"
    assert not states[0].forced
    assert job.asked("stop") == [5]
    assert not job.running
    assert looptime == 15


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
async def test_stop_3_one_ctrl_c_after_another_signal_does_not_force(first: signal.Signals) -> None:
    job = Watched(runs=1e6, stopping=10)
    task, states = start(job)
    await until(5)
    kill(first)
    await until(6)
    kill(signal.SIGINT)
    assert await task == "cancelled"
    assert states[0].reason is Reason(first)
    assert not job.running


async def test_stop_3_a_second_ctrl_c_forces_the_way_out_and_says_what_was_left(looptime: float) -> None:
    job = Watched(runs=1e6, stopping=1e6)
    task, states = start(job)
    await until(5)
    kill(signal.SIGINT)
    await until(8)
    kill(signal.SIGINT)
    assert await task == "StopFailed"
    assert states[0].forced
    assert states[0].reason is Reason.INTERRUPTED
    assert looptime <= 8 + MOMENT


async def test_stop_3_a_second_ctrl_c_forces_a_launch_too(looptime: float) -> None:
    job = Watched(launching=1e6)
    task, _ = start(job)
    await until(5)
    kill(signal.SIGINT)
    await until(6)
    kill(signal.SIGINT)
    assert await task == "StopFailed"
    assert looptime <= 6 + 2 * MOMENT


async def test_a_signal_during_create_orphans_nothing() -> None:
    job = Watched(launching=10, runs=1e6)
    task, _ = start(job)
    await until(3)
    kill(signal.SIGTERM)
    assert await task == "cancelled"
    assert job.calls == ["launch", "made", "stop", "stopped"]


async def test_the_time_limit_is_a_reason_like_any_other(looptime: float) -> None:
    job = Watched(runs=1e6)
    task, states = start(job, time_limit=90)
    assert await task == "cancelled"
    assert states[0].reason is Reason.TIME_LIMIT
    assert job.asked("stop") == [90]
    assert looptime == 90.5


async def test_a_time_limit_that_is_not_reached_is_none(looptime: float) -> None:
    job = Watched(runs=10)
    task, states = start(job, time_limit=90)
    assert await task == "done"
    await asyncio.sleep(200)
    assert states[0].reason is None


async def test_the_first_reason_stays() -> None:
    job = Watched(runs=1e6, stopping=10)
    task, states = start(job, time_limit=20)
    await until(22)
    kill(signal.SIGTERM)
    await until(23)
    kill(signal.SIGINT)
    await task
    assert states[0].reason is Reason.TIME_LIMIT
    assert states[0].since == 20


async def test_stop_3_the_reason_is_recorded_not_inferred() -> None:
    """A signal that meets a failing child surfaces as the child's error, or as a group; the reason is known all the same."""
    job, stopping = Watched(runs=1e6), []

    async def meets() -> None:
        with stop_signals() as state:
            stopping.append(state)
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
                await follow(job, stopping=state)

    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("child")

    task = asyncio.create_task(meets())
    await until(5)
    kill(signal.SIGTERM)
    await asyncio.wait({task})
    assert not task.cancelled()
    assert isinstance(task.exception(), ExceptionGroup)
    assert stopping[0].reason is Reason.TERMINATED
    assert not job.running


@pytest.mark.parametrize(("signalled", "refused", "ending"), [(5, 6, "cancelled"), (8, 6, "ServiceError")])
async def test_nor_does_a_refusal_that_meets_the_signal_hide_it(
    signalled: int, refused: int, ending: str
) -> None:
    job = Watched(runs=1e6, stopping=10)
    task, states = start(job)
    loop = asyncio.get_running_loop()
    loop.call_later(refused - 1, job.describe_failures.append, ServiceError("access denied"))
    loop.call_later(signalled, kill, signal.SIGTERM)
    assert await task == ending
    assert states[0].reason is Reason.TERMINATED
    assert len(job.asked("stop")) == 1
    assert not job.running


async def test_a_failed_stop_comes_up_through_a_second_ctrl_c() -> None:
    job = Watched(runs=1e6, stop_failures=[ServiceError("access denied")])
    with stop_signals() as state:
        asyncio.get_running_loop().call_later(5, kill, signal.SIGINT)
        asyncio.get_running_loop().call_later(5.5, kill, signal.SIGINT)
        with pytest.raises(StopFailed, match="access denied"):
            await follow(job, stopping=state)


async def test_handlers_are_restored() -> None:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    with stop_signals():
        assert all(signal.getsignal(number) is not handler for number, handler in before.items())
    assert {number: signal.getsignal(number) for number in NUMBERS} == before


async def test_handlers_are_restored_after_an_error() -> None:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    with pytest.raises(ValueError, match="mine"), stop_signals(time_limit=5):
        raise ValueError("mine")
    assert {number: signal.getsignal(number) for number in NUMBERS} == before
    await asyncio.sleep(10)  # No timer fires any more.


async def test_under_nohup_a_closed_terminal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    job = Watched(runs=30)
    task, states = start(job)
    await until(10)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    kill(signal.SIGHUP)
    assert await task == "done"
    assert states[0].reason is None
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_it_needs_a_task() -> None:
    with pytest.raises(RuntimeError), stop_signals():
        pass


async def test_a_reason_has_words() -> None:
    assert {reason: reason.text for reason in Reason} == {
        Reason.TERMINATED: "terminated (SIGTERM)",
        Reason.INTERRUPTED: "interrupted (Ctrl-C)",
        Reason.HUNG_UP: "the terminal was closed (SIGHUP)",
        Reason.TIME_LIMIT: "the time limit was reached",
    }


async def test_the_deadline_counts_from_the_reason_or_else_from_its_own_beginning() -> None:
    stopping = Stopping()
    early, late = Deadline(stopping), Deadline(stopping)
    assert not early.runs
    early.begin()
    assert early.runs
    await asyncio.sleep(10)
    assert early.left() == DEFAULT_GRACE - 10
    assert not late.runs
    stopping.begin(Reason.TERMINATED)
    await asyncio.sleep(4)
    assert late.runs
    assert late.left() == DEFAULT_GRACE - 4
    assert early.left() == DEFAULT_GRACE - 14
    await asyncio.sleep(100)
    assert late.left() == 0


async def test_what_only_ought_to_be_done_is_given_at_least_a_moment() -> None:
    stopping = Stopping(grace=10)
    deadline = Deadline(stopping)
    assert deadline.spare(5) == 5
    deadline.begin()
    assert deadline.spare(5) == 5
    await asyncio.sleep(7)
    assert deadline.spare(5) == 3
    await asyncio.sleep(7)
    assert deadline.spare(5) == MOMENT
    stopping.forced = True
    assert deadline.spare(5) == MOMENT
    assert deadline.left() == 0


async def test_the_last_thing_a_process_does_is_not_undone_by_a_late_signal() -> None:
    """Its exit code and last word are settled; only when ending takes long does a signal end it."""
    with stop_signals(last=True) as state:
        pass
    for number in NUMBERS:
        kill(number)
    await asyncio.sleep(0)
    assert state.reason is None
