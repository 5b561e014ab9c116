"""A step that is started again with the same run key finds its job again, and pays once."""

from __future__ import annotations

import json
import signal
import uuid
from pathlib import Path

import pytest

from tests.support.background import Background
from tests.support.cases import Case, Cases
from tests.support.door import CREATE
from tests.support.steps import Step, World

CASES = Cases()


def keyed(by: str) -> dict[str, object]:
    key = f"run-{uuid.uuid4().hex}"
    return {"env": {"KFP_RUN_ID": key}} if by == "environment" else {"extra": ["--run-key", key]}


def gated(gate: Path) -> dict[str, str]:
    return {"hyperparameters": json.dumps({"gate": str(gate)})}


def creates(step: Step) -> list[int]:
    """The service's answers to the step's attempts to submit."""
    return [call.carried_out for call in step.door.of(CREATE)]


async def killed_and_restarted(world: World, by: str) -> None:
    key, gate = keyed(by), world.folder / "gate"
    async with world.step("gated", inputs=gated(gate), **key) as first:
        await first.out.until("| line 5\n")
        first.signal(signal.SIGKILL)
        assert await first.end() == -signal.SIGKILL
        name = first.jobs[0]
        assert await first.service.status(name) == "InProgress"
        async with world.step("gated", inputs=gated(gate), **key) as second:
            await second.out.until(f"{name} re-attached")
            await second.out.until("| line 1\n")
            await second.out.until("| line 5\n")
            gate.touch()
            assert await second.end() == 0, second
            assert creates(second) == [400], second
            assert second.output("job_name") == name
            assert second.output("model_artifact_url") == f"s3://data/out/{name}/output/model.tar.gz"
            assert [line for line in second.out.lines if "| line 1\n" in line] == [
                second.out.lines[second.out.find("| line 1\n") or 0]
            ]


@CASES.case
async def killed_run_key_from_environment(world: World) -> None:
    await killed_and_restarted(world, "environment")


@CASES.case
async def killed_run_key_as_option(world: World) -> None:
    await killed_and_restarted(world, "option")


@CASES.case
async def after_a_stop(world: World) -> None:
    """The former was told to stop: a fresh job, with a name that follows from the key as well."""
    key = keyed("environment")
    names = []
    for _ in range(3):
        async with world.step("forever", **key) as step:
            await step.out.until("| tick 1\n")
            step.signal(signal.SIGTERM)
            assert await step.end() == 143, step
            await step.nothing_left()
            names.append(step.jobs[-1])
    assert names == [names[0], f"{names[0]}-2", f"{names[0]}-3"]


@CASES.case
async def after_a_failure(world: World) -> None:
    key = keyed("environment")
    for created in ([200], [400, 200]):
        async with world.step("failing", **key) as step:
            assert await step.end() == 1, step
            assert creates(step) == created
    assert step.jobs[-1] == f"{step.jobs[0]}-2"
    assert "adopted" not in str(step.out)


@CASES.case
async def after_success(world: World) -> None:
    """All is done already: the second start only reports, and writes the outputs."""
    key = keyed("option")
    async with world.step("brief", **key) as first:
        assert await first.end() == 0, first
    async with world.step("brief", **key) as second:
        assert await second.end() == 0, second
    assert creates(second) == [400]
    assert second.output("job_name") == first.output("job_name")
    assert second.out.find("| epoch 10 ") is not None


@CASES.case
async def other_key(world: World) -> None:
    """Another run of the same pipeline has a job of its own."""
    names = []
    for _ in range(2):
        async with world.step("forever", **keyed("environment")) as step:
            await step.out.until(" created (")
            step.signal(signal.SIGTERM)
            await step.end()
            await step.nothing_left()
            names += step.jobs
    assert len(set(names)) == 2


@CASES.case
async def name_of_somebody_else(world: World) -> None:
    """A chosen name that is in use is nobody's to adopt: told, and left alone."""
    async with world.step() as first:
        await first.out.until("| tick 1\n")
        name = first.jobs[0]
        async with world.step(inputs={"job_name": name}) as second:
            assert await second.end() == 3, second
            assert f"the name {name} is in use" in second.err.last
        assert await first.service.status(name) == "InProgress"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_restart(case: Case, cases: Background) -> None:
    cases.result(case.name, 55)
