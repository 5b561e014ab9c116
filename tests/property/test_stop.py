"""However often and whenever a scope is cancelled, a launched job ends stopped or final, or `StopFailed` says what to do.

The seed of these is the property in the prototype, which found that a launch has to be finished before it can be stopped.
Every example has a virtual clock of its own.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hypothesis import event, given, settings
from hypothesis import strategies as st
from looptime import new_event_loop

from runner.errors import (
    InputError,
    NameTaken,
    RunnerError,
    ServiceError,
    StopFailed,
    Throttled,
    Transient,
    Unreachable,
)
from runner.events import LogLine
from runner.job import Ended, Feed, FeedEvent, Sink
from runner.signals import DEFAULT_GRACE, Reason, Stopping
from runner.supervise import STOP_RESERVE, Timing, launched
from runner.testing import MemorySink
from tests.unit.doubles import HangingSink, RaisingSink, Watched, deaf_feed, feed, now, until

T = TypeVar("T")

POD_GRACE = 30.0
"""Seconds after which Kubernetes kills a pod that was told to end."""
RESOLUTION = 1e-3
"""Seconds by which sums of virtual moments may be off."""

FAILURES = {
    "throttled": Throttled("slow down"),
    "unreachable": Unreachable("no route to host"),
    "lost": Transient("connection reset"),
    "refused": ServiceError("access denied"),
    "bad": InputError("no such role"),
    "taken": NameTaken("in use by somebody else"),
    "unforeseen": KeyError("Status"),
}


def some(*names: str, most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), max_size=most)


moments = st.one_of(st.floats(0, 120), st.integers(0, 120), st.floats(0, 3)).map(float)


@dataclass(frozen=True)
class World:
    """How the service behaves, and when somebody loses patience."""

    cancels: Sequence[float]
    signalled: bool = False
    """Whether the first cancellation comes with a reason, as from a signal."""
    runs: float = 400.0
    launching: float = 1.0
    stopping: float = 0.5
    launch_failures: Sequence[str] = ()
    describe_failures: Sequence[str] = ()
    stop_failures: Sequence[str] = ()
    feeds: Sequence[str] = ()
    sinks: Sequence[str] = ()
    body: str = "finished"
    stop_on_exit: bool = True


worlds = st.builds(
    World,
    cancels=st.lists(moments, max_size=5).map(sorted),
    signalled=st.booleans(),
    runs=st.one_of(st.floats(0, 80), st.just(400.0)),
    launching=st.one_of(st.floats(0, 10), st.sampled_from([0.0, 19.0, 24.0, 40.0, 1e5])),
    stopping=st.one_of(st.floats(0, 10), st.sampled_from([0.0, 19.0, 24.0, 40.0, 1e5])),
    launch_failures=some("throttled", "unreachable", "lost", "refused", "bad", "taken", "unforeseen", most=4),
    describe_failures=some(
        "throttled", "unreachable", "lost", "lost", "lost", "refused", "unforeseen", most=6
    ),
    stop_failures=some("throttled", "unreachable", "lost", "refused", most=4),
    feeds=some("plain", "failing", "deaf", "late", most=3),
    sinks=some("memory", "raising", "hanging", "deaf", most=3),
    body=st.sampled_from(["finished", "finished", "finished", "raises", "leaves", "dawdles"]),
)


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run in virtual time."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


class BodyError(Exception):
    """What a body raises."""


def made_feed(kind: str, calls: list[str]) -> Feed:
    async def late(ended: Ended) -> AsyncIterator[FeedEvent]:
        await ended.wait()
        await asyncio.sleep(12)
        yield LogLine("last words")

    return {
        "plain": feed("a line"),
        "failing": feed(error=OSError()),
        "deaf": deaf_feed(10, calls),
        "late": late,
    }[kind]


def made_sink(kind: str) -> Sink:
    sinks = {
        "memory": MemorySink(),
        "raising": RaisingSink(),
        "hanging": HangingSink(),
        "deaf": HangingSink(20),
    }
    return sinks[kind]


def made_job(world: World) -> Watched:
    job = Watched(runs=world.runs, launching=world.launching, stopping=world.stopping)
    if "taken" in world.launch_failures:
        job.made_at = -1e9  # Somebody else made it, and it ended long ago.
    job.launch_failures = [copy.copy(FAILURES[f]) for f in world.launch_failures]
    job.describe_failures = [copy.copy(FAILURES[f]) for f in world.describe_failures]
    job.stop_failures = [copy.copy(FAILURES[f]) for f in world.stop_failures]
    job.followed = [made_feed(kind, job.calls) for kind in world.feeds]
    return job


async def scope(world: World, job: Watched, stopping: Stopping) -> None:
    sinks = [made_sink(kind) for kind in world.sinks]
    timing = Timing(poll_longest=15, launch_patience=30, drain=30)
    async with launched(job, sinks, timing=timing, stopping=stopping, stop_on_exit=world.stop_on_exit) as run:
        match world.body:
            case "finished":
                await run.finished()
            case "raises":
                await asyncio.sleep(7)
                raise BodyError
            case "leaves":
                await asyncio.sleep(7)
            case "dawdles":
                try:
                    await run.finished()
                finally:
                    await asyncio.sleep(3)


@dataclass
class Ending:
    """What came of a world."""

    job: Watched
    error: BaseException | None
    ended_at: float
    running: bool
    """Whether the job costs money, once every request on its way has arrived."""


async def lived(world: World) -> Ending:
    job, stopping = made_job(world), Stopping()
    task = asyncio.create_task(scope(world, job, stopping))
    ended: list[float] = []
    task.add_done_callback(lambda _: ended.append(now()))
    for count, moment in enumerate(world.cancels):
        await until(moment)
        if world.signalled and count == 0:
            stopping.begin(Reason.TERMINATED)
        task.cancel()
    await asyncio.wait({task})
    ended_at, was_running = ended[0], job.running
    if world.launching < 1e3:
        await asyncio.sleep(world.launching)  # What is still on its way arrives.
    try:
        error = task.exception()
    except asyncio.CancelledError as cancelled:
        error = cancelled
    return Ending(job, error, ended_at, was_running or job.running)


def first_cancel(world: World, ending: Ending) -> float | None:
    return next((moment for moment in world.cancels if moment < ending.ended_at), None)


@settings(max_examples=600, deadline=None)
@given(worlds)
def test_a_launched_job_ends_stopped_or_final_or_stop_failed_says_so(world: World) -> None:
    ending = virtually(lived(world))
    event(f"ended with {type(ending.error).__name__}")
    if isinstance(ending.error, StopFailed):
        assert ending.job.name in str(ending.error)
        assert str(ending.error).splitlines()[-1].endswith(ending.job.stop_command)
        assert ending.job.asked("stop")
    else:
        assert not ending.running


@settings(max_examples=300, deadline=None)
@given(worlds)
def test_what_was_never_accepted_is_never_touched_by_a_stop(world: World) -> None:
    job = virtually(lived(world)).job
    event(f"attempts: {sorted(set(job.attempts))}")
    if job.attempts and job.attempts[-1] == "taken":
        assert "stop" not in job.calls
    elif "unforeseen" not in world.launch_failures and set(job.attempts) <= {"refused"}:
        assert "stop" not in job.calls
        assert "made" not in job.calls


@settings(max_examples=300, deadline=None)
@given(worlds)
def test_after_the_first_cancellation_nothing_is_launched_any_more_and_everything_has_one_deadline(
    world: World,
) -> None:
    ending = virtually(lived(world))
    first = first_cancel(world, ending)
    if first is None:
        return
    assert not [moment for moment in ending.job.asked("launch") if moment > first + RESOLUTION]
    left_before = [moment for moment in ending.job.asked("stop") if moment < first]
    if not left_before:
        assert ending.ended_at <= first + POD_GRACE + RESOLUTION


@settings(max_examples=300, deadline=None)
@given(worlds)
def test_the_stop_request_goes_out_at_once(world: World) -> None:
    """At the cancellation, or when the launch under way is answered or given up: whatever sinks and feeds are doing."""
    ending = virtually(lived(world))
    first, stops = first_cancel(world, ending), ending.job.asked("stop")
    if first is None or not stops or world.body == "dawdles":
        return
    answered = min(ending.job.asked("launch")[-1] + world.launching, first + DEFAULT_GRACE - STOP_RESERVE)
    assert stops[0] <= max(first, answered) + RESOLUTION


@settings(max_examples=200, deadline=None)
@given(worlds)
def test_what_comes_up_is_what_happened_and_never_a_group(world: World) -> None:
    error = virtually(lived(world)).error
    assert not isinstance(error, BaseExceptionGroup)
    expected = (asyncio.CancelledError, BodyError, RunnerError, KeyError)
    assert error is None or isinstance(error, expected)
    if not world.cancels:
        assert not isinstance(error, asyncio.CancelledError)


@settings(max_examples=200, deadline=None)
@given(worlds)
def test_without_stop_on_exit_no_stop_is_ever_sent(world: World) -> None:
    ending = virtually(lived(replace(world, stop_on_exit=False)))
    assert "stop" not in ending.job.calls
    assert not isinstance(ending.error, StopFailed)
