"""However often and whenever a deploy is cancelled: nothing that it made is left, or `StopFailed` says what to do.

An endpoint that was there before ends on the configuration that it had; a deploy that went well leaves one endpoint with
one configuration. The service is simulated on a virtual clock: it refuses, throttles, breaks, loses answers, and carries
out requests that nobody waits for any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from unittest import mock

from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from looptime import new_event_loop

from components.aws.sagemaker.deploy import _parts
from runner.errors import RunnerError, StopFailed
from runner.events import Phase, Status
from runner.identity import Identity
from runner.signals import Reason, Stopping
from runner.supervise import launched
from runner.testing import MemorySink
from tests.unit.aws.simulated_hosting import (
    ALONE,
    CONFIG,
    ENDPOINT,
    IN_RUN,
    LIVE,
    OLD,
    Hosting,
    job_of,
    update_of,
    wall,
)
from tests.unit.doubles import until

T = TypeVar("T")

MUTATIONS = (
    "create_endpoint_config",
    "create_endpoint",
    "update_endpoint",
    "delete_endpoint",
    "delete_endpoint_config",
)
READS = ("describe_endpoint", "describe_endpoint_config", "list_tags")
PASSING = ("ok", "ok", "throttled", "lost", "answer lost", "late")

faults = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.lists(st.sampled_from((*PASSING, "refused", "hangs")), max_size=4) for name in MUTATIONS},
        **{name: st.lists(st.sampled_from(("ok", "throttled", "lost")), max_size=4) for name in READS},
    },
)
moments = st.one_of(st.floats(0, 3), st.floats(0, 40), st.floats(0, 300), st.integers(0, 130)).map(float)
durations = st.one_of(st.floats(0, 8), st.sampled_from([0.0, 60.0, 200.0]))


@dataclass(frozen=True)
class World:
    """How the service behaves, and when somebody loses patience."""

    cancels: Sequence[float]
    faults: dict[str, list[str]]
    updates: bool = False
    in_run: bool = False
    signalled: bool = False
    creating: float = 60.0
    updating: float = 60.0
    deleting: float = 5.0
    fails: str = ""
    latency: float = 0.05
    told: bool = True
    stale: float = 0.0
    rolls_back: bool = True
    killed: float | None = None
    """When the step is killed, to be started again."""
    others: Sequence[tuple[float, str]] = ()
    """What somebody else does, and when."""

    @property
    def identity(self) -> Identity:
        return IN_RUN if self.in_run else ALONE


worlds = st.builds(
    World,
    cancels=st.lists(moments, max_size=3).map(sorted),
    faults=faults,
    updates=st.booleans(),
    in_run=st.booleans(),
    signalled=st.booleans(),
    creating=durations,
    updating=durations,
    deleting=st.sampled_from([0.0, 5.0, 40.0]),
    fails=st.sampled_from(["", "", "the container did not pass the ping health check"]),
    latency=st.sampled_from([0.01, 0.5, 4.0]),
    told=st.booleans(),
    stale=st.sampled_from([0.0, 0.0, 1.5]),
)


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run in virtual time."""
    with mock.patch.object(_parts, "wall", wall), asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


@dataclass
class Ending:
    """What came of a world."""

    hosting: Hosting
    result: Status | BaseException
    name: str
    command: str
    endpoint: tuple[str, str]
    """State and configuration, when everything has come to rest."""
    by_hand: tuple[str, str] = ("", "")
    """The same, once the command was entered that `StopFailed` prints."""


class Line:
    """A step's connection: once it is dead, the step learns nothing any more, and changes nothing."""

    def __init__(self, hosting: Hosting) -> None:
        self.hosting, self.dead = hosting, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hosting, name)

    async def call(self, service: str, operation: str, **request: Any) -> Any:
        if not self.dead:
            answer = await self.hosting.call(service, operation, **request)
        if self.dead:
            await asyncio.Event().wait()
        return answer


async def scope(job: Any, stopping: Stopping) -> Status:
    async with launched(job, [MemorySink()], stopping=stopping) as run:
        return await run.finished()


def hosting_of(world: World) -> Hosting:
    hosting = Hosting(
        creating=world.creating,
        updating=world.updating,
        deleting=world.deleting,
        fails=world.fails,
        rolls_back=world.rolls_back,
        latency=world.latency,
        told=world.told,
        stale=world.stale,
        faults={name: list(each) for name, each in world.faults.items()},
    )
    if world.updates:
        hosting.add_live()
    return hosting


def somebody(hosting: Hosting, name: str, deed: str) -> None:
    """Somebody else does something to the endpoint."""
    if deed == "scales":
        hosting.is_scaled(name, 7.0)
    elif deed == "moves":
        hosting.is_moved(name, "theirs", 7.0)
    elif deed == "takes back":
        hosting.is_moved(name, OLD, 7.0)
    elif deed == "deletes":
        hosting.endpoints.pop(name, None)
    elif deed == "deletes old":
        hosting.configs.pop(OLD, None)


