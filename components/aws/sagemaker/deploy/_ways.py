"""What the two ways to deploy, making an endpoint and updating one, have in common: first comes the configuration."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from components.aws.errors import AlreadyExists
from components.aws.sagemaker._job import VISIBLE_SECONDS
from components.aws.sagemaker.deploy._parts import Body, Known, NotSent, Part, Unsettled
from runner.errors import NameTaken, NotFound, ServiceError, Transient
from runner.events import Status
from runner.job import StopAnswer


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
        self._refusal: ServiceError | None = None
        """Why the service would not have it; what was made by then has to go."""

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
        if self._doubtful or self.config.known is not Known.UNTRIED:
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
                ours = await config.is_ours(await config.describe())
            except NotFound as error:
                raise Transient(f"the {config.noun} exists, but can't be seen yet: {error}") from error
            config.known = Known.MADE if ours else Known.UNTRIED
            if not ours:
                raise NameTaken(
                    f"the name {config.name} is in use by an endpoint configuration that is not this step's, which was "
                    "not touched; choose another --endpoint_config_name, or leave it blank for a generated one"
                ) from taken

    def _check_visible(self, error: ServiceError) -> None:
        """Raise `Transient` where the service may not know yet the configuration that it has just agreed to make."""
        made, now = self.config.made_at, asyncio.get_running_loop().time()
        unknown = isinstance(error, NotFound) and self.config.name.lower() in str(error).lower()
        if unknown and made is not None and now - made < VISIBLE_SECONDS:
            raise Transient(f"the {self.config.noun} was made, but can't be used yet: {error}") from error

    async def _withdraw(self, refusal: ServiceError) -> None:
        """Remove the configuration that could not be rolled out."""
        if self._doubtful or self.config.known is not Known.MADE:
            return  # In doubt, a stop has to look what is there.
        noun = self.config.noun
        try:
            await self.config.delete()
        except Transient as error:
            raise Unsettled(
                f"{refusal}; the {noun} that was made for it is yet to be removed: {error}"
            ) from error
        except ServiceError as error:
            raise ServiceError(
                f"{refusal}; the {noun} that was made for it could not be removed ({error}); remove it with: "
                f"{self.config.as_role(self.config.delete_command)}"
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

    async def _remove(self, parts: Sequence[Part]) -> tuple[list[str], list[str]]:
        """Delete parts after the end; return what is gone, and sentences on what could not be deleted."""
        done, left = [], []
        for part in parts:
            try:
                done += [part.noun] if await part.delete() else []
            except Transient:
                raise
            except ServiceError as error:
                command = part.as_role(part.delete_command)
                left.append(f"the {part.noun} could not be removed ({error}); remove it with: {command}")
        return done, left

    async def _stop_config(self) -> StopAnswer:
        """Delete the configuration, if there is one of ours."""
        config = self.config
        if config.known is Known.UNTRIED:
            return StopAnswer.ENDED
        if config.known is Known.DOUBTFUL:
            try:
                if not await config.is_ours(await config.describe()):
                    return StopAnswer.NOT_OURS
            except NotFound:
                return StopAnswer.UNKNOWN
        return StopAnswer.AGREED if await config.delete() else StopAnswer.UNKNOWN


def worst(*answers: StopAnswer) -> StopAnswer:
    """Return what has to be told of several answers."""
    ranks = (StopAnswer.UNKNOWN, StopAnswer.NOT_OURS, StopAnswer.AGREED, StopAnswer.ENDED)
    return min(answers, key=ranks.index)
