"""The embedded AWS as a process of its own, with a client that puts log lines and orders failures."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from tests.benchmarks.emulated import emulated

GROUP = "/aws/sagemaker/TrainingJobs"
HELD = "held"
"""Image whose jobs run until they are let go, or told to stop."""
BRIEF = "brief"
"""Image whose jobs run two seconds."""
SLOW, DEAD = "slow", "dead"
"""Images that serve three seconds after their start, and that end at once."""
SPOKEN, SPOKEN_BRIEFLY = "spoken", "spoken-briefly"
"""Images whose jobs say when they speak, for ten seconds and for one."""
LOGS = ("FilterLogEvents", "GetLogEvents", "DescribeLogStreams")


@dataclass
class Cloud:
    """The running cloud."""

    url: str
    environment: Mapping[str, str]
    folder: Path
    http: aiohttp.ClientSession
    sagemaker: Any
    logs: Any

    def release(self, job: str) -> None:
        """Let a held job end."""
        (self.folder / job).touch()

    async def fault(
        self, operation: str, kind: str, times: int | None = 1, *, skip: int = 0, seconds: float = 0.0
    ) -> None:
        """Order a failure; `times` None is for ever."""
        row = {"operation": operation, "kind": kind, "times": times, "skip": skip, "seconds": seconds}
        async with self.http.post(f"{self.url}/_embedded/faults", json=[row]) as answer:
            answer.raise_for_status()

    async def used_up(self) -> None:
        """Wait until every failure on order has begun to take effect."""
        async with asyncio.timeout(60):
            while True:
                async with self.http.get(f"{self.url}/_embedded/faults") as answer:
                    if not json.loads(await answer.read())["faults"]:
                        return
                await asyncio.sleep(0.02)

    async def clear(self) -> None:
        """Take back all failures."""
        async with self.http.delete(f"{self.url}/_embedded/faults") as answer:
            answer.raise_for_status()

    async def calls(self, *operations: str, job: str = "") -> list[dict[str, Any]]:
        """What it was asked: calls of these operations that speak of the job."""
        async with self.http.get(f"{self.url}/_embedded/calls") as answer:
            rows = json.loads(await answer.read())["calls"]
        return [r for r in rows if r["operation"] in operations and job in json.dumps(r["body"])]

    async def describe(self, job: str) -> dict[str, Any]:
        """Describe a job."""
        answer: dict[str, Any] = await self.sagemaker.describe_training_job(TrainingJobName=job)
        return answer

    async def stream(self, job: str, instance: int = 1) -> str:
        """Make a log stream of a job."""
        name = f"{job}/algo-{instance}-1700000000"
        with suppress(self.logs.exceptions.ResourceAlreadyExistsException):
            await self.logs.create_log_group(logGroupName=GROUP)
        await self.logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
        return name

    async def put(self, stream: str, messages: Sequence[str]) -> float:
        """Put lines, readable at once; return the moment before, on `time.monotonic`'s clock."""
        began, now = time.monotonic(), int(time.time() * 1000)
        events = [{"timestamp": now, "message": message} for message in messages]
        await self.logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
        return began


def own(name: str) -> str:
    """The command of a script that lies here."""
    return f"python {shlex.quote(str(Path(__file__).with_name(f'{name}.py')))}"


@asynccontextmanager
async def cloud(folder: Path) -> AsyncIterator[Cloud]:
    """Run one, with its jobs' input in place; `folder` is where jobs are let go."""
    folder.mkdir(parents=True, exist_ok=True)
    wait = f"while [ ! -e {shlex.quote(str(folder))}/$TRAINING_JOB_NAME ]; do sleep 0.05; done"
    images = [
        f"--image={HELD}=sh -c {shlex.quote(wait)}",
        f"--image={BRIEF}=sleep 2",
        f"--image={SLOW}={own('served')} 3",
        f"--image={DEAD}=false",
        f"--image={SPOKEN}={own('spoken')} 10",
        f"--image={SPOKEN_BRIEFLY}={own('spoken')} 1",
    ]
    async with emulated("aws", *images) as ready, AsyncExitStack() as stack:
        clients = {
            service: await stack.enter_async_context(
                get_session().create_client(
                    service,
                    region_name="us-east-1",
                    endpoint_url=ready["url"],
                    aws_access_key_id="bench",
                    aws_secret_access_key="bench",
                    config=AioConfig(retries={"total_max_attempts": 1}),
                )
            )
            for service in ("s3", "sagemaker", "logs")
        }
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await clients["s3"].create_bucket(Bucket="bench")
        await clients["s3"].put_object(Bucket="bench", Key="in/data", Body=b"1")
        yield Cloud(ready["url"], ready["environment"], folder, http, clients["sagemaker"], clients["logs"])
