"""Words for what tests do with processing jobs."""

from __future__ import annotations

from typing import Any

from tests.emulator.helpers import ENDED, ROLE, Aws, eventually

GROUP = "/aws/sagemaker/ProcessingJobs"


def given(name: str, uri: str, path: str = "", **more: Any) -> dict[str, Any]:
    """An input of a request."""
    source = {"S3Uri": uri, "LocalPath": path or f"/opt/ml/processing/input/{name}", "S3DataType": "S3Prefix"}
    return {"InputName": name, "S3Input": source | more}


def left(name: str, uri: str, mode: str = "EndOfJob", path: str = "") -> dict[str, Any]:
    """An output of a request."""
    place = path or f"/opt/ml/processing/{name}"
    return {
        "OutputName": name,
        "S3Output": {"S3Uri": uri, "LocalPath": place, "S3UploadMode": mode},
    }


def request(
    name: str,
    image: str = "job",
    entrypoint: list[str] | None = None,
    arguments: list[str] | None = None,
    inputs: list[dict[str, Any]] | None = None,
    outputs: list[dict[str, Any]] | None = None,
    count: int = 1,
    **overrides: Any,
) -> dict[str, Any]:
    """What CreateProcessingJob demands."""
    app = {"ImageUri": image, "ContainerEntrypoint": entrypoint, "ContainerArguments": arguments}
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}
    body: dict[str, Any] = {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {key: value for key, value in app.items() if value is not None},
        "ProcessingResources": {"ClusterConfig": cluster},
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {"Outputs": outputs} if outputs else None,
    } | overrides
    return {key: value for key, value in body.items() if value is not None}


async def create(aws: Aws, name: str, *arguments: Any, **options: Any) -> str:
    answer = await aws.sagemaker.create_processing_job(**request(name, *arguments, **options))
    return str(answer["ProcessingJobArn"])


async def describe(aws: Aws, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = await aws.sagemaker.describe_processing_job(ProcessingJobName=name)
    return answer


async def ended(aws: Aws, name: str) -> dict[str, Any]:
    """Wait for the job's end; the description then."""

    async def look() -> dict[str, Any] | None:
        job = await describe(aws, name)
        return job if job["ProcessingJobStatus"] in ENDED else None

    found: dict[str, Any] = await eventually(look)
    return found


async def run(aws: Aws, name: str, *arguments: Any, **options: Any) -> dict[str, Any]:
    await create(aws, name, *arguments, **options)
    return await ended(aws, name)


async def lines(aws: Aws, name: str) -> list[str]:
    return [event["message"] for event in await aws.events(name, logGroupName=GROUP)]


async def printed(aws: Aws, name: str, count: int) -> None:
    """Wait until the job has printed so many lines."""

    async def look() -> bool:
        try:
            return len(await lines(aws, name)) >= count
        except aws.logs.exceptions.ResourceNotFoundException:
            return False

    await eventually(look)
