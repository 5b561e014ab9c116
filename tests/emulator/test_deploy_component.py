"""Deploys as a pipeline starts them, on endpoints that really serve: made, updated, failed, stopped, started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.helpers import eventually
from tests.emulator.serving_kit import SAMPLE, Hosting, hosting, server
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

GATED = """
gate = pathlib.Path({gate!r})
print('waits', flush=True)
while not gate.exists():
    time.sleep(0.02)
"""
BROKEN = "print('no such file: model.bin', flush=True)\nsys.exit(1)"


@dataclass
class Step:
    """One start of the component."""

    process: Process
    stdout: list[str]

    async def end(self) -> tuple[int, str]:
        """Exit code, and what was written to standard error."""
        assert self.process.stdout
        async for line in self.process.stdout:
            self.stdout.append(line.decode())
        assert self.process.stderr
        errors = (await self.process.stderr.read()).decode()
        return await self.process.wait(), errors

    async def until(self, text: str) -> None:
        """Wait until it has printed this."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            while not any(text in line for line in self.stdout):
                line = await self.process.stdout.readline()
                assert line, "".join(self.stdout)
                self.stdout.append(line.decode())


@dataclass
class World:
    """An embedded cloud, and steps before it."""

    there: Hosting
    folder: Path

    @asynccontextmanager
    async def step(self, run: str = "", **given: str) -> AsyncIterator[Step]:
        arguments = {"region": "us-east-1", "endpoint_name_output_path": str(self.output), **given}
        argv = [word for name, value in arguments.items() for word in (f"--{name}", value)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runner", "run", "aws.sagemaker.deploy", *argv),
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "AWS_ENDPOINT_URL": self.there.aws.cloud.url,
                "AWS_ACCESS_KEY_ID": "embedded",
                "AWS_SECRET_ACCESS_KEY": "embedded",
                "AWS_EC2_METADATA_DISABLED": "true",
                **({"KFP_RUN_ID": run} if run else {}),
            },
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            yield Step(process, [])
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @property
    def output(self) -> Path:
        return self.folder / "endpoint_name"

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    async def ends(self, **given: str) -> tuple[int, str, list[str]]:
        """Run a step to its end; exit code, standard error, and the lines of standard output."""
        async with self.step(**given) as step:
            code, errors = await step.end()
        return code, errors, step.stdout

    async def configs(self) -> list[str]:
        answer = await self.there.sagemaker.list_endpoint_configs()
        return [row["EndpointConfigName"] for row in answer["EndpointConfigs"]]

    async def endpoints(self) -> dict[str, str]:
        answer = await self.there.sagemaker.list_endpoints()
        return {row["EndpointName"]: row["EndpointStatus"] for row in answer["Endpoints"]}

    async def asked(self, operation: str, times: int = 1) -> None:
        """Wait until the service was asked for an operation so often."""

        async def look() -> bool:
            return sum(call.operation == operation for call in self.there.aws.cloud.calls) >= times

        await eventually(look)

    async def gone(self) -> bool:
        """Whether there is no endpoint, nor any configuration; an endpoint takes a moment to go."""

        async def look() -> bool:
            return not await self.endpoints()

        await eventually(look)
        return not await self.configs()


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    images = {
        "good": server(),
        "gated": server(GATED.format(gate=str(folder / "gate"))),
        "broken": server(BROKEN),
    }
    async with hosting(images=images) as there:
        for name in images:
            await there.model(name)
        yield World(there, folder)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def having(lines: list[str], test: Callable[[str], Any]) -> list[str]:
    return [line for line in lines if test(line)]


# ── made ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deploy_serves_when_it_has_ended(here: World) -> None:
    code, errors, lines = await here.ends(model_name_1="good", tags='{"team": "a"}')
    assert code == 0, errors
    name = here.output.read_text()
    assert await here.there.invoke(name, b"hello") == b"hello"
    (config,) = await here.configs()
    assert (await here.there.describe(name))["EndpointConfigName"] == config
    arn = (await here.there.describe(name))["EndpointArn"]
    tags = await here.there.sagemaker.list_tags(ResourceArn=arn)
    assert tags["Tags"] == [{"Key": "team", "Value": "a"}]
    assert having(lines, lambda line: "| serving" in line), "the container's log is shown"


async def test_two_variants_of_the_sample_model(here: World) -> None:
    code, errors, _ = await here.ends(
        model_name_1=SAMPLE, model_name_2="good", initial_variant_weight_2="3", endpoint_name="two"
    )
    assert code == 0, errors
    body = ",".join(["0"] * 64).encode()
    target = {"ContentType": "text/csv", "TargetVariant": "variant-name-1"}
    assert b"closest_cluster" in await here.there.invoke("two", body, **target)
    weights = [row["DesiredWeight"] for row in (await here.there.describe("two"))["ProductionVariants"]]
    assert weights == [1.0, 3.0]


async def test_a_container_that_does_not_come_up_leaves_nothing_and_its_reason_is_told(here: World) -> None:
    code, errors, lines = await here.ends(model_name_1="broken", endpoint_name="ep")
    assert code == 1
    assert "ep failed: " in errors.splitlines()[-1]
    assert having(lines, lambda line: "no such file: model.bin" in line)
    assert await here.gone()
    assert not here.output.exists()


