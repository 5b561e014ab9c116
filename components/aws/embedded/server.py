"""Puts the parts together, listens, and takes everything down again in order."""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from components.aws.embedded import NEEDS
from components.aws.embedded.app import App
from components.aws.embedded.cloud import Cloud, Journal
from components.aws.embedded.faults import Faults
from components.aws.embedded.front import Front
from components.aws.embedded.logs.api import Logs
from components.aws.embedded.machine.guardian import Guardian
from components.aws.embedded.s3 import folder, samples
from components.aws.embedded.s3.objects import Objects
from components.aws.embedded.sagemaker.images import Images
from components.aws.embedded.sagemaker.service import SageMaker
from components.aws.embedded.sagemaker.site import Site
from runner.emulation.loopback import listening
from runner.emulation.paths import remove
from runner.emulation.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `serve`, where they are explained."""

    port: int
    images: Mapping[str, str]
    s3: Path | None
    faults: bool
    grace: float
    capacity: int


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Cloud]:
    """See `serve`."""
    for module in NEEDS:
        if importlib.util.find_spec(module) is None:
            raise RuntimeError(f"the embedded AWS needs {module}: pip install 'kfp-runner[local]'")
    images = Images(settings.images)
    faults, journal = Faults(enabled=settings.faults), Journal()
    async with AsyncExitStack() as stack:
        root = tempfile.mkdtemp(prefix="kfp-runner-aws-")
        # Not TemporaryDirectory: up to 3.11.7 its clean-up changes the mode of what a job's links lead to.
        stack.callback(remove, Path(root))
        guardian = stack.enter_context(Guardian(root))
        front = Front()
        stack.push_async_callback(front.close)
        objects, logs = Objects(front), Logs(faults)
        stack.push_async_callback(objects.close)
        samples.register(objects)
        if settings.s3 is not None:
            await folder.load(settings.s3, objects)
            stack.push_async_callback(_keep, settings.s3, objects)
        jobs = Tasks()
        stack.push_async_callback(jobs.close)
        places = asyncio.Semaphore(settings.capacity)
        cloud_variables: dict[str, str] = {}
        site = Site(
            Path(root),
            objects,
            logs.store,
            cloud_variables,
            settings.grace,
            places,
            guardian,
            jobs.start,
        )
        app = App(SageMaker(site, images), logs, front, objects, faults, journal)
        app.warm_up()
        stack.push_async_callback(app.close)
        server = web.Server(app.handle, access_log=None)
        url = await stack.enter_async_context(listening(server, settings.port))
        cloud = Cloud(url, faults, journal)
        cloud_variables |= cloud.environment
        yield cloud


async def _keep(path: Path, objects: Objects) -> None:
    await folder.save(path, objects, {(samples.BUCKET, key) for key in samples.KEYS})
