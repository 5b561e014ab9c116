"""What the tests of hydrosdk as a backend share."""

from __future__ import annotations

import asyncio
import importlib.util
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from components.hydrosphere.release._image import Image
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.contract import reading as contracts

needs_hydrosdk = pytest.mark.skipif(
    importlib.util.find_spec("hydrosdk") is None, reason="hydrosdk is not installed; `make install` brings it"
)

SIGNATURE = contracts.parse(
    "inputs: {x: {shape: scalar, type: int64, profile: numerical}}\noutputs: {y: {shape: [-1, 3], type: double}}"
)
SECRET = 'hunter2 "quoted"'
RELEASE = Release("some-model", SIGNATURE, Image("some/runtime", "1.0"), "pip install x", {"token": SECRET})
EXTERNAL = Release("some-model", SIGNATURE, metadata={"token": SECRET})
MADE = {"id": 7, "model": {"id": 3, "name": "some-model"}, "modelVersion": 5}


def model(folder: Path) -> str:
    """Make a model's folder; return its path."""
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "src" / "func_main.py").write_text("def predict(x):\n    return {'y': [x, x, x]}\n")
    (folder / "src" / "deep" / "b.py").touch()
    (folder / "src" / ".hidden").write_text("h")
    (folder / "src" / "empty").mkdir()
    (folder / "a.bin").write_bytes(random.Random(1).randbytes(100_000))
    (folder / "ünï côdé.txt").write_text("u")
    return str(folder)


@dataclass
class Answering:
    """A server that answers every call alike."""

    url: str
    calls: list[str] = field(default_factory=list)


@asynccontextmanager
async def answering(make: Callable[[], web.Response]) -> AsyncIterator[Answering]:
    """Run a server that answers whatever it is asked with what `make` makes."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        server.calls.append(f"{request.method} {request.path}")
        return make()

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = Answering(f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield server
    finally:
        await runner.cleanup()


@dataclass
class Holding:
    """A way to a server that lets only so much of a request through."""

    url: str
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the bytes have come, and no more are taken."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the client's end is closed."""


@asynccontextmanager
async def holding(beyond: str, most: int) -> AsyncIterator[Holding]:
    """Run a way to the server `beyond` that passes `most` bytes of a request on, and then waits for its client's end."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(beyond.rpartition(":")[2])
        _, upstream = await asyncio.open_connection("127.0.0.1", port)
        upstream.write(await reader.readexactly(most))
        await upstream.drain()
        way.held.set()
        with suppress(ConnectionError):
            while await reader.read(2**16):
                pass
        way.left.set()
        for end in (upstream, writer):
            end.close()
            with suppress(ConnectionError):
                await end.wait_closed()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    way = Holding(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield way
    finally:
        server.close()
        await server.wait_closed()
