"""Batch transform jobs: objects in, predictions out, failures in words, and stops that leave nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from components.aws.embedded.sagemaker.transform import execution as transform_execution
from tests.emulator.helpers import DIGITS, ENDED, eventually, script
from tests.emulator.serving_kit import SAMPLE, Hosting, alive, hosting, lasting, server

pytestmark = pytest.mark.asyncio(loop_scope="module")
GROUP = "/aws/sagemaker/TransformJobs"
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
SUMS = lasting("""
    rows = [[float(field) for field in line.split(',')] for line in body.decode().split('\\n')]
    os.write(1, f"rows {len(rows)} {headers['Content-Type']} {headers['Accept']}\\n".encode())  # whole, from any thread
    return 200, ''.join(f'{sum(row):g}\\n' for row in rows).encode()
""")
PICKY = lasting("""
    if b'teapot' in body:
        return 418, b'short and\\nstout'
    if b'bad' in body:
        return 500, b'something broke'
    return 200, body.upper()
""")
TELLS = server("""
    def parameters():
        return {'MaxConcurrentTransforms': 3, 'MaxPayloadInMB': 1, 'BatchStrategy': 'SingleRecord'}
    def answer(body, headers):
        return 200, json.dumps({k: v for k, v in os.environ.items() if k.startswith('SAGEMAKER_') or k == 'MINE'}).encode()
