"""SageMaker's jobs as data: one row a kind of job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.events import Phase

PHASES = {
    "InProgress": Phase.RUNNING,
    "Completed": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    "Stopping": Phase.STOPPING,
    "Stopped": Phase.STOPPED,
    "Deleting": Phase.STOPPING,
}
"""The words that most kinds share."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job: how its operations, members and pages are called."""

    noun: str
    """As in `CreateTrainingJob`, `DescribeTrainingJob`, `StopTrainingJob`."""
    prefix: str
    """Of generated names."""
    log_group: str
    """Holds streams `<job>/<instance>-<epoch>`."""
    page: str
    """Word of the console's address."""
    stages: tuple[str, ...]
    """Finer words that a job passes through when all goes well, in order."""
    brief: frozenset[str]
    """Those of them, and others, that usually last seconds."""
    phases: Mapping[str, Phase]
    limit: int = 63
    """Longest name."""

    @property
    def name_key(self) -> str:
        """Request and response member that holds the name."""
        return f"{self.noun}Name"

    @property
    def arn_key(self) -> str:
        """Response member that holds the ARN."""
        return f"{self.noun}Arn"

    @property
    def status_key(self) -> str:
        """Response member that holds the status."""
        return f"{self.noun}Status"

    @property
    def create(self) -> str:
        """Name of the operation that submits."""
        return f"Create{self.noun}"

    def method(self, verb: str) -> str:
        """Return the client's method for a verb (`describe_training_job`)."""
        words = "".join(f"_{c.lower()}" if c.isupper() else c for c in self.noun)
        return f"{verb}{words}"

    @property
    def shell(self) -> str:
        """Noun as the AWS command line spells it (`training-job`)."""
        return self.method("").removeprefix("_").replace("_", "-")


TRAINING = Kind(
    noun="TrainingJob",
    prefix="TrainingJob",
    log_group="/aws/sagemaker/TrainingJobs",
    page="jobs",
    stages=("Starting", "Downloading", "Training", "Uploading", "Completed"),
    brief=frozenset(
        {"Downloading", "DownloadingTrainingImage", "Uploading", "Stopping", "Restarting", "Updating"}
    ),
    phases=PHASES,
)
