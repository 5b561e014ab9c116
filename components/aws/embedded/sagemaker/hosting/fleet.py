"""A fleet's life: its containers come up, serve, are restarted when they fall, and end with it.

One process stands for one instance, but only so many of them for a variant as `Seats` has, whatever InitialInstanceCount
says; Describe shows the count that was asked for, and the log says how many there really are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from components.aws.embedded.errors import ApiError
from components.aws.embedded.machine.logged import Log
from components.aws.embedded.sagemaker.hosting.data import ModelData, ModelDataError
from components.aws.embedded.sagemaker.hosting.record import Endpoint, Fleet, Variant
from components.aws.embedded.sagemaker.hosting.serving import (
    STARTUP_SECONDS,
    Plan,
    Server,
    StartError,
    instance_id,
    prepare,
    serving,
)
from components.aws.embedded.sagemaker.images import Images, mapping_hint
from components.aws.embedded.sagemaker.site import Site
from runner.emulation.paths import inside, remove

LOG_GROUP = "/aws/sagemaker/Endpoints"
"""Followed by a slash and the endpoint's name."""
RESTART_SECONDS = 1.0
"""Pause before a fallen container is started again; doubled each time, up to `LONGEST_PAUSE`."""
LONGEST_PAUSE = 60.0
DEFAULT_VOLUME_GB = 30
_log = logging.getLogger(__name__)


async def host(
    endpoint: Endpoint, fleet: Fleet, site: Site, images: Images, ended: Callable[[], None]
) -> None:
    """Bring a fleet up; if it is healthy the endpoint goes over to it, and it lives until it is halted.

    Never raises; cancelling kills it. `ended` is called when nothing of it is left.
    """
    folder = inside(site.folder, f"{endpoint.region}/endpoint/{endpoint.name}-{uuid4().hex}")
    try:
        await _live(endpoint, fleet, site, images, folder)
    except Exception:  # noqa: BLE001  whatever it is, the client has to see the deployment end
        _log.exception("%s broke the embedded cloud", endpoint.arn)
        endpoint.lose(fleet, "InternalServerError: We encountered an internal error. Please try again.")
    finally:
        await asyncio.to_thread(remove, folder)
        ended()


async def _live(endpoint: Endpoint, fleet: Fleet, site: Site, images: Images, folder: Path) -> None:
    instances = [
        _Instance(endpoint, fleet, variant, site, images, folder / f"{number}-{index}")
        for number, variant in enumerate(fleet.variants)
        for index in range(variant.processes)
    ]
    async with asyncio.TaskGroup() as group:
        tasks = {group.create_task(instance.live()): instance for instance in instances}
        if reason := await _first_failure(instances):
            endpoint.give_up(reason)
            fleet.halt.set()
        else:
            endpoint.go_over(fleet)
        await fleet.halt.wait()
        for task, instance in tasks.items():
            if instance.server is None:  # still on its way up
                task.cancel()


async def _first_failure(instances: list[_Instance]) -> str:
    """Wait until all are up, or one is not; say why it is not."""
    waiting = {instance.up for instance in instances}
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if reason := next(filter(None, (future.result() for future in done)), ""):
            return reason
    return ""


class _Instance:
    """One process of a variant, again and again."""

    def __init__(
        self,
        endpoint: Endpoint,
        fleet: Fleet,
        variant: Variant,
        site: Site,
        images: Images,
        folder: Path,
    ) -> None:
        self.server: Server | None = None
        """What serves just now."""
        self.up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Empty when it is healthy for the first time, else a FailureReason."""
        self._fleet = fleet
        self._variant = variant
        self._site = site
        self._images = images
        self._folder = folder
        group = f"{LOG_GROUP}/{endpoint.name}"
        self._log = Log(site.store(endpoint.region), group, f"{variant.name}/{instance_id()}")

    async def live(self) -> None:
        """Come up and serve until the fleet is halted. An instance that never comes up ends at once."""
        try:
            plan = self._plan()
            await prepare(plan, self._site)
            await self._serve(plan)
            pause = RESTART_SECONDS
            while not self._fleet.halt.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._fleet.halt.wait(), pause)
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
                with suppress(StartError):  # its log says why
                    await self._serve(plan)
                    pause = RESTART_SECONDS
        except ApiError:
            self._fail(
                # Source of the sentence: yuyasugano/terraform-sagemaker-sample-1 issue 1.
                f"Please make sure all images included in the model for the production variant {self._variant.name}"
                " exist, and that the execution role used to create the model has permissions to access them."
                f" {mapping_hint(self._variant.model.container['Image'])}"
            )
        except ModelDataError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"InternalServerError: The container's folders can't be made: {error}")
        except StartError as error:
            self._fail(
                f"The primary container for production variant {self._variant.name} did not pass the ping health check."
                f" Please check CloudWatch logs for this endpoint. (Embedded cloud: {error}.)"
            )

    def _fail(self, reason: str) -> None:
        if not self.up.done():
            self.up.set_result(reason)

    def _plan(self) -> Plan:
        """Raise `ApiError` for an image that nothing stands for."""
        variant, model = self._variant, self._variant.model
        startup = variant.request.get("ContainerStartupHealthCheckTimeoutInSeconds")
        return Plan(
            command=self._images.command(model.container["Image"], model.role, "serve"),
            data=ModelData.of(model.container),
            region=model.region,
            variables=model.container.get("Environment") or {},
            isolated=model.isolated,
            folder=self._folder,
            log=self._log,
            startup=startup or STARTUP_SECONDS,
            volume=variant.request.get("VolumeSizeInGB") or DEFAULT_VOLUME_GB,
        )

    async def _serve(self, plan: Plan) -> None:
        """Serve until the fleet is halted or the container falls. Raises `StartError`."""
        asked, processes = self._variant.count, self._variant.processes
        if not self.up.done() and asked > processes:
            said = "process serves" if processes == 1 else "processes serve"
            self._log.write(f"[embedded cloud] {asked} instances were asked for; {processes} {said}")
        async with serving(plan, self._site) as server:
            self.server = server
            self._variant.servers.append(server)
            try:
                if not self.up.done():
                    self.up.set_result("")
                if why := await _until(self._fleet.halt, server):
                    self._log.write(f"[embedded cloud] {why}: it is started again")
            finally:
                self._variant.servers.remove(server)
            if self._fleet.replaced:
                await server.drained()
        self.server = None


async def _until(halt: asyncio.Event, server: Server) -> str:
    """Wait until the fleet is halted (empty) or the container has fallen (why)."""
    halted = asyncio.ensure_future(halt.wait())
    broken = asyncio.ensure_future(server.broken())
    try:
        await asyncio.wait([halted, broken], return_when=asyncio.FIRST_COMPLETED)
        return broken.result() if broken.done() and not halt.is_set() else ""
    finally:
        halted.cancel()
        broken.cancel()
