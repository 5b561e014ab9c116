"""`kfp-runner stop` ends what a run has left running: its steps were killed, and could stop nothing themselves."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.support.background import Background
from tests.support.cases import Case, Cases
from tests.support.door import STOP, Rule
from tests.support.steps import INPUTS, Step, World

pytestmark = pytest.mark.slow
CASES = Cases()
REGION = ("--region", INPUTS["region"])
STEPS = 3
LIST, TAGS = "ListTrainingJobs", "ListTags"


@asynccontextmanager
async def orphans(world: World, run: str, steps: int = STEPS) -> AsyncIterator[list[str]]:
    """Jobs of a run whose steps were killed without a chance to stop them; return their names."""
    async with AsyncExitStack() as stack:
        started: list[Step] = []
        for number in range(steps):
            keyed = {"KFP_RUN_ID": run, "KFP_STEP_NAME": f"train-{number}"}
            started.append(await stack.enter_async_context(world.step(env=keyed)))
        for step in started:
            await step.out.until("| tick 1\n")
            step.signal(signal.SIGKILL)
            assert await step.end() == -signal.SIGKILL
        names = [step.jobs[0] for step in started]
        assert len(set(names)) == steps
        assert set(names) <= {*await world.service.running()}, "killed steps leave their jobs behind"
        yield names


def new_run() -> str:
    return f"run-{uuid.uuid4().hex}"


@CASES.case
async def killed_steps(world: World) -> None:
    run, other = new_run(), new_run()
    written = world.folder / "stopped" / "data"
    async with orphans(world, run) as names, orphans(world, other, 1) as others, world.door() as door:
        order = ["stop", "--run-id", run, *REGION]
        async with world.run([*order, "--dry-run"], door) as looked:
            assert await looked.end() == 0, looked
            assert door.of(STOP) == []
            assert all(looked.out.find(f"would stop training job {name}\n") for name in names), looked
        async with world.run([*order, f"--stopped_output_path={written}"], door) as stopped:
            assert await stopped.end() == 0, stopped
            assert all(stopped.out.find(f"stopped training job {name}\n") for name in names), stopped
        assert sorted(json.loads(written.read_text())) == sorted(names)
        assert sorted(call.body["TrainingJobName"] for call in door.of(STOP)) == sorted(names)
        for name in names:
            await world.service.eventually(name, "Stopped")
        assert await world.service.status(others[0]) == "InProgress"
        async with world.run(["stop", "--job-names", f"{others[0]},{names[0]}", *REGION], door) as named:
            assert await named.end() == 0, named
            assert named.out.find(f"training job {names[0]} has ended already (Stopped)"), named
        await world.service.eventually(others[0], "Stopped")


@CASES.case
async def as_a_pipeline_calls_it(world: World) -> None:
    """Every input, blank or not, and every output's path; a second start finds nothing left to do."""
    run = new_run()
    inputs = {
        "region": INPUTS["region"],
        "endpoint_url": "",
        "assume_role": "",
        "run_id": run,
        "job_names": "",
    }
    words = [word for name, value in {**inputs, "dry_run": "False"}.items() for word in (f"--{name}", value)]
    async with orphans(world, run, 1) as names, world.door() as door:
        for expected in (names, []):
            written = world.folder / uuid.uuid4().hex / "data"
            command = ["run", "aws.sagemaker.stop", *words, "--stopped_output_path", str(written)]
            async with world.run(command, door) as step:
                assert await step.end() == 0, step
            assert json.loads(written.read_text()) == expected
        await world.service.eventually(names[0], "Stopped")


@CASES.of_two
async def interrupted_while_it_stops(world: World, number: signal.Signals) -> None:
    run = new_run()
    async with orphans(world, run, 2) as names, world.door() as door:
        rule = Rule(STOP, hold="request")
        door.rules.append(rule)
        async with world.run(["stop", "--run_id", run, *REGION], door) as step:
            await rule.reached.wait()
            step.signal(number)
            rule.release()
            assert await step.end(10) == 128 + number, step
            assert step.err.last.endswith(
                f"; the service was told to stop what runs of run {run}, and agreed"
            ), step
        for name in names:
            await world.service.eventually(name, "Stopped")


@CASES.of_two
async def interrupted_while_it_looks(world: World, number: signal.Signals) -> None:
    run = new_run()
    async with orphans(world, run, 1) as names, world.door() as door:
        rule = Rule(TAGS, hold="answer")
        door.rules.append(rule)
        async with world.run(["stop", "--run_id", run, *REGION], door) as step:
            await rule.reached.wait()
            step.signal(number)
            rule.release()
            assert await step.end(10) == 128 + number, step
        await world.service.eventually(names[0], "Stopped")


@CASES.case
async def a_list_that_is_refused(world: World) -> None:
    """Nothing is known of the run's training jobs, and that is said, with the exit code of what is left undone."""
    async with world.door() as door:
        door.rules.append(Rule(LIST, spoil="denied", work=False))
        async with world.run(["stop", "--run_id", new_run(), *REGION], door) as step:
            assert await step.end() == 1, step
            assert "could not look at training jobs: " in step.err.last
            assert "grant" in step.err.last


@CASES.case
async def a_stop_that_is_refused(world: World) -> None:
    run = new_run()
    async with orphans(world, run, 2) as names, world.door() as door:
        door.rules.append(Rule(STOP, spoil="denied", work=False))
        async with world.run(["stop", "--run_id", run, *REGION], door) as step:
            assert await step.end() == 1, step
            assert "could not stop training job " in step.err.last
            assert step.out.find("stop it with: aws sagemaker stop-training-job --region us-east-1"), step
        states = sorted([await world.service.status(name) for name in names])
        assert states[0] == "InProgress"
        assert states[1] != "InProgress"


@CASES.case
async def nobody_there(world: World) -> None:
    async with world.door() as door:
        gone = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
        async with world.run(["stop", "--job_names", "a", *REGION], door, env=gone) as step:
            assert await step.end(50) == 3, step
            assert "can't reach SageMaker" in step.err.last


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stop(case: Case, cases: Background) -> None:
    cases.result(case.name, 55)
