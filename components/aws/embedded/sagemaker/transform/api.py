"""SageMaker's API for batch transform jobs: create, describe, list, stop. `transform_execution` runs them.

Accepted and shown again, but without effect here: KmsKeyId, VolumeKmsKeyId, InstanceType, ExperimentConfig.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from components.aws.embedded.errors import ApiError, invalid, not_implemented
from components.aws.embedded.sagemaker.books import Books
from components.aws.embedded.sagemaker.checks import check_source, check_texts, s3_location, unsafe_variables
from components.aws.embedded.sagemaker.hosting.models import Models
from components.aws.embedded.sagemaker.hosting.seats import Seats
from components.aws.embedded.sagemaker.images import Images
from components.aws.embedded.sagemaker.site import Site
from components.aws.embedded.sagemaker.tags import of_request
from components.aws.embedded.sagemaker.transform.data import kind_of
from components.aws.embedded.sagemaker.transform.execution import MOST_MEGABYTES, execute, shaping
from components.aws.embedded.sagemaker.transform.record import TransformJob

Json = dict[str, Any]


class Transforms:
    """Transform jobs: their books, and the operations on them."""

    def __init__(self, site: Site, images: Images, models: Models, seats: Seats) -> None:
        self._site = site
        self._seats = seats
        self._images = images
        self._models = models
        self.books: Books[TransformJob] = Books(_taken)
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateTransformJob": self._create,
            "DescribeTransformJob": self._describe,
            "ListTransformJobs": self._list,
            "StopTransformJob": self._stop,
        }

    async def _create(self, body: Json, region: str) -> Json:
        if missing := next(_unknown(body), ""):
            raise not_implemented(f"CreateTransformJob: {missing}")
        self.books.refuse_namesake(region, body["TransformJobName"])
        model = self._models.single(region, body["ModelName"])
        _check(body)
        request = _with_defaults(body)
        job = TransformJob(region, request, model, of_request(request))
        shaping(job, {})  # refuses a JSONPath that is not known here
        uri = request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        await check_source(uri, model.role, region, self._site.objects)
        # Looked at again here: a namesake may have come while S3 was asked.
        self.books.refuse_namesake(region, job.name)
        (job.processes,) = self._seats.take([request["TransformResources"]["InstanceCount"]])
        try:
            self.books.add(job)
        except ApiError:
            self._seats.give_back(job.processes)
            raise
        self._site.begin(self._execute(job))
        return {"TransformJobArn": job.arn}

    async def _execute(self, job: TransformJob) -> None:
        try:
            await execute(job, self._site, self._images)
        finally:
            self._seats.give_back(job.processes)

    async def _describe(self, body: Json, region: str) -> Json:
        return self._find(body, region, "Could not find requested job with name").description()

    async def _list(self, body: Json, region: str) -> Json:
        return self.books.listed(body, region, "TransformJobSummaries")

    async def _stop(self, body: Json, region: str) -> Json:
        # Source of the sentences: sagemaker-experiments and others who match them.
        job = self._find(body, region, "Could not find job to update with name")
        if job.ended:
            raise invalid(f"The request was rejected because the transform job is in status {job.status}.")
        if job.status == "InProgress":
            job.request_stop()
        return {}

    def _find(self, body: Json, region: str, refusal: str) -> TransformJob:
        job = self.books.get(region, body["TransformJobName"])
        if job is None:
            raise invalid(f"{refusal}: {body['TransformJobName']}")
        return job


def _taken(job: TransformJob) -> ApiError:
    return ApiError(
        "ResourceInUse",
        "Transform job names must be unique within an AWS account and region, and a transform job with this"
        f" name already exists ({job.arn})",
    )


def _with_defaults(body: Json) -> Json:
    """The request as the service books it."""
    source = {"CompressionType": "None", "SplitType": "None"} | body["TransformInput"]
    target = {"AssembleWith": "None"} | body["TransformOutput"]
    processing = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"} | (
        body.get("DataProcessing") or {}
    )
    return body | {"TransformInput": source, "TransformOutput": target, "DataProcessing": processing}


def _check(body: Json) -> None:
    """Raise `ApiError` for AWS's own further rules."""
    check_texts(body, "Environment")
    s3_location(body["TransformOutput"]["S3OutputPath"])
    concurrent, payload = body.get("MaxConcurrentTransforms") or 1, body.get("MaxPayloadInMB") or 0
    if concurrent * payload > MOST_MEGABYTES:
        raise invalid(
            f"MaxConcurrentTransforms * MaxPayloadInMB must not exceed {MOST_MEGABYTES} MB, it is {concurrent * payload}."
        )
    processing = body.get("DataProcessing") or {}
    touched = processing.get("JoinSource") == "Input" or any(
        processing.get(name, "$") not in ("", "$") for name in ("InputFilter", "OutputFilter")
    )
    if not touched:
        return
    given = body["TransformInput"].get("ContentType", "")
    if not kind_of(given):
        raise invalid(
            f"DataProcessing needs a ContentType of text/csv, application/json or application/jsonlines, not {given!r}."
        )
    accept = body["TransformOutput"].get("Accept", "")
    if accept and (kind_of(accept) == "csv") != (kind_of(given) == "csv"):
        raise invalid(
            f"DataProcessing needs input and output of the same kind: Accept is {accept!r}, ContentType {given!r}."
        )


def _unknown(body: Json) -> Iterator[str]:
    """What the embedded cloud can't do."""
    if body.get("DataCaptureConfig"):
        yield "DataCaptureConfig"
    kind = body["TransformInput"]["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        yield f"S3DataType {kind}"
    split = body["TransformInput"].get("SplitType", "None")
    if split not in ("None", "Line"):
        yield f"SplitType {split}"
    yield from unsafe_variables(body.get("Environment") or ())
