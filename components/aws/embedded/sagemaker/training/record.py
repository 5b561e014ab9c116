"""One training job as the service has it on its books, and how Describe and List show it.

Statuses, secondary statuses and their sentences are AWS's (DescribeTrainingJob's reference; a job's transitions as
printed in public notebooks). All times are seconds since the Unix epoch.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.sagemaker.images import Command
from components.aws.embedded.sagemaker.metrics import Metrics

Json = dict[str, Any]
FAILURE_LENGTH = 1024
"""Characters of FailureReason, and of the failure file that SageMaker reads."""
RULE_DETAILS = "The embedded cloud does not evaluate debugger rules."
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
# What CreateTrainingJob's request and DescribeTrainingJob's answer have in common.
_ECHOED = (
    "TrainingJobName",
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "DebugHookConfig",
    "ExperimentConfig",
    "DebugRuleConfigurations",
    "TensorBoardOutputConfig",
    "ProfilerConfig",
    "ProfilerRuleConfigurations",
    "Environment",
    "RetryStrategy",
    "RemoteDebugConfig",
    "InfraCheckConfig",
)


@dataclass(slots=True)
class Transition:
    """One entry of SecondaryStatusTransitions."""

    status: str
    start: float
    message: str
    end: float | None = None

    def shown(self) -> Json:
        """As in Describe."""
        row = {"Status": self.status, "StartTime": self.start, "StatusMessage": self.message}
        return row if self.end is None else row | {"EndTime": self.end}


@dataclass(slots=True)
class TrainingJob:
    """A job; `request` is valid and has AWS's defaults filled in."""

    region: str
    request: Json
    command: Command
    metrics: Metrics
    tags: dict[str, str]
    created: float = field(default_factory=now)
    modified: float = 0.0
    status: str = "InProgress"
    transitions: list[Transition] = field(default_factory=list)
    training_started: float | None = None
    training_ended: float | None = None
    failure: str = ""
    artifacts: str = ""
    """Where the model was uploaded to."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the job is asked to stop."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the status is final."""
    tuning_arn: str = ""
    """Of the tuning job that launched it, if one did."""

    def __post_init__(self) -> None:
        self.enter("Starting", "Starting the training job")

    @property
    def name(self) -> str:
        """TrainingJobName."""
        return str(self.request["TrainingJobName"])

    @property
    def arn(self) -> str:
        """AWS writes the name in lower case here."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:training-job/{self.name.lower()}"

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in _ENDED

    @property
    def secondary(self) -> str:
        """The present secondary status."""
        return self.transitions[-1].status

    def enter(self, secondary: str, message: str = "") -> None:
        """Go over to a secondary status; a repeated one only changes its sentence."""
        self.modified = time = now()
        message = message or _MESSAGES[secondary]
        if self.transitions and self.secondary == secondary:
            self.transitions[-1].message = message
            return
        if self.transitions:
            self.transitions[-1].end = time
        self.transitions.append(Transition(secondary, time, message))
        if secondary == "Downloading":
            self.training_started = time

    def request_stop(self) -> None:
        """The user wants it stopped."""
        self.status = "Stopping"
        self.enter("Stopping")
        self.stop.set()

    def end(self, status: str, secondary: str = "", failure: str = "") -> None:
        """The last transition: `secondary` is `status` unless given."""
        self.enter(secondary or status)
        self.transitions[-1].end = self.modified
        if self.training_started is not None:
            self.training_ended = self.modified
        self.failure = failure[:FAILURE_LENGTH]
        self.status = status
        self.finished.set()

    @property
    def _seconds(self) -> int | None:
        if self.training_started is None or self.training_ended is None:
            return None
        return max(1, math.ceil(self.training_ended - self.training_started))

    def summary(self) -> Json:
        """As in List."""
        row: Json = {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
        }
        return row if self.training_ended is None else row | {"TrainingEndTime": self.training_ended}

    def description(self) -> Json:
        """As in Describe. Billed time equals training time, for spot jobs too: nothing is saved here."""
        answer = {name: self.request[name] for name in _ECHOED if name in self.request}
        answer |= self.summary()
        answer["SecondaryStatusTransitions"] = [row.shown() for row in self.transitions]
        optional = {
            "TrainingStartTime": self.training_started,
            "TrainingTimeInSeconds": self._seconds,
            "BillableTimeInSeconds": self._seconds,
            "FailureReason": self.failure or None,
            "TuningJobArn": self.tuning_arn or None,
            "ModelArtifacts": {"S3ModelArtifacts": self.artifacts} if self.artifacts else None,
            "FinalMetricDataList": self.metrics.final() if self.ended else None,
            "DebugRuleEvaluationStatuses": self._rules() or None,
        }
        return answer | {name: value for name, value in optional.items() if value is not None}

    def _rules(self) -> list[Json]:
        return [
            {
                "RuleConfigurationName": rule["RuleConfigurationName"],
                "RuleEvaluationStatus": "NoIssuesFound" if self.ended else "InProgress",
                "StatusDetails": RULE_DETAILS,
                "LastModifiedTime": self.modified,
            }
            for rule in self.request.get("DebugRuleConfigurations", ())
        ]
