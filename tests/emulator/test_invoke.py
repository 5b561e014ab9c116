"""InvokeEndpoint: what goes through, whom it reaches, and how a refusal is told."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from components.aws.embedded import Fault
from components.aws.embedded.sagemaker.hosting import serving
from tests.emulator.helpers import eventually
from tests.emulator.serving_kit import Hosting, hosting, lasting, server

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET = b"a payload that the journal must not show"
ACTS = lasting("""
    what = json.loads(body) if body[:1] == b'{' else {}
    if 'die' in what:
        os._exit(1)
    if 'big' in what:
        return 200, b'x' * what['big']
    if 'status' in what:
        return what['status'], what.get('say', '').encode()
    seen = {name.lower(): value for name, value in headers.items()}
    return 200, json.dumps(seen).encode(), {'X-Amzn-SageMaker-Custom-Attributes': 'back'}
""")


def named(word: str) -> str:
    return server(f"def answer(body, headers):\n    return 200, b'{word}'")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud() -> AsyncIterator[Hosting]:
    images = {
        "acts": ACTS,
        "a": named("a"),
        "b": named("b"),
        "echo": server(),
        "slow": lasting("time.sleep(600)"),
    }
    async with hosting(images=images, faults=True) as cloud:
        for name in images:
            await cloud.model(name)
        await cloud.deploy("acts", "acts")
        await cloud.deploy("echo", "echo")
        await cloud.deploy(
            "two",
            {"ModelName": "a", "InitialVariantWeight": 3},
            {"ModelName": "b", "InitialVariantWeight": 1},
        )
        yield cloud


async def refused(
    cloud: Hosting, endpoint: str, body: bytes | io.BytesIO = b"x", **more: Any
) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        await cloud.invoke(endpoint, body, **more)
    found: dict[str, Any] = caught.value.response
    return found


async def test_bytes_go_through_as_they_are(cloud: Hosting) -> None:
    body = bytes(range(256)) * 1000
    assert await cloud.invoke("echo", body) == body
    assert await cloud.invoke("echo", b"") == b""


async def test_headers_reach_the_container_and_come_back(cloud: Hosting) -> None:
    answer = await cloud.answer(
        "acts",
        ContentType="text/csv",
        Accept="application/x-mine",
        CustomAttributes="there",
        InferenceId="i-1",
    )
    seen = json.loads(answer["Body"])
    assert seen["content-type"] == "text/csv"
    assert seen["accept"] == "application/x-mine"
    assert seen["x-amzn-sagemaker-custom-attributes"] == "there"
    assert seen["x-amzn-sagemaker-inference-id"] == "i-1"
    assert "authorization" not in seen
    assert answer["ContentType"] == "application/x-mine"
    assert answer["CustomAttributes"] == "back"
    assert answer["InvokedProductionVariant"] == "v1"


async def test_variants_get_their_shares_or_are_named(cloud: Hosting) -> None:
    seen = Counter([(await cloud.answer("two"))["Body"] for _ in range(200)])
    assert set(seen) == {b"a", b"b"}
    assert 110 < seen[b"a"] < 185  # 150 expected; beyond six standard deviations
    for variant, word in (("v1", b"a"), ("v2", b"b")):
        answer = await cloud.answer("two", TargetVariant=variant)
        assert (answer["Body"], answer["InvokedProductionVariant"]) == (word, variant)
    error = (await refused(cloud, "two", TargetVariant="v9"))["Error"]
    assert error == {"Code": "ValidationError", "Message": "Variant v9 of endpoint two not found."}


async def test_weights_may_change_to_nothing(cloud: Hosting) -> None:
    async def weigh(first: float, second: float) -> None:
        rows = [{"VariantName": "v1", "DesiredWeight": first}, {"VariantName": "v2", "DesiredWeight": second}]
        await cloud.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="two", DesiredWeightsAndCapacities=rows
        )

    await weigh(0, 1)
    assert {await cloud.invoke("two") for _ in range(20)} == {b"b"}
    await weigh(0, 0)
    assert "takes traffic" in (await refused(cloud, "two"))["Error"]["Message"]
    await weigh(3, 1)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "client"), (404, "client"), (500, "server"), (302, "server")]
)
async def test_a_refusal_of_the_container_is_a_model_error(cloud: Hosting, status: int, kind: str) -> None:
    response = await refused(cloud, "acts", json.dumps({"status": status, "say": "no such thing"}).encode())
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["Error"] == {
        "Code": "ModelError",
        "Message": (
            f'Received {kind} error ({status}) from primary with message "no such thing". See'
            " https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
            "#logEventViewer:group=/aws/sagemaker/Endpoints/acts in account 123456789012 for more information."
        ),
    }
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, "no such thing")


async def test_a_long_refusal_is_not_repeated(cloud: Hosting) -> None:
    response = await refused(cloud, "acts", json.dumps({"status": 500, "say": "x" * 100_000}).encode())
    assert "could not load the entire response body" in response["Error"]["Message"]


async def test_a_container_that_takes_too_long_is_given_up(
    cloud: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.deploy("slow", "slow")
    monkeypatch.setattr(serving, "INVOCATION_SECONDS", 0.3)
    response = await refused(cloud, "slow")
    assert response["OriginalStatusCode"] == 0
    assert (
        "Your invocation timed out while waiting for a response from container primary."
        in response["OriginalMessage"]
    )


async def test_a_container_that_dies_while_it_works(cloud: Hosting) -> None:
    response = await refused(cloud, "acts", b'{"die": 1}')
    assert response["Error"]["Code"] == "ModelError"
    assert "The container gave no answer (ServerDisconnectedError" in response["OriginalMessage"]

    codes = set()

    async def again() -> bytes | None:
        try:
            return await cloud.invoke("acts")
        except ClientError as error:
            codes.add(error.response["Error"]["Code"])
            return None

    assert await eventually(again)
    assert codes <= {"ServiceUnavailable", "ModelError"}


async def test_an_endpoint_that_is_not_there(cloud: Hosting) -> None:
    response = await refused(cloud, "none")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint none of account 123456789012 not found.",
    }


async def test_sizes_are_bound(cloud: Hosting) -> None:
    most = 6 * 1024**2
    assert len(await cloud.invoke("echo", io.BytesIO(b"x" * most))) == most
    response = await refused(cloud, "echo", io.BytesIO(b"x" * (most + 1)))
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert response["Error"] == {"Code": "413", "Message": "HTTP content length exceeded 6291456 bytes."}
    response = await refused(cloud, "acts", json.dumps({"big": 6 * 1024**2 + 1}).encode())
    assert "longer than 6291456 bytes" in response["OriginalMessage"]


@pytest.mark.parametrize(
    "more", [{"TargetModel": "m"}, {"TargetContainerHostname": "c"}, {"InferenceComponentName": "i"}]
)
async def test_what_is_not_implemented_says_so(cloud: Hosting, more: dict[str, Any]) -> None:
    assert (await refused(cloud, "echo", **more))["Error"]["Code"] == "NotImplementedByEmbeddedCloud"


async def test_other_operations_are_not_implemented(cloud: Hosting) -> None:
    with pytest.raises(ClientError) as caught:
        await cloud.runtime.invoke_endpoint_async(EndpointName="echo", InputLocation="s3://a/b")
    error = caught.value.response["Error"]
    assert error["Code"] == "NotImplementedByEmbeddedCloud"
    assert "sagemaker-runtime InvokeEndpointAsync" in error["Message"]


async def test_the_journal_has_no_payload(cloud: Hosting) -> None:
    await cloud.invoke("echo", SECRET, ContentType="text/plain", TargetVariant="v1")
    call = cloud.aws.cloud.calls[-1]
    assert (call.service, call.operation, call.status) == ("sagemaker-runtime", "InvokeEndpoint", 200)
    assert call.body == {
        "EndpointName": "echo",
        "BodyBytes": len(SECRET),
        "ContentType": "text/plain",
        "Accept": "*/*",
        "TargetVariant": "v1",
    }


@pytest.mark.parametrize(
    ("kind", "code"), [("throttle", "ThrottlingException"), ("access_denied", "AccessDeniedException")]
)
async def test_faults_reach_it(cloud: Hosting, kind: str, code: str) -> None:
    cloud.aws.cloud.faults.add(Fault("InvokeEndpoint", kind))
    assert (await refused(cloud, "echo"))["Error"]["Code"] == code
    assert await cloud.invoke("echo") == b"x"


async def test_boto3_finds_it_by_its_environment(cloud: Hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.aws.cloud.environment.items():
        monkeypatch.setenv(name, value)

    def ask() -> bytes:
        runtime = boto3.client("sagemaker-runtime")
        return runtime.invoke_endpoint(EndpointName="echo", Body=b"hello")["Body"].read()  # type: ignore[no-any-return]

    assert await asyncio.to_thread(ask) == b"hello"
