"""SageMaker's API for training jobs: create, describe, list, stop, tags. `execution` runs them.

Accepted and shown again, but without effect here: VpcConfig, encryption, DebugHookConfig, ProfilerConfig,
ExperimentConfig, TensorBoardOutputConfig, RetryStrategy, warm pools, ShuffleConfig, spot interruptions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from components.aws.embedded.errors import ApiError, invalid, not_implemented
from components.aws.embedded.sagemaker.books import Books
from components.aws.embedded.sagemaker.checks import (
    check_inputs,
    check_outputs,
    refuse_unknown,
    with_defaults,
)
from components.aws.embedded.sagemaker.images import METRICS, Command, Images
from components.aws.embedded.sagemaker.metrics import Metrics
from components.aws.embedded.sagemaker.site import Site
from components.aws.embedded.sagemaker.tags import of_request
from components.aws.embedded.sagemaker.training.execution import execute
from components.aws.embedded.sagemaker.training.record import TrainingJob

Json = dict[str, Any]


class Training:
    """Training jobs: their books, and the operations on them."""

    def __init__(self, site: Site, images: Images) -> None:
        self._site = site
        self._images = images
        self.books: Books[TrainingJob] = Books(_taken)
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "ListTrainingJobs": self._list,
            "StopTrainingJob": self._stop,
        }

    async def _create(self, body: Json, region: str) -> Json:
        return {"TrainingJobArn": (await self.create(body, region)).arn}

    async def create(self, body: Json, region: str, tuning_arn: str = "") -> TrainingJob:
        """Check a CreateTrainingJob request, book the job and begin to execute it. Raises `ApiError`.

        `tuning_arn`: of the tuning job that launches it.
        """
        job = await self.check(body, region, tuning_arn)
        # Looked at again here: a namesake may have come while S3 was asked.
        self.books.add(job)
        self._site.begin(execute(job, self._site))
        return job

    async def check(self, body: Json, region: str, tuning_arn: str = "") -> TrainingJob:
        """Check a CreateTrainingJob request; the job as it would be booked. Raises `ApiError`."""
        request = with_defaults(body)
        refuse_unknown(request)
        self.books.refuse_namesake(region, request["TrainingJobName"])
        image = request["AlgorithmSpecification"]["TrainingImage"]
        command = self._images.command(image, request["RoleArn"])
        algorithm, metrics = _with_metrics(request["AlgorithmSpecification"], command)
        check_outputs(request)
        await check_inputs(request, region, self._site.objects)
        tags = of_request(request)
        booked = request | {"AlgorithmSpecification": algorithm}
        return TrainingJob(region, booked, command, metrics, tags, tuning_arn=tuning_arn)

    async def _describe(self, body: Json, region: str) -> Json:
        return self.books.find(region, body["TrainingJobName"]).description()

    async def _stop(self, body: Json, region: str) -> Json:
        job = self.books.find(region, body["TrainingJobName"])
        if job.ended:
            raise invalid(f"The request was rejected because the training job is in status {job.status}.")
        if job.status == "InProgress":
            job.request_stop()
        return {}

    async def _list(self, body: Json, region: str) -> Json:
        for name in ("WarmPoolStatusEquals", "TrainingPlanArnEquals"):
            if body.get(name):
                raise not_implemented(f"ListTrainingJobs with {name}")
        return self.books.listed(body, region, "TrainingJobSummaries")


def _taken(job: TrainingJob) -> ApiError:
    return ApiError(
        "ResourceInUse",
        "Training job names must be unique within an AWS account and region, and a training job with this"
        f" name already exists ({job.arn})",
    )


def _with_metrics(algorithm: Json, command: Command) -> tuple[Json, Metrics]:
    """The AlgorithmSpecification that Describe shows, and its metrics at work."""
    rows = algorithm.get("MetricDefinitions") or []
    builtin = METRICS.get(command.algorithm)
    if builtin is not None:
        if rows:
            raise invalid(
                "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request"
                " without specifying metric definitions."
            )
        rows = [{"Name": name, "Regex": regex} for name, regex in builtin]
    shown: Json = {"EnableSageMakerMetricsTimeSeries": builtin is not None} | algorithm
    if rows:
        shown["MetricDefinitions"] = rows
    return shown, Metrics((row["Name"], row["Regex"]) for row in rows)
