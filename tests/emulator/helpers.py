"""A running embedded AWS with clients that talk to it over real sockets, and words for what tests do with jobs."""

from __future__ import annotations

import asyncio
import io
import shlex
import tarfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from components.aws.embedded import Cloud, serve

ROLE = "arn:aws:iam::123456789012:role/sm"
GROUP = "/aws/sagemaker/TrainingJobs"
DIGITS = "s3://kfp-runner-samples/digits"
KMEANS = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
SESSION = get_session()
DEADLINE = 20.0
ENDED = ("Completed", "Failed", "Stopped")


def script(source: str) -> str:
    """A command line that runs a piece of Python, with what training scripts usually need."""
    prelude = "import json, os, pathlib, signal, subprocess, sys, time\n"
    return f"python -c {shlex.quote(prelude + dedent(source))}"


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = DEADLINE) -> Any:
    """The first thing that `look` finds; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"nothing within {seconds} s")


@dataclass(slots=True)
class Aws:
    cloud: Cloud
    s3: Any
    sagemaker: Any
    logs: Any

    async def create(
        self,
        name: str,
        image: str = "job",
        channels: Mapping[str, str | dict[str, Any]] | None = None,
        parameters: Mapping[str, str] | None = None,
        **overrides: Any,
    ) -> str:
        """Create a training job with what AWS demands; channels are S3 URIs or whole channels."""
        request: dict[str, Any] = {
            "TrainingJobName": name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://results/jobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "HyperParameters": dict(parameters or {}),
        }
        if channels:
            request["InputDataConfig"] = [
                channel(key, value) if isinstance(value, str) else value for key, value in channels.items()
            ]
        request |= overrides
        given = {key: value for key, value in request.items() if value is not None}
        return str((await self.sagemaker.create_training_job(**given))["TrainingJobArn"])

    async def describe(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self.sagemaker.describe_training_job(TrainingJobName=name)
        answer.pop("ResponseMetadata")
        return answer

    async def until(self, name: str, *words: str) -> dict[str, Any]:
        """Wait for a status or secondary status; the description then. No words: for the end."""

        async def look() -> dict[str, Any] | None:
            job = await self.describe(name)
            seen = job["SecondaryStatus"], job["TrainingJobStatus"]
            return job if set(seen) & set(words or ENDED) else None

        found: dict[str, Any] = await eventually(look)
        return found

    async def run(self, name: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        await self.create(name, *arguments, **options)
        return await self.until(name)

    async def stop(self, name: str) -> None:
        await self.sagemaker.stop_training_job(TrainingJobName=name)

    async def events(self, prefix: str, **options: Any) -> list[dict[str, Any]]:
        """All events of a job, page by page."""
        found: list[dict[str, Any]] = []
        request = {"logGroupName": GROUP, "logStreamNamePrefix": f"{prefix}/"} | options
        while True:
            answer = await self.logs.filter_log_events(**request)
            found += answer["events"]
            if "nextToken" not in answer:
                return found
            request["nextToken"] = answer["nextToken"]

    async def lines(self, name: str) -> list[str]:
        return [event["message"] for event in await self.events(name)]

    async def printed(self, name: str, line: str) -> None:
        """Wait until the job has printed a line that ends so."""

        async def look() -> bool:
            try:
                return any(each.endswith(line) for each in await self.lines(name))
            except self.logs.exceptions.ResourceNotFoundException:
                return False

        await eventually(look)

    async def put(self, bucket: str, **objects: bytes) -> None:
        """Write objects, their keys with `__` for `/` and `_dot_` for `.`."""
        await self.s3.create_bucket(Bucket=bucket)
        for name, content in objects.items():
            key = name.replace("__", "/").replace("_dot_", ".")
            await self.s3.put_object(Bucket=bucket, Key=key, Body=content)

    async def get(self, bucket: str, key: str) -> bytes:
        answer = await self.s3.get_object(Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            return bytes(await body.read())

    async def keys(self, bucket: str, prefix: str = "") -> list[str]:
        answer = await self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [row["Key"] for row in answer.get("Contents", ())]

    async def artifact(self, job: str, name: str = "model.tar.gz") -> dict[str, bytes]:
        """The files within a job's archive."""
        content = await self.get("results", f"jobs/{job}/output/{name}")
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
            return {name: file.read() for name, file in files.items() if file is not None}


def channel(name: str, uri: str, **more: Any) -> dict[str, Any]:
    """A channel of a request; keyword arguments of S3DataSource and of the channel are told apart by their names."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    for key in ("S3DataType", "S3DataDistributionType"):
        if key in more:
            source[key] = more.pop(key)
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}} | more


def client(stack: AsyncExitStack, url: str, service: str, region: str = "us-east-1") -> Awaitable[Any]:
    """An aiobotocore client of the embedded cloud that never retries."""
    config = AioConfig(retries={"max_attempts": 0}, inject_host_prefix=False, parameter_validation=False)
    return stack.enter_async_context(
        SESSION.create_client(
            service,
            region_name=region,
            endpoint_url=url,
            aws_access_key_id="embedded",
            aws_secret_access_key="embedded",
            config=config,
        )
    )


@asynccontextmanager
async def embedded(*sources: str, **options: Any) -> AsyncIterator[Aws]:
    """Serve. One source: Python for the image `job`; more options are `serve`'s."""
    images = options.pop("images", {}) | ({"job": script(sources[0])} if sources else {})
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(serve(images=images, **options))
        clients = [await client(stack, cloud.url, name) for name in ("s3", "sagemaker", "logs")]
        aws = Aws(cloud, *clients)
        await aws.s3.create_bucket(Bucket="results")
        yield aws
