"""One start of a component, whole: how it ended is told by the recorded reason, and outputs are written at the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from runner import step
from runner.errors import (
    Interrupted,
    JobFailed,
    NameTaken,
    RunnerError,
    ServiceError,
    TimeLimitReached,
    Transient,
)
from runner.events import Level, Notice, Phase, Status
from runner.inputs import Inputs, Outputs, arg
from runner.job import Component, StopAnswer
from runner.testing import MemorySink
from tests.unit.doubles import Watched, until

pytestmark = pytest.mark.looptime


class Made(Outputs):
    model: str = arg("The model.")


class Making(Watched):
    """A job with an output, which the service may fail to tell."""

    output_failures: tuple[Exception, ...] = ()
    final: Status | None = None

    async def outputs(self) -> Outputs:
        self.times.append(("outputs", 0.0))
        if self.output_failures:
            failure, *rest = self.output_failures
            self.output_failures = tuple(rest)
            raise failure
        return Made(model="s3://bucket/model.tar.gz")

    async def describe(self) -> Status:
        status = await super().describe()
        return self.final if self.final and status.phase is Phase.SUCCEEDED else status


def _never(*_: Any) -> Any:
    raise AssertionError("not asked for here")


COMPONENT = Component(
    name="Making",
    summary="",
    inputs=Inputs,
    outputs=Made,
    request=_never,
    check=_never,
    connect=_never,
    attach=_never,
)


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemorySink]:
    """Put a sink that remembers in the console's place; let no signal end the test run."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    sink = MemorySink()
    monkeypatch.setattr(step, "console", lambda: sink)
    yield sink
    for number, handler in before.items():
        signal.signal(number, handler)


async def ran(job: Watched, **options: Any) -> Status:
    return await step.run_step(COMPONENT, nullcontext(job), step.Options(**options))


async def ended(job: Watched, *signals: tuple[float, signal.Signals], **options: Any) -> RunnerError:
    """Run a step that is sent signals, and return the error it ends with."""
    task = asyncio.create_task(ran(job, **options))
    for moment, number in signals:
        await until(moment)
        os.kill(os.getpid(), number)
    await asyncio.wait({task})
    error = task.exception()
    assert isinstance(error, RunnerError)
    return error


async def test_success_writes_every_output(tmp_path: Path) -> None:
    status = await ran(Making(), outputs={"model": tmp_path / "a" / "model"})
    assert status.phase is Phase.SUCCEEDED
    assert (tmp_path / "a" / "model").read_text() == "s3://bucket/model.tar.gz"


async def test_outputs_are_asked_for_again_when_the_service_fails(tmp_path: Path) -> None:
    job = Making()
    job.output_failures = (Transient("503"), Transient("reset"))
    await ran(job, outputs={"model": tmp_path / "model"})
    assert len(job.asked("outputs")) == 3
    assert (tmp_path / "model").exists()


async def test_events_go_to_the_file_too(tmp_path: Path, screen: MemorySink) -> None:
    await ran(Making(lines=["hello"]), events=tmp_path / "events.jsonl", warnings=["an old name"])
    assert screen.events[0] == Notice("an old name", Level.WARNING)
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == len(screen.events)
    assert all(json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines())


@pytest.mark.parametrize(
    ("final", "told"),
    [
        (Status(Phase.FAILED, reason="no memory"), "fake-job failed: no memory"),
        (
            Status(Phase.FAILED, reason="no memory", hint="take more"),
            "fake-job failed: no memory — take more",
        ),
        (
            Status(Phase.FAILED, reason="boom\ndone: model accepted, exit 0"),
            "fake-job failed: boom done: model accepted, exit 0",
        ),
        (Status(Phase.FAILED), "fake-job failed: the service gave no reason"),
        (Status(Phase.STOPPED), "fake-job was stopped by somebody else"),
        (Status(Phase.STOPPED, reason="MaxRuntimeExceeded"), "fake-job was stopped: MaxRuntimeExceeded"),
    ],
)
async def test_exit_1_a_job_that_failed_writes_no_output(final: Status, told: str, tmp_path: Path) -> None:
    job = Making()
    job.final = final
    with pytest.raises(JobFailed) as raised:
        await ran(job, outputs={"model": tmp_path / "model"})
    assert str(raised.value) == told
    assert raised.value.exit_code == 1
    assert not (tmp_path / "model").exists()
    assert "stop" not in job.calls