""")
IMAGES = {
    "sums": SUMS,
    "picky": PICKY,
    "tells": TELLS,
    "slow": lasting("print('working', flush=True)\ntime.sleep(600)"),
    "slow-second": lasting(
        "if body == b'b':\n    print('working', flush=True)\n    time.sleep(600)\nreturn 200, body"
    ),
    "dies": lasting("os._exit(1)"),
    "never": server("def ping():\n    return 503"),
    "ends": script("sys.exit(4)"),
    "flaky": server("""
        times = iter([500, 500, 200])
        def answer(body, headers):
            return next(times), b'at last'
    """),
}


class Jobs:
    def __init__(self, cloud: Hosting) -> None:
        self.cloud = cloud
        self.count = 0

    async def create(
        self,
        model: str,
        uri: str,
        source: dict[str, Any] | None = None,
        target: dict[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """Create a job; return its name, which is its output's prefix in the bucket results, too."""
        self.count += 1
        name = str(more.pop("TransformJobName", f"job-{self.count}"))
        given = dict(source or {})
        place = {"S3DataType": given.pop("S3DataType", "S3Prefix"), "S3Uri": uri}
        resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
        request = {
            "TransformJobName": name,
            "ModelName": model,
            "TransformInput": {"DataSource": {"S3DataSource": place}} | given,
            "TransformOutput": {"S3OutputPath": f"s3://results/{name}"} | (target or {}),
            "TransformResources": resources,
        } | more
        await self.cloud.sagemaker.create_transform_job(**request)
        return name

    async def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.cloud.sagemaker.describe_transform_job(TransformJobName=name)
        return found

    async def ended(self, name: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            job = await self.describe(name)
            return job if job["TransformJobStatus"] in ENDED else None

        found: dict[str, Any] = await eventually(look)
        return found

    async def run(self, *arguments: Any, **more: Any) -> tuple[str, dict[str, Any], dict[str, bytes]]:
        """Name, last description, and output by key below the output prefix."""
        name = await self.create(*arguments, **more)
        job = await self.ended(name)
        return name, job, await self.output(name)

    async def output(self, name: str) -> dict[str, bytes]:
        keys = await self.cloud.aws.keys("results", f"{name}/")
        return {key.removeprefix(f"{name}/"): await self.cloud.aws.get("results", key) for key in keys}

    async def lines(self, name: str, data: bool = False) -> list[str]:
        """What the containers said, or the data log without its times."""
        try:
            answer = await self.cloud.aws.logs.filter_log_events(
                logGroupName=GROUP, logStreamNamePrefix=f"{name}/"
            )
        except ClientError:
            return []
        rows = [row for row in answer["events"] if row["logStreamName"].endswith("/data-log") == data]
        return [re.sub(r"^[\d:.T-]+:\[sagemaker logs\]: ", "", row["message"]) for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jobs() -> AsyncIterator[Jobs]:
    async with hosting(images=IMAGES, grace=1) as cloud:
        for name in IMAGES:
            await cloud.model(name)
        await cloud.aws.put(
            "data",
            in__a_dot_csv=b"1,2\n3,4\n",
            in__sub__b_dot_csv=b"5,6",
            in__empty=b"",
            words__a=b"a",
            words__b=b"b",
            words__c=b"c",
            mixed__1=b"good",
            mixed__2=b"teapot",
            mixed__3=b"fine",
            broken__1=b"bad",
            packed__a_dot_csv_dot_gz=gzip.compress(b"1,2\n3,4"),
            json__people_dot_jsonl=b'{"id": 1, "x": "a"}\n{"id": 2, "x": "b"}\n',
            manifest=json.dumps([{"prefix": "s3://data/in/"}, "sub/b.csv", "a.csv"]).encode(),
        )
        yield Jobs(cloud)


async def refused(work: Awaitable[Any]) -> str:
    with pytest.raises(ClientError) as caught:
        await work
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


LINES = {"SplitType": "Line", "ContentType": "text/csv"}


async def test_every_object_gets_its_output(jobs: Jobs) -> None:
    name, job, output = await jobs.run(
        "sums", "s3://data/in/", LINES, {"AssembleWith": "Line", "Accept": "text/csv"}
    )
    assert job["TransformJobStatus"] == "Completed"
    assert output == {"a.csv.out": b"3\n7\n", "sub/b.csv.out": b"11\n", "empty.out": b""}
    assert job["TransformJobArn"] == f"{ARN}:transform-job/{name}"
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert job["TransformInput"]["CompressionType"] == "None"
    assert job["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert "rows 2 text/csv text/csv" in await jobs.lines(name)
    assert await jobs.lines(name, data=True) == [
        "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"
    ]
    streams = await jobs.cloud.aws.logs.describe_log_streams(
        logGroupName=GROUP, logStreamNamePrefix=f"{name}/"
    )
    names = sorted(row["logStreamName"] for row in streams["logStreams"])
    assert re.fullmatch(rf"{name}/i-[0-9a-f]{{17}}", names[0])
    assert names[1] == f"{names[0]}/data-log"


async def test_the_readmes_example_runs(jobs: Jobs) -> None:
    _, job, output = await jobs.run(
        SAMPLE, f"{DIGITS}/test/", LINES, {"AssembleWith": "Line", "Accept": "application/jsonlines"}
    )
    assert job["TransformJobStatus"] == "Completed"
    rows = [json.loads(line) for line in output["test.csv.out"].splitlines()]
    assert len(rows) == 355
    assert set(rows[0]) == {"closest_cluster", "distance_to_cluster"}


@pytest.mark.parametrize(
    ("uri", "source", "keys"),
    [
        ("s3://data/in/sub/b.csv", {}, ["b.csv.out"]),
        ("s3://data/in", {}, ["a.csv.out", "empty.out", "sub/b.csv.out"]),
        ("s3://data/in/su", {}, ["sub/b.csv.out"]),
        ("s3://data/manifest", {"S3DataType": "ManifestFile"}, ["a.csv.out", "sub/b.csv.out"]),
        ("s3://data/packed/", {"CompressionType": "Gzip"}, ["a.csv.gz.out"]),
    ],
)
async def test_where_output_lies(jobs: Jobs, uri: str, source: dict[str, str], keys: list[str]) -> None:
    _, job, output = await jobs.run("sums", uri, LINES | source)
    assert job["TransformJobStatus"] == "Completed"
    assert sorted(output) == keys


async def test_single_records_are_sent_one_by_one(jobs: Jobs) -> None:
    name, _, output = await jobs.run(
        "sums", "s3://data/in/a.csv", LINES, BatchStrategy="SingleRecord", MaxConcurrentTransforms=4
    )
    assert output == {"a.csv.out": b"3\n7\n"}
    assert [line for line in await jobs.lines(name) if line.startswith("rows")] == ["rows 1 text/csv */*"] * 2


async def test_predictions_are_joined_with_their_records(jobs: Jobs) -> None:
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    _, job, output = await jobs.run("sums", "s3://data/in/a.csv", LINES, DataProcessing=processing)
    assert job["DataProcessing"] == processing
    assert output == {"a.csv.out": b"1,2\n3,4\n"}
    source = {"SplitType": "Line", "ContentType": "application/jsonlines"}
    processing = {"InputFilter": "$.x", "JoinSource": "Input"}
    _, _, output = await jobs.run(
        "picky", "s3://data/json/", source, {"AssembleWith": "Line"}, DataProcessing=processing
    )
    rows = [json.loads(line) for line in output["people.jsonl.out"].splitlines()]
    assert rows == [
        {"id": 1, "x": "a", "SageMakerOutput": "A"},
        {"id": 2, "x": "b", "SageMakerOutput": "B"},
    ]


async def test_a_container_may_say_how_it_wants_to_be_asked(jobs: Jobs) -> None:
    name, _, output = await jobs.run(
        "tells", "s3://data/in/a.csv", {"SplitType": "Line"}, Environment={"MINE": "1"}
    )
    assert await jobs.lines(name, data=True) == [
        "MaxConcurrentTransforms=3, MaxPayloadInMB=1, BatchStrategy=SINGLE_RECORD"
    ]
    first = json.loads(output["a.csv.out"].partition(b"}")[0] + b"}")
    assert first["MINE"] == "1"
    assert first["SAGEMAKER_BATCH"] == "true"
    assert first["SAGEMAKER_BATCH_STRATEGY"] == "MULTI_RECORD"
    name, _, _ = await jobs.run(
        "tells",
        "s3://data/in/a.csv",
        BatchStrategy="MultiRecord",
        MaxPayloadInMB=9,
        MaxConcurrentTransforms=2,
    )
    assert await jobs.lines(name, data=True) == [
        "MaxConcurrentTransforms=2, MaxPayloadInMB=9, BatchStrategy=MULTI_RECORD"
    ]


async def test_several_instances_share_the_objects(jobs: Jobs) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 6}
    name, job, output = await jobs.run("picky", "s3://data/words/", TransformResources=resources)
    assert job["TransformJobStatus"] == "Completed"
    assert output == {"a.out": b"A", "b.out": b"B", "c.out": b"C"}
    assert len([line for line in await jobs.lines(name) if line.startswith("serving")]) == 4
    assert "embedded cloud: 6 instances were asked for; 4 processes serve" in await jobs.lines(
        name, data=True
    )


@pytest.mark.parametrize(
    ("prefix", "reason", "said", "left"),
    [
        (
            "mixed",
            "ClientError: See job logs for more information",
            ["ClientError: 418", "", "Message:", "short and", "stout"],
            {"1.out": b"GOOD", "3.out": b"FINE"},
        ),
        (
            "broken",
            "AlgorithmError: See job logs for more information",
            ["Bad HTTP status received from algorithm: 500", "", "Message:", "something broke"],
            {},
        ),
    ],
)
async def test_what_a_container_refuses_fails_the_job_but_not_the_other_objects(
    jobs: Jobs, prefix: str, reason: str, said: list[str], left: dict[str, bytes]
) -> None:
    name, job, output = await jobs.run("picky", f"s3://data/{prefix}/")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == reason
    assert output == left
    lines = (await jobs.lines(name, data=True))[1:]
    assert [line.partition(": ")[2] for line in lines] == said
    assert {line.partition(": ")[0] for line in lines} == {
        f"data/{prefix}/{'2' if prefix == 'mixed' else '1'}"
    }


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("dies", "AlgorithmError: See job logs for more information"),
        ("ends", "(Embedded cloud: the container ended with exit code 4.)"),
    ],
)
async def test_a_container_that_ends_fails_the_job(jobs: Jobs, model: str, reason: str) -> None:
    name, job, output = await jobs.run(model, "s3://data/words/")
    assert job["TransformJobStatus"] == "Failed"
    assert reason in job["FailureReason"]
    assert output == {}
    if model == "dies":
        assert "Unable to get response from algorithm" in (await jobs.lines(name, data=True))[-1]