async def test_a_model_that_is_not_there_leaves_nothing(here: World) -> None:
    code, errors, _ = await here.ends(model_name_1="nobody", endpoint_name="ep")
    assert code == 3
    assert "nobody" in errors
    assert await here.gone()


async def test_a_name_in_use_is_told_and_nothing_is_touched(here: World) -> None:
    await here.there.deploy("ep", "good")
    code, errors, _ = await here.ends(model_name_1="good", endpoint_name="ep")
    assert code == 3
    assert "the name ep is in use" in errors
    assert "--update_endpoint True" in errors
    assert await here.endpoints() == {"ep": "InService"}
    assert await here.configs() == ["ep"]


# ── updated ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_update_ends_on_the_new_configuration_alone(here: World) -> None:
    await here.there.deploy("ep", "good")
    code, errors, _ = await here.ends(
        model_name_1=SAMPLE, endpoint_name="ep", update_endpoint="True", tags='{"version": "2"}'
    )
    assert code == 0, errors
    (config,) = await here.configs()
    described = await here.there.describe("ep")
    assert described["EndpointConfigName"] == config != "ep"
    tags = await here.there.sagemaker.list_tags(ResourceArn=described["EndpointArn"])
    assert tags["Tags"] == [{"Key": "version", "Value": "2"}]


async def test_an_update_that_fails_leaves_the_endpoint_as_it_was(here: World) -> None:
    await here.there.deploy("ep", "good")
    code, errors, _ = await here.ends(model_name_1="broken", endpoint_name="ep", update_endpoint="True")
    assert code == 1
    assert "ep failed: the endpoint runs ep again: " in errors
    assert await here.configs() == ["ep"]
    assert await here.there.invoke("ep", b"still") == b"still"


# ── stopped ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stop_while_it_is_made_takes_it_back_as_soon_as_the_service_lets_it(here: World) -> None:
    async with here.step(model_name_1="gated", endpoint_name="ep") as step:
        await step.until("| waits")
        step.process.send_signal(signal.SIGTERM)
        await here.asked("DeleteEndpoint")
        assert await here.endpoints() == {"ep": "Creating"}, "it can't be deleted now"
        here.gate.touch()
        code, errors = await step.end()
    assert code == 128 + signal.SIGTERM
    assert "agreed" in errors.splitlines()[-1]
    assert await here.gone()


async def test_a_stop_while_it_is_updated_brings_it_back(here: World) -> None:
    await here.there.deploy("ep", "good")
    async with here.step(model_name_1="gated", endpoint_name="ep", update_endpoint="True") as step:
        await step.until("| waits")
        step.process.send_signal(signal.SIGTERM)
        await here.asked("UpdateEndpoint", 2)  # To the new configuration, and back.
        assert await here.endpoints() == {"ep": "Updating"}
        here.gate.touch()
        code, errors = await step.end()
    assert code == 128 + signal.SIGTERM
    assert "agreed" in errors.splitlines()[-1]
    assert (await here.there.describe("ep"))["EndpointConfigName"] == "ep"
    assert await here.configs() == ["ep"]
    assert await here.there.invoke("ep", b"still") == b"still"


async def test_a_stop_that_was_not_possible_in_time_says_which_commands_are(here: World) -> None:
    async with here.step(model_name_1="gated", endpoint_name="ep") as step:
        await step.until("| waits")
        step.process.send_signal(signal.SIGTERM)
        code, errors = await step.end()
    assert code == 128 + signal.SIGTERM
    (config,) = await here.configs()
    assert errors.splitlines()[-1].endswith(
        "Stop it with: aws sagemaker wait endpoint-in-service --region us-east-1 --endpoint-name ep; "
        "aws sagemaker delete-endpoint --region us-east-1 --endpoint-name ep; "
        "aws sagemaker wait endpoint-deleted --region us-east-1 --endpoint-name ep && "
        f"aws sagemaker delete-endpoint-config --region us-east-1 --endpoint-config-name {config}"
    )


# ── started again ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_restarted_step_goes_on_with_its_endpoint(here: World) -> None:
    given = {"run": "run-1", "model_name_1": "gated"}
    async with here.step(**given) as first:
        await first.until("| waits")
        first.process.kill()
        await first.end()
    async with here.step(**given) as second:
        await second.until("re-attached")
        here.gate.touch()
        code, errors = await second.end()
    assert code == 0, errors
    assert await here.endpoints() == {here.output.read_text(): "InService"}
    assert len(await here.configs()) == 1
    code, errors, lines = await here.ends(**given)
    assert code == 0, errors
    assert having(lines, lambda line: "re-attached" in line)
    assert len(await here.endpoints()) == 1


async def test_a_restarted_step_goes_on_with_its_update_and_knows_what_it_replaces(here: World) -> None:
    await here.there.deploy("ep", "good")
    given = {"run": "run-1", "model_name_1": "gated", "endpoint_name": "ep", "update_endpoint": "True"}
    async with here.step(**given) as first:
        await first.until("| waits")
        first.process.kill()
        await first.end()
    here.gate.touch()
    await here.there.settled("ep")
    code, errors, _ = await here.ends(**given)
    assert code == 0, errors
    assert await here.configs() == [(await here.there.describe("ep"))["EndpointConfigName"]]
    assert await here.configs() != ["ep"]
