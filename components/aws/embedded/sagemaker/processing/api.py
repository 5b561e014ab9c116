"""SageMaker's API for processing jobs: create, describe, list, stop. `processing_execution` runs them.

Accepted and shown again, but without effect here: VpcConfig, encryption, ExperimentConfig.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from components.aws.embedded.errors import ApiError, invalid
from components.aws.embedded.sagemaker.books import Books
from components.aws.embedded.sagemaker.images import Images
from components.aws.embedded.sagemaker.processing.checks import check_places, refuse_unknown, with_defaults
from components.aws.embedded.sagemaker.processing.command import arguments
from components.aws.embedded.sagemaker.processing.execution import execute
from components.aws.embedded.sagemaker.processing.record import ProcessingJob
from components.aws.embedded.sagemaker.site import Site
from components.aws.embedded.sagemaker.tags import of_request

Json = dict[str, Any]


class Processing:
    """Processing jobs: their books, and the operations on them."""

    def __init__(self, site: Site, images: Images) -> None:
        self._site = site
        self._images = images
        self.books: Books[ProcessingJob] = Books(_taken)
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateProcessingJob": self._create,
            "DescribeProcessingJob": self._describe,
            "ListProcessingJobs": self._list,
            "StopProcessingJob": self._stop,
        }

    async def _create(self, body: Json, region: str) -> Json:
        request = with_defaults(body)
        refuse_unknown(request)
        self.books.refuse_namesake(region, request["ProcessingJobName"])
        app = request["AppSpecification"]
        command = self._images.command(app["ImageUri"], request["RoleArn"], None)
        words = arguments(
            command, app["ImageUri"], app.get("ContainerEntrypoint"), app.get("ContainerArguments")
        )
        await check_places(request, region, self._site.objects)
        tags = of_request(request)
        job = ProcessingJob(region, request, command, words, tags)
        # Looked at again here: a namesake may have come while S3 was asked.
        self.books.add(job)
        self._site.begin(execute(job, self._site))
        return {"ProcessingJobArn": job.arn}

    def _find(self, region: str, name: str) -> ProcessingJob:
        job = self.books.get(region, name)
        if job is None:
            # The sentence's beginning: aws-controllers-k8s/sagemaker-controller, generator.yaml.
            raise invalid(f"Could not find requested job with name: {name}")
        return job

    async def _describe(self, body: Json, region: str) -> Json:
        return self._find(region, body["ProcessingJobName"]).description()

    async def _stop(self, body: Json, region: str) -> Json:
        job = self._find(region, body["ProcessingJobName"])
        if job.ended:
            raise invalid(f"The request was rejected because the processing job is in status {job.status}.")
        if job.status == "InProgress":
            job.request_stop()
        return {}

    async def _list(self, body: Json, region: str) -> Json:
        return self.books.listed(body, region, "ProcessingJobSummaries")


def _taken(job: ProcessingJob) -> ApiError:
    # As seen with a processing job in a public report ("Duplicate Job Name Fix").
    return ApiError(
        "ResourceInUse",
        "Job name must be unique within an AWS account and region, and a job with this name already exists"
        f" ({job.arn})",
    )
