"""Puts the parts together, listens, and takes everything down again in order."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from components.hydrosphere.embedded.app import App
from components.hydrosphere.embedded.books import Books
from components.hydrosphere.embedded.building.builds import Builds
from components.hydrosphere.embedded.cloud import Cloud, Journal
from components.hydrosphere.embedded.eras import Era
from components.hydrosphere.embedded.events import Hub
from components.hydrosphere.embedded.faults import Faults
from components.hydrosphere.embedded.manager import Manager
from components.hydrosphere.embedded.storage import Storage
from components.hydrosphere.embedded.training.monitoring import Monitoring
from components.hydrosphere.embedded.training.profiles import Profiles
from runner.emulation.loopback import listening
from runner.emulation.tasks import Tasks

CLOSING_SECONDS = 5.0
"""How long what goes on behind the answers may take to end; what has not ended by then is left alone."""


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
        storage, tasks = Storage(root), Tasks()
        stack.callback(storage.close)
        stack.push_async_callback(tasks.close, CLOSING_SECONDS)
        # First, so that what threads do comes to an end.
        stack.callback(storage.shut)
        builds, profiles = Builds(settings.build_seconds, era, hub, faults, tasks), Profiles(tasks)
        manager = Manager(era, books, builds, profiles, hub, storage, faults)
        monitoring = Monitoring(books, profiles, storage, objects)
        app = App(manager.operations | monitoring.operations, faults, journal, tasks)
        # Whoever has gone needs no answer: streams end, and what hangs on order.
        server = web.Server(app.handle, handler_cancellation=True, access_log=None)
        url = await stack.enter_async_context(listening(server, settings.port))
        yield Cloud(url, faults, objects, journal, books, era.view)
