"""A deploy behind the engine's five verbs: an endpoint that is made, or moved to another configuration.

Unlike a job, what it is after stays when the step has ended well: an endpoint in service. All that a deploy which fails or
is stopped has made is removed again, and an endpoint that was there before ends on the configuration that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

from components.aws import console
from components.aws.cloudwatch import FollowTiming, LogFeed
from components.aws.errors import Denied, Unsupported
from components.aws.readers import BestReader
from components.aws.sagemaker._api import ENDPOINT, ENDPOINT_CONFIG
from components.aws.sagemaker._job import CLOCK_DRIFT, VISIBLE_SECONDS, service_time
from components.aws.sagemaker.deploy import _parts
from components.aws.sagemaker.deploy import _status as reading
from components.aws.sagemaker.deploy._create import Creation
from components.aws.sagemaker.deploy._looks import REPLACES_TAG
from components.aws.sagemaker.deploy._parts import Body, Known, NotSent, Part, Unsettled
from components.aws.sagemaker.deploy._status import IN_PROGRESS, pending, running
from components.aws.sagemaker.deploy._update import Update
from components.aws.sagemaker.deploy._ways import Way
from components.aws.session import Aws
from runner.errors import NameTaken, NotFound, ServiceError, Transient
from runner.events import Launched, LogLine, LogSummary, Notice, Phase, Status
from runner.identity import OWNER_TAG, RUN_TAG
from runner.inputs import Outputs
from runner.job import Ended, Feed, StopAnswer

FOLLOW = FollowTiming(quiet_cap=10.0, sweep=10.0, closing=20.0)
"""An endpoint in service goes on to write: health checks, requests. Its log is never quiet, so it is not waited for."""


class DeployJob:
    """One deploy. `requests` is None for an endpoint that is only watched.

    `requests` has the body of CreateEndpointConfig and CreateEndpoint; with UpdateEndpoint beside them, an endpoint that
    exists is updated. The configuration's name is that of the request for the endpoint.
    """

    kind = ENDPOINT

    def __init__(
        self,
        aws: Aws,
        component: str,
        name: str,
        requests: Mapping[str, Body] | None,
        made: Callable[[str], Outputs],
    ) -> None:
        """`made` returns the outputs for an endpoint's name."""
        self.name = name
        self._aws, self._component, self._requests, self._made = aws, component, requests, made
        self._way: Way | None = None
        self._verdict: Status | None = None
        """How it ended, before everything was put in order."""
        self._settled: Status | None = None
        self._stopping = self._seen = False
        self._began = self._launched_at = 0.0
        self._since = 0.0
        """No line of the log that is older (epoch seconds) is of this deploy."""

    @property
    def _endpoint(self) -> Part:
        body = {"EndpointName": self.name} if self._requests is None else self._requests["CreateEndpoint"]
        return Part(ENDPOINT, self._aws, body)

    @property
    def stop_command(self) -> str:
        """The AWS command line's way to take back what was done, as far as it was."""
        if self._way is not None:
            return self._way.command
        if (
            self._requests is not None and "UpdateEndpoint" in self._requests
        ):  # It may be somebody else's, and serve.
            config = self._config(self._requests, "UpdateEndpoint")
            return config.as_role(self._endpoint.unless_running(config))
        return self._endpoint.as_role(self._endpoint.delete_command)

    # ── launch ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def launch(self) -> Launched:
        """Make one attempt to have it deployed; attach to what an earlier attempt of this step did."""
        if self._requests is None:
            description = await self._endpoint.describe()
            self._since = self._since or description["LastModifiedTime"].timestamp() - 1.0
            return self._launched(adopted=True)
        self._began = self._began or _parts.wall()
        if self._way is None:
            try:
                self._way = await self._chosen_way(self._requests)
            except Transient as error:
                # With a run key, there may be what an earlier start has begun: nobody has seen that there is not.
                raise (Unsettled if self._endpoint.owner else NotSent)(str(error)) from error
        await self._launch(self._way, self._requests)
        self._launched_at = asyncio.get_running_loop().time()
        self._since = self._log_begins(self._way)
        return self._launched(adopted=self._way.adopted)

    async def _launch(self, way: Way, requests: Mapping[str, Body]) -> None:
        try:
            await way.launch()
        except NameTaken as taken:
            if "UpdateEndpoint" not in requests or way.config.known is Known.MADE:
                raise
            # None was there when we looked. Now there is one, it is to be updated.
            if await self._endpoint.look() is None:
                raise
            self._way = None
            raise NotSent(f"{self.name} was made by somebody else meanwhile; it can be updated") from taken

    def _log_begins(self, way: Way) -> float:
        if way.adopted:
            return (way.since or _parts.wall() - CLOCK_DRIFT) - 1.0
        return service_time(way.answer) - 1.0 if way.answer else self._began - CLOCK_DRIFT

    async def _chosen_way(self, requests: Mapping[str, Body]) -> Way:
        """Update an endpoint that is there, if that is asked for; else make one."""
        endpoint = self._endpoint
        creation = Creation(self._config(requests, "CreateEndpoint"), endpoint)
        if "UpdateEndpoint" not in requests:
            return creation
        before = await endpoint.look()
        if before is None:
            return creation
        if endpoint.owner and await endpoint.is_ours(before):
            return creation  # An earlier attempt of this step made it.
        way = self._update(requests, before)
        if not await self._resumed(way, before):
            self._check_updatable(before)
        return way

    def _update(self, requests: Mapping[str, Body], before: Body) -> Update:
        config = self._config(requests, "UpdateEndpoint")
        if config.owner:
            replaces = {"Key": REPLACES_TAG, "Value": running(before)}
            config.body["Tags"] = [*config.body.get("Tags", ()), replaces]
        return Update(self._aws, config, self._endpoint, before, self._user_tags)

    def _config(self, requests: Mapping[str, Body], operation: str) -> Part:
        name = requests[operation]["EndpointConfigName"]
        return Part(
            ENDPOINT_CONFIG, self._aws, {**requests["CreateEndpointConfig"], "EndpointConfigName": name}
        )

    @property
    def _user_tags(self) -> list[Body]:
        """The endpoint's tags without ours: an endpoint that is updated belongs to the step that made it."""
        tags = (self._requests or {}).get("CreateEndpoint", {}).get("Tags", ())
        return [tag for tag in tags if tag["Key"] not in (RUN_TAG, OWNER_TAG)]

    async def _resumed(self, way: Update, before: Body) -> bool:
        """Have it go on with the update that an earlier attempt of this step has begun, if it was one."""
        config, runs, coming = way.config, running(before), pending(before)
        if not config.owner or config.name not in (runs, coming):
            return False
        description = await config.look()
        if description is None or not await config.is_ours(description):
            return False
        try:
            tags = await config.tags(description)
        except (Denied, Unsupported):
            tags = {}  # Then the old configuration stays.
        if runs == config.name and coming and coming == tags.get(REPLACES_TAG):
            return False  # An earlier start takes it back: that has to end first.
        way.attach(description, tags)
        return True

    def _check_updatable(self, before: Body) -> None:
        state = before["EndpointStatus"]
        if state in IN_PROGRESS or state == "Deleting":
            raise NotSent(f"the endpoint {self.name} is {state}; it can be updated when that has ended")
        if state == "Failed":
            raise ServiceError(
                f"the endpoint {self.name} is Failed, and SageMaker lets it only be deleted: "
                f"{self._endpoint.as_role(self._endpoint.delete_command)}; then start again"
            )

    def _launched(self, *, adopted: bool) -> Launched:
        region, links = self._aws.region, {}
        if not self._aws.embedded:
            links["endpoint"] = console.sagemaker(region, self.kind.page, self.name)
            links["logs"] = console.logs(region, self._group, "")
        return Launched(self.name, self._component, adopted, links)

    # ── the other verbs ─────────────────────────────────────────────────────────────────────────────────────────────

    async def describe(self) -> Status:
        """Read the status. At the end, what is no longer needed is removed before the end is told."""
        if self._way is None:
            return reading.status(await self._endpoint.describe())
        if self._settled is not None:
            return self._settled
        status = self._verdict or await self._status(self._way)
        if not status.phase.final:
            return status
        if self._stopping:  # It is being taken back: nothing may be tidied as if it had ended.
            return replace(status, phase=Phase.STOPPING)
        self._verdict = status
        self._settled = await self._way.settle(status)
        return self._settled

    async def _status(self, way: Way) -> Status:
        try:
            description = await self._endpoint.describe()
        except NotFound as error:
            if self._seen:
                return reading.deleted(self.name)
            if asyncio.get_running_loop().time() - self._launched_at < VISIBLE_SECONDS:
                raise Transient(f"{self.name} was made, but can't be seen yet: {error}") from error
            raise
        self._seen = True
        if way.is_another(description):
            return reading.deleted(self.name, ", and another one made of the same name")
        return way.status(description)

    async def stop(self) -> StopAnswer:
        """Take back what was done. One that is only watched is deleted while it is being made, else left alone."""
        self._stopping = True
        if self._way is None and self._requests is not None:
            if not self._endpoint.owner:
                return StopAnswer.ENDED  # Nothing was asked for.
            self._way = await self._way_to_stop(self._requests)
        if self._way is not None:
            return await self._way.stop()
        return await self._stop_watched()

    async def _stop_watched(self) -> StopAnswer:
        endpoint = self._endpoint
        description = await endpoint.look()
        if description is None:
            return StopAnswer.UNKNOWN
        if description["EndpointStatus"] != "Creating":
            return StopAnswer.NOT_OURS
        try:
            await endpoint.call("delete")
        except NotFound:
            return StopAnswer.UNKNOWN
        except (Transient, Denied):
            raise
        except ServiceError as refusal:
            raise Transient(
                f"{self.name} is Creating, and can't be deleted before that ends ({refusal})"
            ) from refusal
        return StopAnswer.AGREED

    async def _way_to_stop(self, requests: Mapping[str, Body]) -> Way:
        """Choose as a launch would have: an earlier start of this step may have made or changed something."""
        endpoint = self._endpoint
        before = await endpoint.look() if "UpdateEndpoint" in requests else None
        if before is None or await endpoint.is_ours(before):
            operation = "CreateEndpoint"
            if "UpdateEndpoint" in requests and before is None:
                operation = "UpdateEndpoint"  # Gone: only the configuration of an update may be left.
            return Creation(self._config(requests, operation), endpoint)
        way = self._update(requests, before)
        if not await self._resumed(way, before):
            way.doubt()
        return way

    async def outputs(self) -> Outputs:
        """Return the endpoint's name."""
        return self._made(self.name)

    @property
    def _group(self) -> str:
        return f"{self.kind.log_group}/{self.name}"

    def feeds(self) -> Sequence[Feed]:
        """What its containers write."""
        return [self.log]

    async def log(self, ended: Ended) -> AsyncIterator[LogLine | Notice | LogSummary]:
        """Follow the log of all its containers, whose streams are called `<variant>/<instance>`."""
        reader = BestReader(self._aws, self._group, "")
        feed = LogFeed(reader, lambda stream: stream, lambda: self._since, FOLLOW)
        async for item in feed(ended):
            yield item
