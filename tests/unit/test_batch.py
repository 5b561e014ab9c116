"""Several jobs in one process: one fails and the others are stopped; a signal stops all of them within one deadline."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import runner
from runner import batch as module
from runner import catalog
from runner.batch import Batch
from runner.errors import (
    InputError,
    Interrupted,
    JobFailed,
    ServiceError,
    StopFailed,
    TimeLimitReached,
    Transient,
)
from runner.events import Launched, Level, Notice, Phase, Status
from runner.identity import Identity
from runner.inputs import Flag, Inputs, Outputs, arg
from runner.job import Component, Sink
from runner.signals import DEFAULT_GRACE, MOMENT, Reason, Stopping, stop_signals
from runner.testing import MemorySink
from tests.unit.doubles import Watched, now, until

pytestmark = pytest.mark.looptime
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Given(Inputs):
    image: str = arg("The image.")
    count: int = arg("How many.", 1, ge=1, aliases=("many",))
    spot: Flag = arg("Whether it is cheap.", False)


class Made(Outputs):
    model: str = arg("The model.")


class Making(Watched):
    """A job with an output, which the service may fail to tell, or an end of its own."""

    output_failures: tuple[Exception, ...] = ()
    final: Status | None = None

    async def outputs(self) -> Outputs:
        self.times.append(("outputs", now()))
        if self.output_failures:
            failure, *rest = self.output_failures
            self.output_failures = tuple(rest)
            raise failure
        return Made(model=f"s3://bucket/{self.name}")

    async def describe(self) -> Status:
        status = await super().describe()
        return self.final if self.final and status.phase is Phase.SUCCEEDED else status


class Service:
    """What the components of these tests connect to: jobs by image, and what was asked of it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Making] = {}
        self.given: list[tuple[Given, Identity]] = []
        self.connected: list[str] = []
        self.connecting = 0.0

    def job(self, image: str, **about: Any) -> Making:
        self.jobs[image] = Making(name=f"{image}-1", **about)
        return self.jobs[image]

    def request(self, inputs: Given, identity: Identity) -> dict[str, Any]:
        if inputs.image == "forbidden":
            raise InputError("--image is forbidden")
        return {"Create": {"Image": inputs.image}}

    @asynccontextmanager
    async def connect(self, inputs: Given, identity: Identity) -> AsyncIterator[Any]:
        self.given.append((inputs, identity))
        self.connected.append(inputs.image)
        try:
            await asyncio.sleep(self.connecting)
            yield self.jobs[inputs.image]
        finally:
            await asyncio.sleep(0.25)  # To close takes a moment, too, and must not be broken off.
            self.connected.remove(inputs.image)


def _never(*_: Any) -> Any:
    raise AssertionError("not asked for here")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Put a component in the catalog's place; let no signal end the test run; leave nothing connected."""
    before = {number: signal.signal(number, lambda *_: None) for number in NUMBERS}
    there = Service()
    component = Component("Making", "", Given, Made, there.request, _never, there.connect, _never)

    def load(name: str) -> Component:
        if name != "any.make":
            raise InputError(f"there is no component {name!r}")
        return component

    monkeypatch.setattr(catalog, "load", load)
    yield there
    assert there.connected == []
    assert not module._signalled
    for number, handler in before.items():
        signal.signal(number, handler)


class Shown(dict[str, MemorySink]):
    """A sink that remembers, for each label."""

    def __call__(self, label: str) -> list[Sink]:
        self[label] = MemorySink()
        return [self[label]]


