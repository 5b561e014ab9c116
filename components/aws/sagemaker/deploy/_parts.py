"""The two things that a deploy makes, an endpoint and its configuration, and what is known of each.

SageMaker refuses to delete or update an endpoint that is being created or updated (`ValidationException`: "Cannot update
in-progress endpoint"), which on AWS takes minutes.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from components.aws.errors import Denied, Unsupported
from components.aws.sagemaker._api import ENDPOINT, Kind
from components.aws.sagemaker._job import CLOCK_DRIFT
from components.aws.sagemaker._likeness import covers
from components.aws.session import Aws
from runner.errors import NotFound, Transient
from runner.identity import OWNER_TAG

Body = Mapping[str, Any]


class Known(Enum):
    """What is known of a thing, or a change, that we asked for."""

    UNTRIED = auto()
    """Never asked for, or plainly refused."""
    DOUBTFUL = auto()
    """Asked for, and the answer was lost; or it may be an earlier attempt's."""
    MADE = auto()
    GONE = auto()
    """The service agreed to delete it."""


class Unsettled(Transient):
    """To be tried again; and something of ours may be there already, which a stop has to remove."""

    ambiguous = True


class NotSent(Transient):
    """To be tried again; nothing was asked for yet."""

    ambiguous = False


def wall() -> float:
    """Return our clock's time, in epoch seconds: what the service's dates are compared with."""
    return time.time()


class Part:
    """The endpoint, or the configuration, of one deploy. `body` is what creates it, with its name."""

    def __init__(self, kind: Kind, aws: Aws, body: Body) -> None:
        self.kind, self.body = kind, dict(body)
        self.name = str(body[kind.name_key])
        self.known = Known.UNTRIED
        self.made_at: float | None = None
        """When our own request made it, and was answered, by the event loop's clock."""
        self.known_since: float | None = None
        """Since when we know that it is there, by the event loop's clock; the service may not know it everywhere yet."""
        self.answer: Body = {}
        self.owner = next((t["Value"] for t in body.get("Tags", ()) if t["Key"] == OWNER_TAG), "")
        self._aws = aws
        self._chosen = not (self.owner and self.owner[:20] in self.name)
        """Whether the user chose the name; one of ours follows from the run key, and can be counted on."""
        self._first_sent: float | None = None
        self._ambiguous = self._delete_sent = False

    async def call(self, verb: str, **request: Any) -> Body:  # noqa: ANN401  plain data
        """Make one call about it."""
        return await self._aws.call(
            "sagemaker", self.kind.method(verb), **{self.kind.name_key: self.name}, **request
        )

    async def create(self) -> None:
        """Ask for it, once. Raises what the service says; afterwards `known` tells what may have come of it."""
        self._first_sent = self._first_sent or wall()
        try:
            self.answer = await self._aws.call("sagemaker", self.kind.method("create"), **self.body)
        except Transient as error:
            if error.ambiguous:
                self._doubt()
            raise
        except asyncio.CancelledError:
            self._doubt()  # Given up at the deadline: nobody knows whether it was carried out.
            raise
        self.made_at = asyncio.get_running_loop().time()
        self.found()

    def found(self) -> None:
        """Note that it is there, and ours."""
        self.known, self.known_since = Known.MADE, asyncio.get_running_loop().time()

    def _doubt(self) -> None:
        self._ambiguous, self.known = True, Known.DOUBTFUL

    async def describe(self) -> Body:
        """Read it."""
        return await self.call("describe")

    async def look(self) -> Body | None:
        """Read it; None where the service knows none, which nothing but this answer proves."""
        try:
            return await self.describe()
        except NotFound:
            return None

    async def is_ours(self, description: Body) -> bool:
        """By its owner tag; or, after an answer was lost, because it is what we asked for, made just then."""
        if self.owner:
            try:
                return (await self.tags(description)).get(OWNER_TAG) == self.owner
            except (Denied, Unsupported):
                if not self._chosen:
                    return True  # Nobody else comes by a name that follows from our run key.
        return self.just_made(description) and covers(description, self.body)

    @property
    def generated(self) -> bool:
        """Whether its name follows from our run key, so that nobody else comes by it."""
        return bool(self.owner) and not self._chosen

    async def tags(self, description: Body) -> dict[str, str]:
        """Return its tags."""
        arn = description[self.kind.arn_key]
        answer = await self._aws.call("sagemaker", "list_tags", ResourceArn=arn, MaxResults=100)
        return {str(tag["Key"]): str(tag["Value"]) for tag in answer["Tags"]}

    def just_made(self, description: Body) -> bool:
        """Whether it is what an unanswered request of this very start has made, and not an earlier start's."""
        made = description[self.kind.created].timestamp()
        return self._ambiguous and made >= (self._first_sent or 0.0) - CLOCK_DRIFT

    async def delete(self) -> bool:
        """Have a configuration deleted; False where the service knows none, though we never had it deleted."""
        if self.known is Known.GONE:
            return True
        try:
            await self.call("delete")
        except Transient as error:
            self._delete_sent = self._delete_sent or error.ambiguous
            raise
        except NotFound:
            if not self._delete_sent:
                return False
        self.known = Known.GONE
        return True

    @property
    def noun(self) -> str:
        """What it is called in a sentence, with its name."""
        return f"{'endpoint' if self.kind is ENDPOINT else 'configuration'} {self.name}"

    @property
    def delete_command(self) -> str:
        """The AWS command line's way to delete it."""
        return self.command(f"delete-{self.kind.shell}")

    def command(self, *words: str, **more: str) -> str:
        """Return a command of the AWS command line about it; `more` are further options, by their names."""
        options = {
            "region": self._aws.region,
            f"{self.kind.shell}-name": self.name,
            **{name.replace("_", "-"): value for name, value in more.items()},
            **({"endpoint-url": self._aws.endpoint_url} if self._aws.endpoint_url else {}),
        }
        given = [word for name, value in options.items() for word in (f"--{name}", value)]
        return shlex.join(["aws", "sagemaker", *words, *given])

    def runs(self, relation: str, config: str) -> str:
        """Return a shell's test of which configuration the endpoint runs."""
        look = self.command("describe-endpoint", query="EndpointConfigName", output="text")
        return f'test "$({look})" {relation} {config}'

    def unless_running(self, config: Part) -> str:
        """Return a command that deletes a configuration if the endpoint certainly does not need it."""
        wait = self.command("wait", "endpoint-in-service")
        return f"{wait} && {self.runs('!=', config.name)} && {config.delete_command}"

    def as_role(self, command: str) -> str:
        """Return a command line with a remark on who has to run it."""
        return command + (f"   # as {self._aws.role}" if self._aws.role else "")
