"""Models and endpoint configurations: what is booked, shown, listed, refused; and the sample that is always there."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from components.aws.embedded.s3 import samples
from components.aws.embedded.sagemaker.hosting import sample as model_sample
from tests.emulator.helpers import ROLE, client, embedded
from tests.emulator.serving_kit import SAMPLE, Hosting, archive, hosting

pytestmark = pytest.mark.asyncio(loop_scope="module")
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
VARIANT = {"VariantName": "a", "ModelName": SAMPLE, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud() -> AsyncIterator[Hosting]:
    async with hosting() as cloud:
        await cloud.aws.put("models", m__model_dot_tar_dot_gz=archive(weights=b"1"), plain__a=b"a")
        yield cloud


async def refused(work: Any) -> str:
    """The text of a refusal, with its code before it."""
    with pytest.raises(ClientError) as caught:
        await work
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


async def test_a_model_is_shown_as_it_was_made_and_can_be_deleted(cloud: Hosting) -> None:
    await cloud.model(
        "Model-1",
        image="any/image:1",
        ModelDataUrl="s3://models/m/model.tar.gz",
        Environment={"A": "b"},
        EnableNetworkIsolation=True,
    )
    found = await cloud.sagemaker.describe_model(ModelName="Model-1")
    assert found["ModelArn"] == f"{ARN}:model/model-1"
    assert found["ExecutionRoleArn"] == ROLE
    assert found["EnableNetworkIsolation"] is True
    assert found["PrimaryContainer"] == {
        "Image": "any/image:1",
        "Mode": "SingleModel",
        "ModelDataUrl": "s3://models/m/model.tar.gz",
        "Environment": {"A": "b"},
    }
    await cloud.sagemaker.delete_model(ModelName="Model-1")
    gone = await refused(cloud.sagemaker.describe_model(ModelName="Model-1"))
    assert gone == f'ValidationException: Could not find model "{ARN}:model/model-1".'
    assert await refused(cloud.sagemaker.delete_model(ModelName="Model-1")) == gone


async def test_models_are_listed_and_tagged(cloud: Hosting) -> None:
    for name in ("list-1", "list-2"):
        await cloud.model(name)
    rows = (await cloud.sagemaker.list_models(NameContains="LIST", SortBy="Name", SortOrder="Ascending"))[
        "Models"
    ]
    assert [row["ModelName"] for row in rows] == ["list-1", "list-2"]
    arn = rows[0]["ModelArn"]
    await cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert (await cloud.sagemaker.list_tags(ResourceArn=arn))["Tags"] == [{"Key": "k", "Value": "v"}]


async def test_a_name_is_taken_once(cloud: Hosting) -> None:
    await cloud.model("twice")
    again = await refused(cloud.model("twice"))
    assert again == f'ValidationException: Cannot create already existing model "{ARN}:model/twice".'


SOURCE = {"S3Uri": "s3://models/plain/", "S3DataType": "S3Prefix", "CompressionType": "None"}


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (
            {"ModelDataUrl": "s3://models/none.tar.gz"},
            "Could not find model data at s3://models/none.tar.gz.",
        ),
        ({"ModelDataUrl": "s3://models/m/model"}, "Could not find model data at s3://models/m/model."),
        ({"ModelDataUrl": "s3://no-such-bucket/m"}, "NoSuchBucket"),
        ({"ModelDataUrl": "https://example.com/m"}, "only s3:// is known"),
        (
            {"ModelDataSource": {"S3DataSource": SOURCE | {"S3Uri": "s3://models/none/"}}},
            "Could not find model data",
        ),
        ({"ModelDataSource": {"S3DataSource": SOURCE | {"S3DataType": "S3Object"}}}, "not implemented"),
        ({"ModelDataSource": {}}, "ModelDataSource without S3DataSource is not implemented"),
        ({"ModelPackageName": "package"}, "ModelPackageName is not implemented"),
        ({"Mode": "MultiModel"}, "Mode MultiModel is not implemented"),
        (
            {"Environment": {"LD_PRELOAD": "x"}},
            "Environment variable LD_PRELOAD: it could choose what code runs",
        ),
        ({"Environment": {"A": "\0"}}, "holds a character that no variable can hold"),
        ({"Image": None}, "A container needs an Image."),
        (
            {"ModelDataUrl": "s3://models/m/model.tar.gz", "ModelDataSource": {"S3DataSource": SOURCE}},
            "ModelDataUrl or ModelDataSource, not both",
        ),
    ],
)
async def test_what_no_model_can_be(cloud: Hosting, container: dict[str, Any], reason: str) -> None:
    merged = {key: value for key, value in ({"Image": "i"} | container).items() if value is not None}
    request = {"PrimaryContainer": merged, "ExecutionRoleArn": ROLE}
    assert reason in await refused(cloud.sagemaker.create_model(ModelName="wrong", **request))
    assert "Could not find" in await refused(cloud.sagemaker.describe_model(ModelName="wrong"))


async def test_a_model_has_one_container_or_a_list(cloud: Hosting) -> None:
    both = {"PrimaryContainer": {"Image": "i"}, "Containers": [{"Image": "i"}]}
    for request in ({}, both):
        reason = await refused(cloud.sagemaker.create_model(ModelName="wrong", **request))
        assert "Exactly one of PrimaryContainer and Containers" in reason


async def test_a_pipeline_is_booked_but_can_not_be_served(cloud: Hosting) -> None:
    await cloud.sagemaker.create_model(ModelName="pipe", Containers=[{"Image": "a"}, {"Image": "b"}])
    await cloud.config("pipe", "pipe")
    assert "an inference pipeline of 2 containers, is not implemented" in await refused(
        cloud.create("pipe", "pipe")
    )


async def test_the_sample_is_in_every_region_and_stays(cloud: Hosting) -> None:
    async with AsyncExitStack() as stack:
        other = await client(stack, cloud.aws.cloud.url, "sagemaker", "eu-west-1")
        found = await other.describe_model(ModelName=SAMPLE)
        assert found["ModelArn"] == f"arn:aws:sagemaker:eu-west-1:123456789012:model/{SAMPLE}"
        assert found["PrimaryContainer"]["Image"] == "382416733822.dkr.ecr.eu-west-1.amazonaws.com/kmeans:1"
        assert [row["ModelName"] for row in (await other.list_models())["Models"]] == [SAMPLE]
        assert "is a sample" in await refused(other.delete_model(ModelName=SAMPLE))
    assert "already existing" in await refused(cloud.model(SAMPLE))


async def test_a_configuration_is_shown_as_it_was_made_and_can_be_deleted(cloud: Hosting) -> None:
    await cloud.config(
        "Conf",
        {"ModelName": SAMPLE, "InitialInstanceCount": 2},
        {"ModelName": SAMPLE, "InitialVariantWeight": 3},
    )
    found = await cloud.sagemaker.describe_endpoint_config(EndpointConfigName="Conf")
    assert found["EndpointConfigArn"] == f"{ARN}:endpoint-config/conf"
    weights = [row["InitialVariantWeight"] for row in found["ProductionVariants"]]
    assert weights == [1.0, 3.0]
    again = await refused(cloud.config("Conf", SAMPLE))
    assert f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/conf".' in again
    rows = (await cloud.sagemaker.list_endpoint_configs(NameContains="conf"))["EndpointConfigs"]
    assert [row["EndpointConfigName"] for row in rows] == ["Conf"]
    await cloud.sagemaker.delete_endpoint_config(EndpointConfigName="Conf")
    gone = await refused(cloud.sagemaker.describe_endpoint_config(EndpointConfigName="Conf"))
    assert gone == f'ValidationException: Could not find endpoint configuration "{ARN}:endpoint-config/conf".'


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (
            {"ProductionVariants": [VARIANT | {"ModelName": "none"}]},
            f'Could not find model "{ARN}:model/none".',
        ),
        ({"ProductionVariants": [VARIANT, VARIANT]}, "Variant names must be unique, a is not."),
        (
            {"ProductionVariants": [{"VariantName": "a", "ModelName": SAMPLE}]},
            "InitialInstanceCount must be specified",
        ),
        ({"ProductionVariants": [{"VariantName": "a"}]}, "inference components"),
        (
            {
                "ProductionVariants": [
                    VARIANT | {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
                ]
            },
            "ServerlessConfig is not implemented",
        ),
        ({"ShadowProductionVariants": [VARIANT]}, "ShadowProductionVariants is not implemented"),
        ({"AsyncInferenceConfig": {"OutputConfig": {}}}, "AsyncInferenceConfig is not implemented"),
        (
            {
                "DataCaptureConfig": {
                    "EnableCapture": True,
                    "InitialSamplingPercentage": 1,
                    "DestinationS3Uri": "s3://a/b",
                    "CaptureOptions": [{"CaptureMode": "Input"}],
                }
            },
            "EnableCapture is not implemented",
        ),
    ],
)
async def test_what_no_configuration_can_be(cloud: Hosting, request_: dict[str, Any], reason: str) -> None:
    request = {"EndpointConfigName": "wrong", "ProductionVariants": [VARIANT]} | request_
    assert reason in await refused(cloud.sagemaker.create_endpoint_config(**request))


async def test_mentioning_the_sample_data_does_not_wait_for_the_sample_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, trained = model_sample.train, asyncio.Event()

    async def noted(rows: bytes) -> bytes:
        trained.set()
        return await train(rows)

    monkeypatch.setattr(model_sample, "train", noted)
    async with embedded() as aws:
        assert await aws.get(samples.BUCKET, "digits/test/test.csv")
        assert await aws.keys(samples.BUCKET, "digits/train") == ["digits/train/train.csv"]
        assert await aws.keys(samples.BUCKET, "digits/all/") == ["digits/all/digits.csv"]
        assert not trained.is_set()
        assert await aws.keys(samples.BUCKET, "digits/mod") == [model_sample.KEY]
        assert trained.is_set()
        assert sorted(await aws.keys(samples.BUCKET)) == sorted(samples.KEYS)


async def test_a_server_that_ends_gives_up_training_its_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(rows: bytes) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return rows

    monkeypatch.setattr(model_sample, "train", endless)
    async with hosting() as cloud:
        await cloud.config("c", SAMPLE)
        await cloud.create("e", "c")
        await begun.wait()
        assert not ended.is_set()
    assert ended.is_set()


async def test_the_sample_model_is_always_the_same() -> None:
    async with embedded() as first:
        one = await first.get(samples.BUCKET, "digits/train/train.csv")
        trained = [await model_sample.train(one) for _ in range(2)]
    assert len({_weights(content) for content in trained}) == 1


def _weights(content: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        file = tar.extractfile("model_algo-1")
        assert file is not None
        return file.read()
