"""A start of a component as a process, as a pipeline makes it, against an embedded cloud."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from runner.job import Component
from tests.emulator.helpers import Aws, eventually
from tests.support.paths import ROOT


@dataclass
class Step:
    """A start that is under way, or has ended."""

    process: Process
    folder: Path
    lines: list[str] = field(default_factory=list)
    """Standard output and error."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, text: str) -> str:
        """Wait for a line that holds a text."""

        async def look() -> str | None:
            found = next((line for line in self.lines if text in line), None)
            assert found or not self.ended.is_set(), f"ended without {text!r}:\n{self}"
            return found

        found: str = await eventually(look, 40)
        return found

    async def end(self) -> int:
        """Wait for its end; return the exit code."""
        async with asyncio.timeout(60):
            await self.ended.wait()
            return await self.process.wait()

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.process.pid, number)

    def output(self, name: str) -> str:
        """What it has written to an output's file."""
        return (self.folder / name).read_text()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Its events of a kind, as JSON Lines have them."""
        told = (json.loads(line) for line in (self.folder / "events").read_text().splitlines())
        return [event for event in told if event["event"] == kind]

    def __str__(self) -> str:
        return "".join(self.lines)


def step(
    aws: Aws, folder: Path, name: str, inputs: Mapping[str, str], *extra: str
) -> AbstractAsyncContextManager[Step]:
    """Start `aws.sagemaker.<name>`; see `started`."""
    environment = {
        "AWS_ENDPOINT_URL": aws.cloud.url,
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_EC2_METADATA_DISABLED": "true",
        "KFP_RUNNER_EMBEDDED": "aws",
    }
    return started(f"aws.sagemaker.{name}", folder, inputs, environment, *extra)


@asynccontextmanager
async def started(
    name: str, folder: Path, inputs: Mapping[str, str], environment: Mapping[str, str], *extra: str
) -> AsyncIterator[Step]:
    """Start a component, with a file for each of its outputs; it is gone when the block is left."""
    folder.mkdir(exist_ok=True)
    component: Component = import_module(f"components.{name}.component").component
    argv = [word for key, value in inputs.items() for word in (f"--{key}", value)]
    for output in (*component.outputs.model_fields, "mlpipeline_metrics"):
        argv += [f"--{output}_output_path", str(folder / output)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runner", "run", name, *argv),
        *("--events", str(folder / "events"), *extra),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    made = Step(process, folder)

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            made.lines.append(line.decode())
        made.ended.set()

    reading = asyncio.create_task(read())
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


def created(aws: Aws, operation: str) -> list[str]:
    """Names in the Create requests that were accepted."""
    key = f"{operation.removeprefix('Create')}Name"
    return [call.body[key] for call in aws.cloud.calls if call.operation == operation and call.status == 200]
