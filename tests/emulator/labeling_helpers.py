"""Words for what tests do with labeling jobs."""

from __future__ import annotations

import json
from typing import Any

from tests.emulator.helpers import ENDED, ROLE, Aws, eventually

SAMPLES = "s3://kfp-runner-samples/labeling"
TEAM = "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/kfp-runner-samples"
LAMBDA = "arn:aws:lambda:us-east-1:432418664414:function"


def request(name: str, kind: str = "TextMultiClass", **overrides: Any) -> dict[str, Any]:
    """What CreateLabelingJob demands, for the files that `put` writes. `human` changes HumanTaskConfig."""
    human = {
        "WorkteamArn": TEAM,
        "UiConfig": {"UiTemplateS3Uri": f"{SAMPLES}/template.html"},
        "PreHumanTaskLambdaArn": f"{LAMBDA}:PRE-{kind}",
        "AnnotationConsolidationConfig": {"AnnotationConsolidationLambdaArn": f"{LAMBDA}:ACS-{kind}"},
        "TaskTitle": "Digits",
        "TaskDescription": "Which digit is this?",
        "NumberOfHumanWorkersPerDataObject": 1,
        "TaskTimeLimitInSeconds": 60,
    } | overrides.pop("human", {})
    body = {
        "LabelingJobName": name,
        "LabelAttributeName": "digit",
        "InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri": "s3://data/in.manifest"}}},
        "OutputConfig": {"S3OutputPath": "s3://results/out/"},
        "RoleArn": ROLE,
        "LabelCategoryConfigS3Uri": f"{SAMPLES}/categories.json",
        "HumanTaskConfig": {key: value for key, value in human.items() if value is not None},
    } | overrides
    return {key: value for key, value in body.items() if value is not None}


def text(rows: list[Any]) -> bytes:
    """JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


async def put(aws: Aws, rows: list[Any], answers: list[Any] | None) -> None:
    """Write the manifest and the answers."""
    await aws.s3.create_bucket(Bucket="data")
    await aws.s3.put_object(Bucket="data", Key="in.manifest", Body=text(rows))
    if answers is not None:
        await aws.s3.put_object(Bucket="data", Key="in.answers.jsonl", Body=text(answers))


async def describe(aws: Aws, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = await aws.sagemaker.describe_labeling_job(LabelingJobName=name)
    return answer


async def ended(aws: Aws, name: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        job = await describe(aws, name)
        return job if job["LabelingJobStatus"] in ENDED else None

    found: dict[str, Any] = await eventually(look)
    return found


async def run(aws: Aws, name: str, *arguments: Any, **options: Any) -> dict[str, Any]:
    await aws.sagemaker.create_labeling_job(**request(name, *arguments, **options))
    return await ended(aws, name)


async def labeled(aws: Aws, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the job's output manifest."""
    bucket, _, key = job["LabelingJobOutput"]["OutputDatasetS3Uri"].removeprefix("s3://").partition("/")
    return [json.loads(line) for line in (await aws.get(bucket, key)).splitlines()]
