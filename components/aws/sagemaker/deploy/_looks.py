"""What an endpoint shows of its update.

That it is moving to our configuration means that our update is under way; that it runs it, that the update is done. Where
it shows a configuration that is neither ours nor the old one, somebody else has changed it since.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from components.aws.sagemaker._api import ENDPOINT_CONFIG
from components.aws.sagemaker._job import VISIBLE_SECONDS, service_time
from components.aws.sagemaker.deploy import _status as reading
from components.aws.sagemaker.deploy._parts import Body, Known, Part
from components.aws.sagemaker.deploy._status import pending, running
from components.aws.sagemaker.deploy._ways import Way
from components.aws.session import Aws
from runner.errors import ServiceError, Transient

REPLACES_TAG = "kfp-runner/replaces"
"""Tag of a new configuration whose value is the one before: in a pipeline run, a restarted step needs to know it."""
SETTLED_SECONDS = 10.0
"""After an update was asked for, how long an endpoint may go on to look as it did before."""


class Looks(Way):
    """What is known of an endpoint that is being updated, and of the update: from the answers, and from every look."""

    def __init__(self, aws: Aws, config: Part, endpoint: Part, before: Body, tags: Sequence[Body]) -> None:
        """`before` is the endpoint as it is, `tags` what it is to be given."""
        super().__init__(config, endpoint)
        self._aws, self._tags, self._last = aws, tags, before
        self.is_another(before)
        self.old = running(before)
        """What it ran when the update was asked for: the way back."""
        self._replaces: str | None = self.old if config.owner else None
        """What the configuration's tag says of that; None where there is no such tag, or it can't be read."""
        self._sent = Known.UNTRIED
        """What is known of the update."""
        self._sent_at: float | None = None
        self._shown = self._arrived = False
        """Whether the endpoint was seen on its way to our configuration, and on it."""
        self._newest = before["LastModifiedTime"]
        """Of all that was seen: what is older than this has been overtaken."""
        self._made: datetime | None = None
        """When an earlier start made our configuration."""
        self._leftover: Part | None = None
        """The old configuration, once there is no way back to it."""

    # ── resumed ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def attach(self, description: Body, tags: dict[str, str]) -> None:
        """Take the update, which an earlier start asked for, as ours; both are the configuration's."""
        self.config.found()
        self.adopted, self._sent, self._sent_at = True, Known.MADE, self._now - SETTLED_SECONDS
        self._replaces, self._made = tags.get(REPLACES_TAG), description[ENDPOINT_CONFIG.created]
        self._note(self._last)
        if self._arrived:
            self.over, self.old = True, self._replaces or ""
            self._leftover = self._part(self.old)
        else:
            self.since = description[ENDPOINT_CONFIG.created].timestamp()

    def doubt(self) -> None:
        """Only stop: an earlier start may have asked for the update, and for the configuration."""
        self._sent = Known.DOUBTFUL
        if self.old == self.config.name:
            self.old = pending(self._last)  # It is being taken back already.

    def _part(self, config: str) -> Part | None:
        if not config or config == self.config.name:
            return None
        return Part(ENDPOINT_CONFIG, self._aws, {"EndpointConfigName": config})

    # ── looks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _note(self, description: Body) -> None:
        """Learn from a look."""
        self._last, ours = description, self.config.name
        self._newest = max(self._newest, description["LastModifiedTime"])
        if pending(description) == ours and running(description) != ours:
            self._shown, self.old = True, running(description)
        self._arrived = self._arrived or running(description) == ours

    def _counts(self, description: Body) -> bool:
        """Whether a look shows the endpoint as it is since our update was taken, and not as it was before."""
        if description["LastModifiedTime"] < self._newest:
            return False
        if self._shown or self._arrived:
            return True
        if self._sent is not Known.MADE or self._sent_at is None:
            return self._sent is Known.UNTRIED
        since = self._now - self._sent_at
        changed = description["LastModifiedTime"].timestamp()
        taken = service_time(self.answer) if self.answer else float("inf")  # In whole seconds.
        return (
            changed > taken + 1.0 or (changed >= taken and since > SETTLED_SECONDS) or since > VISIBLE_SECONDS
        )

    async def _needed(self, config: Part) -> bool:
        if config is self._leftover and self._made is not None:
            there = await config.look()
            if there is not None and there[ENDPOINT_CONFIG.created] > self._made:
                return True  # Another one of the old one's name: somebody needs it.
        description = await self.endpoint.look()
        if description is None or self.is_another(description):
            return reading.uses(description, config.name)
        if description["LastModifiedTime"] < self._newest:
            raise Transient(f"the {self.endpoint.noun} is shown as it was before")
        self._note(description)
        return reading.uses(description, config.name)

    def _took(self, description: Body) -> bool:
        """Note whether our update was carried out, as far as can be seen."""
        if self.is_another(description):
            raise ServiceError(f"the {self.endpoint.noun} was deleted by somebody else, and another one made")
        self._note(description)
        if self.config.name in (running(description), pending(description)):
            self._sent = Known.MADE
        return self._sent is Known.MADE
