"""A tuning job from Create to its end, as the API shows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.helpers import DIGITS, KMEANS, Aws, channel, embedded
from tests.emulator.tuning_helpers import (
    PARABOLA,
    continuous,
    described,
    ended,
    launched,
    trainings,
    tune,
    tuned,
)

FAILS = "sys.exit(1)"


async def test_a_tuning_job_launches_training_jobs_and_finds_the_best() -> None:
    async with embedded(PARABOLA) as aws:
        arn = await tune(aws, "Tune-1", Tags=[{"Key": "team", "Value": "blue"}])
        job = await ended(aws, "Tune-1")
        rows = await trainings(aws, "Tune-1")
        best = job["BestTrainingJob"]
        child = await aws.describe(best["TrainingJobName"])
        tags = (await aws.sagemaker.list_tags(ResourceArn=child["TrainingJobArn"]))["Tags"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/tune-1"
    assert job["HyperParameterTuningJobArn"] == arn
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 3,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    assert job["CreationTime"] < job["HyperParameterTuningEndTime"] <= job["LastModifiedTime"]
    assert "OverallBestTrainingJob" not in job
    assert "FailureReason" not in job
    assert job["TrainingJobDefinition"]["StaticHyperParameters"] == {
        "fixed": "1",
        "_tuning_objective_metric": "loss",
    }
    losses = {
        row["TrainingJobName"]: row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for row in rows
    }
    assert min(losses, key=lambda name: losses[name]) == best["TrainingJobName"]
    for number, row in enumerate(rows, 1):
        assert re.fullmatch(rf"Tune-1-{number:03}-[0-9a-f]{{8}}", row["TrainingJobName"])
        x = float(row["TunedHyperParameters"]["x"])
        assert losses[row["TrainingJobName"]] == pytest.approx((x - 0.3) ** 2, abs=1e-6)
        assert (row["TrainingJobStatus"], row["ObjectiveStatus"]) == ("Completed", "Succeeded")
    assert child["TuningJobArn"] == arn
    assert child["HyperParameters"] == {
        "fixed": "1",
        "_tuning_objective_metric": "loss",
        **best["TunedHyperParameters"],
    }
    assert tags == [{"Key": "team", "Value": "blue"}]


async def test_a_tuning_job_under_way_counts_what_is_pending() -> None:
    async with embedded("time.sleep(600)") as aws:
        await tune(aws)
        rows = await launched(aws, 2)
        job = await described(aws)
        assert (
            job["TrainingJobStatusCounters"]["InProgress"],
            job["ObjectiveStatusCounters"]["Pending"],
        ) == (
            2,
            2,
        )
        assert job["HyperParameterTuningJobStatus"] == "InProgress"
        assert "BestTrainingJob" not in job
        assert "HyperParameterTuningEndTime" not in job
        assert {row["ObjectiveStatus"] for row in rows} == {"Pending"}
        assert not any("FinalHyperParameterTuningJobObjectiveMetric" in row for row in rows)


async def test_never_more_jobs_run_at_once_than_allowed(tmp_path: Path) -> None:
    """Each counts, in a folder of all, how many there are while it runs."""
    source = """
        folder = pathlib.Path(os.environ['COUNT'])
        mine = folder / str(os.getpid())
        mine.touch()
        print('loss=' + str(len(list(folder.iterdir()))))
        time.sleep(0.1)
        mine.unlink()
    """
    async with embedded(source) as aws:
        limits = {"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 3}
        job = await tuned(aws, ResourceLimits=limits, Environment={"COUNT": str(tmp_path)})
        rows = await trainings(aws)
    values = [row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for row in rows]
    assert job["TrainingJobStatusCounters"]["Completed"] == 6
    assert max(values) <= 3


async def test_a_tuning_job_needs_no_place_beside_its_training_jobs() -> None:
    async with embedded(PARABOLA, capacity=1) as aws:
        assert (await tuned(aws))["TrainingJobStatusCounters"]["Completed"] == 3


async def test_the_same_seed_tries_the_same() -> None:
    async with embedded(PARABOLA) as aws:
        for name in ("one", "two"):
            await tuned(aws, name)
        first, second = [await trainings(aws, name) for name in ("one", "two")]
        await tuned(aws, "three", RandomSeed=2)
        third = await trainings(aws, "three")
    tried = [[row["TunedHyperParameters"] for row in rows] for rows in (first, second, third)]
    assert tried[0] == tried[1] != tried[2]


async def test_bayesian_search_over_all_kinds_comes_close() -> None:
    source = """
        given = json.loads(os.environ['SM_HPS'])
        away = (float(given['x']) - 0.3) ** 2 + (int(given['n']) - 4) ** 2 / 10 + (given['c'] != 'b')
        print(f'loss={away}')
    """
    ranges = {
        "ContinuousParameterRanges": [continuous()],
        "IntegerParameterRanges": [continuous("n", "1", "8")],
        "CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}],
    }
    limits = {"MaxNumberOfTrainingJobs": 14, "MaxParallelTrainingJobs": 2}
    async with embedded(source) as aws:
        job = await tuned(aws, Strategy="Bayesian", ParameterRanges=ranges, ResourceLimits=limits)
        rows = await trainings(aws, MaxResults=100)
    best = job["BestTrainingJob"]
    assert job["TrainingJobStatusCounters"]["Completed"] == 14
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] < 0.5
    assert best["TunedHyperParameters"]["c"] == "b"
    tried = [tuple(sorted(row["TunedHyperParameters"].items())) for row in rows]
    assert len(set(tried)) == 14


async def test_grid_tries_every_combination_once() -> None:
    source = "print('loss=' + json.loads(os.environ['SM_HPS'])['a'])"
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "a", "Values": ["1", "2"]},
            {"Name": "b", "Values": ["x", "y", "z"]},
        ]
    }
    async with embedded(source) as aws:
        limits = {"MaxParallelTrainingJobs": 3}
        job = await tuned(aws, Strategy="Grid", ParameterRanges=ranges, ResourceLimits=limits)
        rows = await trainings(aws)
    assert [tuple(row["TunedHyperParameters"].values()) for row in rows] == [
        (a, b) for a in ("1", "2") for b in ("x", "y", "z")
    ]
    assert job["BestTrainingJob"]["TunedHyperParameters"]["a"] == "1"


async def test_kmeans_is_tuned_for_its_test_metric() -> None:
    ranges = {
        "IntegerParameterRanges": [continuous("extra_center_factor", "2", "10")],
        "CategoricalParameterRanges": [{"Name": "init_method", "Values": ["random", "kmeans++"]}],
    }
    content = {"ContentType": "text/csv;label_size=0"}
    async with embedded() as aws:
        job = await tuned(
            aws,
            AlgorithmSpecification={"TrainingImage": KMEANS, "TrainingInputMode": "File"},
            HyperParameterTuningJobObjective={"Type": "Minimize", "MetricName": "test:msd"},
            ParameterRanges=ranges,
            StaticHyperParameters={"k": "10", "feature_dim": "64", "mini_batch_size": "500"},
            InputDataConfig=[
                channel(name, f"{DIGITS}/{name}/{name}.csv", **content) for name in ("train", "test")
            ],
            ResourceLimits={"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
        )
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    metric = job["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]
    assert metric["MetricName"] == "test:msd"
    assert 500 < metric["Value"] < 900


async def test_if_every_training_job_fails_the_tuning_job_does() -> None:
    async with embedded(FAILS) as aws:
        limits = {"MaxNumberOfTrainingJobs": 30, "MaxParallelTrainingJobs": 1}
        job = await tuned(aws, ResourceLimits=limits)
        rows = await trainings(aws)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "No training job succeeded after 5 attempts. For additional details, please take a look at the training job"
        " failures by listing training jobs for the hyperparameter tuning job."
    )
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] == 5
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 0, "Pending": 0, "Failed": 5}
    assert {row["FailureReason"] for row in rows} == {"AlgorithmError: , exit code: 1"}


async def test_a_training_job_without_the_objective_counts_as_failed() -> None:
    source = "print('loss=7' if float(json.loads(os.environ['SM_HPS'])['x']) > 0.5 else 'loss=nan')"
    async with embedded(source) as aws:
        limits = {"MaxNumberOfTrainingJobs": 8, "MaxParallelTrainingJobs": 4}
        metrics = [{"Name": "loss", "Regex": "loss=(.*)"}]
        specification = {"TrainingImage": "job", "TrainingInputMode": "File", "MetricDefinitions": metrics}
        job = await tuned(
            aws, ResourceLimits=limits, AlgorithmSpecification=specification, Strategy="Bayesian"
        )
    counters = job["ObjectiveStatusCounters"]
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 8
    assert counters["Succeeded"] + counters["Failed"] == 8
    assert min(counters["Succeeded"], counters["Failed"]) > 0
    assert job["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 7


async def test_lists_sort_filter_and_page() -> None:
    async with embedded(PARABOLA) as aws:
        for name in ("b", "a"):
            await tuned(aws, name)
        names = [await _names(aws), await _names(aws, SortBy="CreationTime", SortOrder="Descending")]
        assert names == [["a", "b"], ["a", "b"]]
        assert await _names(aws, NameContains="B") == ["b"]
        assert await _names(aws, StatusEquals="Failed") == []
        rows = await trainings(aws, "a", SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
        values = [row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for row in rows]
        assert values == sorted(values, reverse=True)
        pages = [
            row["TrainingJobName"]
            async for page in aws.sagemaker.get_paginator(
                "list_training_jobs_for_hyper_parameter_tuning_job"
            ).paginate(HyperParameterTuningJobName="a", PaginationConfig={"PageSize": 2})
            for row in page["TrainingJobSummaries"]
        ]
        assert pages == sorted(row["TrainingJobName"] for row in rows)
        assert len(pages) == 3
        assert await trainings(aws, "a", StatusEquals="Failed") == []


async def _names(aws: Aws, **options: Any) -> list[str]:
    answer = await aws.sagemaker.list_hyper_parameter_tuning_jobs(**options)
    return [row["HyperParameterTuningJobName"] for row in answer["HyperParameterTuningJobSummaries"]]


async def test_a_warm_start_knows_its_parents_jobs() -> None:
    async with embedded(PARABOLA) as aws:
        limits = {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 4}
        parent = await tuned(aws, "parent", ResourceLimits=limits)
        child = await tuned(
            aws,
            "child",
            Strategy="Bayesian",
            ResourceLimits={"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            WarmStartConfig=_warm("IdenticalDataAndAlgorithm", "parent"),
        )
        cold = await tuned(
            aws,
            "transfer",
            Strategy="Bayesian",
            WarmStartConfig=_warm("TransferLearning", "parent", "child"),
        )
    overall = child["OverallBestTrainingJob"]
    bests = [parent["BestTrainingJob"], child["BestTrainingJob"]]
    values = [row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for row in bests]
    assert overall["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == min(values)
    assert overall["TuningJobName"] == ("parent", "child")[values.index(min(values))]
    assert child["WarmStartConfig"] == _warm("IdenticalDataAndAlgorithm", "parent")
    # Its one job is chosen by the model, which knows where the parent came close: no longer at random.
    near = float(bests[0]["TunedHyperParameters"]["x"])
    assert abs(float(bests[1]["TunedHyperParameters"]["x"]) - near) < 0.35
    assert cold["HyperParameterTuningJobStatus"] == "Completed"
    assert "OverallBestTrainingJob" not in cold


def _warm(kind: str, *parents: str) -> dict[str, Any]:
    return {
        "WarmStartType": kind,
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": name} for name in parents],
    }


async def test_a_tuning_job_is_tagged_as_any_resource() -> None:
    async with embedded(PARABOLA) as aws:
        arn = await tune(aws)
        await aws.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
        assert (await aws.sagemaker.list_tags(ResourceArn=arn))["Tags"] == [{"Key": "a", "Value": "b"}]
        await ended(aws)


async def test_checkpoints_of_training_jobs_do_not_meet() -> None:
    source = """
        folder = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], 'checkpoints')
        print('loss=' + str(len(list(folder.iterdir()))))
        (folder / 'state').write_text('here')
    """
    async with embedded(source) as aws:
        job = await tuned(aws, CheckpointConfig={"S3Uri": "s3://results/checkpoints"})
        rows = await trainings(aws)
        keys = await aws.keys("results", "checkpoints/")
    assert keys == sorted(f"checkpoints/{row['TrainingJobName']}/state" for row in rows)
    assert job["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 0


@pytest.mark.parametrize(
    "operation",
    [
        "describe_hyper_parameter_tuning_job",
        "stop_hyper_parameter_tuning_job",
        "list_training_jobs_for_hyper_parameter_tuning_job",
    ],
)
async def test_an_unknown_tuning_job_is_not_found(operation: str) -> None:
    async with embedded() as aws:
        with pytest.raises(ClientError) as caught:
            await getattr(aws.sagemaker, operation)(HyperParameterTuningJobName="nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"
