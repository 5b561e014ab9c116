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
from components.aws.sagemaker._job import CLOCK_DRIFT, CLOCK_SLACK, covers
from components.aws.sagemaker.deploy._status import IN_PROGRESS
from components.aws.session import Aws
from runner.errors import NotFound, ServiceError, Transient
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


class Part:
    """The endpoint, or the configuration, of one deploy. `body` is what creates it, with its name."""

    def __init__(self, kind: Kind, aws: Aws, body: Body) -> None:
        self.kind, self.body = kind, dict(body)
        self.name = str(body[kind.name_key])
        self.known = Known.UNTRIED
        self.made_at: float | None = None
        """When our own request made it, by the event loop's clock."""
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
        self._first_sent = self._first_sent or time.time()
        try:
            self.answer = await self._aws.call("sagemaker", self.kind.method("create"), **self.body)
        except Transient as error:
            if error.ambiguous:
                self._doubt()
            raise
        except asyncio.CancelledError:
            self._doubt()  # Given up at the deadline: nobody knows whether it was carried out.
            raise
        self.known, self.made_at = Known.MADE, asyncio.get_running_loop().time()

    def _doubt(self) -> None:
        self._ambiguous, self.known = True, Known.DOUBTFUL

    async def describe(self) -> Body:
        """Read it."""
        return await self.call("describe")

    async def is_ours(self, description: Body) -> bool:
        """By its owner tag; or, after an answer was lost, because it is what we asked for, made since we asked."""
        if self.owner:
            try:
                return (await self.tags(description)).get(OWNER_TAG) == self.owner
            except (Denied, Unsupported):
                if not self._chosen:
                    return True  # Nobody else comes by a name that follows from our run key.
        made = description[self.kind.created].timestamp()
        recent = self._first_sent is not None and made >= self._first_sent - CLOCK_SLACK
        return self._ambiguous and recent and covers(description, self.body)

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
        """Have it deleted; False where the service knows none, though we never had it deleted.

        Raises `Transient` while it is in a state in which it can't be.
        """
        if self.known is Known.GONE:
            return True
        try:
            await self.call("delete")
        except Transient as error:
            self._delete_sent = self._delete_sent or error.ambiguous
            raise
        except Denied:
            raise
        except NotFound:
            if not self._delete_sent:
                return False
        except ServiceError as refusal:
            await self._look_why(refusal)
        self.known = Known.GONE
        return True

    async def _look_why(self, refusal: ServiceError) -> None:
        """Return if it is being deleted, or can be by now; raise `Transient` if it can't be yet, or the refusal."""
        try:
            state = (await self.describe()).get(self.kind.status_key, "")
        except NotFound as error:
            # Refused, so it was there: either it is gone by now, or the service does not show it yet.
            raise Transient(f"the {self.noun} can't be seen ({refusal})") from error
        if state in IN_PROGRESS:
            raise Transient(
                f"{self.name} is {state}, and can't be deleted before that ends ({refusal})"
            ) from refusal
        if state != "Deleting":
            await self.call("delete")  # What was in progress may just have ended; else it is refused again.

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

    def as_role(self, command: str) -> str:
        """Return a command line with a remark on who has to run it."""
        return command + (f"   # as {self._aws.role}" if self._aws.role else "")