@pytest.mark.parametrize("error", [ServiceError("denied"), NameTaken("in use")])
async def test_exit_3_a_launch_that_is_refused(error: ServiceError) -> None:
    with pytest.raises(type(error)) as raised:
        await ran(Making(launch_failures=[error]))
    assert raised.value is error
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGTERM, 143, "terminated (SIGTERM)"),
        (signal.SIGINT, 130, "interrupted (Ctrl-C)"),
        (signal.SIGHUP, 129, "the terminal was closed (SIGHUP)"),
    ],
)
async def test_exit_128_n_on_a_signal_with_what_became_of_the_job(
    number: signal.Signals, code: int, words: str
) -> None:
    job = Making(runs=1e6)
    error = await ended(job, (20, number))
    assert isinstance(error, Interrupted)
    assert error.exit_code == code
    assert str(error) == f"{words}; the service was told to stop fake-job, and agreed"
    assert job.asked("stop") == [20]


async def test_exit_1_on_the_time_limit() -> None:
    job = Making(runs=1e6)
    error = await ended(job, time_limit=90)
    assert isinstance(error, TimeLimitReached)
    assert error.exit_code == 1
    assert str(error) == "the time limit was reached; the service was told to stop fake-job, and agreed"
    assert job.asked("stop") == [90]


async def test_a_failed_stop_is_the_last_word_on_a_signal() -> None:
    error = await ended(Making(runs=1e6, stop_failures=[ServiceError("denied")]), (20, signal.SIGTERM))
    assert isinstance(error, Interrupted)
    assert error.exit_code == 143
    assert str(error).startswith("terminated (SIGTERM); could not stop fake-job: denied\n")
    assert str(error).endswith("Stop it with: stop-fake-job fake-job")


async def test_even_when_a_second_ctrl_c_cuts_the_leaving_short(screen: MemorySink) -> None:
    """The last word must not claim a stop that nobody confirmed."""

    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    screen.write = hang  # type: ignore[method-assign]
    job = Making(runs=1e6, stop_failures=[ServiceError("denied")])
    error = await ended(job, (20, signal.SIGINT), (22, signal.SIGINT))
    assert str(error).startswith("interrupted (Ctrl-C); could not stop fake-job: denied\n")


async def test_a_job_that_goes_on() -> None:
    job = Making(runs=1e6)
    error = await ended(job, (20, signal.SIGINT), stop_on_exit=False)
    assert str(error) == "interrupted (Ctrl-C); fake-job goes on without us"
    assert job.running


async def test_a_signal_while_the_job_was_refused() -> None:
    job = Making(launching=10, launch_failures=[ServiceError("denied")])
    error = await ended(job, (5, signal.SIGTERM))
    assert error.exit_code == 143
    assert "agreed" not in str(error)
    assert "stop" not in job.calls


async def test_exit_3_a_refusal_while_watching_also_tells_what_became_of_the_job() -> None:
    with pytest.raises(ServiceError) as raised:
        await ran(Making(runs=1e6, describe_failures=[ServiceError("access denied")]))
    assert str(raised.value) == "access denied; the service was told to stop fake-job, and agreed"


async def test_a_signal_is_told_whatever_error_it_meets() -> None:
    """A recorded reason decides the exit code, though something unforeseen came up in its place."""

    class Odd(Making):
        async def stop(self) -> StopAnswer:
            await super().stop()
            raise KeyError("unforeseen")

    error = await ended(Odd(runs=1e6), (20, signal.SIGTERM))
    assert isinstance(error, Interrupted)
    assert error.exit_code == 143
    assert "could not stop fake-job" in str(error)
