"""What is refused, in AWS's words, and who is not even listened to."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError
from yarl import URL

from components.aws.embedded import serve
from tests.emulator.helpers import ROLE, Aws, channel, embedded

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPOT = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 60}}
METRIC = {"MetricDefinitions": [{"Name": "a", "Regex": "a"}]}


def algorithm(image: str = "job", **more: Any) -> dict[str, Any]:
    return {"AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"} | more}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws() -> AsyncIterator[Aws]:
    """One server for the module: what is refused changes nothing."""
    async with embedded("pass") as aws:
        yield aws


async def refused(aws: Aws, name: str = "job-1", **overrides: Any) -> tuple[str, str]:
    """Code and text of Create's refusal; nothing may have been booked."""
    with pytest.raises(ClientError) as caught:
        await aws.create(name, **overrides)
    listed = await aws.sagemaker.list_training_jobs(NameContains=name.replace("_", "-"))
    assert listed["TrainingJobSummaries"] == []
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


MODEL_CASES = [
    (
        {"name": "a_b"},
        (
            "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy constraint: Member must"
            " satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
        ),
    ),
    (
        {"RoleArn": None},
        "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null",
    ),
    (
        {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": -1, "VolumeSizeInGB": 1}},
        (
            "1 validation error detected: Value '-1' at 'resourceConfig.instanceCount' failed to satisfy constraint:"
            " Member must have value greater than or equal to 0"
        ),
    ),
    (
        {"channels": {"x": channel("a b", "s3://data/x", S3DataType="Prefix")}},
        (
            "2 validation errors detected: Value 'a b' at 'inputDataConfig.1.member.channelName' failed to satisfy"
            " constraint: Member must satisfy regular expression pattern: [A-Za-z0-9\\.\\-_]+; Value 'Prefix' at"
            " 'inputDataConfig.1.member.dataSource.s3DataSource.s3DataType' failed to satisfy constraint: Member must"
            " satisfy enum value set: [ManifestFile, S3Prefix, AugmentedManifestFile, Converse]"
        ),
    ),
    (
        {"parameters": {"k": "x" * 2501}},
        "Map value must satisfy constraint: [Member must have length less than or equal to 2500]",
    ),
]


@pytest.mark.parametrize(("overrides", "text"), MODEL_CASES, ids=lambda case: str(case)[:30])
async def test_requests_are_checked_against_awss_own_model(
    aws: Aws, overrides: dict[str, Any], text: str
) -> None:
    code, message = await refused(aws, **overrides)
    assert code == "ValidationException"
    assert text in message


async def test_a_wrong_json_type_is_a_serialization_error(aws: Aws) -> None:
    assert (await refused(aws, HyperParameters={"k": 10}))[0] == "SerializationException"
    assert (await refused(aws, EnableNetworkIsolation="yes"))[0] == "SerializationException"


SERVICE_CASES = [
    (
        SPOT,
        "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds",
    ),
    (
        {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}},
        "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true",
    ),
    (
        algorithm("382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1", **METRIC),
        (
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request without"
            " specifying metric definitions."
        ),
    ),
    (
        {"channels": {"train": "s3://results/none"}},
        (
            'No S3 objects found under S3 URL "s3://results/none" given in input data source. Please ensure that the'
            " bucket exists in the selected region (us-east-1), that objects exist under that S3 prefix, and that the"
            f' role "{ROLE}" has "s3:ListBucket" permissions on bucket "results".'
        ),
    ),
    (
        {"channels": {"train": "s3://nowhere/none"}},
        'permissions on bucket "nowhere". Error message from S3: The specified bucket does not exist',
    ),
    (
        algorithm("123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:2"),
        (
            "Cannot find repository: mine in registry ID: 123456789012 Please check if your ECR repository and image"
            f" exist and role {ROLE} has proper pull permissions for SageMaker: ecr:BatchCheckLayerAvailability,"
            " ecr:BatchGetImage, ecr:GetDownloadUrlForLayer (Embedded cloud: no local command stands for this image;"
        ),
    ),
    (
        algorithm("mine"),
        "Invalid image URI mine. Please provide a valid Amazon Elastic Container Registry path",
    ),
    (
        {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 0, "VolumeSizeInGB": 1}},
        "InstanceCount must be specified in ResourceConfig.",
    ),
    ({"OutputDataConfig": {"S3OutputPath": "https://a/b"}}, "Invalid S3 URI: https://a/b"),
    ({"Environment": {"A": "x\0y"}}, "Environment: the value of 'A' holds a character"),
    ({"parameters": {"k": "\ud800"}}, "HyperParameters: the value of 'k' holds a character"),
]


