"""Words for what tests do with tuning jobs."""

from __future__ import annotations

import copy
from typing import Any

from tests.emulator.helpers import ROLE, Aws, eventually

OBJECTIVE = {"Type": "Minimize", "MetricName": "loss"}
METRICS = [{"Name": "loss", "Regex": "loss=([-0-9.e+]+)"}]
ENDED = ("Completed", "Failed", "Stopped")
PARABOLA = """
    given = json.loads(os.environ['SM_HPS'])
    print(f"loss={(float(given['x']) - 0.3) ** 2:.8f}")
"""
"""A training script whose loss is least at x = 0.3."""


def continuous(name: str = "x", low: str = "0", high: str = "1", scale: str = "Linear") -> dict[str, Any]:
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scale}


def tuning_request(name: str = "tune", **changes: Any) -> dict[str, Any]:
    """A random search along x for the least loss of the image `job`.

    Keywords change HyperParameterTuningJobConfig (those it knows), or TrainingJobDefinition, or the request itself.
    """
    config: dict[str, Any] = {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": OBJECTIVE,
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {"ContinuousParameterRanges": [continuous()]},
        "RandomSeed": 1,
    }
    definition: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": "job",
            "TrainingInputMode": "File",
            "MetricDefinitions": METRICS,
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://results/jobs"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "StaticHyperParameters": {"fixed": "1"},
    }
    request: dict[str, Any] = {"HyperParameterTuningJobName": name}
    for key, value in changes.items():
        if key in {*config, "StrategyConfig", "TrainingJobEarlyStoppingType", "TuningJobCompletionCriteria"}:
            config[key] = value
        elif key in {"WarmStartConfig", "Tags", "Autotune", "TrainingJobDefinitions"}:
            request[key] = value
        else:
            definition[key] = value
    request["HyperParameterTuningJobConfig"] = _given(config)
    request["TrainingJobDefinition"] = _given(definition)
    return copy.deepcopy(request)


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


async def tune(aws: Aws, name: str = "tune", **changes: Any) -> str:
    answer = await aws.sagemaker.create_hyper_parameter_tuning_job(**tuning_request(name, **changes))
    return str(answer["HyperParameterTuningJobArn"])


async def described(aws: Aws, name: str = "tune") -> dict[str, Any]:
    answer: dict[str, Any] = await aws.sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    answer.pop("ResponseMetadata")
    return answer


async def tuned(aws: Aws, name: str = "tune", **changes: Any) -> dict[str, Any]:
    """Create a tuning job and wait for its end; the description then."""
    await tune(aws, name, **changes)
    return await ended(aws, name)


async def ended(aws: Aws, name: str = "tune") -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        job = await described(aws, name)
        return job if job["HyperParameterTuningJobStatus"] in ENDED else None

    found: dict[str, Any] = await eventually(look, 40)
    return found


async def trainings(aws: Aws, name: str = "tune", **options: Any) -> list[dict[str, Any]]:
    """One page of the training jobs."""
    answer = await aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, **options
    )
    return list(answer["TrainingJobSummaries"])


async def launched(aws: Aws, count: int, name: str = "tune") -> list[dict[str, Any]]:
    """Wait until there are so many training jobs."""

    async def look() -> list[dict[str, Any]] | None:
        rows = await trainings(aws, name)
        return rows if len(rows) >= count else None

    found: list[dict[str, Any]] = await eventually(look)
    return found
