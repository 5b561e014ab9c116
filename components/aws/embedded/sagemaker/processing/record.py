"""One processing job as the service has it on its books, and how Describe and List show it.

All times are seconds since the Unix epoch.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.sagemaker.images import Command
from components.aws.embedded.sagemaker.training.record import FAILURE_LENGTH

Json = dict[str, Any]
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
# What CreateProcessingJob's request and DescribeProcessingJob's answer have in common.
_ECHOED = (
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingJobName",
    "ProcessingResources",
    "StoppingCondition",
    "AppSpecification",
    "Environment",
    "NetworkConfig",
    "RoleArn",
    "ExperimentConfig",
)


@dataclass(slots=True)
class ProcessingJob:
    """A job; `request` is valid and has AWS's defaults filled in."""

    region: str
    request: Json
    command: Command
    arguments: tuple[str, ...]
    """What the command is given, in the container's own paths (`/opt/ml/…`)."""
    tags: dict[str, str]
    created: float = field(default_factory=now)
    modified: float = 0.0
    status: str = "InProgress"
    started: float | None = None
    ended_at: float | None = None
    failure: str = ""
    message: str = ""
    """What the container left in output/message."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the job is asked to stop."""

    def __post_init__(self) -> None:
        self.modified = self.created

    @property
    def name(self) -> str:
        """ProcessingJobName."""
        return str(self.request["ProcessingJobName"])

    @property
    def arn(self) -> str:
        """AWS writes the name in lower case here."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:processing-job/{self.name.lower()}"

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in _ENDED

    @property
    def isolated(self) -> bool:
        """Whether its containers may call nobody."""
        return bool((self.request.get("NetworkConfig") or {}).get("EnableNetworkIsolation"))

    @property
    def cluster(self) -> Json:
        """ClusterConfig."""
        config: Json = self.request["ProcessingResources"]["ClusterConfig"]
        return config

    def begin(self) -> None:
        """It has its instances."""
        self.started = self.modified = now()

    def request_stop(self) -> None:
        """The user wants it stopped."""
        self.status, self.modified = "Stopping", now()
        self.stop.set()

    def end(self, status: str, secondary: str = "", failure: str = "") -> None:
        """Go over to a final status. Processing jobs have no secondary one: it becomes the FailureReason."""
        self.modified = self.ended_at = now()
        self.failure = (failure or secondary)[:FAILURE_LENGTH]
        self.status = status

    def summary(self) -> Json:
        """As in List."""
        row: Json = {
            "ProcessingJobName": self.name,
            "ProcessingJobArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "ProcessingJobStatus": self.status,
        }
        optional = {
            "ProcessingEndTime": self.ended_at,
            "FailureReason": self.failure or None,
            "ExitMessage": self.message or None,
        }
        return row | {name: value for name, value in optional.items() if value is not None}

    def description(self) -> Json:
        """As in Describe."""
        answer = {name: self.request[name] for name in _ECHOED if name in self.request}
        answer |= self.summary()
        return answer if self.started is None else answer | {"ProcessingStartTime": self.started}
