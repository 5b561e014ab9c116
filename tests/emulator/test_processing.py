"""A processing job from Create to its end: inputs, outputs, instances, stopping."""

from __future__ import annotations

import gzip
import json
from textwrap import dedent
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.helpers import ROLE, Aws, embedded, eventually, script
from tests.emulator.processing_helpers import (
    create,
    describe,
    ended,
    given,
    left,
    lines,
    printed,
    request,
    run,
)
from tests.emulator.test_stopping import alive


def based(source: str) -> str:
    """A source that finds its folder in `root`."""
    return "root = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n" + dedent(source)


TREE = based("""
host = json.loads((root / 'config/resourceconfig.json').read_text())['current_host']
for path in sorted((root / 'processing').rglob('*')):
    if path.is_file():
        print(host, path.relative_to(root), path.read_text())
""")
COPY = based("""
out = root / 'processing/out'
(out / 'deep').mkdir()
(out / 'deep' / 'a.txt').write_text('1')
""")
WRITES = based("""
(root / 'processing/live/first').write_text('1')
(root / 'processing/out/late').write_text('2')
print('up')
time.sleep(600)
""")
OUTPUTS = [left("live", "s3://results/live", "Continuous"), left("out", "s3://results/out")]


async def stopped(aws: Aws, name: str) -> dict[str, Any]:
    await aws.sagemaker.stop_processing_job(ProcessingJobName=name)
    return await ended(aws, name)


async def test_a_job_ends_completed_and_leaves_its_output() -> None:
    async with embedded(COPY) as aws:
        arn = await create(aws, "Job-1", outputs=[left("out", "s3://results/a/")])
        job = await ended(aws, "Job-1")
        assert (
            arn == job["ProcessingJobArn"] == "arn:aws:sagemaker:us-east-1:123456789012:processing-job/job-1"
        )
        assert job["ProcessingJobStatus"] == "Completed"
        order = ("CreationTime", "ProcessingStartTime", "ProcessingEndTime", "LastModifiedTime")
        assert [job[name] for name in order] == sorted(job[name] for name in order)
        assert job["RoleArn"] == ROLE
        assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
        assert "FailureReason" not in job
        assert await aws.get("results", "a/deep/a.txt") == b"1"


async def test_inputs_lie_where_the_request_says() -> None:
    async with embedded(TREE) as aws:
        manifest = json.dumps([{"prefix": "s3://data/one/"}, "b.csv"]).encode()
        await aws.put("data", one__a_dot_csv=b"A", one__b_dot_csv=b"B", zip__c_dot_gz=gzip.compress(b"C"))
        await aws.s3.put_object(Bucket="data", Key="list.json", Body=manifest)
        inputs = [
            given("one", "s3://data/one"),
            given("two", "s3://data/list.json", "/opt/ml/processing/two", S3DataType="ManifestFile"),
            given("zip", "s3://data/zip/", S3CompressionType="Gzip"),
        ]
        job = await run(aws, "job-1", inputs=inputs)
        assert await lines(aws, "job-1") == [
            "algo-1 processing/input/one/a.csv A",
            "algo-1 processing/input/one/b.csv B",
            "algo-1 processing/input/zip/c C",
            "algo-1 processing/two/b.csv B",
        ]
        shown = job["ProcessingInputs"][0]["S3Input"]
        assert (shown["S3InputMode"], shown["S3DataDistributionType"]) == ("File", "FullyReplicated")


async def test_instances_share_the_shards_and_upload_all_they_wrote() -> None:
    source = TREE + "(root / 'processing/out' / host).write_text(host)"
    async with embedded(source) as aws:
        await aws.put("data", a=b"A", b=b"B", c=b"C")
        inputs = [given("x", "s3://data/", S3DataDistributionType="ShardedByS3Key")]
        await run(aws, "job-1", inputs=inputs, outputs=[left("out", "s3://results/out")], count=2)
        assert sorted(await lines(aws, "job-1")) == [
            "algo-1 processing/input/x/a A",
            "algo-1 processing/input/x/c C",
            "algo-2 processing/input/x/b B",
        ]
        assert await aws.keys("results") == ["out/algo-1", "out/algo-2"]
        streams = {event["logStreamName"].split("/")[1] for event in await aws.events(
            "job-1", logGroupName="/aws/sagemaker/ProcessingJobs")}  # fmt: skip
        assert {stream.rpartition("-")[0] for stream in streams} == {"algo-1", "algo-2"}


