"""How the demo ends before its end: by the recorded reason, with a last word that is true of a cloud that has ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.aws import demo
from runner import catalog
from runner.batch import Batch
from runner.demo import drawn
from runner.errors import Interrupted, JobFailed, RunnerError, ServiceError
from runner.events import Phase, Status
from runner.inputs import Inputs, Outputs, arg
from runner.job import Component
from tests.unit.doubles import Watched

pytestmark = pytest.mark.looptime
Pipeline = Callable[[Batch, Path], Awaitable[None]]


class Given(Inputs):
    job: str = arg("Which job.")


@dataclass
class Ending(Watched):
    """A job with an end of its own."""

    final: Status | None = None

    async def describe(self) -> Status:
        status = await super().describe()
        return self.final if self.final and status.phase is Phase.SUCCEEDED else status


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Ending]]:
    """Jobs by name, instead of a cloud and its components; no signal ends the test run."""
    before = {n: signal.signal(n, lambda *_: None) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    there: dict[str, Ending] = {}

    @asynccontextmanager
    async def cloud(_provider: str) -> AsyncIterator[str]:
        yield "http://nowhere"

    @asynccontextmanager
    async def connect(inputs: Given, _identity: object) -> AsyncIterator[Ending]:
        yield there[inputs.job]

    def never(*_: object) -> Any:
        raise AssertionError

    async def no_bucket() -> None:
        pass

    component = Component("Any", "", Given, Outputs, lambda *_: {}, never, connect, never)
    monkeypatch.setattr(catalog, "load", lambda _: component)
    monkeypatch.setattr(demo, "embedded", cloud)
    monkeypatch.setattr(demo, "_s3_bucket", no_bucket)
    yield there
    for number, handler in before.items():
        signal.signal(number, handler)


async def side_by_side(batch: Batch, _output: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for label in ("deploy", "transform"):
            group.create_task(batch.run("any", label, job=label))


async def predictions(_batch: Batch, _output: Path) -> None:
    """Where no job runs, and an error of the client meets the signal."""
    try:
        await asyncio.sleep(1e6)
    finally:
        raise OSError("the connection was closed")


async def end_of(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, output: Path, *keys: float
) -> RunnerError:
    monkeypatch.setattr(demo, "_pipeline", pipeline)
    for moment in keys:
        asyncio.get_running_loop().call_later(moment, os.kill, os.getpid(), signal.SIGINT)
    with pytest.raises(RunnerError) as raised:
        await asyncio.create_task(demo._demo(output))
    return raised.value


@pytest.mark.parametrize("keys", [(20.0,), (20.0, 20.01)])
async def test_ctrl_c_while_two_jobs_start(
    jobs: dict[str, Ending], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: tuple[float, ...]
) -> None:
    for name in ("deploy", "transform"):
        jobs[name] = Ending(name, launching=50.0, runs=1e6, stopping=30.0)
    error = await end_of(side_by_side, monkeypatch, tmp_path, *keys)
    assert isinstance(error, Interrupted)
    assert error.exit_code == 130
    assert str(error).startswith("interrupted (Ctrl-C); deploy: ")
    assert str(error).endswith("; the demo is over, and nothing is left running")
    assert "Stop it with" not in str(error), "no command reaches a cloud that has ended"


async def test_ctrl_c_where_no_job_runs(
    jobs: dict[str, Ending], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = await end_of(predictions, monkeypatch, tmp_path, 20.0)
    assert isinstance(error, Interrupted)
    assert str(error) == (
        "interrupted (Ctrl-C); no job was running; the demo is over, and nothing is left running"
    )


async def test_a_job_that_fails_beside_another_is_the_reason(
    jobs: dict[str, Ending], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jobs["deploy"] = Ending("deploy", runs=1e6)
    jobs["transform"] = Ending("transform", runs=5, final=Status(Phase.FAILED, reason="no such prefix"))
    error = await end_of(side_by_side, monkeypatch, tmp_path)
    assert isinstance(error, JobFailed)
    assert str(error) == "transform failed: no such prefix"


async def test_a_stop_that_failed_names_no_command(
    jobs: dict[str, Ending], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jobs["deploy"] = Ending("deploy", runs=1e6, stop_failures=[ServiceError("denied")])
    jobs["transform"] = Ending("transform", runs=5, final=Status(Phase.FAILED))
    error = await end_of(side_by_side, monkeypatch, tmp_path)
    assert isinstance(error, ServiceError)
    assert str(error) == "could not stop deploy: denied; it has ended with the embedded AWS"


def test_digits_are_drawn_side_by_side_above_their_names() -> None:
    paper, ink = ",".join(["0"] * 64), ",".join(["16"] * 64)
    lines = drawn([paper, ink], ["0", "8"]).splitlines()
    assert lines == [
        *["  " + " " * 16 + "   " + "█" * 16] * 8,
        "  " + "0".center(16) + "   " + "8".center(16),
    ]
