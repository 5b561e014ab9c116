"""One hyperparameter tuning job as the service has it on its books, its training jobs, and how Describe and List show them.

Statuses, counters and their meanings are AWS's (API reference: TrainingJobStatusCounters, ObjectiveStatusCounters,
HyperParameterTrainingJobSummary). All times are seconds since the Unix epoch.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.sagemaker.training.record import FAILURE_LENGTH, TrainingJob
from components.aws.embedded.sagemaker.tuning.search_space import Space, Values
from components.aws.embedded.sagemaker.tuning.strategies import Seen

Json = dict[str, Any]
OBJECTIVE = "_tuning_objective_metric"
"""The hyperparameter that the service adds: the objective's name (seen in public DescribeTrainingJob answers)."""
IMPROVEMENT = 0.01
"""What counts as better (API reference, BestObjectiveNotImproving: "by 1% or greater")."""
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
_COUNTED = {
    "InProgress": "InProgress",
    "Stopping": "InProgress",
    "Completed": "Completed",
    "Stopped": "Stopped",
}


@dataclass(slots=True)
class Trial:
    """A training job of a tuning job."""

    values: Values
    """The tuned hyperparameters."""
    job: TrainingJob
    objective: str
    """The metric's name."""
    sign: int
    """1 to maximize, -1 to minimize."""
    averages: list[float] = field(default_factory=list)
    """The running average of the objective at each of its readings, if anybody judges them; more is better."""

    @property
    def name(self) -> str:
        """TrainingJobName."""
        return self.job.name

    @property
    def created(self) -> float:
        """CreationTime."""
        return self.job.created

    @property
    def status(self) -> str:
        """TrainingJobStatus."""
        return self.job.status

    @property
    def value(self) -> float | None:
        """The final objective; None while there is none, and for a job that failed."""
        if not self.job.ended or self.job.status == "Failed":
            return None
        values = (row["Value"] for row in self.job.metrics.final() if row["MetricName"] == self.objective)
        value = next(values, None)
        return value if value is not None and math.isfinite(value) else None

    @property
    def score(self) -> float | None:
        """The final objective, its sign so that more is better."""
        value = self.value
        return None if value is None else self.sign * value

    @property
    def objective_status(self) -> str:
        """ObjectiveStatus."""
        if not self.job.ended:
            return "Pending"
        return "Failed" if self.value is None else "Succeeded"

    @property
    def counter(self) -> str:
        """The name of the counter that it belongs to."""
        if self.status != "Failed":
            return _COUNTED[self.status]
        return "RetryableError" if self.job.failure.startswith("InternalServerError") else "NonRetryableError"