async def test_the_configuration_files_and_variables_are_the_contracts() -> None:
    source = based("""
    print((root / 'config/processingjobconfig.json').read_text())
    print((root / 'config/resourceconfig.json').read_text())
    print(json.dumps(dict(os.environ)))
    """)
    async with embedded(source) as aws:
        await run(
            aws, "Job-1", Environment={"COLOUR": "blue", "DATA": "/opt/ml/processing/x"}, arguments=["a"]
        )
        config, resources, variables = map(json.loads, await lines(aws, "Job-1"))
        assert config["ProcessingJobArn"].endswith(":processing-job/job-1")
        assert config["AppSpecification"] == {"ImageUri": "job", "ContainerArguments": ["a"]}
        assert resources == {"current_host": "algo-1", "hosts": ["algo-1"]}
        assert variables["PROCESSING_JOB_NAME"] == "Job-1"
        assert variables["PROCESSING_JOB_ARN"] == config["ProcessingJobArn"]
        assert variables["COLOUR"] == "blue"
        assert variables["DATA"] == variables["SAGEMAKER_BASE_DIR"] + "/processing/x"
        assert variables["AWS_ENDPOINT_URL"] == aws.cloud.url


async def test_an_isolated_job_is_not_led_to_the_cloud() -> None:
    async with embedded("print(sorted(name for name in os.environ if name.startswith('AWS')))") as aws:
        await run(aws, "job-1", NetworkConfig={"EnableNetworkIsolation": True})
        assert "AWS_ENDPOINT_URL" not in (await lines(aws, "job-1"))[0]


async def test_an_exit_code_fails_the_job_and_its_message_is_shown() -> None:
    source = based("(root / 'output/message').write_text('no rows ' + 'x' * 5000)\nsys.exit(3)")
    async with embedded(source) as aws:
        job = await run(aws, "job-1", outputs=OUTPUTS)
        assert job["ProcessingJobStatus"] == "Failed"
        assert job["FailureReason"] == "AlgorithmError: , exit code: 3"
        assert job["ExitMessage"].startswith("no rows xxx")
        assert len(job["ExitMessage"]) == 1024
        [row] = (await aws.sagemaker.list_processing_jobs())["ProcessingJobSummaries"]
        assert (row["FailureReason"], row["ProcessingEndTime"]) == (
            job["FailureReason"],
            job["ProcessingEndTime"],
        )


async def test_one_failed_instance_fails_and_ends_the_others() -> None:
    source = based("""
    if root.name == 'algo-2':
        sys.exit(7)
    time.sleep(600)
    """)
    async with embedded(source) as aws:
        assert (await run(aws, "job-1", count=2))["FailureReason"] == "AlgorithmError: , exit code: 7"


async def test_continuous_outputs_come_while_it_runs_and_a_stop_leaves_the_others_out() -> None:
    async with embedded(WRITES) as aws:
        await create(aws, "job-1", outputs=OUTPUTS)

        async def uploaded() -> bool:
            return await aws.keys("results") == ["live/first"]

        await eventually(uploaded)
        assert (await describe(aws, "job-1"))["ProcessingJobStatus"] == "InProgress"
        job = await stopped(aws, "job-1")
        assert job["ProcessingJobStatus"] == "Stopped"
        assert "FailureReason" not in job
        assert await aws.keys("results") == ["live/first"]


async def test_the_stop_ladder_ends_a_job_that_does_not_listen() -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)"
    async with embedded(deaf, grace=0.2) as aws:
        await create(aws, "job-1", count=2)
        await printed(aws, "job-1", 2)
        await aws.sagemaker.stop_processing_job(ProcessingJobName="job-1")
        assert (await describe(aws, "job-1"))["ProcessingJobStatus"] == "Stopping"
        assert (await ended(aws, "job-1"))["ProcessingJobStatus"] == "Stopped"
        with pytest.raises(ClientError, match="rejected because the processing job is in status Stopped"):
            await aws.sagemaker.stop_processing_job(ProcessingJobName="job-1")


