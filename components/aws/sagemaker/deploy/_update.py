"""Deploying by updating an endpoint that exists: it ends on the new configuration, or on the one that it had."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from components.aws.errors import Denied
from components.aws.sagemaker._api import ENDPOINT, ENDPOINT_CONFIG
from components.aws.sagemaker.deploy import _status as reading
from components.aws.sagemaker.deploy._parts import Body, Known, Part
from components.aws.sagemaker.deploy._status import IN_PROGRESS, pending, running
from components.aws.sagemaker.deploy._ways import Way
from components.aws.session import Aws
from runner.errors import NotFound, ServiceError, Transient
from runner.events import Phase, Status
from runner.job import StopAnswer

REPLACES_TAG = "kfp-runner/replaces"
"""Tag of a new configuration whose value is the one before: in a pipeline run, a restarted step needs to know it."""
SETTLED_SECONDS = 10.0
"""After an update was asked for, how long an endpoint may go on to look as it did before."""
LOOK_SECONDS = 3.0
"""How long a stop looks for what came of an update whose answer was lost."""


class Update(Way):
    """Makes a configuration, and moves an endpoint to it."""

    def __init__(
        self, aws: Aws, config: Part, endpoint: Part, before: Body, tags: Sequence[Body], old: str = ""
    ) -> None:
        """`before` is the endpoint as it was, `old` the configuration that it had, `tags` what it is to be given."""
        super().__init__(config, endpoint)
        self._aws, self._before, self._tags = aws, before, tags
        self.old = old or running(before)
        self._sent = Known.UNTRIED
        """What is known of the update."""
        self._sent_at = 0.0
        self._seen = False
        """Whether an effect of the update has been seen."""
        self._restoring = False
        """The service agreed to go back."""
        self._looking_since: float | None = None
        self._last: Body = before
        self._leftover: Part | None = None
        """The old configuration, once there is no way back to it."""

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def attach(self) -> None:
        """Take the update, which an earlier attempt asked for, as ours."""
        self.config.known = self._sent = Known.MADE
        self.adopted = self._seen = True
        self.over = (
            self._before["EndpointStatus"] == "InService" and running(self._before) == self.config.name
        )

    # ── launch ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _doubtful(self) -> bool:
        return self._sent is Known.DOUBTFUL

    async def _deploy(self) -> None:
        if self._sent is Known.MADE or (self._doubtful and self._took(await self.endpoint.describe())):
            return
        self._sent_at = self._sent_at or self._now
        try:
            self.answer = await self._ask_for(self.config.name)
        except Transient as error:
            self._sent = Known.DOUBTFUL if error.ambiguous else self._sent
            raise
        except asyncio.CancelledError:
            self._sent = Known.DOUBTFUL
            raise
        except ServiceError as refusal:
            self._check_visible(refusal)
            description = await self.endpoint.describe()
            if self._doubtful and self._took(description):
                return
            if (state := description["EndpointStatus"]) in IN_PROGRESS:
                raise Transient(f"the {self.endpoint.noun} is {state}: {refusal}") from refusal
            raise
        self._sent, self._sent_at = Known.MADE, self._now

    async def _ask_for(self, config: str) -> Body:
        return await self.endpoint.call("update", EndpointConfigName=config)

    def _took(self, description: Body) -> bool:
        """Note whether an unanswered update was carried out, as far as can be seen."""
        target, coming = self.config.name, pending(description)
        untold = description["EndpointStatus"] == "Updating" and not coming
        if target in (running(description), coming) or untold:
            self._sent = Known.MADE
        return self._sent is Known.MADE

    def _began(self, description: Body) -> bool:
        """Whether the update has begun, as far as can be seen: the service may still show the endpoint as it was."""
        changed = description.get("LastModifiedTime") != self._before.get("LastModifiedTime")
        shown = description["EndpointStatus"] != "InService" or self.config.name in (
            running(description),
            pending(description),
        )
        late = self._now - self._sent_at > SETTLED_SECONDS
        self._seen = self._seen or changed or shown or late
        return self._seen

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def status(self, description: Body) -> Status:
        """Read a DescribeEndpoint answer: only in service on the new configuration counts."""
        self._last = description
        return reading.status(description, self.config.name, began=self._began(description))

    async def settle(self, status: Status) -> Status:
        """Remove the configuration that is no longer needed: after a success the old one, else the new one."""
        if status.phase is Phase.SUCCEEDED:
            self.over = True  # From here on there is no way back.
            if self.old and self.old != self.config.name:
                self._leftover = Part(ENDPOINT_CONFIG, self._aws, {"EndpointConfigName": self.old})
            status = await self._tagged(status)
            return reading.amended(status, *await self._remove([self._leftover] if self._leftover else []))
        there = status.phase is not Phase.STOPPED
        self._restoring = self._restoring or (status.state == "InService" and running(self._last) == self.old)
        if there and self.config.name in (running(self._last), pending(self._last)):
            way = f"go back with: {self.config.as_role(self._back)}"
            if status.state == "Failed":
                way = f"SageMaker lets a failed endpoint only be deleted: {self.endpoint.delete_command}"
            status = reading.amended(status, (), (f"the {self.config.noun} is in use and was left; {way}",))
        else:
            status = reading.amended(status, *await self._remove([self.config]))
        self.over = True
        return status

    async def _tagged(self, status: Status) -> Status:
        """Give the endpoint the user's tags."""
        if not self._tags:
            return status
        arn = self._last[ENDPOINT.arn_key]
        tags: list[Any] = list(self._tags)
        try:
            await self._aws.call("sagemaker", "add_tags", ResourceArn=arn, Tags=tags)
        except Transient:
            raise
        except ServiceError as error:
            return reading.amended(status, [f"not set: {error}"], (), "tags")
        return status

    # ── stop ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self) -> StopAnswer:
        """Have the endpoint go back to its old configuration; then delete the new one."""
        if self.over:
            if self._leftover is not None:
                await self._leftover.delete()
            return StopAnswer.ENDED
        try:
            if self._sent is Known.UNTRIED or (self._doubtful and not await self._found()):
                return await self._stop_config()
            if not self._restoring:
                await self._restore()
            description = await self.endpoint.describe()
        except NotFound:
            return await self._stop_config()  # Somebody deleted the endpoint.
        state = description["EndpointStatus"]
        if state in IN_PROGRESS or (state == "InService" and running(description) != self.old):
            raise Transient(f"the {self.endpoint.noun} is {state}, on its way back to {self.old}")
        if state != "InService":
            why = description.get("FailureReason", "no reason given")
            raise ServiceError(f"the {self.endpoint.noun} is {state}, and can't go back: {why}")
        return await self._stop_config()

    async def _found(self) -> bool:
        """Look for an update whose answer was lost, for some seconds.

        What was not carried out by then can't be any more once its configuration is gone.
        """
        if self._took(await self.endpoint.describe()):
            return True
        now = self._now
        self._looking_since = self._looking_since or now
        if now - self._looking_since < LOOK_SECONDS:
            raise Transient(f"it is looked for what became of the update of {self.endpoint.name}")
        return False

    async def _restore(self) -> None:
        """Ask for the old configuration. SageMaker refuses that while the update is under way."""
        try:
            await self._ask_for(self.old)
        except (Transient, Denied):
            raise
        except ServiceError as refusal:
            description = await self.endpoint.describe()
            state = description["EndpointStatus"]
            began = self._began(description)
            back = running(description) == self.old and state == "InService" and began
            if not back and pending(description) != self.old:
                if state in IN_PROGRESS or not began:
                    raise Transient(
                        f"the {self.endpoint.noun} is {state}, and can't go back before that ends ({refusal})"
                    ) from refusal
                await self._ask_for(
                    self.old
                )  # What was in progress may just have ended; else it is refused again.
        self._restoring = True

    @property
    def command(self) -> str:
        """Go back as soon as that is possible, and delete the new configuration."""
        wait, delete = self.endpoint.command("wait", "endpoint-in-service"), self.config.delete_command
        if self._leftover is not None:
            return self.config.as_role(self._leftover.delete_command)
        if self._sent is Known.UNTRIED:
            return self.config.as_role(delete)
        steps = [wait, delete] if self._restoring else [wait, self._back, wait, delete]
        return self.config.as_role(" && ".join(steps))

    @property
    def _back(self) -> str:
        return self.endpoint.command("update-endpoint", endpoint_config_name=self.old)