async def test_a_container_that_is_never_well_fails_the_job_in_time(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transform_execution, "STARTUP_SECONDS", 0.5)
    _, job, _ = await jobs.run("never", "s3://data/words/")
    assert job["FailureReason"].startswith(
        "AlgorithmError: The primary container did not pass the ping health check."
    )


async def test_a_failed_request_is_sent_again(jobs: Jobs) -> None:
    _, job, output = await jobs.run("flaky", "s3://data/words/a")
    assert job["TransformJobStatus"] == "Completed"
    assert output == {"a.out": b"at last"}
    _, job, _ = await jobs.run("flaky", "s3://data/words/a", ModelClientConfig={"InvocationsMaxRetries": 1})
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"


async def test_a_request_may_take_so_long(jobs: Jobs) -> None:
    client = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    name, job, _ = await jobs.run("slow", "s3://data/words/a", ModelClientConfig=client)
    assert job["TransformJobStatus"] == "Failed"
    assert "no answer within 1 s" in (await jobs.lines(name, data=True))[-1]


async def test_an_image_that_nothing_stands_for_fails_the_job_with_the_way_out(jobs: Jobs) -> None:
    await jobs.cloud.model("nobody", image="my/image:1")
    _, job, _ = await jobs.run("nobody", "s3://data/words/")
    assert "map one with --local-image my/image:1='python …'" in job["FailureReason"]


async def test_output_that_can_not_be_stored_fails_the_job(jobs: Jobs) -> None:
    _, job, _ = await jobs.run("picky", "s3://data/words/", target={"S3OutputPath": "s3://no-such-bucket/x"})
    assert job["FailureReason"].startswith(
        "ClientError: The output can't be stored: The specified bucket does not exist"
    )