async def test_no_instance_outlives_the_server() -> None:
    source = """
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
    print(os.getpid(), child.pid, flush=True)
    time.sleep(600)
    """
    async with embedded(source) as aws:
        await create(aws, "job-1", count=2)
        await printed(aws, "job-1", 2)
        pids = [int(word) for line in await lines(aws, "job-1") for word in line.split()]
        assert all(alive(pid) for pid in pids)

    async def gone() -> bool:
        return not any(alive(pid) for pid in pids)

    await eventually(gone)


async def test_a_job_whose_time_is_up_is_stopped_and_says_so() -> None:
    async with embedded(WRITES) as aws:
        job = await run(aws, "job-1", outputs=OUTPUTS, StoppingCondition={"MaxRuntimeInSeconds": 1})
        assert (job["ProcessingJobStatus"], job["FailureReason"]) == ("Stopped", "MaxRuntimeExceeded")
        assert await aws.keys("results") == ["live/first"]


async def test_a_job_that_waits_for_its_place_can_be_stopped() -> None:
    async with embedded("time.sleep(600)", capacity=1) as aws:
        await create(aws, "job-1")
        await create(aws, "job-2")
        job = await stopped(aws, "job-2")
        assert job["ProcessingJobStatus"] == "Stopped"
        assert "ProcessingStartTime" not in job


async def test_a_missing_bucket_fails_the_upload() -> None:
    async with embedded(COPY) as aws:
        job = await run(aws, "job-1", outputs=[left("out", "s3://nowhere/a")])
        assert job["FailureReason"].startswith("ClientError: Artifact upload failed:The specified bucket")


async def test_a_container_that_failed_is_the_cause_of_what_follows() -> None:
    source = based("(root / 'processing/out/a').write_text('1'); sys.exit(4)")
    async with embedded(source) as aws:
        job = await run(aws, "job-1", outputs=[left("out", "s3://nowhere/a", "Continuous")])
        assert job["FailureReason"] == "AlgorithmError: , exit code: 4"


async def test_links_that_a_job_leaves_are_not_followed() -> None:
    source = based("""
    out = root / 'processing/out'
    (out / 'passwd').symlink_to('/etc/passwd')
    (out / 'etc').symlink_to('/etc')
    (root / 'output/message').symlink_to('/etc/passwd')
    other = root / 'processing/other'
    other.rmdir()
    other.symlink_to('/etc')
    """)
    async with embedded(source) as aws:
        outputs = [left("out", "s3://results/out"), left("other", "s3://results/other")]
        job = await run(aws, "job-1", outputs=outputs)
        assert job["ProcessingJobStatus"] == "Completed"
        assert "ExitMessage" not in job
        assert await aws.keys("results") == []


async def test_jobs_are_listed_tagged_and_told_apart_by_region() -> None:
    async with embedded("pass", images={"bad": script("sys.exit(1)")}) as aws:
        await run(aws, "beta", Tags=[{"Key": "a", "Value": "b"}])
        await run(aws, "alpha", "bad")
        listed = await aws.sagemaker.list_processing_jobs(StatusEquals="Failed")
        assert [row["ProcessingJobName"] for row in listed["ProcessingJobSummaries"]] == ["alpha"]
        listed = await aws.sagemaker.list_processing_jobs(SortBy="Name", SortOrder="Ascending", MaxResults=1)
        assert [row["ProcessingJobName"] for row in listed["ProcessingJobSummaries"]] == ["alpha"]
        assert "NextToken" in listed
        job = await describe(aws, "beta")
        tags = await aws.sagemaker.list_tags(ResourceArn=job["ProcessingJobArn"])
        assert tags["Tags"] == [{"Key": "a", "Value": "b"}]
        assert "Tags" not in job


async def test_names_are_taken_once_and_unknown_ones_are_not_found() -> None:
    async with embedded("pass") as aws:
        arn = await create(aws, "job-1")
        with pytest.raises(ClientError) as caught:
            await aws.sagemaker.create_processing_job(**request("job-1"))
        assert caught.value.response["Error"] == {
            "Code": "ResourceInUse",
            "Message": "Job name must be unique within an AWS account and region, and a job with this name already"
            f" exists ({arn})",
        }
        for call in (aws.sagemaker.describe_processing_job, aws.sagemaker.stop_processing_job):
            with pytest.raises(ClientError, match="Could not find requested job with name: none"):
                await call(ProcessingJobName="none")
