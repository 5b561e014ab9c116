"""One command in a process group of its own: its output line by line, its stop ladder, its certain end.

The ladder is AWS's: SIGTERM, `grace` seconds, SIGKILL; both to the whole group. When the first process ends, the rest
of the group is killed, as a container ends with its first process.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from components.aws.embedded.machine.guardian import Guardian

MAX_LINE = 262_144 - 26
"""Bytes of one log event: CloudWatch's 256 KB less its overhead. A longer line is split."""
_CHUNK = 65_536


async def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    write: Callable[[str], None],
    stop: asyncio.Event,
    grace: float,
    guardian: Guardian,
) -> int:
    """Run a command to its end; return its exit code, as a shell shows it (128 + n for signal n).

    `write` is given each line of stdout and stderr as it comes, without its newline. When `stop` is set the ladder
    begins. Cancelling kills the group at once. Raises OSError when the command can't be started.
    """
    receiving, sending = os.pipe()
    async with _reader(receiving) as reader:
        try:
            process = await _spawn(argv, environment, sending)
        finally:
            os.close(sending)
        guardian.watch(process.pid)
        pump = asyncio.create_task(_pump(reader, write))
        ladder = asyncio.create_task(_ladder(process.pid, stop, grace))
        try:
            code = await process.wait()
            _signal(process.pid, signal.SIGKILL)
            await pump
        finally:
            _signal(process.pid, signal.SIGKILL)
            ladder.cancel()
            pump.cancel()
            await asyncio.wait([ladder, pump])
            await process.wait()
            guardian.forget(process.pid)
    return 128 - code if code < 0 else code


async def _spawn(argv: Sequence[str], environment: Mapping[str, str], output: int) -> subprocess.Process:
    """Start the command; a cancellation in the midst of it leaves nothing running."""
    starting = asyncio.ensure_future(
        subprocess.create_subprocess_exec(
            *argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        process = await starting
        _signal(process.pid, signal.SIGKILL)
        await process.wait()
        raise


async def _ladder(group: int, stop: asyncio.Event, grace: float) -> None:
    await stop.wait()
    _signal(group, signal.SIGTERM)
    await asyncio.sleep(grace)
    _signal(group, signal.SIGKILL)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone; macOS says EPERM for zombies
        os.killpg(group, number)


@asynccontextmanager
async def _reader(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """Read a pipe. Not the process's own: waiting for that one would also wait for everyone who holds its pipe."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    try:
        yield reader
    finally:
        transport.close()


async def _pump(reader: asyncio.StreamReader, write: Callable[[str], None]) -> None:
    rest = b""
    while chunk := await reader.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            _write_line(line, write)
        while len(rest) > MAX_LINE:
            rest = _write_part(rest, write)
    if rest:
        _write_line(rest, write)


def _write_line(line: bytes, write: Callable[[str], None]) -> None:
    # CloudWatch has no events without text, so an empty line is no event.
    while line:
        line = _write_part(line, write)


def _write_part(line: bytes, write: Callable[[str], None]) -> bytes:
    """Write as much as one event holds, whole characters only; return the rest."""
    end = min(len(line), MAX_LINE)
    while 0 < end < len(line) and end > MAX_LINE - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    write(line[:end].decode(errors="replace"))
    return line[end:]