async def test_a_job_that_is_stopped_in_the_middle_leaves_nothing(jobs: Jobs) -> None:
    name = await jobs.create("slow-second", "s3://data/words/")
    await eventually(lambda: _has(jobs, name, "working"))
    (pid,) = [int(line.split()[1]) for line in await jobs.lines(name) if line.startswith("serving")]
    await jobs.cloud.sagemaker.stop_transform_job(TransformJobName=name)
    job = await jobs.ended(name)
    assert job["TransformJobStatus"] == "Stopped"
    assert "FailureReason" not in job
    assert await jobs.output(name) == {}
    assert not alive(pid)
    again = await refused(jobs.cloud.sagemaker.stop_transform_job(TransformJobName=name))
    assert (
        again
        == "ValidationException: The request was rejected because the transform job is in status Stopped."
    )


async def test_a_job_waits_for_its_place_and_can_be_stopped_there() -> None:
    async with hosting(images=IMAGES, capacity=1) as cloud:
        jobs = Jobs(cloud)
        await cloud.model("slow")
        await cloud.aws.put("data", a=b"a")
        first = await jobs.create("slow", "s3://data/a")
        await eventually(lambda: _has(jobs, first, "working"))
        second = await jobs.create("slow", "s3://data/a")
        assert "TransformStartTime" not in await jobs.describe(second)
        await cloud.sagemaker.stop_transform_job(TransformJobName=second)
        assert (await jobs.ended(second))["TransformJobStatus"] == "Stopped"
        (pid,) = [int(line.split()[1]) for line in await jobs.lines(first) if line.startswith("serving")]
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5
    assert not alive(pid)


async def test_jobs_are_listed_and_tagged(jobs: Jobs) -> None:
    name = await jobs.create(
        "picky", "s3://data/words/", TransformJobName="listed", Tags=[{"Key": "a", "Value": "b"}]
    )
    job = await jobs.ended(name)
    rows = (await jobs.cloud.sagemaker.list_transform_jobs(NameContains="listed"))["TransformJobSummaries"]
    assert [(row["TransformJobName"], row["TransformJobStatus"]) for row in rows] == [("listed", "Completed")]
    assert rows[0]["TransformEndTime"] == job["TransformEndTime"]
    tags = (await jobs.cloud.sagemaker.list_tags(ResourceArn=job["TransformJobArn"]))["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}]
    again = await refused(jobs.create("picky", "s3://data/words/", TransformJobName="listed"))
    assert again.startswith(
        "ResourceInUse: Transform job names must be unique within an AWS account and region"
    )


async def test_a_job_that_is_not_there(jobs: Jobs) -> None:
    assert (
        await refused(jobs.describe("none"))
        == "ValidationException: Could not find requested job with name: none"
    )
    stop = jobs.cloud.sagemaker.stop_transform_job(TransformJobName="none")
    assert await refused(stop) == "ValidationException: Could not find job to update with name: none"


@pytest.mark.parametrize(
    ("source", "target", "more", "reason"),
    [
        ({"SplitType": "RecordIO"}, {}, {}, "SplitType RecordIO is not implemented"),
        ({"SplitType": "TFRecord"}, {}, {}, "SplitType TFRecord is not implemented"),
        (
            {"S3DataType": "AugmentedManifestFile"},
            {},
            {},
            "S3DataType AugmentedManifestFile is not implemented",
        ),
        (
            {},
            {},
            {"DataCaptureConfig": {"DestinationS3Uri": "s3://a/b"}},
            "DataCaptureConfig is not implemented",
        ),
        ({}, {}, {"ModelName": "none"}, f'Could not find model "{ARN}:model/none".'),
        ({}, {}, {"Environment": {"PYTHONPATH": "x"}}, "Environment variable PYTHONPATH"),
        ({}, {}, {"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}, "must not exceed 100 MB, it is 120"),
        ({}, {"S3OutputPath": "https://a/b"}, {}, "only s3:// is known"),
        (LINES, {}, {"DataProcessing": {"InputFilter": "$.*"}}, "in the JSONPath '$.*' is not implemented"),
        (
            {"ContentType": "image/png"},
            {},
            {"DataProcessing": {"JoinSource": "Input"}},
            "DataProcessing needs a ContentType",
        ),
        (
            LINES,
            {"Accept": "application/json"},
            {"DataProcessing": {"JoinSource": "Input"}},
            "of the same kind",
        ),
    ],
)
async def test_what_no_job_can_be(
    jobs: Jobs, source: dict[str, Any], target: dict[str, Any], more: dict[str, Any], reason: str
) -> None:
    assert reason in await refused(jobs.create("picky", "s3://data/words/", source, target, **more))


async def test_input_has_to_be_there(jobs: Jobs) -> None:
    assert "No S3 objects found under S3 URL" in await refused(jobs.create("picky", "s3://data/none/"))


async def _has(jobs: Jobs, name: str, line: str) -> bool:
    return line in await jobs.lines(name)
