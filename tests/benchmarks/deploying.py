"""What becomes of an endpoint whose deployment is terminated, or fails. Outcomes, and how long the way out takes."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.cloud import DEAD, SLOW, Cloud, cloud
from tests.benchmarks.process import Ended, Process, running
from tests.benchmarks.report import Row, check, middle, seconds
from tests.benchmarks.step import BODY


def argv(endpoint: str, model: str, *options: str) -> list[str]:
    """Python's arguments for the step that deploys a model."""
    given = ["--region", "us-east-1", "--endpoint_name", endpoint, "--model_name_1", model, *options]
    return ["-m", "runner", "run", "aws.sagemaker.deploy", *given]


async def left(service: Cloud) -> list[str]:
    """Names of what there is of endpoints and configurations, once those under deletion are gone."""
    while True:
        endpoints = (await service.sagemaker.list_endpoints())["Endpoints"]
        if all(e["EndpointStatus"] != "Deleting" for e in endpoints):
            break
    configs = (await service.sagemaker.list_endpoint_configs())["EndpointConfigs"]
    return [e["EndpointName"] for e in endpoints] + [c["EndpointConfigName"] for c in configs]


async def terminated(service: Cloud, number: int) -> tuple[float, float]:
    """Terminate a deployment whose container is yet to answer; seconds to the delete request, and to the exit."""
    name = f"terminated-{number}"
    async with running(argv(name, SLOW), service.environment) as process:
        await process.saying("Creating")
        at = process.signal(signal.SIGTERM)
        ended = await process.end()
    check(ended.code == 143, f"terminated: exit {ended.code}: {process.last_word}")
    check(await left(service) == [], "something was left by a terminated deployment")
    deletions = await service.calls("DeleteEndpoint", job=name)
    return deletions[0]["monotonic"] - at, ended.at - at


async def failed(service: Cloud) -> Ended:
    """Deploy a container that ends at once."""
    async with running(argv("failed", DEAD), service.environment) as process:
        ended = await process.end()
    check(ended.code == 1, f"failed: exit {ended.code}: {process.last_word}")
    check(_reasoned(process), f"failed: no reason told: {process.last_word}")
    check(await left(service) == [], "something was left by a failed deployment")
    return ended


def _reasoned(process: Process) -> bool:
    return "failed" in process.last_word and len(process.last_word) > len("kfp-runner: failed failed: ")


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    async with cloud(folder / "cloud") as service:
        for model in (SLOW, DEAD):
            await service.sagemaker.create_model(
                ModelName=model, ExecutionRoleArn=BODY["RoleArn"], PrimaryContainer={"Image": model}
            )
        times = [await terminated(service, n) for n in range(1 if smoke else 10)]
        await failed(service)
    return list(_rows(times))


def _rows(times: Sequence[tuple[float, float]]) -> list[Row]:
    requests, exits = zip(*times, strict=True)
    return [
        Row(
            "SIGTERM while an endpoint is created (3 s) → first delete request; → exit",
            "ignored until SIGKILL; the endpoint stays",
            f"median {seconds(middle(requests))}; {seconds(middle(exits))}, as it can't be deleted before; endpoint and "
            f"configuration gone ({len(times)} runs)",
        ),
        Row(
            "an endpoint whose container fails",
            "exit 1, the configuration stays",
            "exit 1 with the service's reason; endpoint and configuration gone",
        ),
    ]
