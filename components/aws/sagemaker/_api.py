"""SageMaker's jobs, and what else a step makes there, as data: one row a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """One kind of job or resource: how its operations, members and pages are called."""

    noun: str
    """As in `CreateTrainingJob`, `DescribeTrainingJob`, `StopTrainingJob`."""
    prefix: str
    """Of generated names."""
    page: str
    """Word of the console's address."""
    log_group: str = ""
    """Holds streams `<job>/<instance>-<epoch>`; blank for what writes no log."""
    stages: tuple[str, ...] = ()
    """Finer words that a job passes through when all goes well, in order."""
    brief: frozenset[str] = frozenset()
    """Those of them, and others, that usually last seconds."""
    phases: Mapping[str, Phase] = field(default_factory=lambda: PHASES)
    limit: int = 63
    """Longest name."""
    argument: str = "job_name"
    """The component's argument that holds the name."""
    ending: str = "stop"
    """The verb that ends it before its time: what can't be stopped is deleted again."""
    wrapper: str = ""
    """The member of Describe's answer that holds all the others, where there is one."""
    created: str = "CreationTime"
    """Response member that holds the time of its making."""

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


_BRIEF = frozenset({"Stopping", "Deleting"})

TRAINING = Kind(
    noun="TrainingJob",
    prefix="TrainingJob",
    log_group="/aws/sagemaker/TrainingJobs",
    page="jobs",
    stages=("Starting", "Downloading", "Training", "Uploading", "Completed"),
    brief=_BRIEF
    | frozenset({"Downloading", "DownloadingTrainingImage", "Uploading", "Restarting", "Updating"}),
)
TUNING = Kind(
    noun="HyperParameterTuningJob",
    prefix="HPOJob",
    log_group=TRAINING.log_group,  # Its children are training jobs.
    page="hyper-tuning-jobs",
    stages=("Starting", "Searching"),
    brief=_BRIEF,
    phases={**PHASES, "DeleteFailed": Phase.FAILED},
    limit=32,
)
PROCESSING = Kind(
    noun="ProcessingJob",
    prefix="ProcessingJob",
    log_group="/aws/sagemaker/ProcessingJobs",
    page="processing-jobs",
    brief=_BRIEF,
)
TRANSFORM = Kind(
    noun="TransformJob",
    prefix="BatchTransform",
    log_group="/aws/sagemaker/TransformJobs",
    page="transform-jobs",
    brief=_BRIEF,
)
LABELING = Kind(
    noun="LabelingJob",
    prefix="LabelingJob",
    page="labeling-jobs/details",
    brief=_BRIEF | frozenset({"Initializing"}),
    phases={**PHASES, "Initializing": Phase.PENDING},
)
MODEL = Kind(noun="Model", prefix="Model", page="models", argument="model_name", ending="delete")
WORKTEAM = Kind(
    noun="Workteam",
    prefix="Workteam",
    page="labeling-workforces/private-details",
    argument="team_name",
    ending="delete",
    wrapper="Workteam",
    created="CreateDate",
)
ENDPOINT_CONFIG = Kind(
    noun="EndpointConfig",
    prefix="EndpointConfig",
    page="endpointConfig",
    argument="endpoint_config_name",
    ending="delete",
)
ENDPOINT = Kind(
    noun="Endpoint",
    prefix="Endpoint",
    log_group="/aws/sagemaker/Endpoints",
    page="endpoints",
    argument="endpoint_name",
    ending="delete",
    phases={
        "Creating": Phase.RUNNING,
        "Updating": Phase.RUNNING,
        "SystemUpdating": Phase.RUNNING,
        "RollingBack": Phase.STOPPING,
        "InService": Phase.SUCCEEDED,
        "OutOfService": Phase.FAILED,
        "Failed": Phase.FAILED,
        "UpdateRollbackFailed": Phase.FAILED,
        "Deleting": Phase.STOPPING,
    },
)
JOBS = (TRAINING, TUNING, PROCESSING, TRANSFORM, LABELING)
"""The kinds that run, cost money while they do, and can be stopped."""
