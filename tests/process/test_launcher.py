"""Under the Kubeflow Pipelines v2 launcher: 0 to 1 s to live after SIGTERM, with a standard output that is broken."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
import uuid
from asyncio.subprocess import PIPE
from functools import cache
from pathlib import Path

import pytest

from tests.support.door import CREATE, STOP, Rule
from tests.support.steps import Step, World, eventually

STUB = Path(__file__).with_name("launcher_stub.py")
ENOUGH = 0.25
"""Seconds to live within which a stop has to be out, even on a busy machine."""


@cache
def namespace() -> tuple[str, ...]:
    """The command that makes its argument PID 1, where that is permitted."""
    for options in ((), ("--user", "--map-root-user")):
        command = ("unshare", *options, "--pid", "--fork", "--mount-proc", "--kill-child")
        try:
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
        except OSError:
            break
    return ()


def pod(seconds: float) -> list[str]:
    return [*namespace(), sys.executable, "-S", str(STUB), "emissary", str(seconds)]


async def terminate(step: Step) -> None:
    """Have the emissary send SIGTERM to all, and wait until everything is gone."""
    assert step.process.stdin is not None
    step.signalled = time.monotonic()
    step.process.stdin.write(b"\n")
    await step.process.stdin.drain()
    await step.end(10)


async def lives(world: World, seconds: float, phase: str) -> bool:
    """Let a pod end in one phase of its step; return whether the job was told to stop. If not, restart it."""
    key = {"env": {"KFP_RUN_ID": uuid.uuid4().hex}}
    async with world.door() as door:
        rule = Rule(CREATE)
        if phase == "create":
            rule = door.rule(CREATE, hold="answer")
        async with world.step(opened=door, wrap=pod(seconds), stdin=PIPE, **key) as step:
            if phase == "create":
                await rule.reached.wait()
                # The service answers in its own time, whatever happens to the step.
                rule.release()
            else:
                await step.out.until("| tick 2\n")
            await terminate(step)
            name = step.jobs[0]
            # A request that was on its way when the step was killed still arrives.
            await eventually(lambda: all(call.answered for call in door.of(STOP)), "all stops are answered")
            stopped = await step.service.status(name) != "InProgress"
            if stopped:
                return True
            async with world.step(**key) as again:
                await again.out.until(f"{name} re-attached")
                again.signal(signal.SIGTERM)
                assert await again.end() == 143, again
                await again.nothing_left()
                assert await again.service.status(name) != "InProgress"
            return False


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0])
async def test_no_job_is_left_or_the_next_start_finds_it(world: World, seconds: float) -> None:
    stopped = await asyncio.gather(*(lives(world, seconds, phase) for phase in ("running", "create")))
    assert all(stopped) or seconds < ENOUGH


async def test_how_soon_the_stop_is_out(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured and printed, not asserted: from SIGTERM to all to the stop request's arrival."""
    took = []
    for _ in range(int(os.environ.get("KFP_RUNNER_KILLS", "6"))):
        async with world.step(wrap=pod(0.3), stdin=PIPE) as step:
            await step.out.until("| tick 1\n")
            await terminate(step)
            took.append(step.door.of(STOP)[0].at - step.signalled)
            await step.nothing_left()
    with capsys.disabled():
        ranked = sorted(1000 * each for each in took)
        where = "PID 1 of a namespace" if namespace() else "without a namespace"
        print(
            f"\nSIGTERM under the launcher → stop request on the wire, {len(ranked)} runs, {where}: "
            f"min {ranked[0]:.0f}, median {statistics.median(ranked):.0f}, max {ranked[-1]:.0f} ms"
        )


async def test_the_stub_breaks_the_pipe_and_kills(world: World) -> None:
    """The stub itself: everything below it is gone when it ends, and took no longer than it was given."""
    async with world.door() as door:
        hold = door.rule(STOP, hold="request")
        async with world.step(opened=door, wrap=pod(0.3), stdin=PIPE) as step:
            await step.out.until("| tick 1\n")
            await terminate(step)
            assert hold.reached.is_set()
            assert step.err.find("kfp-runner:") is None, "it was killed before it could end"
