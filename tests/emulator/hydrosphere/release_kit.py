"""A release as a process, as a pipeline makes it, against an embedded Hydrosphere over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from components.hydrosphere.embedded import Cloud, serve
from tests.emulator.component_steps import Step, started

CONTRACT = {
    "signatureName": "predict",
    "inputs": [{"name": "x", "shape": "scalar", "type": "double", "profile": "numerical"}],
    "outputs": [{"name": "y", "shape": [-1, 3], "type": "float32"}],
}
RUNTIME = "hydrosphere/serving-runtime-python-3.7:3.0.3"


@dataclass
class Cluster:
    """An embedded Hydrosphere, and a model to release to it."""

    cloud: Cloud
    folder: Path

    def asked(self, operation: str) -> int:
        """Return how often an operation was asked for."""
        return sum(call.operation == operation for call in self.cloud.calls)

    @property
    def names(self) -> list[str]:
        """All versions as `model:number status`."""
        rows = self.cloud.versions
        return [f"{v['model']['name']}:{v['modelVersion']} {v['status']}" for v in rows]

    def inputs(self, **more: str) -> dict[str, str]:
        """Return the arguments of a release; a blank one is left out."""
        given = {
            "cluster": self.cloud.url,
            "model_name": "m",
            "path": str(self.folder / "model"),
            "payload": json.dumps(["./src/", "./requirements.txt"]),
            "contract_path": str(self.folder / "contract.json"),
            "runtime": RUNTIME,
            "install_command": "pip install -r requirements.txt",
        } | more
        return {name: value for name, value in given.items() if value}

    def release(self, *extra: str, name: str = "step", **more: str) -> AbstractAsyncContextManager[Step]:
        """Start a release."""
        return started("hydrosphere.release", self.folder / name, self.inputs(**more), {}, *extra)


def model(folder: Path, contract: Mapping[str, Any] = CONTRACT) -> None:
    """Write a model's files, its contract, and training data."""
    (folder / "model" / "src").mkdir(parents=True)
    (folder / "model" / "src" / "func_main.py").write_text("def predict(x):\n    return {'y': [x] * 3}\n")
    (folder / "model" / "requirements.txt").write_text("numpy\n")
    (folder / "contract.json").write_text(json.dumps(contract))
    (folder / "train.csv").write_text("x\n1.5\n2.5\n")


@asynccontextmanager
async def cluster(folder: Path, era: int = 3, build_seconds: float = 0.5) -> AsyncIterator[Cluster]:
    """Serve an embedded Hydrosphere that takes faults, with a model beside it."""
    model(folder)
    async with serve(era=era, faults=True, build_seconds=build_seconds) as cloud:
        yield Cluster(cloud, folder)


@asynccontextmanager
async def stalling(path: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Serve a cluster that stands still at a path, with the body half read; give its address, and when that happened."""
    stalled, over = asyncio.Event(), asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == path:
            await request.content.readany()
            stalled.set()
            await over.wait()
        return web.json_response({"version": "3.0.3"} if request.path == "/api/buildinfo" else [])

    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", stalled
    finally:
        over.set()
        await runner.cleanup()
