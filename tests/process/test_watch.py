"""`kfp-runner watch` looks on; `--local` and `demo` bring their own cloud, and take everything with them."""

from __future__ import annotations

import os
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.background import Background
from tests.support.cases import Case, Cases
from tests.support.door import STOP
from tests.support.steps import INPUTS, JOBS, TRAIN, Step, World, alive, argv, descendants, eventually

CASES = Cases()
REGION = ("--region", INPUTS["region"])


@asynccontextmanager
async def running_job(world: World, image: str = "forever") -> AsyncIterator[str]:
    """A job that somebody else has started."""
    name = f"job-{uuid.uuid4().hex[:12]}"
    await world.service.call(
        "CreateTrainingJob",
        TrainingJobName=name,
        RoleArn=INPUTS["role"],
        AlgorithmSpecification={"TrainingImage": f"test/{image}:1", "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": INPUTS["model_artifact_path"]},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    try:
        yield name
    finally:
        await world.service.call("StopTrainingJob", TrainingJobName=name)


async def left(world: World, number: signal.Signals, word: str) -> None:
    async with running_job(world) as name, world.door() as door:
        async with world.run(["watch", TRAIN, name, *REGION], door) as watch:
            await watch.out.until("| tick 1\n")
            await watch.out.until("| tick 5\n")
            watch.signal(number)
            assert await watch.end(5) == 128 + number, watch
            assert watch.err.last == f"kfp-runner: {word}; {name} goes on without us", watch
            assert door.of(STOP) == []
        assert await world.service.status(name) == "InProgress"


@CASES.case
async def ctrl_c_lets_it_run_on(world: World) -> None:
    await left(world, signal.SIGINT, "interrupted (Ctrl-C)")


@CASES.case
async def sigterm_lets_it_run_on(world: World) -> None:
    await left(world, signal.SIGTERM, "terminated (SIGTERM)")


@CASES.case
async def stop_on_exit(world: World) -> None:
    async with running_job(world) as name, world.door() as door:
        async with world.run(["watch", TRAIN, name, *REGION, "--stop-on-exit"], door) as watch:
            await watch.out.until("| tick 1\n")
            watch.signal(signal.SIGINT)
            assert await watch.end(5) == 130, watch
            assert "told to stop" in watch.err.last
        assert await world.service.status(name) in ("Stopping", "Stopped")


@CASES.case
async def to_the_end(world: World) -> None:
    async with (
        running_job(world, "brief") as name,
        world.door() as door,
        world.run(["watch", TRAIN, name, *REGION], door) as watch,
    ):
        assert await watch.end() == 0, watch
        assert watch.out.find("| epoch 1 ") is not None
        assert "← Succeeded" in watch.out.last


@CASES.case
async def unknown_job(world: World) -> None:
    async with world.door() as door, world.run(["watch", TRAIN, "no-such-job", *REGION], door) as watch:
        assert await watch.end() == 3, watch
        assert "DescribeTrainingJob" in watch.err.last
        assert "not found" in watch.err.last


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_watch(case: Case, cases: Background) -> None:
    cases.result(case.name, 55)


# ── an embedded cloud of their own ──────────────────────────────────────────────────────────────────────────────────


async def all_gone(processes: set[tuple[int, str]]) -> None:
    await eventually(lambda: not any(map(alive, processes)), "no process of it is left")


@asynccontextmanager
async def local(world: World) -> AsyncIterator[Step]:
    """A step on an embedded cloud that it starts by itself; with the processes below it once its job runs."""
    inputs = {**INPUTS, "image": "mine:1", "job_name": "local-job"}
    (world.folder / "buckets" / "data" / "train").mkdir(parents=True)
    (world.folder / "buckets" / "data" / "train" / "rows.csv").write_text("1\n")
    arguments = ["run", TRAIN, *argv(inputs, world.folder / "out"), "--local"]
    arguments += ["--local-image", f"mine:1={sys.executable} {JOBS / 'forever.py'}"]
    arguments += ["--local-folder", str(world.folder / "buckets")]
    async with world.door() as door, world.run(arguments, door) as step:
        await step.out.until("| tick 3\n")
        assert door.calls == [], "it has a cloud of its own"
        yield step


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_local_takes_all_with_it(world: World, number: signal.Signals) -> None:
    async with local(world) as step:
        below = descendants(step.process.pid)
        assert len(below) >= 2, "the embedded cloud and its job"
        step.signal(number)
        assert await step.end() == 128 + number, step
        assert step.err.last.endswith("the service was told to stop local-job, and agreed"), step
        await all_gone(below)


async def test_local_killed_takes_all_with_it(world: World) -> None:
    async with local(world) as step:
        below = descendants(step.process.pid)
        step.signal(signal.SIGKILL)
        await step.end()
        await all_gone(below)


async def test_demo_interrupted(world: World) -> None:
    """Ctrl-C in the middle of the demo, as a terminal sends it: to all processes of the foreground."""
    async with (
        world.door() as door,
        world.run(["demo", "--output", str(world.folder / "demo")], door, session=True) as demo,
    ):
        await demo.out.until("tune  → HPOJob-")
        await demo.out.until("tune  |")
        below = descendants(demo.process.pid)
        assert len(below) >= 2, "the embedded cloud and a trial"
        os.killpg(demo.process.pid, signal.SIGINT)
        assert await demo.end() == 130, demo
        assert re.fullmatch(
            r"kfp-runner: interrupted \(Ctrl-C\); tune: the service was told to stop HPOJob-\S+, and agreed; "
            "the demo is over, and nothing is left running",
            demo.err.last,
        )
        assert "Traceback" not in str(demo.err)
        await all_gone(below)


@pytest.mark.timeout(170)
async def test_demo_interrupted_twice_while_two_jobs_start(world: World) -> None:
    """The second Ctrl-C gives up waiting: jobs and their cloud end all the same, and the reason stays the reason."""
    async with (
        world.door() as door,
        world.run(["demo", "--output", str(world.folder / "demo")], door, session=True) as demo,
    ):
        await demo.out.until("digits created (aws.sagemaker.deploy)", 150)
        below = descendants(demo.process.pid)
        for _ in range(2):
            demo.signal(signal.SIGINT)
        assert await demo.end() == 130, demo
        assert demo.err.last.startswith("kfp-runner: interrupted (Ctrl-C); "), demo
        assert demo.err.last.endswith("; the demo is over, and nothing is left running"), demo
        assert "Traceback" not in str(demo.err)
        await all_gone(below)
