"""Small programs that look at what a client sent, apart from this process and within bounds; none runs it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

SECONDS = 20.0
"""How long one may take."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended."""

    code: int
    output: str
    errors: str


async def ran(command: Sequence[str], text: bytes) -> Ended:
    """Run a program with a text as its input. Raises OSError when it can't be started, TimeoutError when it won't end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        cwd="/",
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, errors = await process.communicate(text)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace"))