@dataclass(slots=True)
class TuningJob:
    """A tuning job; `request` is valid."""

    region: str
    request: Json
    space: Space
    most: int
    """How many training jobs it launches at most."""
    parents: list[TuningJob]
    tags: dict[str, str]
    created: float = field(default_factory=now)
    modified: float = field(default_factory=now)
    status: str = "InProgress"
    ended: float | None = None
    failure: str = ""
    trials: list[Trial] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the job is asked to stop."""

    @property
    def name(self) -> str:
        """HyperParameterTuningJobName."""
        return str(self.request["HyperParameterTuningJobName"])

    @property
    def arn(self) -> str:
        """AWS writes the name in lower case here."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:hyper-parameter-tuning-job/{self.name.lower()}"

    @property
    def config(self) -> Json:
        """HyperParameterTuningJobConfig."""
        return dict(self.request["HyperParameterTuningJobConfig"])

    @property
    def definition(self) -> Json:
        """TrainingJobDefinition."""
        return dict(self.request["TrainingJobDefinition"])

    @property
    def objective(self) -> Json:
        """HyperParameterTuningJobObjective."""
        return dict(self.config["HyperParameterTuningJobObjective"])

    @property
    def sign(self) -> int:
        """1 to maximize, -1 to minimize."""
        return 1 if self.objective["Type"] == "Maximize" else -1

    @property
    def warm(self) -> str:
        """WarmStartType; empty without a warm start."""
        return str((self.request.get("WarmStartConfig") or {}).get("WarmStartType", ""))

    def seen(self) -> list[Seen]:
        """What is known to learn from: its own trials, and the parents' that came to something."""
        rows = [
            Seen(trial.values, trial.score, pending=not trial.job.ended, source=self._source(self))
            for trial in self.trials
        ]
        for parent in self.parents:
            rows += [
                Seen(trial.job.request["HyperParameters"], trial.score, source=self._source(parent))
                for trial in parent.trials
                if trial.score is not None
            ]
        return rows

    def _source(self, job: TuningJob) -> str:
        # Other data, other values: after a transfer only those of one job can be compared.
        return job.name if self.warm == "TransferLearning" else ""

    @property
    def evaluated(self) -> list[Trial]:
        """Those with a final objective, in the order of their ends."""
        done = [trial for trial in self.trials if trial.value is not None]
        return sorted(done, key=lambda trial: trial.job.modified)

    def best(self) -> Trial | None:
        """BestTrainingJob; the first of equals."""
        return max(self.evaluated, key=lambda trial: trial.score or 0.0, default=None)

    def not_improving(self) -> int:
        """How many of the latest evaluated jobs did not better the best before them by IMPROVEMENT."""
        count, best = 0, -math.inf
        for trial in self.evaluated:
            score = trial.score or 0.0
            better = best == -math.inf or (score > best and score - best >= IMPROVEMENT * abs(best))
            count = 0 if better else count + 1
            best = max(best, score)
        return count

    def request_stop(self) -> None:
        """The user wants it stopped."""
        self.status, self.modified = "Stopping", now()
        self.stop.set()

    def end(self, status: str, failure: str = "") -> None:
        """Go over to a final status."""
        self.modified = self.ended = now()
        self.failure = failure[:FAILURE_LENGTH]
        self.status = status

    @property
    def is_final(self) -> bool:
        """Whether the status is."""
        return self.status in _ENDED

    def summary(self) -> Json:
        """As in List."""
        trainings = Counter(trial.counter for trial in self.trials)
        objectives = Counter(trial.objective_status for trial in self.trials)
        counters = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
        row: Json = {
            "HyperParameterTuningJobName": self.name,
            "HyperParameterTuningJobArn": self.arn,
            "HyperParameterTuningJobStatus": self.status,
            "Strategy": self.config["Strategy"],
            "CreationTime": self.created,
            "LastModifiedTime": max([self.modified, *(trial.job.modified for trial in self.trials)]),
            "TrainingJobStatusCounters": {name: trainings[name] for name in counters},
            "ObjectiveStatusCounters": {
                name: objectives[name] for name in ("Succeeded", "Pending", "Failed")
            },
            "ResourceLimits": self.config["ResourceLimits"],
        }
        return row if self.ended is None else row | {"HyperParameterTuningEndTime": self.ended}

    def description(self) -> Json:
        """As in Describe."""
        answer = self.summary()
        for name in ("Strategy", "ResourceLimits"):
            del answer[name]
        best, overall = self.best(), self._overall_best()
        optional = {
            "BestTrainingJob": best and shown(best, self),
            "OverallBestTrainingJob": overall and shown(*overall) | {"TuningJobName": overall[1].name},
            "WarmStartConfig": self.request.get("WarmStartConfig"),
            "FailureReason": self.failure or None,
        }
        return (
            answer
            | {
                "HyperParameterTuningJobConfig": self.config,
                "TrainingJobDefinition": self.definition,
                "TuningJobCompletionDetails": {
                    "NumberOfTrainingJobsObjectiveNotImproving": self.not_improving()
                },
                "ConsumedResources": {"RuntimeInSeconds": math.ceil((self.ended or now()) - self.created)},
            }
            | {name: value for name, value in optional.items() if value is not None}
        )

    def _overall_best(self) -> tuple[Trial, TuningJob] | None:
        """OverallBestTrainingJob, which there is for identical data and algorithm only."""
        if self.warm != "IdenticalDataAndAlgorithm":
            return None
        bests = [(best, job) for job in (self, *self.parents) if (best := job.best()) is not None]
        return max(bests, key=lambda row: row[0].score or 0.0, default=None)


def shown(trial: Trial, job: TuningJob) -> Json:
    """HyperParameterTrainingJobSummary."""
    return dict(_shown(trial, job))


def _shown(trial: Trial, job: TuningJob) -> Iterator[tuple[str, Any]]:
    child = trial.job
    yield "TrainingJobName", child.name
    yield "TrainingJobArn", child.arn
    yield "CreationTime", child.created
    yield "TrainingJobStatus", child.status
    yield "TunedHyperParameters", dict(trial.values)
    yield "ObjectiveStatus", trial.objective_status
    if definition := job.definition.get("DefinitionName"):
        yield "TrainingJobDefinitionName", definition
    if child.training_started is not None:
        yield "TrainingStartTime", child.training_started
    if child.training_ended is not None:
        yield "TrainingEndTime", child.training_ended
    if child.failure:
        yield "FailureReason", child.failure
    if trial.value is not None:
        yield (
            "FinalHyperParameterTuningJobObjectiveMetric",
            {"Type": job.objective["Type"], "MetricName": trial.objective, "Value": trial.value},
        )
