"""Ends one thing that was found: a job is stopped, an endpoint in the making is deleted with its configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from components.aws.sagemaker._api import ENDPOINT, ENDPOINT_CONFIG, Kind
from components.aws.sagemaker._job import SageMakerJob
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker.stop._finding import Finder, Tell, patience
from components.aws.sagemaker.stop._search import Found, running
from components.aws.session import Aws
from runner.errors import NotFound, RunnerError, ServiceError, Transient
from runner.events import Level, Notice, Phase, Status
from runner.inputs import Outputs
from runner.job import StopAnswer
from runner.pace import Pace
from runner.retry import retrying

MAKING_PATIENCE = 7200.0
"""Seconds after which an endpoint is no longer waited for; one whose container never answers fails within an hour."""
POLL_FIRST, POLL_LONGEST = 1.0, 15.0


class Ender:
    """Sends the requests that end things. They take no part in the rate limits: nothing may hold them up."""

    def __init__(self, aws: Aws, component: str, finder: Finder, tell: Tell) -> None:
        self._aws = aws
        self._component = component
        self._finder = finder
        self._tell = tell

    def by_hand(self, found: Found) -> str:
        """Return the AWS command line's way to do the same."""
        return self._job(found).stop_command

    async def end(self, found: Found) -> bool:
        """Return whether it was us that ended it, rather than that it had ended. Raises what refuses it."""
        ended = self._endpoint(found) if found.kind is ENDPOINT else self._stopped(found)
        return await ended

    def _job(self, found: Found) -> SageMakerJob:
        reading = Reading(partial(_status, found.kind), _no_outputs)
        return SageMakerJob(found.kind, self._aws, self._component, reading, found.name, None)

    async def _stopped(self, found: Found) -> bool:
        job = self._job(found)
        async for attempt in retrying(patience, first=0.1, longest=5.0):
            with attempt:
                answer = await job.stop()
        return answer is StopAnswer.AGREED

    async def _endpoint(self, found: Found) -> bool:
        """Delete an endpoint that was being made when it was found, as soon as that can be."""
        state, config = await self._settled(found)
        if state in {"", "Deleting"}:
            return False
        if not ENDPOINT.phases.get(state, Phase.RUNNING).final:
            self._tell(
                Notice(f"{found.title} is {state}: somebody makes use of it, so it was left", Level.WARNING)
            )
            return False
        async for attempt in retrying(patience, first=0.1, longest=5.0):
            with attempt:
                await self._delete(found.name)
        await self._config(found, config)
        return True

    async def _settled(self, found: Found) -> tuple[str, str]:
        """Return an endpoint's state and configuration once it is made, or has failed.

        Before, SageMaker refuses to delete it (`ValidationException`: "Cannot update in-progress endpoint").
        """
        pace, clock, said = Pace(POLL_FIRST, POLL_LONGEST), asyncio.get_running_loop().time, False
        end = clock() + MAKING_PATIENCE
        while True:
            state, config = await self._state(found.name)
            if state not in running(ENDPOINT):
                return state, config
            if clock() > end:
                raise ServiceError(f"it is still {state}, and can't be deleted before that ends")
            if not said:
                said = True
                text = f"{found.title} is {state}, and can't be deleted before that ends: waiting, perhaps for minutes"
                self._tell(Notice(text))
            await asyncio.sleep(pace.pause())

    async def _delete(self, name: str) -> None:
        try:
            await self._aws.call("sagemaker", "delete_endpoint", EndpointName=name)
        except Transient:
            raise
        except ServiceError:  # It may be an earlier attempt, or somebody else, that has deleted it.
            if (await self._state(name))[0] not in {"", "Deleting"}:
                raise

    async def _state(self, name: str) -> tuple[str, str]:
        """Return an endpoint's state and its configuration's name; blank for one that is gone."""
        try:
            described = await self._finder.read("describe_endpoint", EndpointName=name)
        except NotFound:
            return "", ""
        return described["EndpointStatus"], described["EndpointConfigName"]

    async def _config(self, found: Found, name: str) -> None:
        """Delete an endpoint's configuration if it bears the run's tag, too. It costs nothing, so a failure is only said."""
        title = f"endpoint configuration {name}"
        try:
            described = await self._finder.read("describe_endpoint_config", EndpointConfigName=name)
            run = await self._finder.run_of(described[ENDPOINT_CONFIG.arn_key])
            if run != found.run:
                self._tell(Notice(f"{title} was left: it does not bear the run's tag"))
                return
            async for attempt in retrying(patience, first=0.1, longest=5.0):
                with attempt:
                    await self._aws.call("sagemaker", "delete_endpoint_config", EndpointConfigName=name)
        except NotFound:
            return
        except RunnerError as error:
            self._tell(Notice(f"{title} was left, which costs nothing: {error}", Level.WARNING))
            return
        self._tell(Notice(f"deleted {title}"))


def _status(kind: Kind, description: Mapping[str, Any]) -> Status:
    state = description[kind.status_key]
    return Status(kind.phases.get(state, Phase.RUNNING), state)


async def _no_outputs(_aws: Aws, _description: Mapping[str, Any]) -> Outputs:
    return Outputs()
