"""How a tuning job ends before it has tried everything: stopped, out of time, good enough, hopeless, broken."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.aws.embedded.machine.logged import expired
from components.aws.embedded.sagemaker.tuning import run as tuning_run
from components.aws.embedded.sagemaker.tuning.strategies import Seen
from tests.emulator.helpers import Aws, channel, embedded, eventually
from tests.emulator.tuning_helpers import PARABOLA, described, ended, launched, trainings, tune, tuned

WAITS = """
    def leave(*_):
        print('loss=5', flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    print('up', os.getpid())
    time.sleep(600)
"""
MANY = {"MaxNumberOfTrainingJobs": 40, "MaxParallelTrainingJobs": 1}


async def stop(aws: Aws, name: str = "tune") -> None:
    await aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


async def up(aws: Aws, count: int) -> list[int]:
    """Wait until so many training jobs run; their processes."""
    pids: list[int] = []
    for row in await launched(aws, count):

        async def look(name: str = row["TrainingJobName"]) -> list[str]:
            try:
                return [line for line in await aws.lines(name) if line.startswith("up")]
            except aws.logs.exceptions.ResourceNotFoundException:
                return []

        (line,) = await eventually(look)
        pids.append(int(line.split()[1]))
    return pids


async def test_stopping_stops_the_training_jobs_and_then_the_tuning_job() -> None:
    async with embedded(WAITS) as aws:
        await tune(aws)
        await up(aws, 2)
        await stop(aws)
        assert (await described(aws))["HyperParameterTuningJobStatus"] in ("Stopping", "Stopped")
        await _tolerant(aws)
        job = await ended(aws)
        rows = await trainings(aws)
        with pytest.raises(ClientError) as caught:
            await stop(aws)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == len(rows) == 2
    assert {row["ObjectiveStatus"] for row in rows} == {"Succeeded"}  # they still said their loss
    assert "FailureReason" not in job
    assert caught.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "The request was rejected because the hyperparameter tuning job is in status Stopped.",
    }


async def _tolerant(aws: Aws) -> None:
    """A second stop while it is stopping does nothing; once it has stopped, it is refused."""
    try:
        await stop(aws)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ValidationException"  # noqa: PT017


async def test_stopping_at_once_leaves_nothing_running() -> None:
    async with embedded(WAITS) as aws:
        await tune(aws)
        await stop(aws)
        job = await ended(aws)
        rows = await trainings(aws)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["InProgress"] == 0
    assert {row["TrainingJobStatus"] for row in rows} <= {"Stopped"}


async def test_no_process_outlives_the_server() -> None:
    async with embedded(WAITS) as aws:
        await tune(aws)
        pids = await up(aws, 2)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_tuning_job_whose_time_is_up_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(event: asyncio.Event, limit: float) -> bool:
        return await expired(event, limit / 200)

    monkeypatch.setattr(tuning_run, "expired", hasty)
    async with embedded(WAITS) as aws:
        job = await tuned(aws, ResourceLimits={"MaxParallelTrainingJobs": 1, "MaxRuntimeInSeconds": 400})
        rows = await trainings(aws)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["ConsumedResources"]["RuntimeInSeconds"] >= 2
    assert [row["TrainingJobStatus"] for row in rows] == ["Stopped"]


async def test_a_target_that_is_reached_ends_the_search() -> None:
    async with embedded(PARABOLA) as aws:
        criteria = {"TargetObjectiveMetricValue": 0.2}
        job = await tuned(aws, ResourceLimits=MANY, TuningJobCompletionCriteria=criteria)
    metric = job["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert metric["Value"] <= 0.2
    assert job["ObjectiveStatusCounters"]["Succeeded"] < 40


async def test_want_of_progress_ends_the_search() -> None:
    async with embedded("print('loss=1')") as aws:
        criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
        job = await tuned(aws, ResourceLimits=MANY, TuningJobCompletionCriteria=criteria)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    assert job["TuningJobCompletionDetails"] == {"NumberOfTrainingJobsObjectiveNotImproving": 3}


EPOCHS = """
    given = json.loads(os.environ['SM_HPS'])
    print('score=' + given['level'])
    if float(given['level']) < 0.5:
        signal.pause()      # only a stop gets it out of here
    print('score=' + given['level'])
"""
SCORED: dict[str, Any] = {
    "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
    "AlgorithmSpecification": {
        "TrainingImage": "job",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "score", "Regex": "score=(.*)"}],
    },
    "Strategy": "Grid",
    "ResourceLimits": {"MaxParallelTrainingJobs": 1},
}


def levels(*values: str) -> dict[str, object]:
    return {"CategoricalParameterRanges": [{"Name": "level", "Values": list(values)}]}


async def test_early_stopping_stops_what_is_worse_than_the_median() -> None:
    async with embedded(EPOCHS) as aws:
        job = await tuned(
            aws,
            **SCORED,
            ParameterRanges=levels("0.9", "0.8", "0.1", "0.95"),
            TrainingJobEarlyStoppingType="Auto",
        )
        rows = await trainings(aws)
    statuses = [row["TrainingJobStatus"] for row in rows]
    assert statuses == ["Completed", "Completed", "Stopped", "Completed"]
    assert rows[2]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == pytest.approx(0.1)
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1
    assert job["BestTrainingJob"]["TunedHyperParameters"] == {"level": "0.95"}
    assert job["HyperParameterTuningJobStatus"] == "Completed"


async def test_hyperband_stops_what_falls_behind() -> None:
    source = """
        x = json.loads(os.environ['SM_HPS'])['x']
        for epoch in range(4):
            print('loss=' + x)
            time.sleep(0.2)
    """
    async with embedded(source) as aws:
        job = await tuned(
            aws,
            Strategy="Hyperband",
            StaticHyperParameters={"epochs": "4"},
            ResourceLimits={"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 1},
        )
        rows = await trainings(aws)
    config = job["HyperParameterTuningJobConfig"]["StrategyConfig"]["HyperbandStrategyConfig"]
    assert config == {"MinResource": 1, "MaxResource": 4}
    assert job["TrainingJobStatusCounters"]["Stopped"] >= 1
    best = min(rows, key=lambda row: float(row["TunedHyperParameters"]["x"]))
    assert best["TrainingJobStatus"] == "Completed"
    assert job["BestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]


class Broken:
    def suggest(self, seen: Sequence[Seen]) -> dict[str, str]:
        if len(seen) == 1:
            raise ArithmeticError("no matrix is that singular")
        return {"x": "0.5"}


async def test_a_broken_optimiser_fails_the_job_and_stops_its_training_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(tuning_run.STRATEGIES, "Bayesian", lambda _space, _seed: Broken())
    async with embedded(WAITS) as aws:
        job = await tuned(aws, Strategy="Bayesian")
        rows = await trainings(aws)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "InternalServerError: The optimiser failed: ArithmeticError: no matrix is that singular"
    )
    assert [row["TrainingJobStatus"] for row in rows] == ["Stopped"]


async def test_what_vanishes_from_s3_meanwhile_fails_the_job_with_a_reason(tmp_path: Path) -> None:
    source = """
        print('loss=1', flush=True)
        while not pathlib.Path(os.environ['GO']).exists():
            time.sleep(0.02)
    """
    async with embedded(source) as aws:
        await aws.put("data", a=b"1")
        await tune(
            aws,
            InputDataConfig=[channel("train", "s3://data/a")],
            Environment={"GO": str(tmp_path / "go")},
            ResourceLimits=MANY,
        )
        (row,) = await launched(aws, 1)
        await aws.printed(row["TrainingJobName"], "loss=1")
        await aws.s3.delete_object(Bucket="data", Key="a")
        (tmp_path / "go").touch()
        job = await ended(aws)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "can't be created: No S3 objects found under S3 URL" in job["FailureReason"]
    assert job["TrainingJobStatusCounters"]["Completed"] == 1