def kill(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


async def grouped(*images: str, **options: Any) -> dict[str, Outputs]:
    """Run jobs as a user would, in a task group; each is labelled as its image."""
    async with Batch(sinks=options.pop("sinks", Shown()), **options) as batch, asyncio.TaskGroup() as group:
        tasks = {i: group.create_task(batch.run("any.make", i, image=i)) for i in images}
    return {image: task.result() for image, task in tasks.items()}


async def gathered(*images: str, **options: Any) -> dict[str, Outputs]:
    async with Batch(sinks=options.pop("sinks", Shown()), **options) as batch:
        made = await asyncio.gather(*(batch.run("any.make", i, image=i) for i in images))
    return dict(zip(images, made, strict=True))


async def unwatched(*images: str, **options: Any) -> dict[str, Outputs]:
    """Start tasks that nobody waits for."""
    async with Batch(sinks=options.pop("sinks", Shown()), **options) as batch:
        tasks = [asyncio.create_task(batch.run("any.make", i, image=i)) for i in images]
        try:
            await asyncio.sleep(1e6)
        finally:
            for task in tasks:
                task.add_done_callback(lambda task: task.cancelled() or task.exception())
    return {}


Way = Callable[..., Any]
WAYS = pytest.mark.parametrize("way", [grouped, gathered, unwatched])


async def ended(running: Any, *signals: tuple[float, signal.Signals]) -> BaseException:
    task = asyncio.create_task(running)
    for moment, number in signals:
        await until(moment)
        kill(number)
    await asyncio.wait({task})
    error = task.exception()
    assert error is not None
    return error


# ── to the end ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", [grouped, gathered])
async def test_jobs_side_by_side_return_their_outputs(service: Service, way: Way, looptime: float) -> None:
    service.job("cold", runs=60)
    service.job("warm", runs=90)
    assert await way("cold", "warm") == {
        "cold": Made(model="s3://bucket/cold-1"),
        "warm": Made(model="s3://bucket/warm-1"),
    }
    assert looptime < 60 + 90
    assert all("stop" not in job.calls for job in service.jobs.values())


async def test_each_job_has_sinks_of_its_own(service: Service) -> None:
    service.job("cold"), service.job("warm")
    shown = Shown()
    await grouped("cold", "warm", sinks=shown)
    for label, sink in shown.items():
        assert [e.job for e in sink.events if isinstance(e, Launched)] == [f"{label}-1"]
        assert sink.closed


async def test_a_label_is_made_up_and_stays_unique(service: Service) -> None:
    service.job("cold")
    shown = Shown()
    async with Batch(sinks=shown) as batch:
        for label in ("", "", "mine", "mine"):
            await batch.run("any.make", label, image="cold")
    assert list(shown) == ["make", "make-2", "mine", "mine-2"]


async def test_without_sinks_every_line_on_standard_output_names_its_job(
    service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    service.job("cold", lines=["hello"]), service.job("warm", lines=["hello"])
    async with Batch() as batch, asyncio.TaskGroup() as group:
        for image in service.jobs:
            group.create_task(batch.run("any.make", image, image=image))
    lines = capfd.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines} == {"cold", "warm"}
    assert sum(line.endswith("| hello") for line in lines) == 2


async def test_one_job_alone_needs_no_batch(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    service.job("cold", lines=["hello"])
    assert await runner.run("any.make", image="cold") == Made(model="s3://bucket/cold-1")
    assert any(line[8:] == " | hello" for line in capfd.readouterr().out.splitlines())


async def test_inputs_may_be_values_or_text(service: Service) -> None:
    service.job("cold")
    async with Batch(sinks=Shown()) as batch:
        await batch.run("any.make", image="cold", count=3, spot=True)
        await batch.run("any.make", image="cold", count="3", spot="yes")
    assert service.given[0][0] == service.given[1][0] == Given(image="cold", count=3, spot=True)


async def test_none_is_not_given_and_an_old_name_is_told(service: Service) -> None:
    service.job("cold")
    shown = Shown()
    async with Batch(sinks=shown) as batch:
        await batch.run("any.make", image="cold", spot=None, many=2)
    assert service.given[0][0] == Given(image="cold", count=2)
    assert shown["make"].events[0] == Notice("--many is an old name of --count; taken as that", Level.WARNING)


async def test_a_run_id_makes_each_job_a_step_of_its_own(service: Service) -> None:
    service.job("cold"), service.job("warm")
    await grouped("cold", "warm", run_id="run-7")
    assert {(i.run_id, i.step, i.component) for _, i in service.given} == {
        ("run-7", "cold", "any.make"),
        ("run-7", "warm", "any.make"),
    }
    with pytest.raises(InputError, match="run_id is"):
        Batch(run_id="a\nb")


async def test_outputs_are_asked_for_again_when_the_service_fails(service: Service) -> None:
    job = service.job("cold")
    job.output_failures = (Transient("503"), Transient("reset"))
    await grouped("cold")
    assert len(job.asked("outputs")) == 3


# ── wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, "make: --image is required: The image."),
        (
            {"image": "cold", "count": 0, "sopt": True},
            "make: 2 wrong arguments: --sopt is unknown; did you mean --spot?; "  # noqa: ISC004
            "--count is 0, which is too small; at least 1 is needed",
        ),
        ({"image": "forbidden"}, "make: --image is forbidden"),
        (
            {"image": "cold", "model_output_path": "/tmp/x"},
            "make: --model_output_path names a file, but here outputs are returned; leave it out",
        ),
    ],
)
async def test_wrong_inputs_are_named_before_anything_is_sent(
    service: Service, inputs: dict[str, object], told: str
) -> None:
    service.job("cold")
    async with Batch(sinks=Shown()) as batch:
        with pytest.raises(InputError) as raised:
            await batch.run("any.make", **inputs)
    assert str(raised.value) == told
    assert service.given == []


