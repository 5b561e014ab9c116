"""A light SageMaker and CloudWatch Logs on a raw socket: it takes the time of each call before it does anything else.

Jobs last as long as they are told to and print a line each second; nothing is executed. The embedded cloud is the more
faithful service, and is used where that matters more than the arrival's exact moment.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/light:1"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and its arrival on `time.monotonic`'s clock."""

    operation: str
    body: Mapping[str, Any]
    at: float


@dataclass
class Job:
    """One training job."""

    request: Mapping[str, Any]
    seconds: float
    created: float = field(default_factory=time.time)
    stopped: bool = False

    @property
    def age(self) -> float:
        """Seconds since its creation, at most what it lasts."""
        return min(time.time() - self.created, self.seconds)

    @property
    def status(self) -> str:
        """As SageMaker spells it."""
        if self.stopped:
            return "Stopped"
        return "InProgress" if self.age < self.seconds else "Completed"


@dataclass
class Service:
    """The books. `seconds` is how long the jobs last that are made from now on."""

    seconds: float = 0.0
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def environment(self) -> dict[str, str]:
        """What leads a client here."""
        keys = {"AWS_ACCESS_KEY_ID": "AKIALIGHT", "AWS_SECRET_ACCESS_KEY": "secret"}
        return keys | {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1"}

    async def call(self, operation: str, name: str = "", count: int = 1) -> Call:
        """Wait for the `count`-th call of an operation, for the job `name` if one is given."""

        def found() -> list[Call]:
            return [
                c
                for c in self.calls
                if c.operation == operation and name in c.body.get("TrainingJobName", name)
            ]

        async with asyncio.timeout(60), self._arrived:
            await self._arrived.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                at = time.monotonic()
                lines = head.decode().split("\r\n")[1:-2]
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
                call = Call(headers.get("x-amz-target", "").rpartition(".")[2], body, at)
                status, answer = self._answer(call)
                self.calls.append(call)
                content = json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n"
                    f"Content-Length: {len(content)}\r\n\r\n".encode()
                    + content
                )
                async with self._arrived:
                    self._arrived.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, call: Call) -> tuple[int, Json]:
        name = str(call.body.get("TrainingJobName", ""))
        match call.operation:
            case "CreateTrainingJob":
                self.jobs[name] = Job(call.body, self.seconds)
                return 200, {"TrainingJobArn": ARN + name}
            case "DescribeTrainingJob":
                return 200, _description(name, self.jobs[name])
            case "StopTrainingJob":
                self.jobs[name].stopped = True
                return 200, {}
            case "FilterLogEvents":
                return 200, self._events(call.body)
            case other:
                return 400, {"__type": "UnknownOperationException", "message": f"{other} is unknown here"}

    def _events(self, body: Mapping[str, Any]) -> Json:
        name = body["logStreamNamePrefix"].rstrip("/")
        job = self.jobs[name]
        times = [int((job.created + second) * 1000) for second in range(int(job.age))]
        rows = [
            {
                "eventId": f"{name}-{n}",
                "logStreamName": f"{name}/algo-1-1700000000",
                "timestamp": at,
                "ingestionTime": at,
                "message": f"second {n}",
            }
            for n, at in enumerate(times)
            if at >= body.get("startTime", 0)
        ]
        return {"events": rows}


def _description(name: str, job: Job) -> Json:
    times = {"CreationTime": job.created, "LastModifiedTime": job.created + job.age}
    stage = "Training" if job.status == "InProgress" else job.status
    return {
        **job.request,
        **times,
        "TrainingJobArn": ARN + name,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": stage,
        "SecondaryStatusTransitions": [{"Status": stage, "StartTime": job.created, "StatusMessage": stage}],
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://bench/out/{name}/output/model.tar.gz"},
        "TrainingTimeInSeconds": int(job.age),
        "BillableTimeInSeconds": int(job.age),
    }


@asynccontextmanager
async def light(seconds: float = 0.0) -> AsyncIterator[Service]:
    """Serve on a free port of loopback."""
    service = Service(seconds)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    service.url = f"http://127.0.0.1:{port}"
    try:
        yield service
    finally:
        server.close()
