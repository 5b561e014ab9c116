"""Containers that serve, and words for what tests do with models, endpoints and transform jobs."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from botocore.exceptions import ClientError

from tests.emulator.helpers import ROLE, Aws, client, embedded, eventually, script

SAMPLE = "kfp-runner-samples-digits"
_SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
base = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])
def ping():
    return 200
def parameters():
    return None
def answer(body, headers):
    return 200, body
{own}
class Handler(BaseHTTPRequestHandler):
    wbufsize = -1
    def do_GET(self):
        told = parameters() if self.path == '/execution-parameters' else None
        if self.path == '/ping':
            self.send(ping(), b'')
        else:
            self.send(404 if told is None else 200, json.dumps(told).encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length'] or 0))
        self.send(*answer(body, self.headers))
    def send(self, status, body, more={{}}):
        self.send_response(status)
        self.send_header('Content-Type', self.headers.get('Accept', 'text/plain'))
        self.send_header('Content-Length', str(len(body)))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(('127.0.0.1', int(os.environ['SAGEMAKER_BIND_TO_PORT'])), Handler)
print('serving', os.getpid(), flush=True)
server.serve_forever()
"""


def server(own: str = "") -> str:
    """A command that serves; `own` redefines `ping()`, `parameters()` or `answer(body, headers)`, or does more."""
    return script(_SERVER.format(own=dedent(own)))


def lasting(own: str) -> str:
    """A server whose `answer` is the given body of a function."""
    return server(f"def answer(body, headers):\n{indent(dedent(own), '    ')}")


def archive(**files: bytes) -> bytes:
    """A model.tar.gz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet reaped does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@dataclass(slots=True)
class Hosting:
    aws: Aws
    runtime: Any

    @property
    def sagemaker(self) -> Any:
        return self.aws.sagemaker

    async def model(self, name: str, image: str | None = None, **more: Any) -> None:
        """Create a model in an image of its own name."""
        options = {key: more.pop(key) for key in ("EnableNetworkIsolation",) if key in more}
        container = {"Image": image or name} | more
        await self.sagemaker.create_model(
            ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, **options
        )

    async def config(self, name: str, *variants: str | Mapping[str, Any]) -> None:
        """Create a configuration; a variant is a model's name, or a request with a default for everything else."""
        rows = [{"ModelName": each} if isinstance(each, str) else dict(each) for each in variants]
        defaults = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        await self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {"VariantName": f"v{number}"} | defaults | row for number, row in enumerate(rows, 1)
            ],
        )

    async def create(self, name: str, config: str) -> None:
        await self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)

    async def deploy(self, name: str, *models: str | Mapping[str, Any]) -> dict[str, Any]:
        """Have an endpoint whose configuration has its name; wait for it."""
        await self.config(name, *models)
        await self.create(name, name)
        return await self.settled(name)

    async def describe(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self.sagemaker.describe_endpoint(EndpointName=name)
        return answer

    async def settled(self, name: str) -> dict[str, Any]:
        """The description once nothing is in progress."""

        async def look() -> dict[str, Any] | None:
            found = await self.describe(name)
            return found if found["EndpointStatus"] in ("InService", "Failed") else None

        found: dict[str, Any] = await eventually(look)
        return found

    async def delete(self, name: str) -> None:
        """Delete an endpoint and wait until it is gone."""
        await self.sagemaker.delete_endpoint(EndpointName=name)

        async def look() -> bool:
            try:
                await self.describe(name)
            except ClientError:
                return True
            return False

        await eventually(look)

    async def invoke(self, name: str, body: bytes | io.BytesIO = b"x", **more: Any) -> bytes:
        return (await self.answer(name, body, **more))["Body"]  # type: ignore[no-any-return]

    async def answer(self, name: str, body: bytes | io.BytesIO = b"x", **more: Any) -> dict[str, Any]:
        """Invoke; the whole answer with its body read."""
        answer = await self.runtime.invoke_endpoint(EndpointName=name, Body=body, **more)
        async with answer["Body"] as stream:
            return {**answer, "Body": await stream.read()}

    async def lines(self, endpoint: str) -> list[str]:
        answer = await self.aws.logs.filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}")
        return [event["message"] for event in answer["events"]]

    async def pids(self, endpoint: str) -> list[int]:
        """The processes that ever served."""
        return [int(line.split()[1]) for line in await self.lines(endpoint) if line.startswith("serving")]


@asynccontextmanager
async def hosting(**options: Any) -> AsyncIterator[Hosting]:
    async with embedded(**options) as aws, AsyncExitStack() as stack:
        yield Hosting(aws, await client(stack, aws.cloud.url, "sagemaker-runtime"))
