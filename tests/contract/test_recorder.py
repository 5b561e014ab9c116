"""The recorder is spoken to by a real client: what it gets wrong, the conformance cases would get wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from tests.support.recorder import ASSUMED_KEY, Recorder, recorder

REQUEST = {
    "TrainingJobName": "job-1",
    "AlgorithmSpecification": {"TrainingImage": "image:1", "TrainingInputMode": "File"},
    "RoleArn": "arn:aws:iam::123456789012:role/sagemaker",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m4.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    "Tags": [{"Key": "a", "Value": "b"}],
}


@pytest.fixture
async def aws() -> AsyncIterator[Recorder]:
    async with recorder() as books:
        yield books


@pytest.fixture
async def client(aws: Recorder) -> AsyncIterator[Any]:
    """Make clients of named services."""
    async with AsyncExitStack() as stack:

        async def make(service: str) -> Any:
            made = get_session().create_client(
                service,
                region_name="us-east-1",
                endpoint_url=aws.url,
                aws_access_key_id="AKIA",
                aws_secret_access_key="secret",
                config=AioConfig(retries={"total_max_attempts": 1}),
            )
            return await stack.enter_async_context(made)

        yield make


async def test_training_job(aws: Recorder, client: Any) -> None:
    sagemaker = await client("sagemaker")
    arn = (await sagemaker.create_training_job(**REQUEST))["TrainingJobArn"]
    described = await sagemaker.describe_training_job(TrainingJobName="job-1")

    assert described["TrainingJobArn"] == arn == "arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1"
    assert described["TrainingJobStatus"] == "Completed"
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/out/job-1/output/model.tar.gz"
    assert described["AlgorithmSpecification"]["TrainingImage"] == "image:1"
    assert (await sagemaker.list_tags(ResourceArn=arn))["Tags"] == REQUEST["Tags"]
    assert [(call.operation, call.request, call.status) for call in aws.mutations] == [
        ("CreateTrainingJob", REQUEST, 200)
    ]
    assert {call.access_key for call in aws.calls} == {"AKIA"}


async def test_refusals_are_clients_errors(aws: Recorder, client: Any) -> None:
    sagemaker, logs = await client("sagemaker"), await client("logs")
    await sagemaker.create_training_job(**REQUEST)
    for call, code in [
        (sagemaker.create_training_job(**REQUEST), "ResourceInUse"),
        (sagemaker.describe_training_job(TrainingJobName="other"), "ValidationException"),
        (sagemaker.list_training_jobs(), "UnknownOperationException"),
        (logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs"), "ResourceNotFoundException"),
        (logs.create_log_group(logGroupName="group"), "UnknownOperationException"),
    ]:
        with pytest.raises(ClientError) as error:
            await call
        assert error.value.response["Error"]["Code"] == code
    assert [call.status for call in aws.mutations] == [200, 400, 400]


async def test_assume_role(aws: Recorder, client: Any) -> None:
    sts = await client("sts")
    answer = await sts.assume_role(RoleArn="arn:aws:iam::210987654321:role/other", RoleSessionName="step")
    assert answer["Credentials"]["AccessKeyId"] == ASSUMED_KEY
    assert aws.mutations == []


async def test_algorithm_and_calls_made_before(aws: Recorder, client: Any) -> None:
    sagemaker = await client("sagemaker")
    aws.prepare([{"operation": "CreateTrainingJob", "request": REQUEST}])
    job = await sagemaker.describe_training_job(TrainingJobName="job-1")
    assert job["TrainingJobStatus"] == "Completed"
    algorithm = await sagemaker.describe_algorithm(AlgorithmName="mine")
    assert algorithm["TrainingSpecification"]["TrainingImage"] == "fake.dkr.ecr/mine:1"
    assert aws.mutations == []
