"""The tuning component: its arguments, its request, what it says of a job, and its outputs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.session import Session

from components.aws.sagemaker import _training
from components.aws.sagemaker.hyperparameter_tuning import component as tuning
from components.aws.sagemaker.hyperparameter_tuning._checks import suspects
from components.aws.sagemaker.hyperparameter_tuning._reading import direction, metric_definitions, status
from components.aws.sagemaker.train import component as train
from components.aws.validate import check
from runner.errors import InputError
from runner.events import Metric, Phase
from runner.identity import OWNER_TAG, RUN_TAG, Identity, nth
from runner.spec import arguments
from tests.support.paths import CONTRACTS
from tests.unit.aws.recorded import JOB_STATES, at, needs_recorded, recorded

IDENTITY = Identity("aws.sagemaker.hyperparameter_tuning", suffix="20260131120000-AB12")
CHANNEL = {
    "ChannelName": "train",
    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/train"}},
}
K = {"Name": "k", "MinValue": "2", "MaxValue": "9"}
LR = {"Name": "lr", "MinValue": "0.01", "MaxValue": "0.5"}
INIT = {"Name": "init", "Values": ["random", "kmeans++"]}
OWN = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1"
GIVEN: dict[str, Any] = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/sagemaker",
    "image": OWN,
    "metric_name": "loss",
    "metric_type": "Minimize",
    "integer_parameters": [K],
    "channels": [CHANNEL],
    "output_location": "s3://bucket/out",
    "max_num_jobs": 4,
    "max_parallel_jobs": 2,
}
SPOT: dict[str, Any] = {"spot_instance": True, "checkpoint_config": {"S3Uri": "s3://bucket/checkpoints"}}
GRID: dict[str, Any] = {
    "strategy": "Grid",
    "integer_parameters": [],
    "categorical_parameters": [INIT, {"Name": "b", "Values": ["1", "2", "3", "3"]}],
}
BAND: dict[str, Any] = {
    "strategy": "Hyperband",
    "strategy_config": {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 10}},
}


def body(identity: Identity = IDENTITY, **changes: Any) -> dict[str, Any]:
    inputs = tuning.TuningInputs(**{**GIVEN, **changes})
    (operation, request), *more = tuning.request(inputs, identity).items()
    assert (operation, more) == ("CreateHyperParameterTuningJob", [])
    made: dict[str, Any] = request
    return made


# ── The arguments ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not CONTRACTS.exists(), reason="the material recorded from the predecessor is not here")
def test_what_the_predecessor_took_is_taken() -> None:
    contract = json.loads(CONTRACTS.read_text())["components"]["hyperparameter_tuning"]
    ours = {a.name: a for a in arguments(tuning.TuningInputs)}
    assert [*ours][-2:] == ["strategy_config", "trial_logs"]
    assert [*ours][:-2] == [i["name"] for i in contract["inputs"]]
    for theirs in contract["inputs"]:
        our = ours[theirs["name"]]
        assert (our.kfp_type, our.default or None, our.required) == (
            theirs["type"],
            theirs["default"] or None,
            theirs["required"],
        )
        assert set(theirs["choices"] or ()) <= set(our.choices)
    assert [o["name"] for o in contract["outputs"]] == [*tuning.TuningOutputs.model_fields]


@needs_recorded
def test_every_recorded_input_is_sent_where_it_was() -> None:
    known = recorded("hyperparameter_tuning")
    everything = json.dumps(
        body(
            **SPOT,
            warm_start_type="TransferLearning",
            parent_hpo_jobs="a",
            vpc_subnets="a",
            vpc_security_group_ids="b",
        )
    )
    for entry in known["fields"][:-1]:
        for member in re.findall(r"[A-Z]\w+", entry["to"].split(" ")[0]):
            assert f'"{member}"' in everything, entry
    assert set(known["outputs"]) == set(tuning.TuningOutputs.model_fields)


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_that_can_be_asked_for() -> None:
    assert body() == {
        "HyperParameterTuningJobName": "HPOJob-20260131120000-AB12",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "IntegerParameterRanges": [K],
                "ContinuousParameterRanges": [],
                "CategoricalParameterRanges": [],
            },
            "TrainingJobEarlyStoppingType": "Off",
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {},
            "AlgorithmSpecification": {"TrainingImage": OWN, "TrainingInputMode": "File"},
            "RoleArn": GIVEN["role"],
            "InputDataConfig": [CHANNEL],
            "OutputDataConfig": {"KmsKeyId": "", "S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m4.xlarge",
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
                "VolumeKmsKeyId": "",
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": False,
            "EnableManagedSpotTraining": False,
        },
        "Tags": [],
    }


CONFIG, DEFINITION = "HyperParameterTuningJobConfig", "TrainingJobDefinition"
WARM: dict[str, Any] = {"warm_start_type": "TransferLearning", "parent_hpo_jobs": "one, two ,three"}


@pytest.mark.parametrize(
    ("given", "where", "sent"),
    [
        ({"job_name": "mine"}, "HyperParameterTuningJobName", "mine"),
        ({"role": "arn:r"}, f"{DEFINITION}.RoleArn", "arn:r"),
        ({"strategy": "Random"}, f"{CONFIG}.Strategy", "Random"),
        ({**BAND}, f"{CONFIG}.StrategyConfig", BAND["strategy_config"]),
        ({}, f"{CONFIG}.StrategyConfig", None),
        ({"strategy": "Hyperband", "static_parameters": {"epochs": "9"}}, f"{CONFIG}.StrategyConfig", None),
        ({"metric_type": "Maximize"}, f"{CONFIG}.HyperParameterTuningJobObjective.Type", "Maximize"),
        ({"metric_name": "f1"}, f"{CONFIG}.HyperParameterTuningJobObjective.MetricName", "f1"),
        ({"max_num_jobs": "9"}, f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs", 9),
        ({**GRID, "max_num_jobs": 6}, f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs", 6),
        ({**GRID, "max_num_jobs": 0}, f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs", 6),
        ({"max_parallel_jobs": "3"}, f"{CONFIG}.ResourceLimits.MaxParallelTrainingJobs", 3),
        ({"continuous_parameters": [LR]}, f"{CONFIG}.ParameterRanges.ContinuousParameterRanges", [LR]),
        ({"categorical_parameters": [INIT]}, f"{CONFIG}.ParameterRanges.CategoricalParameterRanges", [INIT]),
        ({"early_stopping_type": "Auto"}, f"{CONFIG}.TrainingJobEarlyStoppingType", "Auto"),
        ({"static_parameters": {"a": "1"}}, f"{DEFINITION}.StaticHyperParameters", {"a": "1"}),
        (
            {"image": "", "algorithm_name": "K-Means"},
            f"{DEFINITION}.AlgorithmSpecification.TrainingImage",
            "438346466558.dkr.ecr.eu-west-1.amazonaws.com/kmeans:1",
        ),
        (
            {"image": "", "algorithm_name": "Mine"},
            f"{DEFINITION}.AlgorithmSpecification.AlgorithmName",
            "Mine",
        ),
        ({"training_input_mode": "Pipe"}, f"{DEFINITION}.AlgorithmSpecification.TrainingInputMode", "Pipe"),
        (
            {"metric_definitions": {"loss": "loss=(.*)"}},
            f"{DEFINITION}.AlgorithmSpecification.MetricDefinitions",
            [{"Name": "loss", "Regex": "loss=(.*)"}],
        ),
        ({"output_location": "s3://x"}, f"{DEFINITION}.OutputDataConfig.S3OutputPath", "s3://x"),
        ({"output_encryption_key": "key"}, f"{DEFINITION}.OutputDataConfig.KmsKeyId", "key"),
        ({"resource_encryption_key": "key"}, f"{DEFINITION}.ResourceConfig.VolumeKmsKeyId", "key"),
        ({"instance_type": "ml.p5.48xlarge"}, f"{DEFINITION}.ResourceConfig.InstanceType", "ml.p5.48xlarge"),
        ({"instance_count": "3"}, f"{DEFINITION}.ResourceConfig.InstanceCount", 3),
        ({"volume_size": "7"}, f"{DEFINITION}.ResourceConfig.VolumeSizeInGB", 7),
        ({"network_isolation": "no"}, f"{DEFINITION}.EnableNetworkIsolation", False),
        ({"traffic_encryption": "yes"}, f"{DEFINITION}.EnableInterContainerTrafficEncryption", True),
        (
            {"vpc_security_group_ids": "sg-1", "vpc_subnets": "subnet-1, subnet-2"},
            f"{DEFINITION}.VpcConfig",
            {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]},
        ),
        ({"max_run_time": 60}, f"{DEFINITION}.StoppingCondition", {"MaxRuntimeInSeconds": 60}),
        ({**SPOT, "max_wait_time": 90000}, f"{DEFINITION}.StoppingCondition.MaxWaitTimeInSeconds", 90000),
        (SPOT, f"{DEFINITION}.EnableManagedSpotTraining", True),
        (SPOT, f"{DEFINITION}.CheckpointConfig", {"S3Uri": "s3://bucket/checkpoints"}),
        ({"checkpoint_config": {"S3Uri": "s3://c"}}, f"{DEFINITION}.CheckpointConfig", None),
        ({"tags": {"b": "1"}}, "Tags", [{"Key": "b", "Value": "1"}]),
        ({}, "WarmStartConfig", None),
        (WARM, "WarmStartConfig.WarmStartType", "TransferLearning"),
        (
            WARM,
            "WarmStartConfig.ParentHyperParameterTuningJobs",
            [{"HyperParameterTuningJobName": name} for name in ("one", "two", "three")],
        ),
    ],
)
def test_each_input_goes_where_the_predecessor_sent_it(given: dict[str, Any], where: str, sent: Any) -> None:
    assert at(body(**given), where) == sent


@pytest.mark.parametrize("given", [{}, SPOT, {"vpc_subnets": "subnet-1", "vpc_security_group_ids": "sg-1"}])
def test_a_trial_is_asked_for_as_a_training_job_of_its_own_would_be(given: dict[str, Any]) -> None:
    shared = {key: GIVEN[key] for key in ("region", "role", "image", "channels")}
    alone = train.request(
        train.TrainingInputs(**shared, **given, model_artifact_path=GIVEN["output_location"]), IDENTITY
    )["CreateTrainingJob"]
    definition = body(**given)["TrainingJobDefinition"]
    assert set(alone) - set(definition) == {"TrainingJobName", "HyperParameters", "Tags"}
    assert set(definition) - set(alone) == {"StaticHyperParameters"}
    assert all(definition[key] == alone[key] for key in set(alone) & set(definition))


@pytest.mark.parametrize("show", ["all", "none", "errors", "best"])
def test_whose_lines_are_shown_is_no_part_of_the_request(show: str) -> None:
    run = Identity("aws.sagemaker.hyperparameter_tuning", "run", "step")
    assert body(run, trial_logs=show) == body(run)


def test_names_in_a_run_follow_from_the_run_key_and_leave_room_for_the_next() -> None:
    run = Identity("aws.sagemaker.hyperparameter_tuning", "run", "step")
    made = body(run)
    name = made["HyperParameterTuningJobName"]
    assert re.fullmatch(r"HPOJob-[0-9a-f]{20}", name)
    assert [tag["Key"] for tag in made["Tags"]] == [RUN_TAG, OWNER_TAG]
    assert body(run) == made
    assert nth(name, 50, 32) == f"{name}-50"


# ── Wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


def integer(**changes: Any) -> dict[str, Any]:
    return {"integer_parameters": [{**K, **changes}]}


def continuous(least: Any, most: Any, scaling: str = "Auto") -> dict[str, Any]:
    return {
        "continuous_parameters": [{"Name": "lr", "MinValue": least, "MaxValue": most, "ScalingType": scaling}]
    }


def categorical(values: Any) -> dict[str, Any]:
    return {"categorical_parameters": [{"Name": "c", "Values": values}]}


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"image": ""}, ["one of --image and --algorithm_name is required"]),
    ({"channels": []}, ["--channels is []"]),
    (
        {"static_parameters": {"a": 3}},
        ["--static_parameters: the value of 'a' is a number", "put it in quotes"],
    ),
    ({"spot_instance": True}, ['--checkpoint_config lacks "S3Uri"']),
    ({**SPOT, "max_wait_time": 5, "max_run_time": 9}, ["--max_wait_time is 5", "--max_run_time (9)"]),
    ({"vpc_subnets": "subnet-1"}, ["--vpc_security_group_ids is blank"]),
    ({"job_name": "x" * 33}, ["--job_name is", "at most 32"]),
    ({"job_name": "under_score"}, ["--job_name is 'under_score'"]),
    (
        integer(MinValue="9", MaxValue="10", Name="k") | integer(MinValue="10", MaxValue="9"),
        ["MinValue (10)", "(9)"],
    ),
    (
        integer(MinValue="-1", MaxValue="-2"),
        ["--integer_parameters[0] ('k'): MinValue (-1) is more than MaxValue (-2)"],
    ),
    (integer(MinValue="1.5"), ["MinValue is '1.5', which is not a whole number"]),
    (integer(MaxValue="1e3"), ["MaxValue is '1e3', which is not a whole number"]),
    (integer(MaxValue="many"), ["MaxValue is 'many', which is not a whole number"]),
    (
        integer(MinValue=2),
        ["--integer_parameters[0] ('k'): MinValue is a number, not text; put it in quotes"],
    ),
    (integer(Name=""), ["--integer_parameters[0] lacks Name"]),
    (integer(Name=7), ["Name is a number, not text"]),
    ({"integer_parameters": [{"Name": "k"}]}, ["('k') lacks MinValue", "('k') lacks MaxValue"]),
    ({"integer_parameters": ["k"]}, ["--integer_parameters[0] is a str, not an object"]),
    (integer(MinValue="0", ScalingType="Logarithmic"), ["MinValue is 0", "Logarithmic"]),
    (continuous("1e-2", "1e-3"), ["MinValue (1e-2) is more than MaxValue (1e-3)"]),
    (continuous("nan", "1"), ["MinValue is 'nan', which is not a number"]),
    (continuous("0", "inf"), ["MaxValue is 'inf', which is not a number"]),
    (
        continuous("-1", "1", "Logarithmic"),
        ["MinValue is -1, but Logarithmic scaling takes numbers above 0 only"],
    ),
    (continuous("0.5", "1", "ReverseLogarithmic"), ["0.5 to 1", "from 0 to below 1"]),
    (continuous("-0.5", "0.5", "ReverseLogarithmic"), ["-0.5 to 0.5"]),
    (categorical([]), ["--categorical_parameters[0] ('c'): Values is []"]),
    (categorical("a"), ["Values is a str, not a list"]),
    (categorical(["a", 2, None]), ["Values[1] is a number", "Values[2] is blank"]),
    ({"categorical_parameters": [{"Name": "c"}]}, ["--categorical_parameters[0] ('c') lacks Values"]),
    ({"categorical_parameters": [7]}, ["--categorical_parameters[0] is a number"]),
    ({"integer_parameters": [K, K]}, ["'k' has 2 ranges"]),
    ({"categorical_parameters": [{"Name": "k", "Values": ["a"]}]}, ["'k' has 2 ranges"]),
    ({"static_parameters": {"k": "1"}}, ["--static_parameters: 'k' has a range, too"]),
    ({"integer_parameters": [{**K, "Name": str(n)} for n in range(31)]}, ["31 ranges", "at most 30"]),
    ({"max_parallel_jobs": 5}, ["--max_parallel_jobs is 5", "(4)"]),
    ({"max_num_jobs": 0}, ["--max_num_jobs is 0", "--strategy Bayesian"]),
    ({"warm_start_type": "TransferLearning"}, ["--parent_hpo_jobs is blank"]),
    (
        {"warm_start_type": "TransferLearning", "parent_hpo_jobs": " , "},
        ["--parent_hpo_jobs is ' , ', which names no"],
    ),
    ({"parent_hpo_jobs": ","}, ["--parent_hpo_jobs is ',', which names no tuning job"]),
    (
        {"metric_definitions": {"loss": "loss=("}},
        ["--metric_definitions: 'loss' is 'loss=(', which is no regular"],
    ),
    (integer(MinValue=" 2 "), ["MinValue is ' 2 ', which is not a whole number"]),
    (integer(MinValue="\u0662"), ["MinValue is '\u0662', which is not a whole number"]),
    (continuous("\u0660", "1"), ["MinValue is '\u0660', which is not a number"]),
    (continuous("0", "1\n"), ["MaxValue is '1\\n', which is not a number"]),
    ({"parent_hpo_jobs": "a"}, ["--warm_start_type is blank"]),
    ({**WARM, "parent_hpo_jobs": "a,b,c,d,e,f"}, ["names 6 tuning jobs; at most 5"]),
    ({**WARM, "parent_hpo_jobs": "a,b,a"}, ["names a more than once"]),
    ({**GRID, "max_num_jobs": 5}, ["the grid has 6 combinations", "write 6, or 0"]),
    ({**GRID, "max_num_jobs": 0, "max_parallel_jobs": 7}, ["--max_parallel_jobs is 7", "(6)"]),
    ({**GRID, "integer_parameters": [K]}, ["--integer_parameters can't be searched by --strategy Grid"]),
    (
        {**GRID, "continuous_parameters": [LR]},
        ["--continuous_parameters can't be searched by --strategy Grid"],
    ),
    ({"strategy": "Grid", "integer_parameters": []}, ["--categorical_parameters is []"]),
    ({"strategy": "Hyperband"}, ["--strategy Hyperband needs --strategy_config", "n_epochs"]),
    ({**BAND, "early_stopping_type": "Auto"}, ["--early_stopping_type is Auto", "Off"]),
    ({**BAND, "strategy": "Random"}, ["--strategy_config is only for --strategy Hyperband, not Random"]),
    (
        {**BAND, "strategy_config": {"HyperbandStrategyConfig": {"MinResource": 9, "MaxResource": 3}}},
        ["MinResource is 9, which is more than MaxResource (3)"],
    ),
    (
        {**BAND, "strategy_config": {"HyperbandStrategyConfig": {"MaxResource": 30_000}}},
        ["MaxResource is 30000, which is too large"],
    ),
]


@pytest.mark.parametrize(("given", "told"), WRONG)
def test_a_wrong_input_is_named_with_what_to_write(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        body(**given)
    assert caught.value.exit_code == 2
    for part in told:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        body(image="", channels=[], static_parameters={"a": 1}, integer_parameters=[{}], parent_hpo_jobs="a")
    assert str(caught.value).count("; ") >= 6
    with pytest.raises(InputError) as caught:
        body(
            job_name="-x",
            image="",
            algorithm_name="xgboost",
            vpc_subnets="s",
            tags={"aws:a": "1"},
            max_num_jobs=0,
        )
    for argument in ("job_name", "algorithm_name", "vpc_subnets", "tags", "max_num_jobs"):
        assert f"--{argument}" in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        integer(MinValue="-5", MaxValue="+5"),
        integer(MinValue="5", MaxValue="5"),
        integer(MinValue="1", ScalingType="Logarithmic"),
        continuous("1e-5", "0.1", "Logarithmic"),
        continuous("0", "0.999", "ReverseLogarithmic"),
        continuous("-1.", ".5"),
        {"metric_definitions": {"loss": "loss=(.*)", "acc": "acc=(.*)"}},
        {"integer_parameters": [{**K, "Name": str(n)} for n in range(30)]},
        {**WARM, "parent_hpo_jobs": "a,b,c,d,e"},
        {"max_parallel_jobs": 4},
        {"static_parameters": {"_secret": "1"}},
        {"integer_parameters": []},
        {"metric_definitions": {"metric1": "regexval1", "metric2": "regexval2"}},
        {**WARM, "parent_hpo_jobs": "a,b,"},
    ],
)
def test_what_is_at_the_edge_is_right(given: dict[str, Any]) -> None:
    assert body(**given)


BUILTIN = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"


@pytest.mark.parametrize(
    ("image", "builtin"),
    [
        (BUILTIN, True),
        (BUILTIN.replace(":1", ":latest"), True),
        (BUILTIN.replace("382416733822", "123456789012"), False),
        ("141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.5-1", True),
        ("685385470294.dkr.ecr.eu-west-1.amazonaws.com/xgboost:latest", True),
        ("141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3", False),
        ("390948362332.dkr.ecr.cn-north-1.amazonaws.com.cn/kmeans:1", True),
        ("123456789012.dkr.ecr.mars-north-1.amazonaws.com/kmeans:1", False),
        ("kmeans:1", False),
        ("kmeans", False),
        ("", False),
    ],
)
def test_images_of_built_in_algorithms(image: str, builtin: bool) -> None:
    assert _training.is_builtin(image) is builtin


@pytest.mark.parametrize(
    "given",
    [{"image": BUILTIN}, {"image": "", "algorithm_name": "k-means"}, {"image": "", "algorithm_name": "Mine"}],
)
def test_who_declares_metrics_itself_may_have_the_objective_among_them(given: dict[str, Any]) -> None:
    assert suspects(body(**given, metric_definitions={"acc": "acc=(.*)"})) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ["--metric_name is 'loss', which is none of --metric_definitions (which is blank)"]),
        (
            {"metric_definitions": {"acc": "a=(.*)", "f1": "f=(.*)"}},
            ["none of --metric_definitions (acc, f1); an image"],
        ),
        (
            {"metric_definitions": {"loss": "a=(.*)"}, "integer_parameters": []},
            ["--integer_parameters, --continuous_parameters and --categorical_parameters are all []"],
        ),
        ({"integer_parameters": []}, ["--integer_parameters", "--metric_name"]),
        ({"metric_definitions": {"loss": "a=(.*)"}}, []),
    ],
)
def test_what_may_be_refused_is_named_with_the_refusal(given: dict[str, Any], told: list[str]) -> None:
    found = suspects(body(**given))
    assert len(found) == len(told)
    for part, sentence in zip(told, found, strict=True):
        assert part in sentence


@pytest.fixture(scope="module")
def create() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateHyperParameterTuningJob")


@pytest.mark.parametrize(
    "given",
    [
        {},
        SPOT,
        WARM,
        BAND,
        {**GRID, "max_num_jobs": 0},
        {"continuous_parameters": [LR]},
        {"tags": {"a": "b"}},
    ],
)
def test_a_sound_request_passes_the_service_model(create: Any, given: dict[str, Any]) -> None:
    check(create, body(**given), tuning.ARGUMENTS)
    check(create, body(Identity("a", "run", "step"), **given), tuning.ARGUMENTS)


@pytest.mark.parametrize(
    ("given", "argument", "told"),
    [
        ({"channels": [{"ChannelName": "a"}]}, "channels", "DataSource"),
        (integer(ScalingType="Log"), "integer_parameters", "Logarithmic"),
        (integer(Scaling="Auto"), "integer_parameters", "Scaling"),
        ({"continuous_parameters": [{**LR, "ScalingType": "log"}]}, "continuous_parameters", "ScalingType"),
        (categorical(["a"] * 31), "categorical_parameters", "31 entries; at most 30"),
        ({**WARM, "parent_hpo_jobs": "x" * 33}, "parent_hpo_jobs", "33 characters"),
        ({"metric_definitions": {"loss": 3}}, "metric_definitions", "Regex"),
        ({**SPOT, "checkpoint_config": {"S3Uri": "s3://c", "Path": "x"}}, "checkpoint_config", "Path"),
        (
            {**BAND, "static_parameters": {"epochs": "9"}, "strategy_config": {"Band": {}}},
            "strategy_config",
            "Band",
        ),
        ({"role": "me"}, "role", "me"),
        ({"metric_name": "x" * 256}, "metric_name", "256 characters"),
    ],
)
def test_what_the_service_model_refuses_is_named_by_its_argument(
    create: Any, given: dict[str, Any], argument: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(create, body(**given), tuning.ARGUMENTS)
    assert str(caught.value).startswith(f"--{argument}: ")
    assert told in str(caught.value)


# ── The status ──────────────────────────────────────────────────────────────────────────────────────────────────────

WHEN = datetime(2026, 1, 31, tzinfo=UTC)
BEST: dict[str, Any] = {
    "TrainingJobName": "hpo-007-0f21ddb6",
    "TrainingJobStatus": "Completed",
    "CreationTime": WHEN,
    "TrainingEndTime": WHEN,
    "FinalHyperParameterTuningJobObjectiveMetric": {"MetricName": "test:msd", "Value": 12.3},
}


def description(state: str = "InProgress", **more: Any) -> dict[str, Any]:
    return {
        "HyperParameterTuningJobName": "hpo",
        "HyperParameterTuningJobStatus": state,
        "HyperParameterTuningJobConfig": {
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "test:msd"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 10, "MaxParallelTrainingJobs": 2},
        },
        **more,
    }


def counters(
    completed: int = 0, progress: int = 0, failed: int = 0, stopped: int = 0, again: int = 0
) -> dict[str, Any]:
    return {
        "TrainingJobStatusCounters": {
            "Completed": completed,
            "InProgress": progress,
            "RetryableError": again,
            "NonRetryableError": failed,
            "Stopped": stopped,
        }
    }


@pytest.mark.parametrize(
    ("state", "phase", "brief"),
    [*JOB_STATES, ("Deleting", Phase.STOPPING, True), ("DeleteFailed", Phase.FAILED, False)],
)
def test_the_services_words(state: str, phase: Phase, brief: bool) -> None:
    told = status(description(state, BestTrainingJob=BEST))
    assert (told.phase, told.state, told.brief, told.reason, told.hint) == (phase, state, brief, "", "")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, ""),
        (counters(), ""),
        (counters(progress=2), "2 in progress of 10"),
        (counters(4, 2, 1), "4 completed, 2 in progress, 1 failed of 10"),
        (
            {**counters(4, 2, 1), "BestTrainingJob": BEST},
            "4 completed, 2 in progress, 1 failed of 10; best 007: test:msd=12.3",
        ),
        ({**counters(1, failed=1, again=2, stopped=3)}, "1 completed, 3 failed, 3 stopped of 10"),
    ],
)
def test_the_message_counts_the_trials(more: dict[str, Any], message: str) -> None:
    assert status(description(**more)).message == message


def test_the_stage_is_whether_there_are_trials() -> None:
    assert status(description()).stage == "Starting"
    assert status(description(**counters(progress=1))).stage == "Searching"
    assert status(description("Stopping", **counters(progress=1))).stage == ""


def test_the_best_so_far_is_a_metric_all_along() -> None:
    best = (Metric("test:msd", 12.3, WHEN.timestamp(), final=True),)
    assert status(description(BestTrainingJob=BEST)).metrics == best
    assert status(description("Completed", BestTrainingJob=BEST)).metrics == best
    assert status(description()).metrics == ()


def test_facts_of_an_ended_search() -> None:
    told = status(description("Completed", BestTrainingJob=BEST, **counters(8, failed=2)))
    assert told.facts == {
        "best trial": "007: test:msd=12.3",
        "its training job": "hpo-007-0f21ddb6",
        "trials": "8 completed, 2 failed",
    }
    assert status(description(BestTrainingJob=BEST, **counters(8, 2))).facts == {}


def test_a_parent_may_have_been_better() -> None:
    parent = {**BEST, "TrainingJobName": "old-003-aaaaaaaa"}
    told = status(description("Completed", BestTrainingJob=BEST, OverallBestTrainingJob=parent))
    assert told.facts["better still, of a parent"] == "old-003-aaaaaaaa (003: test:msd=12.3)"
    same = status(description("Completed", BestTrainingJob=BEST, OverallBestTrainingJob=BEST))
    assert set(same.facts) == {"best trial", "its training job"}


def test_a_search_that_is_stopped_has_a_best_all_the_same() -> None:
    told = status(description("Stopped", BestTrainingJob=BEST, **counters(1, stopped=1)))
    assert (told.phase, told.reason) == (Phase.STOPPED, "")
    assert told.facts["best trial"] == "007: test:msd=12.3"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "no training job completed (training jobs: none was started)"),
        (
            {"BestTrainingJob": {}, **counters(failed=4)},
            "no training job completed (training jobs: 4 failed)",
        ),
        (
            counters(3, failed=1),
            "no log gave the objective test:msd (training jobs: 3 completed, 1 failed)",
        ),
    ],
)
def test_completed_without_a_best_is_a_failure(more: dict[str, Any], reason: str) -> None:
    told = status(description("Completed", **more))
    assert told.phase is Phase.FAILED
    assert told.reason == f"there is no best training job: {reason}"
    assert told.hint


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (
            "No training job succeeded after 5 attempts. For additional details, please take a look at …",
            "--trial_logs",
        ),
        ("All training jobs failed. Please take a look at the training jobs failures", "--trial_logs"),
        ("No objective metrics found after running 5 training jobs. Please ensure …", "--metric_definitions"),
        ("CapacityError: Unable to provision requested ML compute capacity.", "no such instance free"),
        ("something else", ""),
    ],
)
def test_known_causes_have_a_hint(reason: str, advice: str) -> None:
    told = status(description("Failed", FailureReason=reason))
    assert told.reason == reason
    assert advice in told.hint
    assert bool(told.hint) is bool(advice)


@pytest.mark.parametrize("reason", ["AlgorithmError: exit code 1", "something else", ""])
def test_that_trials_completed_without_a_best_says_more_than_the_reason(reason: str) -> None:
    """Whatever the words: the trials did run to their ends."""
    told = status(description("Failed", FailureReason=reason, **counters(3, failed=1)))
    assert "--metric_definitions" in told.hint


def objective_of(*told: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"TuningObjective": {"Type": kind, "MetricName": name}} for kind, name in told]


@pytest.mark.parametrize(
    ("described", "found"),
    [
        (body(), "Minimize"),
        (body(metric_type="Maximize"), "Maximize"),
        ({"TrainingJobDefinitions": objective_of(("Minimize", "a"), ("Minimize", "a"))}, "Minimize"),
        ({"TrainingJobDefinition": objective_of(("Minimize", "a"))[0]}, "Minimize"),
        ({"TrainingJobDefinitions": objective_of(("Minimize", "a"), ("Minimize", "b"))}, ""),
        ({"TrainingJobDefinitions": objective_of(("Minimize", "a"), ("Maximize", "a"))}, ""),
        ({"TrainingJobDefinitions": [*objective_of(("Minimize", "a")), {}]}, ""),
        ({"TrainingJobDefinitions": [{}]}, ""),
        ({}, ""),
    ],
)
def test_whether_more_is_better_is_read_and_not_guessed(described: dict[str, Any], found: str) -> None:
    assert direction(described) == found


def test_a_failure_without_a_reason() -> None:
    told = status(description("Failed"))
    assert (told.phase, told.reason, told.hint) == (Phase.FAILED, "", "")


def test_a_best_without_an_objective_or_a_number_is_told_by_name() -> None:
    told = status(description("Completed", BestTrainingJob={"TrainingJobName": "odd"}, **counters(1)))
    assert (told.phase, told.message) == (Phase.SUCCEEDED, "1 completed of 10; best odd")
    assert told.metrics == ()


def test_metric_definitions_of_one_definition_and_of_several() -> None:
    def defined(*names: str) -> dict[str, Any]:
        return {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": n, "Regex": "x"} for n in names]}}

    assert metric_definitions({}) == []
    assert [m["Name"] for m in metric_definitions({"TrainingJobDefinition": defined("a")})] == ["a"]
    several = {"TrainingJobDefinitions": [defined("a", "b"), defined("b", "c")]}
    assert [m["Name"] for m in metric_definitions(several)] == ["a", "b", "c"]


# ── Outputs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Trained:
    """An `Aws` that knows one training job, and algorithm resources."""

    def __init__(self, **described: Any) -> None:
        self.described = described
        self.asked: list[str] = []

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        self.asked.append(operation)
        if operation == "describe_algorithm":
            return {"TrainingSpecification": {"TrainingImage": f"image of {request['AlgorithmName']}"}}
        assert request == {"TrainingJobName": "hpo-007-0f21ddb6"}
        return self.described


async def outputs(aws: Trained) -> tuning.TuningOutputs:
    return await tuning.outputs(aws, description("Completed", BestTrainingJob=BEST))  # type: ignore[arg-type]


async def test_outputs_are_of_the_best_training_job() -> None:
    aws = Trained(
        HyperParameters={"_tuning_objective_metric": "test:msd", "z": "1", "a": "2", "_kvstore": "x"},
        ModelArtifacts={"S3ModelArtifacts": "s3://m"},
        AlgorithmSpecification={"TrainingImage": "i"},
    )
    assert await outputs(aws) == tuning.TuningOutputs(
        hpo_job_name="hpo",
        model_artifact_url="s3://m",
        best_job_name="hpo-007-0f21ddb6",
        best_hyperparameters={"z": "1", "a": "2"},
        training_image="i",
    )
    assert list((await outputs(aws)).best_hyperparameters) == ["z", "a"]


async def test_outputs_of_an_algorithm_resource_and_of_a_job_without_hyperparameters() -> None:
    found = await outputs(Trained(AlgorithmSpecification={"AlgorithmName": "mine"}))
    assert (found.training_image, found.best_hyperparameters, found.model_artifact_url) == (
        "image of mine",
        {},
        "",
    )
