"""SageMaker's API for labeling jobs: create, describe, list, stop. `execution` carries them out.

There are no workers: the answers come from a file beside the manifest, which `answers` describes, and the
output says so of each of them. Accepted and shown again, but without effect here: prices, time limits, keywords, how
many workers look at an object, encryption. Lambda functions are not called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from components.aws.embedded.errors import ApiError, invalid
from components.aws.embedded.sagemaker.books import Books, ordered, paged
from components.aws.embedded.sagemaker.labeling.checks import check_request, refuse_unknown, work
from components.aws.embedded.sagemaker.labeling.execution import execute
from components.aws.embedded.sagemaker.labeling.record import LabelingJob
from components.aws.embedded.sagemaker.labeling.workteams import Workteams
from components.aws.embedded.sagemaker.site import Site
from components.aws.embedded.sagemaker.tags import of_request

Json = dict[str, Any]


class Labeling:
    """Labeling jobs: their books, and the operations on them."""

    def __init__(self, site: Site, workteams: Workteams) -> None:
        self._site = site
        self._workteams = workteams
        self.books: Books[LabelingJob] = Books(_taken)
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateLabelingJob": self._create,
            "DescribeLabelingJob": self._describe,
            "ListLabelingJobs": self._list,
            "ListLabelingJobsForWorkteam": self._list_for_team,
            "StopLabelingJob": self._stop,
        }

    async def _create(self, body: Json, region: str) -> Json:
        request = {name: value for name, value in body.items() if value is not None}
        refuse_unknown(request)
        self.books.refuse_namesake(region, request["LabelingJobName"])
        check_request(request)
        self._check_team(request["HumanTaskConfig"]["WorkteamArn"], region)
        tasks, categories = await work(request, self._site.objects)
        tags = of_request(request)
        job = LabelingJob(region, request, tasks, tags)
        # Looked at again here: a namesake may have come while S3 was asked.
        self.books.add(job)
        self._site.begin(execute(job, categories, self._site))
        return {"LabelingJobArn": job.arn}

    def _check_team(self, arn: str, region: str) -> None:
        if not self._workteams.known(arn, region):
            # The sentence is CreateFlowDefinition's: data-science-on-aws/data-science-on-aws issue 37.
            raise invalid(f"The specified Workteam '{arn}' does not exist or you do not have access to it.")

    async def _describe(self, body: Json, region: str) -> Json:
        return self.books.find(region, body["LabelingJobName"]).description()

    async def _stop(self, body: Json, region: str) -> Json:
        job = self.books.find(region, body["LabelingJobName"])
        if job.ended:
            raise invalid(f"The request was rejected because the labeling job is in status {job.status}.")
        if job.status != "Stopping":
            job.request_stop()
        return {}

    async def _list(self, body: Json, region: str) -> Json:
        return self.books.listed({"SortOrder": "Ascending"} | body, region, "LabelingJobSummaryList")

    async def _list_for_team(self, body: Json, region: str) -> Json:
        self._check_team(body["WorkteamArn"], region)
        low, high = body.get("CreationTimeAfter"), body.get("CreationTimeBefore")
        jobs = [
            job
            for job in self.books
            if (job.region, job.workteam) == (region, body["WorkteamArn"])
            and body.get("JobReferenceCodeContains", "") in job.reference
            and (low is None or job.created >= low)
            and (high is None or job.created <= high)
        ]
        rows = ordered(jobs, {"SortOrder": "Ascending"} | body)
        return paged(rows, body, "LabelingJobSummaryList", lambda job: job.team_summary())


def _taken(job: LabelingJob) -> ApiError:
    return ApiError(
        "ResourceInUse",
        "Labeling job names must be unique within an AWS account and region, and a labeling job with this name"
        f" already exists ({job.arn})",
    )