@pytest.mark.parametrize(("overrides", "text"), SERVICE_CASES, ids=lambda case: str(case)[:40])
async def test_create_is_refused_in_awss_words(aws: Aws, overrides: dict[str, Any], text: str) -> None:
    code, message = await refused(aws, **overrides)
    assert code == "ValidationException"
    assert text in message


UNKNOWN = [
    algorithm(ContainerEntrypoint=["sh"]),
    algorithm(ContainerArguments=["-c"]),
    {"AlgorithmSpecification": {"AlgorithmName": "mine", "TrainingInputMode": "File"}},
    {"AlgorithmSpecification": {"TrainingImage": "job", "TrainingInputMode": "Pipe"}},
    {"channels": {"x": channel("x", "s3://results/", InputMode="Pipe")}},
    {"channels": {"x": channel("x", "s3://results/", RecordWrapperType="RecordIO")}},
    {"channels": {"x": channel("x", "s3://results/", S3DataType="AugmentedManifestFile")}},
    {"channels": {"x": channel("..", "s3://results/")}},
    {"CheckpointConfig": {"S3Uri": "s3://results/", "LocalPath": "/opt/ml/../../etc"}},
    {"CheckpointConfig": {"S3Uri": "s3://results/", "LocalPath": "/tmp"}},
    {"Environment": {"LD_PRELOAD": "x.so"}},
    {"Environment": {"PATH": "/tmp"}},
    {"Environment": {"PYTHONPATH": "/tmp"}},
    {"Environment": {"PYTHONPLATLIBDIR": "../tmp"}},
    {"Environment": {"OPENSSL_CONF": "/tmp/x"}},
    {"Environment": {"GIT_SSH_COMMAND": "x"}},
    {"Environment": {"AWS_CONFIG_FILE": "/home/u/.aws/config"}},
    {"Environment": {"AWS_SHARED_CREDENTIALS_FILE": "/home/u/.aws/credentials"}},
]


@pytest.mark.parametrize("overrides", UNKNOWN, ids=lambda case: str(case)[:60])
async def test_what_only_aws_can_do_is_refused_honestly(aws: Aws, overrides: dict[str, Any]) -> None:
    code, message = await refused(aws, **overrides)
    assert code == "NotImplementedByEmbeddedCloud"
    assert message.startswith("CreateTrainingJob: ")
    assert message.endswith("is not implemented by the embedded cloud")


async def test_a_name_is_taken_once_and_for_all(aws: Aws) -> None:
    arn = await aws.create("taken")
    await aws.until("taken")
    with pytest.raises(ClientError) as caught:
        await aws.create("taken")
    assert caught.value.response["Error"] == {
        "Code": "ResourceInUse",
        "Message": "Training job names must be unique within an AWS account and region, and a training job with"
        f" this name already exists ({arn})",
    }


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job"])
async def test_an_unknown_job_is_not_found(aws: Aws, operation: str) -> None:
    with pytest.raises(ClientError) as caught:
        await getattr(aws.sagemaker, operation)(TrainingJobName="none")
    assert caught.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "Requested resource not found.",
    }


async def test_other_operations_say_that_they_are_not_implemented(aws: Aws) -> None:
    with pytest.raises(
        ClientError, match="sagemaker DescribeAlgorithm is not implemented by the embedded cloud"
    ):
        await aws.sagemaker.describe_algorithm(AlgorithmName="a")
    with pytest.raises(ClientError, match="logs PutRetentionPolicy is not implemented by the embedded cloud"):
        await aws.logs.put_retention_policy(logGroupName="a", retentionInDays=1)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "169.254.169.254"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
