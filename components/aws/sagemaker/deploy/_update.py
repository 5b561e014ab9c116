"""Deploying by updating an endpoint that exists: it ends on the new configuration, or on the one that it had.

What the endpoint shows decides (see `_looks`). What somebody else has changed since is left to them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from components.aws.errors import Denied, Unsupported
from components.aws.sagemaker._api import ENDPOINT, ENDPOINT_CONFIG
from components.aws.sagemaker.deploy import _status as reading
from components.aws.sagemaker.deploy._looks import REPLACES_TAG, Looks
from components.aws.sagemaker.deploy._parts import Body, Known
from components.aws.sagemaker.deploy._status import IN_PROGRESS, MIXED, pending, running
from runner.errors import NotFound, ServiceError, Transient
from runner.events import Phase, Status
from runner.job import StopAnswer

_IN_PROGRESS_TEXT = "in-progress"
"""What the service says when it refuses, though its descriptions may not show why yet."""


class Update(Looks):
    """Makes a configuration, and moves an endpoint to it."""

    # ── launch ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _doubtful(self) -> bool:
        return self._sent is Known.DOUBTFUL

    async def _found_config(self, description: Body) -> None:
        await super()._found_config(description)
        if self.config.owner:
            try:
                self._replaces = (await self.config.tags(description)).get(REPLACES_TAG)
            except (Denied, Unsupported):
                self._replaces = None

    async def _deploy(self) -> None:
        if self._sent is Known.MADE:
            return
        description = await self.endpoint.describe()
        if self._took(description):
            return
        self._check_free(description)
        self.old = running(description)
        await self._retag()
        self._sent_at = self._now
        try:
            self.answer = await self._ask_for(self.config.name)
        except Transient as error:
            self._sent = Known.DOUBTFUL if error.ambiguous else self._sent
            raise
        except asyncio.CancelledError:
            self._sent = Known.DOUBTFUL
            raise
        except ServiceError as refusal:
            await self._look_why(refusal)
            return
        self._sent, self._sent_at = Known.MADE, self._now

    async def _ask_for(self, config: str) -> Body:
        return await self.endpoint.call("update", EndpointConfigName=config)

    def _check_free(self, description: Body) -> None:
        state = description["EndpointStatus"]
        if state in IN_PROGRESS or state == "Deleting":
            raise Transient(f"the {self.endpoint.noun} is {state}; it can be updated when that has ended")
        if description["LastModifiedTime"] < self._newest:
            raise Transient(f"the {self.endpoint.noun} is shown as it was before")

    async def _look_why(self, refusal: ServiceError) -> None:
        """Return if a refused update is under way nevertheless; raise `Transient` if it may be asked for later."""
        self._check_visible(refusal)
        description = await self.endpoint.describe()
        if self._took(description):
            return
        self._check_busy(description, refusal)
        raise refusal

    def _check_busy(self, description: Body, refusal: ServiceError, aim: str = "be updated") -> None:
        state = description["EndpointStatus"]
        if state in IN_PROGRESS or _IN_PROGRESS_TEXT in str(refusal).lower():
            raise Transient(
                f"the {self.endpoint.noun} is {state}, and can't {aim} before that ends ({refusal})"
            ) from refusal

    async def _retag(self) -> None:
        """Have the configuration's tag say what it will replace."""
        if not self.config.owner or self._replaces == self.old:
            return
        arn = (await self.config.describe())[ENDPOINT_CONFIG.arn_key]
        tags = [{"Key": REPLACES_TAG, "Value": self.old}]
        try:
            await self._aws.call("sagemaker", "add_tags", ResourceArn=arn, Tags=tags)
        except (Denied, Unsupported):
            if self._replaces is not None:
                raise  # A restarted step would go by what is not true any more.
        else:
            self._replaces = self.old

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def status(self, description: Body) -> Status:
        """Read a DescribeEndpoint answer: only in service on the new configuration counts."""
        counts = self._counts(description)
        if counts:
            self._note(description)
        status = reading.status(description, self.config.name, self._elsewhere(description) if counts else "")
        if status.phase is Phase.SUCCEEDED and pending(description) == self.old:
            return replace(
                status, phase=Phase.RUNNING
            )  # Somebody takes it back: it is seen what comes of that.
        return status

    def _elsewhere(self, description: Body) -> str:
        """Return why the endpoint is not, and will not be, on our configuration; blank if it may be."""
        ours, runs, coming = self.config.name, running(description), pending(description)
        idle = description["EndpointStatus"] == "InService"
        if ours in (runs, coming) or not (idle or coming):
            return ""
        if idle and runs == self.old and not self._arrived:
            told = description.get("FailureReason") or "the service rolled the update back"
            return f"the endpoint runs {runs} again" + (
                "" if description.get("FailureReason") else f": {told}"
            )
        return f"the endpoint was moved to {coming or runs} by somebody else"

    async def settle(self, status: Status) -> Status:
        """Remove the configuration that is no longer needed: after a success the old one, else the new one."""
        if status.phase is Phase.SUCCEEDED:
            self.over = True  # From here on there is no way back.
            self._leftover = self._leftover or self._part(self.old)
            status = await self._tagged(status)
            if self._leftover is None:
                return status
            return reading.amended(status, *await self._remove(self._leftover))
        status = reading.amended(status, *await self._cleared(status))
        self.over, self._leftover = True, None
        return status

    async def _cleared(self, status: Status) -> tuple[list[str], list[str]]:
        config = self.config
        if status.state in ("Failed", MIXED) or await self._needed(config):
            way = f"go back with: {config.as_role(self._back)}"
            if status.state == "Failed":
                way = f"SageMaker lets a failed endpoint only be deleted: {self.endpoint.delete_command}"
            return [], [f"the {config.noun} is in use and was left; {way}"]
        done, left = await self._remove(config)
        if old := self._part(self.old):
            away = status.phase is Phase.STOPPED or self.old not in (running(self._last), pending(self._last))
            left += [f"the {old.noun}, which it had, was left"] if away else []
        return done, left

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
            if self._leftover is not None and not await self._needed(self._leftover):
                await self._leftover.delete()
            return StopAnswer.ENDED
        if self._sent is Known.UNTRIED and self.config.known is Known.UNTRIED and not self.config.owner:
            return StopAnswer.ENDED
        description = await self.endpoint.look()
        if description is None or self.is_another(description):
            return await self._stop_config()
        overtaken = description["LastModifiedTime"] < self._newest
        if not overtaken:
            self._note(description)
        state, ours = description["EndpointStatus"], self.config.name
        if state == "Deleting" or overtaken:
            raise Transient(f"the {self.endpoint.noun} is {state}, or not shown as it is yet")
        broken = state in ("Failed", MIXED) and self._sent is not Known.UNTRIED
        if broken or ours in (running(description), pending(description)):
            await self._go_back(description)
        return await self._stop_unused(description)

    async def _go_back(self, description: Body) -> None:
        """Ask for the old configuration. SageMaker refuses that while the update is under way. Always raises."""
        state, ours, noun = description["EndpointStatus"], self.config.name, self.endpoint.noun
        coming = pending(description)
        if running(description) == ours and coming not in ("", ours):
            whose = "on its way back to" if coming == self.old else "being moved by somebody else to"
            raise Transient(f"the {noun} is {state}, {whose} {coming}")
        if state in ("Failed", MIXED):
            why = description.get("FailureReason", "no reason given")
            raise ServiceError(f"the {noun} is {state}, and was left as it is: {why}")
        if not self.old or self.old == ours:
            raise ServiceError(f"the {noun} runs {ours}, and there is nothing to go back to")
        await self._ask_back()
        raise Transient(f"the {noun} is on its way back to {self.old}")

    async def _ask_back(self) -> None:
        try:
            await self._ask_for(self.old)
        except (Transient, Denied):
            raise
        except NotFound as gone:
            if await self.endpoint.look() is not None:
                self.old = ""
                raise ServiceError(
                    f"the {self.endpoint.noun} stays on {self.config.name}: there is nothing to go back to ({gone}); "
                    "update it to another configuration, and delete this one then"
                ) from gone
        except ServiceError as refusal:
            description = await self.endpoint.look()
            if description is None or self.is_another(description):
                return
            self._check_busy(description, refusal, "go back")
            if running(description) == self.config.name and not pending(description):
                await self._ask_for(
                    self.old
                )  # What was in progress has just ended; else it is refused again.

    async def _stop_unused(self, description: Body) -> StopAnswer:
        """Delete our configuration, which the endpoint does not show, once it is certain that it will not."""
        state = description["EndpointStatus"]
        may_come = self._sent is not Known.UNTRIED or self.config.made_at is None
        if state in IN_PROGRESS and not pending(description) and may_come:
            raise Transient(f"the {self.endpoint.noun} is {state}, and does not say to which configuration")
        if self._doubtful and not (self._shown or self._arrived):
            # What was not carried out by then can't be any more once its configuration is gone.
            self._look_longer(f"the update of {self.endpoint.name}")
        elif not self._counts(description):
            raise Transient(f"the {self.endpoint.noun} does not show yet what became of the update")
        answer = await self._stop_config()
        moved = self._arrived and self.old not in (running(description), pending(description))
        return StopAnswer.NOT_OURS if moved else answer

    # ── by hand ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def command(self) -> str:
        """Go back as soon as that is possible, and delete the new configuration, if it is certainly not needed."""
        config, last = self.config, self._last
        wait = self.endpoint.command("wait", "endpoint-in-service")
        if self._leftover is not None:
            return config.as_role(self._leftover.delete_command)
        if self._sent is Known.UNTRIED and (config.made_at is not None or not config.owner):
            return config.as_role(config.delete_command)
        ours = config.name in (running(last), pending(last)) or not (self._shown or self._arrived)
        if ours and self.old not in ("", config.name):
            return config.as_role(
                f"{wait}; {self._back}; {wait}; {self.endpoint.runs('=', self.old)} && {config.delete_command}"
            )
        return config.as_role(self.endpoint.unless_running(config))

    @property
    def _back(self) -> str:
        return self.endpoint.command("update-endpoint", endpoint_config_name=self.old)
