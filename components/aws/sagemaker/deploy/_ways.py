"""What the two ways to deploy, making an endpoint and updating one, have in common: first comes the configuration.

Two rules keep what serves from harm. Before anything is deleted or changed, the endpoint is looked at, and only what is
seen then counts. And what somebody else may have changed since is not touched: it is told, with the command.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime

from components.aws.errors import AlreadyExists
from components.aws.sagemaker._api import ENDPOINT
from components.aws.sagemaker._job import VISIBLE_SECONDS
from components.aws.sagemaker.deploy import _status as reading
from components.aws.sagemaker.deploy._parts import Body, Known, NotSent, Part, Unsettled
from runner.errors import NameTaken, NotFound, ServiceError, Transient
from runner.events import Status
from runner.job import StopAnswer

LOOK_SECONDS = 4.0
"""How long a stop looks for what came of a request whose answer was lost, before it counts as not carried out."""


class Way(ABC):
    """One way to deploy. What it made, it removes again when it fails or is stopped."""

    def __init__(self, config: Part, endpoint: Part) -> None:
        self.config, self.endpoint = config, endpoint
        self.adopted = False
        """Whether an earlier attempt of this step had made it, or begun to."""
        self.over = False
        """Nothing is left for a stop to do: it had ended before we came, or has been settled."""
        self.answer: Body = {}
        """What the service said to the request for the endpoint, where it did."""
        self.since = 0.0
        """When an earlier start began it, in epoch seconds, by the service's clock; 0: this one did, or it had ended."""
        self.born: datetime | None = None
        """When the endpoint was made, by the service's clock: another one of that name is somebody else's."""
        self._refusal: ServiceError | None = None
        """Why the service would not have it; what was made by then has to go."""
        self._looking_since: float | None = None

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def is_another(self, description: Body) -> bool:
        """Whether it is another endpoint than the one we saw first, under the same name."""
        self.born = self.born or description[ENDPOINT.created]
        return bool(description[ENDPOINT.created] != self.born)

    # ── launch ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def launch(self) -> None:
        """Make one attempt. Where the last one stopped, the next goes on."""
        if self._refusal is None:
            try:
                await self._make_config()
                await self._deploy()
            except Transient as error:
                raise self._pending(error) from error
            except ServiceError as refusal:
                self._refusal = refusal
            else:
                return
        await self._withdraw(self._refusal)
        self.over = not self._doubtful and self.config.known is not Known.DOUBTFUL
        raise self._refusal

    def _pending(self, error: Transient) -> Transient:
        """Return the failure as the engine has to know it: whether anything of ours may be there already."""
        # With a run key, it may also be an earlier start's.
        if self._doubtful or self.config.known is not Known.UNTRIED or self.config.owner:
            return Unsettled(str(error))
        return NotSent(str(error)) if error.ambiguous else error

    @property
    @abstractmethod
    def _doubtful(self) -> bool:
        """Whether it is not known what came of a request for the endpoint."""

    @abstractmethod
    async def _deploy(self) -> None:
        """Have the configuration rolled out."""

    async def _make_config(self) -> None:
        config = self.config
        if config.known is Known.MADE:
            return
        try:
            await config.create()
        except AlreadyExists as taken:
            config.known = Known.DOUBTFUL
            try:
                description = await config.describe()
                ours = await config.is_ours(description)
            except NotFound as error:
                raise Transient(f"the {config.noun} exists, but can't be seen yet: {error}") from error
            if not ours:
                config.known = Known.UNTRIED
                raise NameTaken(
                    f"the name {config.name} is in use by an endpoint configuration that is not this step's, which was "
                    "not touched; choose another --endpoint_config_name, or leave it blank for a generated one"
                ) from taken
            await self._found_config(description)

    async def _found_config(self, description: Body) -> None:
        """Take a configuration that was there already, and is ours."""
        if self.config.just_made(description):
            self.config.made_at = self._now
        self.config.found()

    def _check_visible(self, error: ServiceError) -> None:
        """Raise `Transient` where the service may not know yet the configuration that it has just agreed to make."""
        since = self.config.known_since
        unknown = isinstance(error, NotFound) and self.config.name.lower() in str(error).lower()
        if unknown and since is not None and self._now - since < VISIBLE_SECONDS:
            raise Transient(f"the {self.config.noun} was made, but can't be used yet: {error}") from error

    async def _withdraw(self, refusal: ServiceError) -> None:
        """Remove the configuration that could not be rolled out, if it is certainly this step's and not in use."""
        config = self.config
        if self._doubtful or config.known is not Known.MADE:
            return  # In doubt, a stop has to look what is there.
        if config.made_at is None and not config.generated:
            return
        try:
            if not await self._needed(config):
                await config.delete()
        except Transient as error:
            raise Unsettled(
                f"{refusal}; the {config.noun} that was made for it is yet to be removed: {error}"
            ) from error
        except ServiceError as error:
            raise ServiceError(
                f"{refusal}; the {config.noun} that was made for it could not be removed ({error}); remove it with: "
                f"{config.as_role(config.delete_command)}"
            ) from refusal

    # ── the other verbs ─────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def status(self, description: Body) -> Status:
        """Read a DescribeEndpoint answer."""

    @abstractmethod
    async def settle(self, status: Status) -> Status:
        """Put everything in order after the end; return the final status. Raises `Transient` to be called again."""

    @abstractmethod
    async def stop(self) -> StopAnswer:
        """Take back what was done; `Transient` asks for another try."""

    @property
    @abstractmethod
    def command(self) -> str:
        """What a person would have to enter to take it back."""

    async def _needed(self, config: Part) -> bool:
        """Whether the endpoint, as it is at this moment, runs a configuration or is moving to it."""
        return reading.uses(await self.endpoint.look(), config.name)

    async def _remove(self, config: Part) -> tuple[list[str], list[str]]:
        """Delete a configuration after the end; return what is gone, and sentences on what was left."""
        if await self._needed(config):
            return [], [f"the {config.noun} may be in use, and was left"]
        try:
            return [config.noun] if await config.delete() else [], []
        except Transient:
            raise
        except ServiceError as error:
            command = config.as_role(config.delete_command)
            return [], [f"the {config.noun} could not be removed ({error}); remove it with: {command}"]

    async def _stop_config(self) -> StopAnswer:
        """Delete the configuration, if there is one of ours that the endpoint does not use."""
        config = self.config
        if config.known is Known.GONE:
            return StopAnswer.AGREED
        doubtful = config.known is Known.DOUBTFUL
        if config.known is not Known.MADE:
            if not doubtful and not config.owner:
                return StopAnswer.ENDED
            try:  # In a pipeline run, an earlier attempt may have made it.
                ours = await config.is_ours(await config.describe())
            except NotFound:
                return StopAnswer.UNKNOWN if doubtful else StopAnswer.ENDED
            if not ours:
                return StopAnswer.NOT_OURS if doubtful else StopAnswer.ENDED
        if await self._needed(config):
            return StopAnswer.NOT_OURS
        there = await config.delete()
        return StopAnswer.AGREED if there or config.known_since is None else self._unknown(config)

    def _unknown(self, config: Part) -> StopAnswer:
        """What it means that the service does not know a configuration which it had made."""
        fresh = config.known_since is not None and self._now - config.known_since < VISIBLE_SECONDS
        return StopAnswer.UNKNOWN if fresh else StopAnswer.AGREED

    def _look_longer(self, what: str) -> None:
        """Raise `Transient` until it has been looked for what came of a request for long enough."""
        self._looking_since = self._looking_since or self._now
        if self._now - self._looking_since < LOOK_SECONDS:
            raise Transient(f"it is looked for what became of {what}")


def worst(*answers: StopAnswer) -> StopAnswer:
    """Return what has to be told of several answers."""
    ranks = (StopAnswer.UNKNOWN, StopAnswer.NOT_OURS, StopAnswer.AGREED, StopAnswer.ENDED)
    return min(answers, key=ranks.index)
