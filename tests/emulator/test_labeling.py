"""A labeling job from Create to its end: what stands in the output manifest, and that it says where it is from."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.helpers import embedded, eventually
from tests.emulator.labeling_helpers import (
    SAMPLES,
    TEAM,
    describe,
    ended,
    labeled,
    put,
    request,
    run,
)

THREE: list[dict[str, Any]] = [{"source": "one", "id": 1}, {"source": "two"}, {"source": "three"}]
MANY = [{"source": str(number)} for number in range(200)]
BUSY = [{"source": str(number), "answer": "1"} for number in range(200)]


async def test_the_sample_is_labeled_and_the_counters_move() -> None:
    source = {"S3DataSource": {"ManifestS3Uri": f"{SAMPLES}/digits.manifest"}}
    async with embedded() as aws:
        body = request("Digits", "ImageMultiClass", InputConfig={"DataSource": source})
        answer = await aws.sagemaker.create_labeling_job(**body)
        seen: dict[int, str] = {}

        async def looked() -> dict[str, Any] | None:
            job = await describe(aws, "Digits")
            seen[job["LabelCounters"]["TotalLabeled"]] = job["LabelingJobStatus"]
            return job if job["LabelingJobStatus"] == "Completed" else None

        job = await eventually(looked)
        assert answer["LabelingJobArn"] == job["LabelingJobArn"]
        assert job["LabelingJobArn"].endswith(":labeling-job/digits")
        assert len(seen) > 5
        assert list(seen) == sorted(seen)
        assert job["LabelCounters"] == {
            "TotalLabeled": 40,
            "HumanLabeled": 40,
            "MachineLabeled": 0,
            "FailedNonRetryableError": 0,
            "Unlabeled": 0,
        }
        uri = "s3://results/out/Digits/manifests/output/output.manifest"
        assert job["LabelingJobOutput"] == {"OutputDatasetS3Uri": uri}
        rows = await labeled(aws, job)
        digits = (await aws.get("kfp-runner-samples", "digits/all-labels/digits.csv")).split()[:40]
        assert [str(row["digit"]).encode() for row in rows] == digits


async def test_each_label_says_that_nobody_looked() -> None:
    answers: list[dict[str, Any]] = [
        {"source": "one", "answer": "7", "confidence": 0.5},
        {"source": "two", "answer": 3},
        {"source": "three", "answer": 3},
    ]
    async with embedded() as aws:
        await put(aws, [THREE[0] | {"digit": "old"}, *THREE[1:]], answers)
        first, *rest = await labeled(aws, await run(aws, "Job-1"))
        made = first["digit-metadata"].pop("creation-date")
        assert datetime.fromisoformat(made).replace(tzinfo=UTC) <= datetime.now(UTC)
        assert first == {
            "source": "one",
            "id": 1,
            "digit": 7,
            "digit-metadata": {
                "class-name": "7",
                "confidence": 0.5,
                "type": "groundtruth/text-classification",
                "job-name": "labeling-job/job-1",
                "human-annotated": "no",
                "simulated-by": "kfp-runner embedded cloud",
            },
        }
        assert [(row["digit"], row["digit-metadata"]["confidence"]) for row in rest] == [(3, 1.0), (3, 1.0)]


BOX = {"annotations": [{"class_id": 0, "top": 1, "left": 2, "width": 3, "height": 4}], "image_size": []}
FORMS: list[tuple[str, str, Any, Any, dict[str, Any]]] = [
    (
        "TextMultiClassMultiLabel",
        "digit",
        ["3", 1],
        [1, 3],
        {"class-map": {"1": "1", "3": "3"}, "confidence-map": {"1": 1.0, "3": 1.0}},
    ),
    ("BoundingBox", "digit", BOX, BOX, {"type": "groundtruth/object-detection"}),
    ("SemanticSegmentation", "digit-ref", "s3://a/b", "s3://a/b", {"type": "groundtruth/semantic-segmentation"}),
    ("Mine", "digit", {"any": 1}, {"any": 1}, {"type": "groundtruth/custom"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "attribute", "answer", "value", "described"), FORMS, ids=lambda case: str(case)[:20]
)
async def test_labels_have_the_form_of_their_task(
    kind: str, attribute: str, answer: Any, value: Any, described: dict[str, Any]
) -> None:
    async with embedded() as aws:
        await put(aws, THREE[:1], [{attribute: answer}])
        [row] = await labeled(aws, await run(aws, "job-1", kind, LabelAttributeName=attribute))
        assert row[attribute] == value
        assert described.items() <= row[f"{attribute}-metadata"].items()


async def test_objects_without_a_usable_answer_stay_without_a_label() -> None:
    rows = [*THREE, {"source-ref": "s3://data/none.png"}, {"source": "four", "digit": 1}]
    answers: list[dict[str, Any]] = [
        {"source": "one", "answer": "1"},
        {"source": "three", "answer": "no digit"},
        {"source-ref": "s3://data/none.png", "answer": "2"},
        {"source": "four", "answer": None},
    ]
    async with embedded() as aws:
        await put(aws, rows, answers)
        job = await run(aws, "job-1")
        assert job["LabelingJobStatus"] == "Completed"
        counters = job["LabelCounters"]
        assert (counters["TotalLabeled"], counters["FailedNonRetryableError"], counters["Unlabeled"]) == (
            1,
            4,
            0,
        )
        first, *failed = await labeled(aws, job)
        assert first["digit"] == 1
        assert not [row for row in failed if "digit" in row]
        assert [row["digit-metadata"]["failure-reason"] for row in failed] == [
            "ClientError: there is no answer for this object",
            "ClientError: the answer can't be used: 'no digit' is not among the label categories",
            "ClientError: source-ref can't be read: The specified key does not exist.",
            "ClientError: the answer's line has neither 'answer' nor 'digit'",
        ]


async def test_a_job_that_labels_nothing_fails() -> None:
    async with embedded() as aws:
        await put(aws, [{"source-ref": "s3://nowhere/a"}], [{"answer": "1"}])
        job = await run(aws, "job-1")
        assert job["LabelingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith("ClientError: No object could be labeled.")


async def test_a_stop_leaves_what_was_labeled_by_then() -> None:
    async with embedded() as aws:
        await put(aws, MANY, BUSY)
        await aws.sagemaker.create_labeling_job(**request("job-1"))

        async def begun() -> bool:
            return bool((await describe(aws, "job-1"))["LabelCounters"]["TotalLabeled"])

        await eventually(begun)
        await aws.sagemaker.stop_labeling_job(LabelingJobName="job-1")
        job = await ended(aws, "job-1")
        counters = job["LabelCounters"]
        assert job["LabelingJobStatus"] == "Stopped"
        assert 0 < counters["TotalLabeled"] < 200
        assert counters["Unlabeled"] == 200 - counters["TotalLabeled"]
        assert len(await labeled(aws, job)) == counters["TotalLabeled"]
        with pytest.raises(ClientError, match="rejected because the labeling job is in status Stopped"):
            await aws.sagemaker.stop_labeling_job(LabelingJobName="job-1")


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({"MaxHumanLabeledObjectCount": 2}, 2),
        ({"MaxPercentageOfInputDatasetLabeled": 34}, 2),
        ({"MaxHumanLabeledObjectCount": 2, "MaxPercentageOfInputDatasetLabeled": 1}, 1),
    ],
    ids=str,
)
async def test_a_stopping_condition_stops_the_job(conditions: dict[str, int], count: int) -> None:
    async with embedded() as aws:
        await put(aws, THREE, [{"answer": "1"}] * 3)
        job = await run(aws, "job-1", StoppingConditions=conditions)
        assert job["LabelingJobStatus"] == "Stopped"
        assert job["LabelCounters"]["TotalLabeled"] == len(await labeled(aws, job)) == count


async def test_a_condition_that_is_not_met_stops_nothing() -> None:
    async with embedded() as aws:
        await put(aws, THREE, [{"answer": "1"}] * 3)
        job = await run(aws, "job-1", StoppingConditions={"MaxHumanLabeledObjectCount": 3})
        assert job["LabelingJobStatus"] == "Completed"


async def test_a_missing_bucket_fails_the_job() -> None:
    async with embedded() as aws:
        await put(aws, THREE, [{"answer": "1"}] * 3)
        job = await run(aws, "job-1", OutputConfig={"S3OutputPath": "s3://nowhere/x"})
        assert job["FailureReason"].startswith("ClientError: The specified bucket does not exist")
        assert "LabelingJobOutput" not in job


async def test_a_large_manifest_lets_others_in_meanwhile() -> None:
    count, last = 60_000, "label-999"
    labels = {"labels": [{"label": f"label-{number}"} for number in range(1000)]}
    async with embedded() as aws:
        await put(aws, [{"source": f"{number}"} for number in range(count)], [{"answer": last}] * count)
        await aws.s3.put_object(Bucket="data", Key="labels.json", Body=json.dumps(labels).encode())
        body = request("large", LabelCategoryConfigS3Uri="s3://data/labels.json")
        gaps: list[float] = []
        begin = time.perf_counter()
        ticking = asyncio.ensure_future(ticks(gaps))
        await aws.sagemaker.create_labeling_job(**body)
        took = time.perf_counter() - begin
        ticking.cancel()
        assert max(gaps) < took / 3, "whoever asks has to get an answer while the files are read"
        job = await ended(aws, "large")
        assert job["LabelCounters"]["TotalLabeled"] == count
        assert {row["digit"] for row in await labeled(aws, job)} == {999}


async def ticks(gaps: list[float]) -> None:
    """Measure how long the loop is busy with something else at a time."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0)
        gaps.append(time.perf_counter() - before)


