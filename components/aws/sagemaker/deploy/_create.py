"""Deploying by making a new endpoint: all or nothing.

Only an endpoint that was seen before it served is ever deleted: one that an earlier start had in service stays, whatever
has become of it since.
"""

from __future__ import annotations

from components.aws.errors import AlreadyExists, Denied
from components.aws.sagemaker.deploy import _status as reading
from components.aws.sagemaker.deploy._parts import Body, Known, Part
from components.aws.sagemaker.deploy._status import IN_PROGRESS, MIXED, pending, running
from components.aws.sagemaker.deploy._ways import Way, worst
from runner.errors import NameTaken, NotFound, ServiceError, Transient
from runner.events import Phase, Status
from runner.job import StopAnswer

COMING_UP_SECONDS = 3 * 3600.0
"""SageMaker gives containers an hour to come up, after one for the model: what failed later than this had served."""


class Creation(Way):
    """Makes a configuration, then an endpoint on it; removes both if it fails or is stopped."""

    _served = False
    """An earlier attempt of this step had the endpoint in service: there is nothing to take back."""

    @property
    def _doubtful(self) -> bool:
        return self.endpoint.known is Known.DOUBTFUL

    async def _deploy(self) -> None:
        if self.endpoint.known is Known.MADE:
            return
        try:
            await self.endpoint.create()
        except AlreadyExists as taken:
            await self._adopt(taken)
        except NotFound as error:
            self._check_visible(error)
            raise
        else:
            self.answer = self.endpoint.answer

    async def _adopt(self, taken: AlreadyExists) -> None:
        """Attach to the endpoint that has our name, if it is ours."""
        endpoint = self.endpoint
        description = await endpoint.look()
        if description is None:
            raise Transient(f"the {endpoint.noun} exists, but can't be seen yet: {taken}") from taken
        if description["EndpointStatus"] == "Deleting":
            raise Transient(f"the {endpoint.noun} is being deleted; its name is free when that has ended")
        if not await endpoint.is_ours(description):
            endpoint.known = Known.UNTRIED
            raise NameTaken(
                f"the name {endpoint.name} is in use by an endpoint that is not this step's, which was not touched; "
                "choose another --endpoint_name, leave it blank for a generated one, or give --update_endpoint True"
            ) from taken
        fresh = endpoint.just_made(description)
        self._take(description)
        if not fresh and description["EndpointStatus"] == "Failed" and not self._served:
            endpoint.known = Known.UNTRIED  # Whatever comes of the deletion.
            await self._delete_endpoint()
            endpoint.known, self.born = Known.UNTRIED, None
            raise Transient(
                f"the {endpoint.noun} of an earlier attempt is Failed; it is being deleted, to be made anew"
            )
        self.adopted = not fresh
        self.over = self._served
        if self.adopted and not self._served:
            self.since = description["CreationTime"].timestamp()

    async def _needed(self, config: Part) -> bool:
        return self.endpoint.known is not Known.GONE and await super()._needed(config)

    def _take(self, description: Body) -> None:
        """Take an endpoint as ours that is there already."""
        self.is_another(description)
        self.endpoint.found()
        state = description["EndpointStatus"]
        took = (description["LastModifiedTime"] - description["CreationTime"]).total_seconds()
        coming = state == "Creating" or (state == "Failed" and took < COMING_UP_SECONDS)
        self._served = not coming and not self.endpoint.just_made(description)

    def status(self, description: Body) -> Status:
        """Read a DescribeEndpoint answer."""
        return reading.status(description)

    def _removable(self, description: Body) -> bool:
        """Whether it is the endpoint that this step made, untouched by anybody else."""
        ours = self.config.name
        same = not self.is_another(description) and running(description) == ours
        untouched = pending(description) in ("", ours) and description["EndpointStatus"] != MIXED
        return same and untouched and not self._served

    async def settle(self, status: Status) -> Status:
        """Leave an endpoint that serves; remove one that failed, with its configuration."""
        if status.phase is not Phase.SUCCEEDED:
            status = reading.amended(status, *await self._cleared())
        self.over = True
        return status

    async def _cleared(self) -> tuple[list[str], list[str]]:
        endpoint, done = self.endpoint, []
        description = None if endpoint.known is Known.GONE else await endpoint.look()
        if description is not None and not self.is_another(description):
            if not self._removable(description):
                why = "has served before" if self._served else "was changed by somebody else"
                return [], [f"the {endpoint.noun} {why}, and was left as it is"]
            try:
                await self._delete_endpoint()
            except Transient:
                raise
            except ServiceError as error:
                command = endpoint.as_role(self._removal)
                return [], [f"the {endpoint.noun} could not be removed ({error}); remove it with: {command}"]
        if endpoint.known is Known.GONE:
            done = [endpoint.noun]
        gone, left = await self._remove(self.config)
        return [*done, *gone], left

    async def _delete_endpoint(self) -> None:
        """Have the endpoint deleted, which has just been seen to be ours. Raises `Transient` while it can't be."""
        endpoint = self.endpoint
        try:
            await endpoint.call("delete")
        except (Transient, Denied):
            raise
        except NotFound as error:
            raise Transient(f"the {endpoint.noun} can't be seen: {error}") from error
        except ServiceError as refusal:
            description = await endpoint.look()
            if description is None:
                # Refused, so it was there: either it is gone by now, or the service does not show it yet.
                raise Transient(f"the {endpoint.noun} can't be seen ({refusal})") from refusal
            state = description["EndpointStatus"]
            if state in IN_PROGRESS:
                raise Transient(
                    f"{endpoint.name} is {state}, and can't be deleted before that ends ({refusal})"
                ) from refusal
            if state != "Deleting":
                if not self._removable(description):
                    raise Transient(f"the {endpoint.noun} was changed meanwhile ({refusal})") from refusal
                await endpoint.call(
                    "delete"
                )  # What was in progress has just ended; else it is refused again.
        endpoint.known = Known.GONE

    async def stop(self) -> StopAnswer:
        """Delete the endpoint, then its configuration."""
        endpoint = self.endpoint
        if self.over:
            return StopAnswer.ENDED
        asked = endpoint.known in (Known.MADE, Known.DOUBTFUL)
        if endpoint.known is Known.GONE or not (asked or endpoint.owner):
            return await self._stop_config()
        description = await endpoint.look()
        if description is None:
            return await self._stop_unseen()
        if endpoint.known is not Known.MADE:
            if not await endpoint.is_ours(description):
                answer = await self._stop_config()
                return StopAnswer.NOT_OURS if self._doubtful else answer
            self._take(description)
        return await self._stop_seen(description)

    async def _stop_seen(self, description: Body) -> StopAnswer:
        if self._served:
            return StopAnswer.ENDED
        if description["EndpointStatus"] == "Deleting":
            self.endpoint.known = Known.GONE
        elif not self._removable(description):
            await self._stop_config()
            return StopAnswer.NOT_OURS
        else:
            await self._delete_endpoint()
        return worst(StopAnswer.AGREED, await self._stop_config())

    async def _stop_unseen(self) -> StopAnswer:
        """Take back what can't be seen."""
        if self.born is not None:
            self.endpoint.known = Known.GONE  # It was there: somebody has deleted it.
        elif self.endpoint.known is Known.MADE:
            return StopAnswer.UNKNOWN  # It will be seen; until then it needs its configuration.
        elif self._doubtful:
            # Without its configuration it can't be made any more; but if it has been, it needs it.
            self._look_longer(f"the {self.endpoint.noun}")
            return worst(StopAnswer.UNKNOWN, await self._stop_config())
        return await self._stop_config()

    @property
    def command(self) -> str:
        """Delete the endpoint as soon as that is possible, and its configuration."""
        endpoint, config = self.endpoint, self.config
        untried = endpoint.known is Known.UNTRIED and config.known is not Known.UNTRIED
        if endpoint.known is Known.GONE or (untried and not endpoint.owner):
            return config.as_role(config.delete_command)
        # The wait ends in an error when the endpoint can't be made: it can be deleted then, too.
        return config.as_role(f"{endpoint.command('wait', 'endpoint-in-service')}; {self._removal}")

    @property
    def _removal(self) -> str:
        endpoint = self.endpoint
        gone = endpoint.command("wait", "endpoint-deleted")
        return f"{endpoint.delete_command}; {gone} && {self.config.delete_command}"
