"""One labeling job as the service has it on its books, and how Describe and List show it.

All times are seconds since the Unix epoch. Answers come from a file; since that file stands for the workers, they are
counted as HumanLabeled, as which the stopping conditions limit them. In the output each of them says
`"human-annotated": "no"`.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.s3.objects import Location
from components.aws.embedded.sagemaker.labeling.answers import Task
from components.aws.embedded.sagemaker.training.record import FAILURE_LENGTH

Json = dict[str, Any]
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
_ECHOED = (
    "LabelingJobName",
    "LabelAttributeName",
    "InputConfig",
    "OutputConfig",
    "RoleArn",
    "LabelCategoryConfigS3Uri",
    "StoppingConditions",
    "HumanTaskConfig",
)


@dataclass(slots=True)
class LabelingJob:
    """A job; `request` is valid."""

    region: str
    request: Json
    tasks: list[Task]
    tags: dict[str, str]
    created: float = field(default_factory=now)
    modified: float = 0.0
    status: str = "Initializing"
    labeled: int = 0
    failed: int = 0
    failure: str = ""
    output: str = ""
    """Where the output manifest was written to."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the job is asked to stop."""

    def __post_init__(self) -> None:
        self.modified = self.created

    @property
    def name(self) -> str:
        """LabelingJobName."""
        return str(self.request["LabelingJobName"])

    @property
    def arn(self) -> str:
        """AWS writes the name in lower case here."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:labeling-job/{self.name.lower()}"

    @property
    def reference(self) -> str:
        """JobReferenceCode."""
        return hashlib.sha256(f"{self.arn} {self.created}".encode()).hexdigest()[:32]

    @property
    def attribute(self) -> str:
        """LabelAttributeName."""
        return str(self.request["LabelAttributeName"])

    @property
    def target(self) -> Location:
        """Where its output manifest goes (developer guide, "Output Directories")."""
        base = Location.parse(self.request["OutputConfig"]["S3OutputPath"])
        return base.under(self.name, "manifests", "output", "output.manifest")

    @property
    def batch(self) -> int:
        """How many objects may be worked on at a time; AWS's default is 1,000."""
        return int(self.request["HumanTaskConfig"].get("MaxConcurrentTaskCount") or 1000)

    @property
    def limit(self) -> int:
        """How many objects may be labeled before a stopping condition is met."""
        given = self.request.get("StoppingConditions") or {}
        most, percentage = (
            given.get("MaxHumanLabeledObjectCount"),
            given.get("MaxPercentageOfInputDatasetLabeled"),
        )
        share = len(self.tasks) if percentage is None else -(-len(self.tasks) * percentage // 100)
        return min(share, len(self.tasks) if most is None else most)

    @property
    def workteam(self) -> str:
        """Its team's ARN."""
        return str(self.request["HumanTaskConfig"]["WorkteamArn"])

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in _ENDED

    def begin(self) -> None:
        """Its objects are known."""
        self.status, self.modified = "InProgress", now()

    def count(self, task: Task) -> None:
        """An object is done with."""
        self.modified = now()
        if task.failure:
            self.failed += 1
        else:
            self.labeled += 1

    def request_stop(self) -> None:
        """The user wants it stopped."""
        self.status, self.modified = "Stopping", now()
        self.stop.set()

    def end(self, status: str, secondary: str = "", failure: str = "") -> None:
        """Go over to a final status. Labeling jobs have no secondary one."""
        self.modified = now()
        self.failure = (failure or secondary)[:FAILURE_LENGTH]
        self.status = status

    @property
    def counters(self) -> Json:
        """LabelCounters."""
        total = 0 if self.status == "Initializing" else len(self.tasks)
        return {
            "TotalLabeled": self.labeled,
            "HumanLabeled": self.labeled,
            "MachineLabeled": 0,
            "FailedNonRetryableError": self.failed,
            "Unlabeled": max(0, total - self.labeled - self.failed),
        }

    def _common(self) -> Json:
        shown: Json = {
            "LabelingJobArn": self.arn,
            "LabelingJobStatus": self.status,
            "LabelCounters": self.counters,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
        }
        if self.failure:
            shown["FailureReason"] = self.failure
        if self.output:
            shown["LabelingJobOutput"] = {"OutputDatasetS3Uri": self.output}
        return shown

    def summary(self) -> Json:
        """As in List."""
        human = self.request["HumanTaskConfig"]
        row = self._common() | {
            "LabelingJobName": self.name,
            "WorkteamArn": self.workteam,
            "InputConfig": self.request["InputConfig"],
        }
        if lambda_ := human.get("PreHumanTaskLambdaArn"):
            row["PreHumanTaskLambdaArn"] = lambda_
        if consolidation := human.get("AnnotationConsolidationConfig"):
            row["AnnotationConsolidationLambdaArn"] = consolidation["AnnotationConsolidationLambdaArn"]
        return row

    def team_summary(self) -> Json:
        """As in ListLabelingJobsForWorkteam."""
        return {
            "LabelingJobName": self.name,
            "JobReferenceCode": self.reference,
            "WorkRequesterAccountId": ACCOUNT,
            "CreationTime": self.created,
            "LabelCounters": {
                "HumanLabeled": self.labeled,
                "PendingHuman": self.counters["Unlabeled"],
                "Total": len(self.tasks),
            },
            "NumberOfHumanWorkersPerDataObject": self.request["HumanTaskConfig"][
                "NumberOfHumanWorkersPerDataObject"
            ],
        }

    def description(self) -> Json:
        """As in Describe, which shows the tags, too."""
        answer = {name: self.request[name] for name in _ECHOED if name in self.request}
        answer |= self._common() | {"JobReferenceCode": self.reference}
        answer["Tags"] = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        return answer
