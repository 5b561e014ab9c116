"""Deploying by making a new endpoint: all or nothing."""

from __future__ import annotations

from components.aws.errors import AlreadyExists
from components.aws.sagemaker._api import ENDPOINT
from components.aws.sagemaker.deploy import _status as reading
from components.aws.sagemaker.deploy._parts import Body, Known
from components.aws.sagemaker.deploy._ways import Way, worst
from runner.errors import NameTaken, NotFound, Transient
from runner.events import Phase, Status
from runner.job import StopAnswer


class Creation(Way):
    """Makes a configuration, then an endpoint on it; removes both if it fails or is stopped."""

    _served_before = False
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
        try:
            description = await endpoint.describe()
        except NotFound as error:
            raise Transient(f"the {endpoint.noun} exists, but can't be seen yet: {error}") from error
        state = description["EndpointStatus"]
        if state == "Deleting":
            raise Transient(f"the {endpoint.noun} is being deleted; its name is free when that has ended")
        if not await endpoint.is_ours(description):
            endpoint.known = Known.UNTRIED
            raise NameTaken(
                f"the name {endpoint.name} is in use by an endpoint that is not this step's, which was not touched; "
                "choose another --endpoint_name, leave it blank for a generated one, or give --update_endpoint True"
            ) from taken
        fresh = endpoint.just_made(description)
        if not fresh and ENDPOINT.phases.get(state) is Phase.FAILED:
            await endpoint.call("delete")
            raise Transient(
                f"the {endpoint.noun} of an earlier attempt is {state}; it is being deleted, to be made anew"
            )
        endpoint.known, self.adopted = Known.MADE, not fresh
        self.over = not fresh and state == "InService"

    def status(self, description: Body) -> Status:
        """Read a DescribeEndpoint answer."""
        return reading.status(description)

    async def settle(self, status: Status) -> Status:
        """Leave an endpoint that serves; remove one that failed, with its configuration."""
        if status.phase is not Phase.SUCCEEDED:
            status = reading.amended(status, *await self._remove((self.endpoint, self.config)))
        self.over = True
        return status

    async def stop(self) -> StopAnswer:
        """Delete the endpoint, then its configuration."""
        if self.over:
            return StopAnswer.ENDED
        endpoint = await self._stop_endpoint()
        if self._served_before:
            return StopAnswer.ENDED
        if endpoint is StopAnswer.UNKNOWN and self.endpoint.known is Known.MADE:
            return endpoint  # It will be seen; until then it needs its configuration.
        # Where it is not known whether the endpoint was made: without its configuration it can't be any more.
        return worst(endpoint, await self._stop_config())

    async def _stop_endpoint(self) -> StopAnswer:
        endpoint = self.endpoint
        if endpoint.known not in (Known.MADE, Known.GONE):
            doubtful = endpoint.known is Known.DOUBTFUL
            if not doubtful and not endpoint.owner:
                return StopAnswer.ENDED
            try:  # In a pipeline run, an earlier attempt may have made it.
                description = await endpoint.describe()
            except NotFound:
                return StopAnswer.UNKNOWN if doubtful else StopAnswer.ENDED
            if not await endpoint.is_ours(description):
                return StopAnswer.NOT_OURS if doubtful else StopAnswer.ENDED
            if description["EndpointStatus"] == "InService" and not endpoint.just_made(description):
                self._served_before = True
                return StopAnswer.ENDED
            endpoint.known = Known.MADE
        return StopAnswer.AGREED if await endpoint.delete() else StopAnswer.UNKNOWN

    @property
    def command(self) -> str:
        """Delete the endpoint as soon as that is possible, and its configuration."""
        endpoint, config = self.endpoint, self.config
        if endpoint.known is Known.GONE or (
            endpoint.known is Known.UNTRIED and config.known is not Known.UNTRIED
        ):
            return config.as_role(config.delete_command)
        # The wait ends in an error when the endpoint can't be made: it can be deleted then, too.
        wait = endpoint.command("wait", "endpoint-in-service")
        return config.as_role(f"{wait}; {endpoint.delete_command} && {config.delete_command}")
