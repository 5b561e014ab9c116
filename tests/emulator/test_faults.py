"""Failures on order: what the client sees, and whether the work was done."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError, HTTPClientError

from components.aws.embedded import Fault, serve
from tests.emulator.helpers import Aws, embedded


async def created(aws: Aws) -> bool:
    answer = await aws.sagemaker.list_training_jobs()
    return bool(answer["TrainingJobSummaries"])


@pytest.mark.parametrize(
    ("kind", "code", "status", "done"),
    [
        ("throttle", "ThrottlingException", 400, False),
        ("error_before", "InternalFailure", 500, False),
        ("error_after", "InternalFailure", 500, True),
        ("expired_token", "ExpiredTokenException", 400, False),
        ("access_denied", "AccessDeniedException", 400, False),
    ],
)
async def test_a_call_is_refused_before_or_after_its_work(
    kind: str, code: str, status: int, done: bool
) -> None:
    async with embedded("pass", faults=True) as aws:
        aws.cloud.faults.add(Fault("CreateTrainingJob", kind))
        with pytest.raises(ClientError) as caught:
            await aws.create("job-1")
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert await created(aws) == done


@pytest.mark.parametrize(("kind", "done"), [("drop_before", False), ("drop_after", True)])
async def test_a_connection_is_dropped_before_or_after_the_work(kind: str, done: bool) -> None:
    async with embedded("pass", faults=True) as aws:
        aws.cloud.faults.add(Fault("CreateTrainingJob", kind))
        with pytest.raises(HTTPClientError):
            await aws.create("job-1")
        assert await created(aws) == done
        assert [call.status for call in aws.cloud.calls if call.operation == "CreateTrainingJob"] == [0]


async def test_faults_are_counted_skipped_and_used_up_in_order() -> None:
    async with embedded("pass", faults=True) as aws:
        await aws.run("job-1")
        aws.cloud.faults.add(
            Fault("DescribeTrainingJob", "throttle", times=2, skip=1), Fault("*", "error_before", times=1)
        )
        codes = []
        for _ in range(5):
            try:
                await aws.describe("job-1")
                codes.append("ok")
            except ClientError as error:
                codes.append(error.response["Error"]["Code"])
        assert codes == ["InternalFailure", "ThrottlingException", "ThrottlingException", "ok", "ok"]
        assert aws.cloud.faults.pending == []


async def test_latency_holds_a_call_up() -> None:
    async with embedded("pass", faults=True) as aws:
        aws.cloud.faults.add(Fault("ListTrainingJobs", "latency", seconds=0.2))
        began = time.monotonic()
        await aws.sagemaker.list_training_jobs()
        assert time.monotonic() - began >= 0.2


async def test_s3_fails_in_its_own_words() -> None:
    async with embedded(faults=True) as aws:
        for kind, code in (
            ("throttle", "SlowDown"),
            ("expired_token", "ExpiredToken"),
            ("access_denied", "AccessDenied"),
        ):
            aws.cloud.faults.add(Fault("PutObject", kind))
            with pytest.raises(ClientError) as caught:
                await aws.s3.put_object(Bucket="results", Key="x", Body=b"x")
            assert caught.value.response["Error"]["Code"] == code
        assert await aws.keys("results") == []


async def test_the_journal_tells_every_call() -> None:
    async with embedded("pass") as aws:
        before = time.time()
        await aws.run("job-1")
        calls = [call for call in aws.cloud.calls if call.operation == "CreateTrainingJob"]
        assert [(call.service, call.status) for call in calls] == [("sagemaker", 200)]
        assert calls[0].body["TrainingJobName"] == "job-1"
        assert before <= calls[0].epoch <= time.time()
        assert calls[0].monotonic <= time.monotonic()
        assert aws.cloud.calls[0].operation == "CreateBucket"


async def test_faults_and_calls_are_reachable_over_http() -> None:
    async with embedded("pass", faults=True) as aws, aiohttp.ClientSession(aws.cloud.url) as http:
        fault = {"operation": "CreateTrainingJob", "kind": "throttle"}
        async with http.post("/_embedded/faults", json=[fault]) as answer:
            assert (await answer.json(content_type=None))["faults"][0]["kind"] == "throttle"
        with pytest.raises(ClientError, match="Rate exceeded"):
            await aws.create("job-1")
        async with http.get("/_embedded/calls") as answer:
            calls: list[dict[str, Any]] = (await answer.json(content_type=None))["calls"]
        assert [(call["operation"], call["status"]) for call in calls][-1] == ("CreateTrainingJob", 400)
        await http.post("/_embedded/faults", json=fault)
        async with http.delete("/_embedded/faults") as answer:
            assert (await answer.json(content_type=None))["faults"] == []
        async with http.post("/_embedded/faults", json={"operation": "*", "kind": "nonsense"}) as answer:
            assert answer.status == 400
            assert "no fault of kind 'nonsense'" in await answer.text()


async def test_without_being_asked_for_there_are_no_faults_and_no_control_routes() -> None:
    async with serve() as cloud, aiohttp.ClientSession(cloud.url) as http:
        with pytest.raises(RuntimeError, match="faults are off"):
            cloud.faults.add(Fault("*", "throttle"))
        async with http.get("/_embedded/calls") as answer:
            assert answer.status == 404