async def test_jobs_are_listed_also_by_team() -> None:
    async with embedded() as aws:
        await put(aws, THREE, [{"answer": "1"}] * 3)
        for name in ("beta", "alpha"):
            await run(aws, name, Tags=[{"Key": "a", "Value": name}])
        rows = (await aws.sagemaker.list_labeling_jobs())["LabelingJobSummaryList"]
        assert [row["LabelingJobName"] for row in rows] == ["beta", "alpha"]
        assert rows[0]["WorkteamArn"] == TEAM
        rows = (await aws.sagemaker.list_labeling_jobs(NameContains="alp"))["LabelingJobSummaryList"]
        assert [row["LabelingJobName"] for row in rows] == ["alpha"]
        answer = await aws.sagemaker.list_labeling_jobs_for_workteam(WorkteamArn=TEAM, MaxResults=1)
        [row] = answer["LabelingJobSummaryList"]
        assert row["LabelCounters"] == {"HumanLabeled": 3, "PendingHuman": 0, "Total": 3}
        assert "NextToken" in answer
        job = await describe(aws, "alpha")
        assert job["Tags"] == [{"Key": "a", "Value": "alpha"}]
        assert (await aws.sagemaker.list_tags(ResourceArn=job["LabelingJobArn"]))["Tags"] == job["Tags"]
