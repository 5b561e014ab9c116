"""What jobs run on, and how any of them is conducted from its place in the queue to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from components.aws.embedded.logs.store import LogStore
from components.aws.embedded.machine.guardian import Guardian
from components.aws.embedded.s3.objects import Objects
from runner.emulation.paths import inside, remove

_log = logging.getLogger(__name__)


class JobFailed(Exception):
    """The job fails; the text is its FailureReason."""


@dataclass(frozen=True, slots=True)
class Site:
    """What jobs run on."""

    folder: Path
    """Each job has a sub-folder here while it runs."""
    objects: Objects
    store: Callable[[str], LogStore]
    """The logs of a region."""
    cloud: Mapping[str, str]
    """Variables that lead a job's own SDK calls to us."""
    grace: float
    """Seconds from SIGTERM to SIGKILL when a job is stopped."""
    places: asyncio.Semaphore
    """How many jobs may run at a time."""
    guardian: Guardian
    begin: Callable[[Coroutine[Any, Any, None]], object]
    """Has a coroutine run beside the server, which cancels it, and waits for it, when it ends."""


class Conducted(Protocol):
    """A job that runs once and ends."""

    region: str
    stop: asyncio.Event
    """Set when it is asked to stop."""

    @property
    def name(self) -> str:
        """Unique within its kind and region."""
        ...

    @property
    def arn(self) -> str:
        """Tells the kind, too."""
        ...

    def end(self, status: str, secondary: str = "", failure: str = "") -> None:
        """Go over to a final status."""
        ...


async def conduct(job: Conducted, site: Site, live: Callable[[Path], Awaitable[None]]) -> None:
    """Wait for a place, then let the job `live` in a folder of its own, which is deleted afterwards.

    `live` ends the job or raises `JobFailed`. Never raises; cancelling leaves the job unfinished.
    """
    kind = job.arn.split(":")[5].partition("/")[0]
    folder = inside(site.folder, f"{job.region}/{kind}/{job.name}")
    try:
        if await _place(job, site):
            try:
                await live(folder)
            finally:
                site.places.release()
        else:
            job.end("Stopped")
    except JobFailed as failure:
        job.end("Failed", failure=str(failure))
    except Exception:  # noqa: BLE001  whatever it is, the client has to see the job end
        _log.exception("%s broke the embedded cloud", job.arn)
        job.end("Failed", failure="InternalServerError: We encountered an internal error. Please try again.")
    finally:
        await asyncio.to_thread(remove, folder)


async def _place(job: Conducted, site: Site) -> bool:
    """Wait for a free place; False, and none taken, when the job was stopped meanwhile."""
    taking = asyncio.ensure_future(site.places.acquire())
    stopping = asyncio.ensure_future(job.stop.wait())
    try:
        await asyncio.wait([taking, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        taken = taking.done()
        taking.cancel()
    if taken and job.stop.is_set():
        site.places.release()
    return taken and not job.stop.is_set()
