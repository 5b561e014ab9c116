"""Every other service, by way of moto; and the folder that S3 may be kept in."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from components.aws.embedded.s3 import samples
from tests.emulator.helpers import ROLE, client, embedded

MEGABYTE = 1024**2


@pytest.mark.parametrize("key", ["plain", "a/b c/é+%&=?#.txt", "a//b", "/lead", "trail/", "x/../y", "~tilde"])
async def test_objects_come_back_under_any_key(key: str) -> None:
    async with embedded() as aws:
        await aws.s3.put_object(Bucket="results", Key=key, Body=b"content", Metadata={"my_key": "v"})
        assert await aws.get("results", key) == b"content"
        head = await aws.s3.head_object(Bucket="results", Key=key)
        assert head["ContentLength"] == 7
        assert await aws.keys("results") == [key]
        await aws.s3.delete_object(Bucket="results", Key=key)
        assert await aws.keys("results") == []


async def test_what_is_not_there_is_404() -> None:
    async with embedded() as aws:
        with pytest.raises(ClientError) as caught:
            await aws.get("results", "none")
        assert caught.value.response["Error"]["Code"] == "NoSuchKey"
        with pytest.raises(ClientError) as caught:
            await aws.s3.head_object(Bucket="results", Key="none")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        with pytest.raises(ClientError) as caught:
            await aws.s3.head_bucket(Bucket="nowhere")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


async def test_a_multipart_upload_makes_one_object() -> None:
    async with embedded() as aws:
        where = {"Bucket": "results", "Key": "big"}
        upload = (await aws.s3.create_multipart_upload(**where))["UploadId"]
        parts = []
        for number, content in enumerate((b"a" * 5 * MEGABYTE, b"b" * 3), 1):
            answer = await aws.s3.upload_part(
                **where, UploadId=upload, PartNumber=number, Body=io.BytesIO(content)
            )
            parts.append({"ETag": answer["ETag"], "PartNumber": number})
        await aws.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
        assert await aws.get("results", "big") == b"a" * 5 * MEGABYTE + b"bbb"
        ranged = await aws.s3.get_object(**where, Range="bytes=-3")
        async with ranged["Body"] as body:
            assert await body.read() == b"bbb"


async def test_large_objects_go_both_ways_at_once() -> None:
    async with embedded() as aws:
        content = bytes(32 * MEGABYTE)
        keys = ["one", "two", "three"]
        puts = (aws.s3.put_object(Bucket="results", Key=key, Body=io.BytesIO(content)) for key in keys)
        await asyncio.gather(*puts)
        found = await asyncio.gather(*(aws.get("results", key) for key in keys))
        assert all(each == content for each in found)


async def test_roles_can_be_assumed_with_and_without_a_web_identity() -> None:
    async with embedded() as aws, AsyncExitStack() as stack:
        sts = await client(stack, aws.cloud.url, "sts")
        answer = await sts.assume_role(RoleArn=ROLE, RoleSessionName="s")
        assert answer["Credentials"]["SessionToken"]
        token = "x" * 20
        answer = await sts.assume_role_with_web_identity(
            RoleArn=ROLE, RoleSessionName="s", WebIdentityToken=token
        )
        assert answer["Credentials"]["AccessKeyId"]
        assert (await sts.get_caller_identity())["Account"] == "123456789012"


async def test_messages_and_events_are_motos() -> None:
    async with embedded() as aws, AsyncExitStack() as stack:
        sqs = await client(stack, aws.cloud.url, "sqs")
        queue = (await sqs.create_queue(QueueName="q"))["QueueUrl"].replace("http://127.0.0.1", aws.cloud.url)
        await sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"a": 1}))
        [message] = (await sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1))["Messages"]
        assert json.loads(message["Body"]) == {"a": 1}


async def test_an_endpoint_is_not_answered_with_canned_words() -> None:
    async with embedded() as aws, AsyncExitStack() as stack:
        runtime = await client(stack, aws.cloud.url, "sagemaker-runtime")
        with pytest.raises(ClientError, match="Endpoint e of account 123456789012 not found"):
            await runtime.invoke_endpoint(EndpointName="e", Body=b"x")


async def test_samples_are_there_when_somebody_asks() -> None:
    async with embedded() as aws:
        assert await aws.keys("kfp-runner-samples") == sorted(samples.KEYS)
        counts = {}
        for name in ("train", "test"):
            rows = (await aws.get("kfp-runner-samples", f"digits/{name}/{name}.csv")).decode().split()
            labels = (await aws.get("kfp-runner-samples", f"digits/labels/{name}.csv")).decode().split()
            assert len(rows) == len(labels)
            assert {len(row.split(",")) for row in rows} == {64}
            counts[name] = {digit: labels.count(str(digit)) for digit in range(10)}
        assert sum(counts["train"].values()) == 1442
        assert sum(counts["test"].values()) == 355
        assert all(34 <= count <= 37 for count in counts["test"].values())


async def test_nothing_is_kept_unless_asked() -> None:
    async with embedded() as aws:
        await aws.put("results", x=b"1")
    async with embedded() as aws:
        assert await aws.keys("results") == []


async def test_a_folder_is_loaded_and_written_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.csv").write_text("1,2")
    (tmp_path / "Not A Bucket").mkdir()
    with caplog.at_level(logging.WARNING):
        async with embedded(s3=tmp_path) as aws:
            assert await aws.get("data", "deep/a.csv") == b"1,2"
            await aws.put("fresh", sub__b=b"new")
            await aws.s3.put_object(Bucket="fresh", Key="x/../../../evil", Body=b"evil")
            assert await aws.keys("kfp-runner-samples")
    kept = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {"data/deep/a.csv", "fresh/sub/b"}
    assert (tmp_path / "fresh" / "sub" / "b").read_text() == "new"
    assert "is no bucket" in caplog.text
    assert "is not kept: the key fresh/x/../../../evil is no safe file name" in caplog.text


async def test_a_link_in_the_folder_does_not_lead_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "s3" / "data").mkdir(parents=True)
    (tmp_path / "s3" / "data" / "link").symlink_to(outside)
    async with embedded(s3=tmp_path / "s3") as aws:
        await aws.s3.put_object(Bucket="data", Key="link/evil", Body=b"evil")
    assert list(outside.iterdir()) == []