async def lived(world: World) -> Ending:
    hosting = hosting_of(world)

    def begun() -> tuple[Any, Line, Stopping, asyncio.Task[Status]]:
        line, stopping = Line(hosting), Stopping()
        job = (update_of if world.updates else job_of)(line, world.identity)  # type: ignore[arg-type]
        return job, line, stopping, asyncio.create_task(scope(job, stopping))

    job, line, stopping, task = begun()
    loop = asyncio.get_running_loop()
    for moment, deed in world.others:
        loop.call_at(loop.time() + moment, somebody, hosting, job.name, deed)
    forsaken = []
    if world.killed is not None:
        await until(world.killed)
        if not task.done():
            line.dead = True
            forsaken.append(task)
            await asyncio.sleep(1.0)
            job, line, stopping, task = begun()
    began = loop.time()
    for count, moment in enumerate(world.cancels):
        await until(began + moment)
        if world.signalled and count == 0 and not task.done():
            stopping.begin(Reason.TERMINATED)
        task.cancel()
    await asyncio.wait({task})
    for each in forsaken:
        each.cancel()
    await asyncio.sleep(1000)  # What is on its way arrives, and what was begun ends.
    await asyncio.gather(*forsaken, return_exceptions=True)
    result: Status | BaseException
    try:
        result = task.exception() or task.result()
    except asyncio.CancelledError as cancelled:
        result = cancelled
    ending = Ending(hosting, result, job.name, job.stop_command, hosting.state(job.name))
    if isinstance(result, StopFailed):
        await hosting.entered(ending.command)
        await asyncio.sleep(1000)
        ending.by_hand = hosting.state(job.name)
    return ending


def clean(world: World, ending: Ending, state: tuple[str, str] | None = None) -> bool:
    """Whether everything is as it was before."""
    endpoint = state or ending.endpoint
    if world.updates:
        return endpoint == ("InService", OLD) and set(ending.hosting.configs) == {OLD}
    return endpoint == ("", "") and not ending.hosting.configs


@settings(max_examples=300, deadline=None)
@given(worlds)
@example(World([1.0], {}, creating=5.0))
@example(World([1.0], {}, updates=True, updating=5.0))
@example(World([1.0], {"create_endpoint": ["late"]}))
@example(World([1.0], {"update_endpoint": ["late"]}, updates=True))
@example(World([30.0], {"create_endpoint": ["throttled"] * 9, "create_endpoint_config": ["answer lost"]}))
def test_a_deploy_ends_whole_or_undone_or_says_what_is_to_be_done(world: World) -> None:
    ending = virtually(lived(world))
    assert ending.hosting.harm == []
    result = ending.result
    outcome = result.phase if isinstance(result, Status) else type(result).__name__
    event(f"{'update' if world.updates else 'creation'}: {outcome}")
    if isinstance(result, StopFailed):
        last = str(result).splitlines()[-1]
        assert ending.command in last
        assert "aws sagemaker " in last
        refused = any("refused" in each for each in world.faults.values())
        done = clean(world, ending, ending.by_hand)
        assert done or refused or world.fails, (result, ending.by_hand, ending.hosting.calls)
        return
    if isinstance(result, Status) and result.phase is Phase.SUCCEEDED:
        state, config = ending.endpoint
        assert state == "InService"
        left = set(ending.hosting.configs)
        assert left == {config} or "remove it with: aws sagemaker delete-endpoint-config" in result.hint
        assert config != OLD
        return
    told = result.hint if isinstance(result, Status) else str(result)
    if "remove it with: aws sagemaker delete-" in told or "go back with: aws sagemaker " in told:
        return
    assert isinstance(result, Status | RunnerError | asyncio.CancelledError)
    if isinstance(result, asyncio.CancelledError) and ending.endpoint[1] not in ("", OLD):
        # It had ended well when the cancellation came: then it is whole, but for what the service would not delete.
        refused = "refused" in world.faults.get("delete_endpoint_config", ())
        assert refused or set(ending.hosting.configs) == {ending.endpoint[1]}
        return
    assert clean(world, ending), (result, ending.hosting.calls)


deeds = st.sampled_from(["scales", "moves", "takes back", "deletes", "deletes old"])


@settings(max_examples=200, deadline=None)
@given(
    worlds,
    st.lists(st.tuples(moments, deeds), max_size=3),
    st.none() | moments,
    st.booleans(),
)
def test_whatever_others_do_and_however_often_it_is_started_nothing_that_serves_is_harmed(
    world: World, others: list[tuple[float, str]], killed: float | None, rolls_back: bool
) -> None:
    crowded = replace(world, others=others, killed=killed if world.in_run else None, rolls_back=rolls_back)
    ending = virtually(lived(crowded))
    event(f"{'restarted' if crowded.killed else 'once'}: {type(ending.result).__name__}")
    assert ending.hosting.harm == [], ending.hosting.calls
    if world.updates and not any(deed == "deletes" for _, deed in others):
        assert "delete_endpoint" not in [name for name, _ in ending.hosting.mutations]
        assert ending.endpoint[1]


@settings(max_examples=100, deadline=None)
@given(worlds)
def test_without_a_cancellation_a_deploy_that_nobody_refuses_ends_as_its_containers_do(world: World) -> None:
    patient = {
        name: [fault for fault in each if fault not in ("refused", "hangs")]
        for name, each in world.faults.items()
    }
    quiet = World(
        [],
        patient,
        updates=world.updates,
        in_run=world.in_run,
        creating=world.creating,
        updating=world.updating,
        fails=world.fails,
        # A service that does not say what is pending, and lost the answer: that can be waited for only so long.
        told=world.told or world.updating > 60,
    )
    ending = virtually(lived(quiet))
    assert isinstance(ending.result, Status), ending.result
    if world.fails:
        assert ending.result.phase is Phase.FAILED
        assert world.fails in ending.result.reason
        assert clean(quiet, ending), ending.hosting.calls
    else:
        assert ending.result.phase is Phase.SUCCEEDED
        assert list(ending.hosting.configs) == [ending.endpoint[1]]
    assert ending.name == (LIVE if world.updates else ENDPOINT if not world.in_run else ending.name)
    if not world.in_run and not world.fails:
        assert ending.endpoint == ("InService", CONFIG)