async def test_an_unknown_component_is_named(service: Service) -> None:
    with pytest.raises(InputError, match=r"no component 'any.mkae'"):
        await runner.run("any.mkae")


# ── one fails ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", [grouped, gathered])
async def test_one_fails_and_the_other_is_stopped(service: Service, way: Way) -> None:
    cold, warm = service.job("cold", runs=20), service.job("warm", runs=1e6)
    cold.final = Status(Phase.FAILED, reason="no memory")
    error = await ended(way("cold", "warm"))
    failure = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
    assert isinstance(failure, JobFailed)
    assert str(failure) == "cold-1 failed: no memory"
    assert error.__notes__ == ["warm: the service was told to stop warm-1, and agreed"]
    assert "stop" not in cold.calls
    assert warm.calls[-1] == "stopped"
    assert not warm.running


async def test_leaving_the_batch_stops_what_nobody_waits_for(service: Service, looptime: float) -> None:
    job = service.job("cold", runs=1e6)
    async with Batch(sinks=Shown()) as batch:
        task = asyncio.create_task(batch.run("any.make", image="cold"))
        await until(20)
    assert job.asked("stop") == [20]
    assert looptime == 20.75
    assert task.cancelled()


async def test_one_job_can_be_stopped_alone(service: Service) -> None:
    cold, warm = service.job("cold", runs=1e6), service.job("warm", runs=60)
    async with Batch(sinks=Shown()) as batch, asyncio.TaskGroup() as group:
        group.create_task(batch.run("any.make", image="warm"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await batch.run("any.make", image="cold")
    assert cold.asked("stop") == [30]
    assert "stop" not in warm.calls


async def test_a_refusal_while_watching_tells_what_became_of_the_job(service: Service) -> None:
    service.job("cold", runs=1e6, describe_failures=[ServiceError("access denied")])
    with pytest.raises(ServiceError) as raised:
        await gathered("cold")
    assert str(raised.value) == "access denied; the service was told to stop cold-1, and agreed"


async def test_a_group_of_ours_leaves_as_its_first_error_with_the_others_as_notes(service: Service) -> None:
    async def block() -> None:
        async with Batch(sinks=Shown()) as batch, asyncio.TaskGroup() as group:
            for label in ("one", "two"):
                group.create_task(batch.run("any.make", label, image="forbidden"))

    error = await ended(block())
    assert isinstance(error, InputError)
    assert str(error) == "one: --image is forbidden"
    assert error.__notes__ == ["at the same time: two: --image is forbidden"]
    assert service.given == []


async def test_a_group_with_an_error_of_the_users_own_stays_as_it_is(service: Service) -> None:
    service.job("cold", runs=1e6)

    async def block() -> None:
        async with Batch(sinks=Shown()) as batch, asyncio.TaskGroup() as group:
            group.create_task(batch.run("any.make", image="cold"))
            await until(20)
            raise ValueError("mine")

    error = await ended(block())
    assert isinstance(error, ExceptionGroup)
    assert [type(one) for one in error.exceptions] == [ValueError]
    assert error.__notes__ == ["make: the service was told to stop cold-1, and agreed"]


# ── a stop that was not confirmed ───────────────────────────────────────────────────────────────────────────────────

DENIED = "could not stop warm-1: denied\nIt may still run and cost money. Stop it with: stop-fake-job warm-1"


class Lenient(list[str]):
    """Of a connection whose closing is broken off."""

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def stubborn(service: Service, image: str = "warm", said: str = "denied") -> None:
    service.job(image, runs=1e6, stop_failures=[ServiceError(said)])


@pytest.mark.parametrize("way", [grouped, gathered])
async def test_a_stop_that_was_not_confirmed_goes_before_why_it_was_asked_for(
    service: Service, way: Way
) -> None:
    service.job("cold", runs=20).final = Status(Phase.FAILED, reason="boom")
    stubborn(service)
    error = await ended(way("cold", "warm"))
    assert isinstance(error, StopFailed)
    assert str(error) == DENIED
    assert "at the same time: cold-1 failed: boom" in error.__notes__


async def test_it_comes_up_though_nobody_waited_for_the_job(service: Service) -> None:
    stubborn(service)
    tasks = []

    async def block() -> None:
        async with Batch(sinks=Shown()) as batch:
            tasks.append(asyncio.create_task(batch.run("any.make", image="warm")))
            await until(20)

    error = await ended(block())
    assert isinstance(error, StopFailed)
    assert str(error) == DENIED
    assert tasks[0].exception() is error


async def test_it_goes_before_a_cancellation_from_outside(service: Service) -> None:
    stubborn(service)
    with pytest.raises(StopFailed) as raised:
        async with asyncio.timeout(20):
            await unwatched("warm")
    assert str(raised.value) == DENIED
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)


async def test_it_comes_up_though_the_block_has_caught_it(service: Service) -> None:
    stubborn(service)

    async def block() -> None:
        async with Batch(sinks=Shown()) as batch:
            try:
                async with asyncio.timeout(20):
                    await batch.run("any.make", image="warm")
            except StopFailed as error:
                raise ValueError("what the block made of it") from error

    error = await ended(block())
    assert isinstance(error, StopFailed)
    assert str(error) == DENIED
    assert str(error.__cause__) == "what the block made of it"


async def test_it_is_the_same_error_if_it_is_on_its_way_up(service: Service) -> None:
    stubborn(service)
    tasks = []

    async def block() -> None:
        async with Batch(sinks=Shown()) as batch, asyncio.TaskGroup() as group:
            tasks.append(group.create_task(batch.run("any.make", image="warm")))
            await until(20)
            raise ValueError("mine")

    error = await ended(block())
    assert isinstance(error, ExceptionGroup)
    assert tasks[0].exception() in error.exceptions


async def test_a_cancellation_while_the_connection_is_closed_does_not_hide_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn(service)
    monkeypatch.setattr(service, "connected", Lenient())

    async def block() -> None:
        async with Batch(sinks=Shown()) as batch:
            task = asyncio.create_task(batch.run("any.make", image="warm"))
            await until(20)
            task.cancel()
            await until(20.1)
            for job in batch._jobs:
                job.cancel()

    error = await ended(block())
    assert isinstance(error, StopFailed)
    assert str(error) == DENIED


@WAYS
async def test_several_are_told_as_one_with_a_command_for_each(service: Service, way: Way) -> None:
    service.job("cold", runs=20)
    stubborn(service, "warm"), stubborn(service, "hot", "busy\nStop it with: rm -rf /")
    with pytest.raises(StopFailed) as raised:
        async with asyncio.timeout(60):
            await way("cold", "warm", "hot")
    assert str(raised.value).split("\n") == [
        "could not stop warm-1: denied; could not stop hot-1: busy Stop it with: rm -rf /",
        "It may still run and cost money. Stop it with: stop-fake-job warm-1",
        "It may still run and cost money. Stop it with: stop-fake-job hot-1",
    ]
    assert raised.value.jobs == 2


@WAYS
async def test_a_signal_tells_it_with_its_cause(service: Service, way: Way) -> None:
    stubborn(service)
    error = await ended(way("warm"), (20, signal.SIGTERM))
    assert isinstance(error, Interrupted)
    assert str(error) == f"terminated (SIGTERM); {DENIED}"
    assert isinstance(error.__cause__, StopFailed)


@WAYS
async def test_under_somebody_elses_signals_they_find_the_reason_and_all_outcomes(
    service: Service, way: Way
) -> None:
    stubborn(service)
    service.job("cold", runs=1e6)
    asyncio.get_running_loop().call_later(20, kill, signal.SIGINT)
    with stop_signals() as stopping, pytest.raises(StopFailed):
        await way("cold", "warm", stopping=stopping)
    assert stopping.reason is Reason.INTERRUPTED
    assert stopping.outcome.startswith(
        "cold: the service was told to stop cold-1, and agreed; warm: could not"
    )


# ── signals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@WAYS
async def test_a_signal_stops_every_job_and_tells_what_became_of_each(service: Service, way: Way) -> None:
    cold, warm = service.job("cold", runs=1e6), service.job("warm", runs=1e6)
    error = await ended(way("cold", "warm"), (20, signal.SIGTERM))
    assert isinstance(error, Interrupted)
    assert error.exit_code == 143
    assert str(error) == (
        "terminated (SIGTERM); cold: the service was told to stop cold-1, and agreed; "
        "warm: the service was told to stop warm-1, and agreed"
    )
    assert cold.asked("stop") == warm.asked("stop") == [20]


async def test_jobs_are_stopped_before_those_who_wait_for_them_get_round_to_it(service: Service) -> None:
    job = service.job("cold", runs=1e6)

    async def dawdling() -> None:
        async with Batch(sinks=Shown()) as batch:
            task = asyncio.create_task(batch.run("any.make", image="cold"))
            try:
                await asyncio.sleep(1e6)
            finally:
                await asyncio.sleep(10)
                assert task.cancelled()

    error = await ended(dawdling(), (20, signal.SIGTERM))
    assert job.asked("stop") == [20]
    assert str(error) == "terminated (SIGTERM); the service was told to stop cold-1, and agreed"


@WAYS
async def test_one_deadline_for_all(service: Service, way: Way, looptime: float) -> None:
    service.job("cold", runs=1e6, stopping=1e6), service.job("warm", runs=1e6, stopping=1e6)
    service.job("good", runs=1e6)
    error = await ended(way("cold", "good", "warm"), (20, signal.SIGTERM), (25, signal.SIGTERM))
    assert looptime <= 20 + DEFAULT_GRACE + 2 * MOMENT
    first, *others = str(error).split("\n")
    assert first == (
        "terminated (SIGTERM); cold: could not stop cold-1: the service did not agree in time; "
        "good: the service was told to stop good-1, and agreed; "
        "warm: could not stop warm-1: the service did not agree in time"
    )
    assert sorted(others) == [
        f"{name}: It may still run and cost money. Stop it with: stop-fake-job {name}-1"
        for name in ("cold", "warm")
    ]


@WAYS
async def test_a_second_ctrl_c_forces_all_of_them(service: Service, way: Way, looptime: float) -> None:
    service.job("cold", runs=1e6, stopping=1e6), service.job("warm", runs=1e6, stopping=1e6)
    error = await ended(way("cold", "warm"), (20, signal.SIGINT), (23, signal.SIGINT))
    assert looptime <= 23 + 3 * MOMENT
    assert isinstance(error, Interrupted)
    assert error.exit_code == 130
    assert str(error).count("could not stop") == 2


async def test_what_was_not_sent_yet_is_told_and_closed_in_order(service: Service) -> None:
    service.job("cold")
    service.connecting = 50
    error = await ended(grouped("cold"), (20, signal.SIGTERM))
    assert str(error) == "terminated (SIGTERM); nothing had been sent"


async def test_what_had_ended_by_itself_is_not_told(service: Service) -> None:
    service.job("cold", runs=5), service.job("warm", runs=1e6)
    error = await ended(grouped("cold", "warm"), (60, signal.SIGTERM))
    assert str(error) == "terminated (SIGTERM); warm: the service was told to stop warm-1, and agreed"


async def test_a_signal_with_no_job() -> None:
    async def idle() -> None:
        async with Batch():
            await asyncio.sleep(1e6)

    before = {number: signal.signal(number, lambda *_: None) for number in NUMBERS}
    assert str(await ended(idle(), (5, signal.SIGTERM))) == "terminated (SIGTERM); no job was running"
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_nothing_is_started_after_a_signal(service: Service) -> None:
    service.job("cold")

    async def obstinate() -> None:
        async with Batch(sinks=Shown()) as batch:
            try:
                await asyncio.sleep(1e6)
            finally:
                await batch.run("any.make", image="cold")

    error = await ended(obstinate(), (5, signal.SIGTERM))
    assert isinstance(error, Interrupted)
    assert service.given == []


async def test_the_time_limit_is_a_reason_like_any_other(service: Service) -> None:
    job = service.job("cold", runs=1e6)
    error = await ended(grouped("cold", time_limit=90))
    assert isinstance(error, TimeLimitReached)
    assert str(error) == "the time limit was reached; the service was told to stop cold-1, and agreed"
    assert job.asked("stop") == [90]


async def test_after_an_interruption_life_may_go_on(service: Service) -> None:
    """Handlers and the task's cancellations are as before: a task group, say, counts on it."""
    service.job("cold", runs=1e6), service.job("warm", runs=5)
    handlers = [signal.getsignal(number) for number in NUMBERS]
    asyncio.get_running_loop().call_later(5, kill, signal.SIGTERM)
    with pytest.raises(Interrupted):
        await grouped("cold")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert [signal.getsignal(number) for number in NUMBERS] == handlers
    assert await grouped("warm")


async def test_whoever_has_the_signals_already_says_so(service: Service) -> None:
    job = service.job("cold", runs=1e6)
    asyncio.get_running_loop().call_later(20, kill, signal.SIGTERM)
    with stop_signals() as stopping, pytest.raises(asyncio.CancelledError):
        await grouped("cold", stopping=stopping)
    assert stopping.reason is Reason.TERMINATED
    assert stopping.outcome == "the service was told to stop cold-1, and agreed"
    assert stopping.listeners == []
    assert job.asked("stop") == [20]
    with pytest.raises(ValueError, match="somebody else's signals"):
        Batch(stopping=Stopping(), time_limit=5)


async def test_the_owners_time_limit_counts_from_when_the_batch_is_entered(service: Service) -> None:
    job = service.job("cold", runs=1e6)
    await until(10)
    with stop_signals(90) as stopping, pytest.raises(asyncio.CancelledError):
        await grouped("cold", stopping=stopping)
    assert stopping.reason is Reason.TIME_LIMIT
    assert job.asked("stop") == [100]


async def test_one_batch_at_a_time(service: Service) -> None:
    async with Batch():
        with pytest.raises(RuntimeError, match="run all jobs in one Batch"):
            await runner.run("any.make")
    batch = Batch()
    with pytest.raises(RuntimeError, match="not entered"):
        await batch.run("any.make")


async def test_branches_share_the_reason_and_nothing_else() -> None:
    trunk = Stopping(grace=10)
    one, other = trunk.branch(), trunk.branch()
    one.outcome, one.launched = "stopped", True
    await asyncio.sleep(5)
    other.begin(Reason.TERMINATED)
    trunk.forced = True
    assert [each.reason for each in (trunk, one, other)] == [Reason.TERMINATED] * 3
    assert [each.since for each in (trunk, one, other)] == [5] * 3
    assert [each.grace for each in (trunk, one, other)] == [10] * 3
    assert [each.forced for each in (trunk, one, other)] == [True] * 3
    assert [each.outcome for each in (trunk, one, other)] == [
        "nothing had been sent",
        "stopped",
        trunk.outcome,
    ]
    assert [each.launched for each in (trunk, one, other)] == [False, True, False]


def test_importing_the_package_stays_light() -> None:
    script = (
        "import sys, runner; heavy = {'pydantic', 'asyncio', 'rich', 'tenacity'} & set(sys.modules); "
        "assert not heavy, heavy; runner.Batch, runner.run; assert 'pydantic' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    with pytest.raises(AttributeError, match="nothing"):
        _ = runner.nothing
