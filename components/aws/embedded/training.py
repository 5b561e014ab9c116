"""SageMaker's API for training jobs: create, describe, list, stop, tags. `execution` runs them.

Accepted and shown again, but without effect here: VpcConfig, encryption, DebugHookConfig, ProfilerConfig,
ExperimentConfig, TensorBoardOutputConfig, RetryStrategy, warm pools, ShuffleConfig, spot interruptions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from components.aws.embedded.checks import (
    check_inputs,
    check_outputs,
    refuse_unknown,
    with_defaults,
)
from components.aws.embedded.errors import ApiError, invalid, not_implemented
from components.aws.embedded.images import METRICS, Command, Images
from components.aws.embedded.metrics import Metrics
from components.aws.embedded.objects import Objects
from components.aws.embedded.records import TrainingJob

Json = dict[str, Any]
PAGE = 10
"""Rows of a page of ListTrainingJobs unless MaxResults says otherwise."""
_SORT_KEYS: Mapping[str, Callable[[TrainingJob], Any]] = {
    "Name": lambda job: job.name,
    "CreationTime": lambda job: job.created,
    "Status": lambda job: job.status,
}


class Training:
    """The books: all jobs by (region, name). `start` begins to execute a job and returns at once."""

    def __init__(self, objects: Objects, images: Images, start: Callable[[TrainingJob], None]) -> None:
        self._objects = objects
        self._images = images
        self._start = start
        self._jobs: dict[tuple[str, str], TrainingJob] = {}
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "ListTrainingJobs": self._list,
            "StopTrainingJob": self._stop,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
        }

    async def _create(self, body: Json, region: str) -> Json:
        request = with_defaults(body)
        refuse_unknown(request)
        self._refuse_namesake(region, request["TrainingJobName"])
        image = request["AlgorithmSpecification"]["TrainingImage"]
        command = self._images.command(image, request["RoleArn"])
        algorithm, metrics = _with_metrics(request["AlgorithmSpecification"], command)
        check_outputs(request)
        await check_inputs(request, region, self._objects)
        # Looked at again: a namesake may have come while S3 was asked.
        self._refuse_namesake(region, request["TrainingJobName"])
        tags = {tag["Key"]: tag["Value"] for tag in request.pop("Tags", ())}
        booked = request | {"AlgorithmSpecification": algorithm}
        job = TrainingJob(region, booked, command, metrics, tags)
        self._jobs[region, job.name] = job
        self._start(job)
        return {"TrainingJobArn": job.arn}

    def _refuse_namesake(self, region: str, name: str) -> None:
        if job := self._jobs.get((region, name)):
            raise ApiError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this"
                f" name already exists ({job.arn})",
            )

    def _job(self, body: Json, region: str) -> TrainingJob:
        job = self._jobs.get((region, body["TrainingJobName"]))
        if job is None:
            raise invalid("Requested resource not found.")
        return job

    async def _describe(self, body: Json, region: str) -> Json:
        return self._job(body, region).description()

    async def _stop(self, body: Json, region: str) -> Json:
        job = self._job(body, region)
        if job.ended:
            raise invalid(f"The request was rejected because the training job is in status {job.status}.")
        if job.status == "InProgress":
            job.request_stop()
        return {}

    async def _list(self, body: Json, region: str) -> Json:
        for name in ("WarmPoolStatusEquals", "TrainingPlanArnEquals"):
            if body.get(name):
                raise not_implemented(f"ListTrainingJobs with {name}")
        jobs = [job for (where, _), job in self._jobs.items() if where == region and _wanted(job, body)]
        jobs.sort(
            key=_SORT_KEYS[body.get("SortBy", "CreationTime")],
            reverse=body.get("SortOrder", "Descending") == "Descending",
        )
        begin, size = _number(body.get("NextToken")), body.get("MaxResults", PAGE)
        answer: Json = {"TrainingJobSummaries": [job.summary() for job in jobs[begin : begin + size]]}
        return answer | ({"NextToken": str(begin + size)} if begin + size < len(jobs) else {})

    def _tagged(self, body: Json) -> TrainingJob:
        arn = body["ResourceArn"]
        for job in self._jobs.values():
            if job.arn.lower() == arn.lower():
                return job
        if ":training-job/" not in arn:
            raise not_implemented(f"tags of {arn}")
        raise invalid("Requested resource not found.")

    async def _add_tags(self, body: Json, _: str) -> Json:
        job = self._tagged(body)
        tags = job.tags | {tag["Key"]: tag["Value"] for tag in body["Tags"]}
        if len(tags) > 50:
            raise ApiError("ResourceLimitExceeded", "A resource can have at most 50 tags.")
        job.tags = tags
        return {"Tags": _tag_rows(job)}

    async def _list_tags(self, body: Json, _: str) -> Json:
        rows = _tag_rows(self._tagged(body))
        begin, size = _number(body.get("NextToken")), body.get("MaxResults", 50)
        answer: Json = {"Tags": rows[begin : begin + size]}
        return answer | ({"NextToken": str(begin + size)} if begin + size < len(rows) else {})

    async def _delete_tags(self, body: Json, _: str) -> Json:
        job = self._tagged(body)
        job.tags = {key: value for key, value in job.tags.items() if key not in body["TagKeys"]}
        return {}


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


def _wanted(job: TrainingJob, body: Json) -> bool:
    bounds = (
        (job.created, body.get("CreationTimeAfter"), body.get("CreationTimeBefore")),
        (job.modified, body.get("LastModifiedTimeAfter"), body.get("LastModifiedTimeBefore")),
    )
    return (
        body.get("NameContains", "").lower() in job.name.lower()
        and body.get("StatusEquals", job.status) == job.status
        and all((low is None or time >= low) and (high is None or time <= high) for time, low, high in bounds)
    )


def _number(token: str | None) -> int:
    if token is not None and not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise invalid("Invalid NextToken.")
    return int(token or 0)


def _tag_rows(job: TrainingJob) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in job.tags.items()]
