"""Small programs that look at what a client sent, apart from this process and within bounds; none runs it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

SECONDS = 20.0
"""How long one may take."""
MEMORY = 1024**3
"""Bytes of memory that one may have, where the system heeds it."""
CPU_SECONDS = 15
# The shell sets the limits for itself, and then becomes the program.
_LIMITED = 'ulimit -v "$1" 2>/dev/null; ulimit -t "$2"; ulimit -c 0; shift 2; exec "$@"'


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended."""

    code: int
    output: str
    errors: str


async def ran(command: Sequence[str], text: bytes) -> Ended:
    """Run a program with a text as its input. Raises OSError when it can't be started, TimeoutError when it won't end."""
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        _LIMITED,
        "sh",
        str(MEMORY // 1024),
        str(CPU_SECONDS),
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