async def test_web_pages_and_foreign_hosts_are_not_listened_to(aws: Aws, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(aws.cloud.url, headers=headers) as answer:
            assert answer.status == 403
        async with http.post(f"{aws.cloud.url}/moto-api/reset", headers=headers) as answer:
            assert answer.status == 403
        assert [row["Name"] for row in (await aws.s3.list_buckets())["Buckets"]].count("results") == 1


@pytest.mark.parametrize(
    "host", ["localhost:1", "127.0.0.1", "[::1]:80", "results.localhost", "stream-127.0.0.1:5"]
)
async def test_loopback_names_are_welcome_and_no_page_may_read_along(aws: Aws, host: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{aws.cloud.url}/results", headers={"Host": host}) as answer,
    ):
        assert answer.status in (200, 404)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "path",
    [
        "/moto-api/reset",
        "/%6doto-api/reset",
        "/moto%2Dapi/config",
        "/latest/meta-data/iam",
        "/latest/api/token",
    ],
)
async def test_motos_own_control_routes_are_closed(aws: Aws, path: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(URL(f"{aws.cloud.url}{path}", encoded=True)) as answer,
    ):
        assert answer.status == 400
        assert "not implemented by the embedded cloud" in await answer.text()
    assert "results" in [row["Name"] for row in (await aws.s3.list_buckets())["Buckets"]]


@pytest.mark.parametrize("service", ["lambda", "batch"])
async def test_services_that_would_run_what_a_request_says_are_closed(aws: Aws, service: str) -> None:
    scope = f"AWS4-HMAC-SHA256 Credential=x/20200101/us-east-1/{service}/aws4_request, Signature=0"
    async with aiohttp.ClientSession() as http:
        url = f"{aws.cloud.url}/2015-03-31/functions"
        async with http.post(url, data=b"{}", headers={"Authorization": scope}) as answer:
            assert answer.status == 400
            assert "not implemented by the embedded cloud" in await answer.text()


async def test_more_instances_than_this_machine_can_bear_are_refused(aws: Aws) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2_000_000_000, "VolumeSizeInGB": 1}
    code, text = await refused(aws, ResourceConfig=resources)
    assert (code, text) == (
        "ResourceLimitExceeded",
        "The embedded cloud runs at most 100 instances of a job.",
    )


async def test_an_endless_time_limit_leaves_a_job_that_can_be_stopped() -> None:
    async with embedded("print('up'); time.sleep(600)") as aws:
        await aws.create("job-1", StoppingCondition={"MaxRuntimeInSeconds": 10**400})
        await aws.printed("job-1", "up")
        await aws.stop("job-1")
        assert (await aws.until("job-1"))["TrainingJobStatus"] == "Stopped"


async def test_bad_json_is_refused(aws: Aws) -> None:
    headers = {"X-Amz-Target": "SageMaker.CreateTrainingJob"}
    async with aiohttp.ClientSession() as http:
        for body in (b"{", b"[]", b"\xff", b"[" * 200_000, b'{"a":' * 200_000):
            async with http.post(aws.cloud.url, data=body, headers=headers) as answer:
                assert answer.status == 400
                assert (await answer.json(content_type=None))["__type"] == "SerializationException"
        async with http.post(
            aws.cloud.url, data=io.BytesIO(bytes(8 * 1024**2 + 1)), headers=headers
        ) as answer:
            assert answer.status == 413


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "image 'a:1': its command '' is empty"),
        ("  ", "image 'a:1': its command '  ' is empty"),
        (
            "no-such-program -x",
            (
                "image 'a:1': its command 'no-such-program' is not on this machine (looked on PATH; the whole command:"
                " 'no-such-program -x')"
            ),
        ),
        ("python 'x", "image 'a:1': its command \"python 'x\" can't be split: No closing quotation"),
    ],
)
async def test_a_command_that_can_not_run_is_refused_at_the_start_in_one_line(line: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        async with serve(images={"a:1": line}):
            raise AssertionError("served")


async def test_a_taken_port_is_an_os_error() -> None:
    async with serve() as cloud:
        with pytest.raises(OSError, match="in use"):
            async with serve(port=int(cloud.url.rpartition(":")[2])):
                raise AssertionError("served")


async def test_images_are_found_by_uri_repository_or_tag() -> None:
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    async with embedded(images={f"{registry}/a:1": "true", "b:2": "true", "c": "true"}) as aws:
        for number, image in enumerate(
            (f"{registry}/a:1", f"{registry}/b:2", "b:2", f"{registry}/c:9", "c:1", "c")
        ):
            await aws.create(f"job-{number}", image=image)
        with pytest.raises(ClientError, match="Cannot find repository: b "):
            await aws.create("job-x", image=f"{registry}/b:3")
