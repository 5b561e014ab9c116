"""A training job from Create to its end, as the API shows it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

from tests.emulator.helpers import ROLE, client, embedded, eventually

QUICK = "print('done')"
UNTIL_KILLED = "print('up'); time.sleep(600)"
SAVES = "pathlib.Path(os.environ['SM_MODEL_DIR'], 'weights').write_text('42')"


async def test_a_job_passes_through_awss_states_and_leaves_its_model() -> None:
    async with embedded(SAVES) as aws:
        arn = await aws.create("My-Job")
        job = await aws.until("My-Job")
        assert arn == job["TrainingJobArn"] == "arn:aws:sagemaker:us-east-1:123456789012:training-job/my-job"
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
        rows = job["SecondaryStatusTransitions"]
        assert [(row["Status"], row["StatusMessage"]) for row in rows] == [
            ("Starting", "Preparing the instances for training"),
            ("Downloading", "Downloading input data"),
            ("Training", "Training image download completed. Training in progress."),
            ("Uploading", "Uploading generated training model"),
            ("Completed", "Training job completed"),
        ]
        assert all(earlier["EndTime"] == later["StartTime"] for earlier, later in pairwise(rows))
        assert all(row["StartTime"] <= row["EndTime"] for row in rows)
        uri = "s3://results/jobs/My-Job/output/model.tar.gz"
        assert job["ModelArtifacts"] == {"S3ModelArtifacts": uri}
        assert await aws.artifact("My-Job") == {"weights": b"42"}


async def test_times_and_billing_are_told_of_an_ended_job() -> None:
    async with embedded(QUICK) as aws:
        job = await aws.run("job-1")
        order = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "LastModifiedTime")
        assert [job[name] for name in order] == sorted(job[name] for name in order)
        assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] == 1


async def test_describe_shows_the_request_with_awss_defaults_but_without_tags() -> None:
    async with embedded(QUICK) as aws:
        tags = [{"Key": "owner", "Value": "me"}]
        job = await aws.run("job-1", parameters={"a": "1"}, Tags=tags, StoppingCondition=None)
        assert job["HyperParameters"] == {"a": "1"}
        assert job["RoleArn"] == ROLE
        assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
        assert job["EnableManagedSpotTraining"] is False
        assert "Tags" not in job


async def test_before_the_end_there_is_neither_artifact_nor_end_time() -> None:
    async with embedded(UNTIL_KILLED) as aws:
        await aws.create("job-1")
        job = await aws.until("job-1", "Training")
        assert job["TrainingJobStatus"] == "InProgress"
        assert not {"ModelArtifacts", "TrainingEndTime", "FinalMetricDataList", "FailureReason"} & job.keys()


async def test_an_exit_code_fails_the_job_and_no_model_is_uploaded() -> None:
    async with embedded(SAVES + "\nsys.exit(3)") as aws:
        job = await aws.run("job-1")
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
        assert job["FailureReason"] == "AlgorithmError: , exit code: 3"
        assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job failed"
        assert "ModelArtifacts" not in job
        assert await aws.keys("results") == []


async def test_the_failure_file_begins_the_failure_reason() -> None:
    source = "pathlib.Path(os.environ['SM_OUTPUT_DIR'], 'failure').write_text('no data ' + 'x' * 5000); sys.exit(1)"
    async with embedded(source) as aws:
        reason = (await aws.run("job-1"))["FailureReason"]
        assert reason.startswith("AlgorithmError: no data xxx")
        assert reason.endswith("xxx, exit code: 1")
        assert len(reason) == 1024


async def test_a_signal_shows_as_128_plus_its_number() -> None:
    async with embedded("os.kill(os.getpid(), signal.SIGKILL)") as aws:
        assert (await aws.run("job-1"))["FailureReason"] == "AlgorithmError: , exit code: 137"


async def test_the_latest_reading_of_each_metric_is_final() -> None:
    source = (
        "print('epoch 1 loss=0.5 acc=n/a'); print('epoch 2 loss=0.25'); print('loss=1e-3', file=sys.stderr)"
    )
    definitions = [{"Name": "loss", "Regex": r"loss=(\S+)"}, {"Name": "acc", "Regex": r"acc=(\S+)"}]
    algorithm = {"TrainingImage": "job", "TrainingInputMode": "File", "MetricDefinitions": definitions}
    async with embedded(source) as aws:
        job = await aws.run("job-1", AlgorithmSpecification=algorithm)
        assert [(row["MetricName"], row["Value"]) for row in job["FinalMetricDataList"]] == [("loss", 0.001)]
        start, end = job["TrainingStartTime"], job["TrainingEndTime"]
        assert start <= job["FinalMetricDataList"][0]["Timestamp"] <= end


async def test_debugger_rules_are_shown_but_said_not_to_be_evaluated() -> None:
    rule = {"RuleConfigurationName": "LossNotDecreasing", "RuleEvaluatorImage": "rules"}
    async with embedded(UNTIL_KILLED) as aws:
        await aws.create("job-1", DebugRuleConfigurations=[rule])
        [before] = (await aws.describe("job-1"))["DebugRuleEvaluationStatuses"]
        await aws.until("job-1", "Training")
        await aws.stop("job-1")
        [after] = (await aws.until("job-1"))["DebugRuleEvaluationStatuses"]
        assert before["RuleEvaluationStatus"] == "InProgress"
        assert after["RuleEvaluationStatus"] == "NoIssuesFound"
        assert "does not evaluate" in after["StatusDetails"]


async def test_jobs_are_listed_newest_first_page_by_page() -> None:
    async with embedded(QUICK) as aws:
        for number in range(5):
            await aws.run(f"job-{number}")
        names: list[list[str]] = []
        token: dict[str, str] = {}
        while True:
            answer = await aws.sagemaker.list_training_jobs(MaxResults=2, **token)
            names.append([row["TrainingJobName"] for row in answer["TrainingJobSummaries"]])
            if "NextToken" not in answer:
                break
            token = {"NextToken": answer["NextToken"]}
        assert names == [["job-4", "job-3"], ["job-2", "job-1"], ["job-0"]]


async def test_the_list_is_filtered_and_sorted() -> None:
    async with embedded(QUICK, images={"bad": "false"}) as aws:
        await aws.run("beta")
        middle = (await aws.run("alpha-1", image="bad"))["CreationTime"]
        await aws.run("alpha-2")

        async def listed(**filters: object) -> list[str]:
            answer = await aws.sagemaker.list_training_jobs(**filters)
            return [row["TrainingJobName"] for row in answer["TrainingJobSummaries"]]

        assert await listed(NameContains="ALPHA") == ["alpha-2", "alpha-1"]
        assert await listed(StatusEquals="Failed") == ["alpha-1"]
        assert await listed(SortBy="Name", SortOrder="Ascending") == ["alpha-1", "alpha-2", "beta"]
        assert await listed(CreationTimeAfter=middle) == ["alpha-2", "alpha-1"]
        assert await listed(CreationTimeBefore=middle) == ["alpha-1", "beta"]
        answer = await aws.sagemaker.list_training_jobs(StatusEquals="Failed")
        [row] = answer["TrainingJobSummaries"]
        assert (row["TrainingJobStatus"], row["SecondaryStatus"]) == ("Failed", "Failed")


async def test_pages_and_filters_go_together() -> None:
    async with embedded(QUICK) as aws:
        for number in range(12):
            await aws.create(f"{'ab'[number % 2]}-{number:02}")
        for number in range(12):
            await aws.until(f"{'ab'[number % 2]}-{number:02}")

        async def pages(**filters: object) -> list[list[str]]:
            found: list[list[str]] = []
            token: dict[str, str] = {}
            while True:
                answer = await aws.sagemaker.list_training_jobs(**filters, **token)
                found.append([row["TrainingJobName"] for row in answer["TrainingJobSummaries"]])
                if "NextToken" not in answer:
                    return found
                token = {"NextToken": answer["NextToken"]}

        ascending = {"SortBy": "Name", "SortOrder": "Ascending"}
        assert [len(page) for page in await pages()] == [10, 2]
        assert await pages(NameContains="a-", MaxResults=4, **ascending) == [
            ["a-00", "a-02", "a-04", "a-06"],
            ["a-08", "a-10"],
        ]
        # A full last page is the last one.
        assert [len(page) for page in await pages(NameContains="b-", MaxResults=3, **ascending)] == [3, 3]
        assert await pages(StatusEquals="Failed") == [[]]
        assert await pages(NameContains="b-1", StatusEquals="Completed", SortBy="Name") == [["b-11"]]


@pytest.mark.parametrize("token", ["-1", "x", "1" * 5000, "٣", "1.5"])
async def test_a_token_that_is_none_is_refused(token: str) -> None:
    async with embedded() as aws:
        with pytest.raises(ClientError, match=r"Invalid NextToken\."):
            await aws.sagemaker.list_training_jobs(NextToken=token)


async def test_jobs_at_the_same_time_keep_their_folders_and_lines_apart() -> None:
    source = """
        name, base = os.environ['TRAINING_JOB_NAME'], pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])
        for step in range(5):
            print(name, step, flush=True)
            time.sleep(0.02)
        own = (base / 'input' / 'data' / 'ch' / 'x').read_text()
        (base / 'model' / name).write_text(own + ' '.join(sorted(p.name for p in base.iterdir())))
    """
    async with embedded(source) as aws, AsyncExitStack() as stack:
        await aws.put("data", x=b"1 ")
        names = [f"job-{number}" for number in range(8)]
        await asyncio.gather(*(aws.create(name, channels={"ch": "s3://data/x"}) for name in names))
        await asyncio.gather(*(aws.until(name) for name in names))
        for name in names:
            assert await aws.artifact(name) == {name: b"1 checkpoints input model output"}
            assert await aws.lines(name) == [f"{name} {step}" for step in range(5)]
        # The same name in another region is another job.
        abroad = await client(stack, aws.cloud.url, "sagemaker", "eu-west-1")
        assert (await abroad.list_training_jobs())["TrainingJobSummaries"] == []


async def test_of_namesakes_at_the_same_time_one_is_taken() -> None:
    async with embedded(QUICK) as aws:
        answers = await asyncio.gather(*(aws.create("job-1") for _ in range(6)), return_exceptions=True)
        refusals = [answer for answer in answers if isinstance(answer, ClientError)]
        assert len(refusals) == 5
        assert {error.response["Error"]["Code"] for error in refusals} == {"ResourceInUse"}
        assert (await aws.until("job-1"))["TrainingJobStatus"] == "Completed"


async def test_tags_are_kept_added_and_deleted() -> None:
    async with embedded(QUICK) as aws:
        arn = await aws.create("job-1", Tags=[{"Key": "owner", "Value": "me"}])
        added = await aws.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
        assert {tag["Key"]: tag["Value"] for tag in added["Tags"]} == {"owner": "me", "b": "2"}
        await aws.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["owner"])
        listed = await aws.sagemaker.list_tags(ResourceArn=arn)
        assert listed["Tags"] == [{"Key": "b", "Value": "2"}]


async def test_regions_know_nothing_of_each_other() -> None:
    async with embedded(QUICK) as aws, AsyncExitStack() as stack:
        await aws.run("job-1")
        abroad = await client(stack, aws.cloud.url, "sagemaker", "eu-west-1")
        with pytest.raises(ClientError, match=r"Requested resource not found\."):
            await abroad.describe_training_job(TrainingJobName="job-1")


async def test_more_jobs_than_places_wait_and_can_be_stopped_while_they_do() -> None:
    async with embedded(UNTIL_KILLED, capacity=1) as aws:
        await aws.create("first")
        await aws.until("first", "Training")
        await aws.create("second")
        await aws.create("third")
        await aws.stop("second")
        stopped = await aws.until("second")
        words = [row["Status"] for row in stopped["SecondaryStatusTransitions"]]
        assert words == ["Starting", "Stopping", "Stopped"]
        assert (await aws.describe("third"))["SecondaryStatus"] == "Starting"
        await aws.stop("first")
        assert (await aws.until("third", "Training"))["TrainingJobStatus"] == "InProgress"


async def test_a_hundred_jobs_at_once_all_complete() -> None:
    async with embedded(images={"job": "true"}) as aws:
        names = [f"job-{number}" for number in range(100)]
        for name in names:
            await aws.create(name)

        async def all_done() -> bool:
            answer = await aws.sagemaker.list_training_jobs(StatusEquals="Completed", MaxResults=100)
            return len(answer["TrainingJobSummaries"]) == len(names)

        assert await eventually(all_done)
