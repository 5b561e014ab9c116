"""SageMaker's API for hyperparameter tuning jobs: create, describe, list, stop, and the training jobs of one.

Strategies Random, Bayesian, Grid and Hyperband; early stopping; warm starts; completion by a target or for want of progress.
Accepted without effect: RetryStrategy. A warm start means something to the Bayesian strategy only.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from components.aws.embedded.errors import ApiError, invalid
from components.aws.embedded.sagemaker.books import Books, paged
from components.aws.embedded.sagemaker.site import Site
from components.aws.embedded.sagemaker.tags import of_request
from components.aws.embedded.sagemaker.training.api import Training
from components.aws.embedded.sagemaker.tuning.checks import (
    check_algorithm,
    check_parents,
    most_jobs,
    normalized,
    space,
)
from components.aws.embedded.sagemaker.tuning.record import Trial, TuningJob, shown
from components.aws.embedded.sagemaker.tuning.run import training_request, tune

Json = dict[str, Any]
# Other than for most kinds (API reference of both List operations).
_ORDER = {"SortBy": "Name", "SortOrder": "Ascending"}
_KEYS: Mapping[str, Callable[[Trial], Any]] = {
    "Name": lambda trial: trial.name,
    "CreationTime": lambda trial: trial.created,
    "Status": lambda trial: trial.status,
    "FinalObjectiveMetricValue": lambda trial: trial.value,
}


class Tuning:
    """Tuning jobs: their books, and the operations on them."""

    def __init__(self, site: Site, training: Training) -> None:
        self._site = site
        self._training = training
        self.books: Books[TuningJob] = Books(_taken)
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateHyperParameterTuningJob": self._create,
            "DescribeHyperParameterTuningJob": self._describe,
            "ListHyperParameterTuningJobs": self._list,
            "StopHyperParameterTuningJob": self._stop,
            "ListTrainingJobsForHyperParameterTuningJob": self._trainings,
        }

    async def _create(self, body: Json, region: str) -> Json:
        self.books.refuse_namesake(region, body["HyperParameterTuningJobName"])
        request = normalized(body)
        tags = of_request(request)
        config = request["HyperParameterTuningJobConfig"]
        searched = space(request)
        parents = self._parents(request, region)
        check_parents(request, searched, parents)
        job = TuningJob(region, request, searched, most_jobs(config, searched), parents, tags)
        # What would be refused for the training jobs is refused now.
        sample = training_request(job, searched.sample(random.Random(0)), f"{job.name}-001-00000000")
        check_algorithm(request, searched, await self._training.check(sample, region))
        self.books.add(job)
        self._site.begin(tune(job, self._training))
        return {"HyperParameterTuningJobArn": job.arn}

    def _parents(self, request: Json, region: str) -> list[TuningJob]:
        rows = (request.get("WarmStartConfig") or {}).get("ParentHyperParameterTuningJobs") or ()
        names = [row.get("HyperParameterTuningJobName", "") for row in rows]
        parents: list[TuningJob] = []
        for name in names:
            parent = self.books.get(region, name)
            if parent is None:
                raise invalid(f"Parent hyperparameter tuning job {name} does not exist.")
            if parent in parents:
                raise invalid(f"Parent hyperparameter tuning jobs must be unique, {name} is not.")
            parents.append(parent)
        return parents

    def _find(self, body: Json, region: str) -> TuningJob:
        job = self.books.get(region, body["HyperParameterTuningJobName"])
        if job is None:
            # Not ValidationException, as for training jobs: Terraform's provider waits for this code.
            raise ApiError("ResourceNotFound", "Requested resource not found.")
        return job

    async def _describe(self, body: Json, region: str) -> Json:
        return self._find(body, region).description()

    async def _list(self, body: Json, region: str) -> Json:
        return self.books.listed(_ORDER | body, region, "HyperParameterTuningJobSummaries")

    async def _stop(self, body: Json, region: str) -> Json:
        job = self._find(body, region)
        if job.is_final:
            raise invalid(
                f"The request was rejected because the hyperparameter tuning job is in status {job.status}."
            )
        if job.status == "InProgress":
            job.request_stop()
        return {}

    async def _trainings(self, body: Json, region: str) -> Json:
        job, body = self._find(body, region), _ORDER | body
        wanted = body.get("StatusEquals")
        trials = [trial for trial in job.trials if wanted in (None, trial.status)]
        if body["SortBy"] == "FinalObjectiveMetricValue":
            trials = [trial for trial in trials if trial.value is not None]
        trials.sort(key=_KEYS[body["SortBy"]], reverse=body["SortOrder"] == "Descending")
        return paged(trials, body, "TrainingJobSummaries", lambda trial: shown(trial, job))


def _taken(job: TuningJob) -> ApiError:
    return ApiError(
        "ResourceInUse",
        "Hyperparameter tuning job names must be unique within an AWS account and region, and a hyperparameter tuning"
        f" job with this name already exists ({job.arn})",
    )
