"""How a step says how it went: the exit code, one clear last line on standard error, no traceback."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Mapping

import pytest

from tests.support.background import Background
from tests.support.cases import Case, Cases
from tests.support.door import CREATE, DESCRIBE, FOREVER
from tests.support.steps import Step, World

CASES = Cases()
WITHOUT_KEYS: Mapping[str, str | None] = {
    "AWS_ACCESS_KEY_ID": None,
    "AWS_SECRET_ACCESS_KEY": None,
    "HOME": "/nonexistent",
}


async def ended(step: Step, code: int, word: str) -> None:
    """Assert an exit code and the last word, a regular expression; and that nothing else is on standard error."""
    assert await step.end() == code, step
    assert re.fullmatch("kfp-runner: " + word, step.err.last), step
    assert "Traceback" not in str(step.err), step
    assert len(step.err.lines) == 1, step
    await step.nothing_left()


@CASES.case
async def success(world: World) -> None:
    async with world.step("brief") as step:
        assert await step.end() == 0, step
        assert step.err.lines == []
        assert "← Succeeded in" in step.out.last
        name = step.jobs[0]
        assert step.output("job_name") == name
        assert step.output("model_artifact_url") == f"s3://data/out/{name}/output/model.tar.gz"
        assert step.output("training_image") == "test/brief:1"


@CASES.case
async def the_job_failed(world: World) -> None:
    async with world.step("failing") as step:
        await ended(
            step, 1, r"job-\w+ failed: AlgorithmError: the rows are crooked, exit code: 3 — .*log lines.*"
        )
        at = step.out.until("✗ last 20 log lines:")
        tail = step.out.lines[await at + 1 :][:20]
        assert [line.split("| ")[1] for line in tail] == [f"row {number}\n" for number in range(11, 31)]
        assert step.out.find("reason: AlgorithmError: the rows are crooked") is not None
        assert step.out.find("hint: ") is not None
        assert not step.outputs.joinpath("model_artifact_url", "data").exists()


@CASES.case
async def stopped_by_somebody_else(world: World) -> None:
    async with world.step() as step:
        await step.out.until("| tick 3\n")
        await step.service.call("StopTrainingJob", TrainingJobName=step.jobs[0])
        await ended(step, 1, r"job-\w+ was stopped by somebody else")
        assert step.out.find("| asked to stop\n") is not None, "the last lines are shown"


@CASES.case
async def wrong_input(world: World) -> None:
    wrong = {
        "--instance_count": {"instance_count": "many"},
        "--channels": {"channels": "[{]"},
        "--job_name": {"job_name": "no_underscores"},
        "--region": {"region": ""},
        "--role": {"role": ""},
        "--hyperparameters": {"hyperparameters": '{"k": 10}'},
    }
    for argument, inputs in wrong.items():
        async with world.step(inputs=inputs) as step:
            await ended(step, 2, f".*{argument}.*")
            assert step.door.calls == []
            assert step.out.lines == []


@CASES.case
async def wrong_option(world: World) -> None:
    for extra in (["--instance_cuont", "1"], ["--time-limit", "soon"], ["--events", "/nonexistent/events"]):
        async with world.step(extra=extra) as step:
            await ended(step, 2, f".*{extra[0]}.*")
            assert step.door.calls == []


@CASES.case
async def access_denied(world: World) -> None:
    async with world.door() as door:
        door.rule(CREATE, spoil="denied", work=False)
        async with world.step(opened=door) as step:
            await ended(step, 3, r"SageMaker CreateTrainingJob was refused \(AccessDeniedException\): .*")


@CASES.case
async def access_denied_while_watching(world: World) -> None:
    """Nobody may say how the job is: it is stopped rather than left alone unseen."""
    async with world.door() as door:
        door.rule(DESCRIBE, times=1)
        door.rule(DESCRIBE, spoil="denied", work=False, times=FOREVER)
        async with world.step(opened=door) as step:
            await ended(step, 3, r"SageMaker DescribeTrainingJob was refused \(AccessDeniedException\): .*")


@CASES.case
async def unknown_image(world: World) -> None:
    async with world.step("nowhere") as step:
        await ended(
            step, 3, r"SageMaker CreateTrainingJob was refused \(ValidationException\): .*test/nowhere:1.*"
        )


@CASES.light
async def connection_refused(world: World) -> None:
    with socket.socket() as bound:  # Nobody listens, and nobody else can take the port.
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        async with world.step(env={"AWS_ENDPOINT_URL": url}) as step:
            await step.out.until("could not launch or attach yet")
            await ended(step, 3, f"can't reach SageMaker at {url}.*: .*refused.*")


@CASES.case
async def no_credentials(world: World) -> None:
    async with world.step(env=WITHOUT_KEYS) as step:
        await ended(step, 3, r"no AWS credentials to call SageMaker with .*AWS_ACCESS_KEY_ID.*--local")
        assert step.door.calls == []


@CASES.case
async def expired_token(world: World) -> None:
    """It may be under renewal, so it is tried again for two minutes; at once it is said, and can be stopped."""
    async with world.door() as door:
        door.rule(CREATE, spoil="expired", work=False, times=FOREVER)
        async with world.step(opened=door) as step:
            said = await step.out.until("could not launch or attach yet")
            assert "ExpiredTokenException" in step.out.lines[said]
            step.signal(signal.SIGTERM)
            await ended(
                step,
                143,
                r"terminated \(SIGTERM\); "
                r"(nothing had been sent|no job was made|the service was told to stop job-\w+, and agreed)",
            )


@CASES.case
async def expired_token_while_watching(world: World) -> None:
    """Credentials that are renewed in time cost nothing."""
    async with world.door() as door:
        door.rule(DESCRIBE, spoil="expired", work=False, times=3)
        async with world.step("brief", door) as step:
            assert await step.end() == 0, step
            assert step.out.find("could not read the status, the job goes on") is not None
            assert step.out.find("reading the status works again (after 3 failed tries)") is not None


@CASES.case
async def debug(world: World) -> None:
    async with world.door() as door:
        door.rule(CREATE, spoil="denied", work=False)
        async with world.step(opened=door, extra=["--debug"]) as step:
            assert await step.end() == 3
            assert "Traceback (most recent call last)" in str(step.err)
            assert step.err.last.startswith("kfp-runner: SageMaker CreateTrainingJob was refused")


@CASES.case
async def time_limit(world: World) -> None:
    async with world.step(extra=["--time-limit", "2"]) as step:
        await ended(step, 1, r"the time limit was reached; the service was told to stop job-\w+, and agreed")


@CASES.case
async def request_only(world: World) -> None:
    async with world.step(extra=["--dry-run"], env=WITHOUT_KEYS) as step:
        assert await step.end() == 0, step
        assert "TrainingJobName" in json.loads(str(step.out))["CreateTrainingJob"]
        assert step.door.calls == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_exit(case: Case, cases: Background) -> None:
    cases.result(case.name, 55)
