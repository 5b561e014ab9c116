"""Starts a provider's embedded cloud beside us, as a process of its own, for the length of a context.

It is a separate process so that what is measured and stopped is as far away as a real service; in a session of its own, so
that a Ctrl-C meant for us leaves it alive to take the stop request; and it ends when its standard input does, so that it
can't outlive us, whatever ends us.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from runner.errors import InputError, ServiceError

MARK = "KFP_RUNNER_EMBEDDED"
"""Environment variable that says whose embedded cloud a component is talking to."""
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
_TAIL = 5
"""Lines of its standard error that an error repeats."""


class _Ready(TypedDict):
    url: str
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """What an embedded cloud is started with."""

    images: Mapping[str, str] = field(default_factory=dict)
    """Image name → command line that stands for it."""
    folder: Path | None = None
    """Folder whose sub-folders are its buckets: read at the start, written back at the end."""

    @property
    def arguments(self) -> Sequence[str]:
        """The options as `kfp-runner emulate` takes them."""
        given = [f"--image={name}={command}" for name, command in self.images.items()]
        return given + ([f"--folder={self.folder}"] if self.folder else [])


def require(provider: str) -> None:
    """Raise `InputError` unless the provider has an embedded cloud and what it needs is installed."""
    if not provider or importlib.util.find_spec(f"components.{provider}.embedded") is None:
        raise InputError(f"there is no embedded cloud {provider!r}; --local can't run this component")
    if importlib.util.find_spec("moto") is None:
        raise InputError(
            "the embedded cloud needs more packages; install them with: pip install 'kfp-runner[local]'"
        )


@asynccontextmanager
async def embedded(provider: str, options: EmbeddedOptions = EmbeddedOptions()) -> AsyncIterator[str]:
    """Run the embedded cloud of `provider`, with this process's environment pointed at it; yield its address."""
    require(provider)
    command = [
        sys.executable,
        "-m",
        "runner",
        "emulate",
        provider,
        "--port=0",
        "--attached",
        *options.arguments,
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        ready = await _ready(process, provider)
        with _environment({**ready["environment"], MARK: provider}):
            yield ready["url"]
    finally:
        await _end(process)


async def _ready(process: asyncio.subprocess.Process, provider: str) -> _Ready:
    """Read the line in which it tells its address and the environment that leads there."""
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018  both are pipes
    try:
        async with asyncio.timeout(READY_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        raise ServiceError(
            f"the embedded cloud {provider!r} did not start within {READY_SECONDS:g} s"
        ) from None
    if not line:
        said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()[-_TAIL:]
        raise ServiceError(
            f"the embedded cloud {provider!r} did not start: {' | '.join(said) or 'it said nothing'}"
        )
    ready: _Ready = json.loads(line)
    return ready


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
