"""One transform job as the service has it on its books, and how Describe and List show it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.sagemaker.hosting.models import Model

Json = dict[str, Any]
FAILURE_LENGTH = 1024
"""Characters of FailureReason."""
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
_ECHOED = (
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "DataProcessing",
    "ExperimentConfig",
)


@dataclass(slots=True)
class TransformJob:
    """A job; `request` is valid and has AWS's defaults filled in."""

    region: str
    request: Json
    model: Model
    tags: dict[str, str]
    created: float = field(default_factory=now)
    modified: float = field(default_factory=now)
    status: str = "InProgress"
    started: float | None = None
    finished: float | None = None
    failure: str = ""
    processes: int = 1
    """Containers, however many instances were asked for."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the job is asked to stop."""

    @property
    def name(self) -> str:
        """TransformJobName."""
        return str(self.request["TransformJobName"])

    @property
    def arn(self) -> str:
        """AWS writes the name in lower case here."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:transform-job/{self.name.lower()}"

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in _ENDED

    def begin(self) -> None:
        """Its time begins."""
        self.started = self.modified = now()

    def request_stop(self) -> None:
        """The user wants it stopped."""
        self.status = "Stopping"
        self.modified = now()
        self.stop.set()

    def end(self, status: str, secondary: str = "", failure: str = "") -> None:  # noqa: ARG002  see `Conducted`
        """Go over to a final status; transform jobs have no secondary one."""
        self.status = status
        self.failure = failure[:FAILURE_LENGTH]
        self.finished = self.modified = now()

    def summary(self) -> Json:
        """As in List."""
        row: Json = {
            "TransformJobName": self.name,
            "TransformJobArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "TransformJobStatus": self.status,
        }
        return row | self._late()

    def description(self) -> Json:
        """As in Describe."""
        answer = {name: self.request[name] for name in _ECHOED if name in self.request} | self.summary()
        del answer["LastModifiedTime"]
        return answer | ({"TransformStartTime": self.started} if self.started is not None else {})

    def _late(self) -> Json:
        optional = {"TransformEndTime": self.finished, "FailureReason": self.failure or None}
        return {name: value for name, value in optional.items() if value is not None}
