"""A process under measurement: when it started, what it said and when, how it ended, its peak memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.report import check
from tests.support.paths import ROOT

LAUNCHER = Path(__file__).with_name("launcher.py")
PATIENCE = 300.0
LINE = 2**20
FOREIGN = ("AWS_", "KFP_", "ARGO_", "PYTHON")
"""Beginnings of variables that are kept from what is measured."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. `at` is on `time.monotonic`'s clock, `peak` in MiB, `cpu` in seconds."""

    code: int
    at: float
    peak: float
    cpu: float


@dataclass
class Process:
    """One that runs. Lines come with their moment on `time.monotonic`'s clock."""

    pid: int
    began: float
    ended: asyncio.Future[Ended]
    lines: list[tuple[float, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def end(self) -> Ended:
        """Wait for the end, and for the last line."""
        return await asyncio.wait_for(asyncio.shield(self.ended), PATIENCE)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal; return when."""
        now = time.monotonic()
        os.kill(self.pid, number)
        return now

    def heard(self, at: float, text: str) -> None:
        """Take a line of standard output."""
        self.lines.append((at, text))
        self._news.set()

    async def saying(self, word: str) -> None:
        """Wait until a word stands on a line of standard output."""
        self.ended.add_done_callback(lambda _: self._news.set())
        async with asyncio.timeout(PATIENCE):
            while not any(word in text for _, text in self.lines):
                check(not self.ended.done(), f"it ended before it said {word}: {self.last_word}")
                self._news.clear()
                await self._news.wait()

    @property
    def last_word(self) -> str:
        """The last line of standard error."""
        return self.errors[-1] if self.errors else ""


@asynccontextmanager
async def running(
    argv: Sequence[str], environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run our Python with `argv`, for the length of the block; what still runs then is killed."""
    inward, outward = os.pipe()
    python = sys.executable
    launcher = await asyncio.create_subprocess_exec(
        *(python, "-I", "-S", str(LAUNCHER), str(outward), python, *argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(outward,),
        start_new_session=True,
        limit=LINE,
        env=clean() | dict(environment or {}),
        cwd=ROOT,
    )
    os.close(outward)
    report = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(report), os.fdopen(inward, "rb", 0)
    )
    start = json.loads(await report.readline())
    process = Process(start["pid"], start["began"], asyncio.get_running_loop().create_future())
    assert launcher.stdout is not None
    assert launcher.stderr is not None
    reading = asyncio.gather(
        _read(launcher.stdout, process.heard),
        _read(launcher.stderr, lambda _, text: process.errors.append(text)),
        report.readline(),
    )
    reading.add_done_callback(lambda done: process.ended.set_result(Ended(**json.loads(done.result()[2]))))
    try:
        yield process
    finally:
        if not process.ended.done():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        await reading
        await launcher.wait()
        transport.close()


async def _read(stream: asyncio.StreamReader, take: Callable[[float, str], None]) -> None:
    async for line in stream:
        take(time.monotonic(), line.decode().rstrip("\n"))


def clean() -> dict[str, str]:
    """The environment, without what leads to a real cloud or pipeline."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN) and k != "NO_COLOR"}
    return kept | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
