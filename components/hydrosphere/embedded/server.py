"""Puts the parts together, listens, and takes everything down again in order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from components.hydrosphere.embedded.app import App
from components.hydrosphere.embedded.books import Books
from components.hydrosphere.embedded.builds import Builds
from components.hydrosphere.embedded.cloud import Cloud, Journal
from components.hydrosphere.embedded.eras import Era
from components.hydrosphere.embedded.events import Hub
from components.hydrosphere.embedded.faults import Faults
from components.hydrosphere.embedded.manager import Manager
from components.hydrosphere.embedded.monitoring import Monitoring
from components.hydrosphere.embedded.profiles import Profiles
from components.hydrosphere.embedded.storage import Storage
from runner.emulation.loopback import listening
from runner.emulation.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `serve`, where they are explained."""

    port: int
    era: int
    faults: bool
    build_seconds: float


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Cloud]:
    """See `serve`."""
    if settings.build_seconds < 0:
        raise ValueError("a build can't take less than no time")
    era, books, hub = Era(settings.era), Books(), Hub()
    faults, journal = Faults(enabled=settings.faults), Journal()
    objects: dict[str, bytes] = {}
    async with AsyncExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="kfp-runner-hydrosphere-"))
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        storage, tasks = Storage(root), Tasks()
        stack.push_async_callback(tasks.close)
        builds, profiles = Builds(settings.build_seconds, era, hub, faults, tasks), Profiles(tasks)
        manager = Manager(era, books, builds, profiles, hub, storage, faults)
        monitoring = Monitoring(books, profiles, storage, objects)
        app = App(manager.operations | monitoring.operations, faults, journal, tasks)
        # Whoever has gone needs no answer: streams end, and what hangs on order.
        server = web.Server(app.handle, handler_cancellation=True, access_log=None)
        url = await stack.enter_async_context(listening(server, settings.port))
        yield Cloud(url, faults, objects, journal, books, era.view)
