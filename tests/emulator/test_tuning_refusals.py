"""What CreateHyperParameterTuningJob refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.helpers import KMEANS, Aws, channel, embedded
from tests.emulator.tuning_helpers import PARABOLA, continuous, ended, tune, tuned, tuning_request

BUILTIN = {"TrainingImage": KMEANS, "TrainingInputMode": "File"}
CHOICE = {"Name": "c", "Values": ["a", "b"]}
MSD = {"Type": "Minimize", "MetricName": "test:msd"}
LIMITS = {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2}


def grid(**changes: Any) -> dict[str, Any]:
    limits = {"MaxParallelTrainingJobs": 1}
    ranges = {"CategoricalParameterRanges": [CHOICE]}
    return {"Strategy": "Grid", "ParameterRanges": ranges, "ResourceLimits": limits} | changes


def ranges(kind: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return {f"{kind}ParameterRanges": list(rows)}


def hyperband(least: int | None = None, most: int | None = None, **changes: Any) -> dict[str, Any]:
    given = {"MinResource": least, "MaxResource": most}
    config = {name: value for name, value in given.items() if value is not None}
    return {"Strategy": "Hyperband", "StrategyConfig": {"HyperbandStrategyConfig": config}} | changes


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "min above max",
        {"ParameterRanges": ranges("Continuous", continuous(low="2"))},
        "must not be greater than",
    ),
    (
        "logarithm of zero",
        {"ParameterRanges": ranges("Continuous", continuous(scale="Logarithmic"))},
        "only values greater than 0",
    ),
    (
        "reverse logarithm up to one",
        {"ParameterRanges": ranges("Continuous", continuous(scale="ReverseLogarithmic"))},
        "within the range 0<=x<1.0",
    ),
    ("no ranges", {"ParameterRanges": None}, "At least one hyperparameter range"),
    (
        "one name twice",
        {"ParameterRanges": ranges("Continuous", continuous(), continuous())},
        "Hyperparameter names must be unique, x is not.",
    ),
    ("static and tuned", {"StaticHyperParameters": {"x": "1"}}, "x can't be both static and tuned"),
    (
        "one value twice",
        {"ParameterRanges": ranges("Categorical", {"Name": "c", "Values": ["a", "a"]})},
        "The values of categorical hyperparameter c must be unique.",
    ),
    (
        "too few combinations",
        {"ParameterRanges": ranges("Categorical", CHOICE)},
        (
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter combinations"
            " for the provided ranges [2.0] must be equal or greater than the value of MaxNumberOfJobs, [3]. Provide"
            " additional ranges."
        ),
    ),
    (
        "no limit",
        {"ResourceLimits": {"MaxParallelTrainingJobs": 1}},
        "Either MaxNumberOfTrainingJobs or MaxRuntimeInSeconds",
    ),
    (
        "no objective",
        {"HyperParameterTuningJobObjective": None},
        "HyperParameterTuningJobObjective must be specified",
    ),
    (
        "a metric that is not defined",
        {"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "accuracy"}},
        "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric definitions.",
    ),
    ("grid over numbers", grid(ParameterRanges=ranges("Integer", continuous("n"))), "only categorical"),
    ("grid of another size", grid(ResourceLimits=LIMITS), "must match the number of combinations"),
    (
        "hyperband without an end",
        hyperband(1),
        (
            "MaxResource parameter is not provided and could not be inferred from provided static hyperparameters of"
            " TrainingJobDefinition."
        ),
    ),
    ("hyperband backwards", hyperband(9, 3), "MinResource, 9, must not be greater than MaxResource, 3"),
    ("hyperband for ages", hyperband(1, 20001), "nor this than 20000"),
    ("two early stoppers", hyperband(1, 9, TrainingJobEarlyStoppingType="Auto"), "must be Off"),
    ("hyperband's settings alone", hyperband(1, 9, Strategy="Random"), "only be provided with the Hyperband"),
    (
        "an objective that k-means has not",
        {"AlgorithmSpecification": BUILTIN},
        f"The objective metric for the hyperparameter tuning job, [loss], isn't valid for the [{KMEANS}] algorithm.",
    ),
    (
        "the wrong way",
        {"AlgorithmSpecification": BUILTIN, "HyperParameterTuningJobObjective": MSD | {"Type": "Maximize"}},
        "The objective metric type, [Maximize], that you specified for objective metric, [test:msd], isn't valid",
    ),
    (
        "what k-means can't tune",
        {"AlgorithmSpecification": BUILTIN, "HyperParameterTuningJobObjective": MSD},
        "untunable hyperparameters: [x]",
    ),
    (
        "an image that nothing stands for",
        {"AlgorithmSpecification": {"TrainingImage": "other", "TrainingInputMode": "File"}},
        "Invalid image URI other.",
    ),
    (
        "no data",
        {"InputDataConfig": [channel("train", "s3://results/nothing/")]},
        'No S3 objects found under S3 URL "s3://results/nothing/"',
    ),
    ("no resources", {"ResourceConfig": None}, "Missing required parameter ResourceConfig."),
    ("a long name", {"name": "n" * 33}, "less than or equal to 32"),
]
MISSING: list[tuple[str, dict[str, Any]]] = [
    ("Autotune", {"Autotune": {"Mode": "Enabled"}}),
    ("TrainingJobDefinitions", {"TrainingJobDefinitions": [tuning_request()["TrainingJobDefinition"]]}),
    ("AutoParameters", {"ParameterRanges": {"AutoParameters": [{"Name": "x", "ValueHint": "1"}]}}),
    ("HyperParameterRanges", {"HyperParameterRanges": ranges("Continuous", continuous())}),
    (
        "ConvergenceDetected",
        {"TuningJobCompletionCriteria": {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}},
    ),
    ("Environment variable LD_PRELOAD", {"Environment": {"LD_PRELOAD": "/tmp/x.so"}}),
]


async def refusal(aws: Aws, **changes: Any) -> dict[str, Any]:
    request = tuning_request(**changes)
    with pytest.raises(ClientError) as caught:
        await aws.sagemaker.create_hyper_parameter_tuning_job(**request)
    error: dict[str, Any] = caught.value.response["Error"]
    return error


async def test_requests_that_make_no_sense_are_refused() -> None:
    async with embedded(PARABOLA) as aws:
        for what, changes, text in REFUSED:
            error = await refusal(aws, **changes)
            assert error["Code"] == "ValidationException", (what, error)
            assert text in error["Message"], (what, error)
        answer = await aws.sagemaker.list_hyper_parameter_tuning_jobs()
        children = await aws.sagemaker.list_training_jobs()
    assert answer["HyperParameterTuningJobSummaries"] == []
    assert children["TrainingJobSummaries"] == []


async def test_what_only_aws_can_do_is_refused_by_name() -> None:
    async with embedded(PARABOLA) as aws:
        for text, changes in MISSING:
            error = await refusal(aws, **changes)
            assert error["Code"] == "NotImplementedByEmbeddedCloud", (text, error)
            assert text in error["Message"], (text, error)


async def test_more_than_thirty_hyperparameters_are_too_many() -> None:
    rows = [continuous(f"x{number}") for number in range(20)]
    both = ranges("Continuous", *rows) | ranges("Integer", *(continuous(f"n{n}") for n in range(11)))
    async with embedded(PARABOLA) as aws:
        error = await refusal(aws, ParameterRanges=both)
    assert error["Code"] == "ResourceLimitExceeded"


async def test_a_name_is_used_once() -> None:
    async with embedded(PARABOLA) as aws:
        arn = await tune(aws)
        error = await refusal(aws)
        await ended(aws)
    assert error["Code"] == "ResourceInUse"
    assert f"already exists ({arn})" in error["Message"]


def warm(*parents: str) -> dict[str, Any]:
    rows = [{"HyperParameterTuningJobName": name} for name in parents]
    return {"WarmStartType": "IdenticalDataAndAlgorithm", "ParentHyperParameterTuningJobs": rows}


async def test_warm_starts_are_refused_from_what_is_no_fit_parent() -> None:
    async with embedded(PARABOLA, images={"slow": "sleep 600"}) as aws:
        await tuned(aws, "parent")
        slow = tuning_request()["TrainingJobDefinition"]["AlgorithmSpecification"] | {"TrainingImage": "slow"}
        await tune(aws, "running", AlgorithmSpecification=slow)
        cases: list[tuple[dict[str, Any], str]] = [
            ({"WarmStartConfig": warm("nobody")}, "nobody does not exist"),
            (
                {"WarmStartConfig": warm("running")},
                "running is in status InProgress. It must be in status Completed",
            ),
            ({"WarmStartConfig": warm("parent", "parent")}, "must be unique, parent is not"),
            ({"WarmStartConfig": warm(*"abcdef")}, "less than or equal to 5"),
            (
                {"StaticHyperParameters": {"another": "1"}},
                (
                    "The set of tunable plus static HyperParameter names is not the same across current and parent tuning"
                    " jobs. Please ensure this set is constant when warm starting. Note that previously static"
                    " HyperParameters can be tuned in warm start jobs and vice versa."
                ),
            ),
            (
                {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "loss"}},
                "must be the same as for all parent tuning jobs",
            ),
        ]
        for changes, text in cases:
            error = await refusal(aws, **({"WarmStartConfig": warm("parent")} | changes))
            assert error["Code"] == "ValidationException"
            assert text in error["Message"]
        swapped = ranges("Continuous", continuous(), continuous("fixed"))
        job = await tuned(
            aws, WarmStartConfig=warm("parent"), ParameterRanges=swapped, StaticHyperParameters=None
        )
    assert job["HyperParameterTuningJobStatus"] == "Completed"
