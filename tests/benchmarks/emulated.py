"""An embedded cloud as a process of its own, for the length of a block."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.benchmarks.process import clean
from tests.support.paths import ROOT


@asynccontextmanager
async def emulated(provider: str, *options: str) -> AsyncIterator[dict[str, Any]]:
    """Start a provider's, with failures on order; give what it tells when it is ready: `url` and `environment`."""
    server = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "runner",
            "emulate",
            provider,
            "--port=0",
            "--faults",
            "--attached",
            *options,
        ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=clean(),
        cwd=ROOT,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        ready: dict[str, Any] = json.loads(await server.stdout.readline())
        yield ready
    finally:
        server.stdin.close()
        await server.wait()
