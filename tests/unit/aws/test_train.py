"""The training component: inputs → request, description → status and outputs, and what a wrong input is told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.session import Session
from pydantic import ValidationError

from components.aws.sagemaker._hints import hint
from components.aws.sagemaker._images import builtin_image
from components.aws.sagemaker._metrics import Extractor
from components.aws.sagemaker.train import component as train
from components.aws.validate import check
from runner.errors import InputError
from runner.events import LogLine, Metric, Notice, Phase, Status
from runner.identity import Identity
from tests.unit.aws.recorded import REQUESTS, at, needs_recorded, recorded

IDENTITY = Identity("aws.sagemaker.train", suffix="20260131120000-AB12")
CHANNEL = {
    "ChannelName": "train",
    "DataSource": {
        "S3DataSource": {
            "S3DataType": "S3Prefix",
            "S3Uri": "s3://bucket/train",
            "S3DataDistributionType": "FullyReplicated",
        }
    },
}
GIVEN: dict[str, Any] = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/sagemaker",
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1",
    "channels": [CHANNEL],
    "model_artifact_path": "s3://bucket/out",
}


def inputs(**changes: Any) -> train.TrainingInputs:
    return train.TrainingInputs(**{**GIVEN, **changes})


def body(identity: Identity = IDENTITY, **changes: Any) -> dict[str, Any]:
    (operation, request), *more = train.request(inputs(**changes), identity).items()
    assert (operation, more) == ("CreateTrainingJob", [])
    made: dict[str, Any] = request
    return made


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_that_can_be_asked_for() -> None:
    assert body() == {
        "TrainingJobName": "TrainingJob-20260131120000-AB12",
        "HyperParameters": {},
        "AlgorithmSpecification": {"TrainingImage": GIVEN["image"], "TrainingInputMode": "File"},
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
        "Tags": [],
        "EnableNetworkIsolation": True,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
    }


SPOT: dict[str, Any] = {"spot_instance": True, "checkpoint_config": {"S3Uri": "s3://bucket/checkpoints"}}


@pytest.mark.parametrize(
    ("given", "where", "sent"),
    [
        ({"job_name": "mine"}, "TrainingJobName", "mine"),
        ({"role": "arn:r"}, "RoleArn", "arn:r"),
        ({"hyperparameters": {"k": "10"}}, "HyperParameters", {"k": "10"}),
        ({"image": "i"}, "AlgorithmSpecification.TrainingImage", "i"),
        ({"image": "i", "algorithm_name": "kmeans"}, "AlgorithmSpecification.TrainingImage", "i"),
        ({"image": "i", "algorithm_name": "mine"}, "AlgorithmSpecification.AlgorithmName", None),
        (
            {"image": "", "algorithm_name": "My-Algorithm"},
            "AlgorithmSpecification.AlgorithmName",
            "My-Algorithm",
        ),
        ({"image": "", "algorithm_name": "My-Algorithm"}, "AlgorithmSpecification.TrainingImage", None),
        (
            {"image": "", "algorithm_name": " K-Means "},
            "AlgorithmSpecification.TrainingImage",
            "438346466558.dkr.ecr.eu-west-1.amazonaws.com/kmeans:1",
        ),
        ({"image": "", "algorithm_name": " K-Means "}, "AlgorithmSpecification.AlgorithmName", None),
        (
            {"metric_definitions": {"b": "b=(.*)", "a": "a=(.*)"}},
            "AlgorithmSpecification.MetricDefinitions",
            [{"Name": "b", "Regex": "b=(.*)"}, {"Name": "a", "Regex": "a=(.*)"}],
        ),
        ({}, "AlgorithmSpecification.MetricDefinitions", None),
        ({"training_input_mode": "Pipe"}, "AlgorithmSpecification.TrainingInputMode", "Pipe"),
        ({"training_input_mode": "FastFile"}, "AlgorithmSpecification.TrainingInputMode", "FastFile"),
        (
            {"vpc_security_group_ids": "sg-1,sg-2", "vpc_subnets": "subnet-1, subnet-2"},
            "VpcConfig",
            {"SecurityGroupIds": ["sg-1", "sg-2"], "Subnets": ["subnet-1", "subnet-2"]},
        ),
        ({}, "VpcConfig", None),
        ({"channels": [CHANNEL, {"ChannelName": "b"}]}, "InputDataConfig", [CHANNEL, {"ChannelName": "b"}]),
        ({"model_artifact_path": "s3://x"}, "OutputDataConfig.S3OutputPath", "s3://x"),
        ({"output_encryption_key": "key"}, "OutputDataConfig.KmsKeyId", "key"),
        ({}, "OutputDataConfig.KmsKeyId", ""),
        ({"instance_type": "ml.p5.48xlarge"}, "ResourceConfig.InstanceType", "ml.p5.48xlarge"),
        ({"instance_count": "3"}, "ResourceConfig.InstanceCount", 3),
        ({"volume_size": "7"}, "ResourceConfig.VolumeSizeInGB", 7),
        ({"resource_encryption_key": "key"}, "ResourceConfig.VolumeKmsKeyId", "key"),
        ({}, "ResourceConfig.VolumeKmsKeyId", ""),
        ({"network_isolation": "no"}, "EnableNetworkIsolation", False),
        ({"traffic_encryption": "YES"}, "EnableInterContainerTrafficEncryption", True),
        ({"debug_hook_config": {"S3OutputPath": "s3://d"}}, "DebugHookConfig", {"S3OutputPath": "s3://d"}),
        ({}, "DebugHookConfig", None),
        (
            {"debug_rule_config": [{"RuleConfigurationName": "r"}]},
            "DebugRuleConfigurations.0.RuleConfigurationName",
            "r",
        ),
        ({}, "DebugRuleConfigurations", None),
        ({"max_run_time": 60}, "StoppingCondition.MaxRuntimeInSeconds", 60),
        ({"max_wait_time": 90000}, "StoppingCondition.MaxWaitTimeInSeconds", None),
        ({**SPOT, "max_wait_time": 90000}, "StoppingCondition.MaxWaitTimeInSeconds", 90000),
        (SPOT, "EnableManagedSpotTraining", True),
        (SPOT, "CheckpointConfig", {"S3Uri": "s3://bucket/checkpoints"}),
        ({"checkpoint_config": {"S3Uri": "s3://c"}}, "CheckpointConfig", None),
        ({"tags": {"b": "1", "a": 2}}, "Tags", [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}]),
        ({"endpoint_url": "https://vpce", "assume_role": "arn:r"}, "RoleArn", GIVEN["role"]),
    ],
)
def test_each_input_goes_where_the_predecessor_sent_it(given: dict[str, Any], where: str, sent: Any) -> None:
    assert at(body(**given), where) == sent


@needs_recorded
def test_every_recorded_input_exists_and_none_is_forgotten() -> None:
    known = recorded("train")
    names = {name for entry in known["fields"] for name in re.split(r"\W+", entry["arg"])}
    connection = {"region", "endpoint_url", "assume_role"}
    assert set(train.TrainingInputs.model_fields) - connection == names
    assert set(train.TrainingOutputs.model_fields) == set(known["outputs"])
    for entry in known["fields"]:
        top = re.split(r"[.\[{( ]", entry["to"])[0]
        everything = {
            **body(
                **SPOT,
                vpc_subnets="a",
                vpc_security_group_ids="b",
                debug_hook_config={"S3OutputPath": "x"},
                debug_rule_config=[{}],
            )
        }
        everything |= everything["AlgorithmSpecification"] | {"AlgorithmName": ""}
        assert top in everything, entry


def test_the_request_is_pure() -> None:
    given = inputs(tags={"a": "1"})
    first = train.request(given, Identity("aws.sagemaker.train", "run", "step"))
    assert train.request(given, Identity("aws.sagemaker.train", "run", "step")) == first
    assert train.request(given, IDENTITY)["CreateTrainingJob"]["Tags"] == [{"Key": "a", "Value": "1"}]


# ── Wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image": ""}, ["one of --image and --algorithm_name is required"]),
        ({"channels": []}, ["--channels is []", "at least one channel"]),
        ({"hyperparameters": {"k": 10}}, ["--hyperparameters", "'k'", "put it in quotes"]),
        ({"spot_instance": True}, ["--checkpoint_config", "S3Uri"]),
        ({**SPOT, "max_run_time": 90, "max_wait_time": 60}, ["--max_wait_time is 60", "--max_run_time (90)"]),
        ({"vpc_subnets": "subnet-1"}, ["--vpc_subnets is 'subnet-1'", "--vpc_security_group_ids is blank"]),
        (
            {"vpc_security_group_ids": "sg-1"},
            ["--vpc_security_group_ids is 'sg-1'", "--vpc_subnets is blank"],
        ),
        ({"job_name": "under_score"}, ["--job_name is 'under_score'"]),
        ({"job_name": "-x"}, ["--job_name is '-x'"]),
        ({"job_name": "x" * 64}, ["--job_name", "at most 63"]),
        ({"job_name": "two\nlines"}, ["--job_name"]),
        ({"image": "", "algorithm_name": "xgboost"}, ["--algorithm_name", "xgboost:1.7-1"]),
        ({"metric_definitions": {"m": "loss=(.*"}}, ["--metric_definitions: 'm' is 'loss=(.*'", "missing )"]),
        ({"metric_definitions": {"m": "a)"}}, ["unbalanced parenthesis"]),
        (
            {"metric_definitions": {"m": "x" * 99 + "[("}},
            ["xxx…, which is no regular", "unterminated character set"],
        ),
        ({"metric_definitions": {"m": "*loss=(.*)"}}, ["nothing to repeat at position 0"]),
    ],
)
def test_a_wrong_input_is_named_with_what_to_write(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        body(**given)
    assert caught.value.exit_code == 2
    for part in told:
        assert part in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        body(image="", channels=[], hyperparameters={"a": 1, "b": 2})
    assert str(caught.value).count(";") >= 3
    with pytest.raises(InputError) as caught:
        body(
            job_name="-x",
            image="",
            algorithm_name="xgboost",
            metric_definitions={"m": "("},
            vpc_subnets="s",
            tags={"aws:a": "1"},
        )
    for argument in ("job_name", "algorithm_name", "metric_definitions", "vpc_subnets", "tags"):
        assert f"--{argument}" in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    ["regexval1", r"\Q((\E(.*)", r"a{2}{3}(b)", "^*(a)", r"\p{L}++(a)", r"[a-z&&[^b]](x)", r"\x{41}(a)"],
)
def test_an_expression_that_the_service_may_understand_is_sent(expression: str) -> None:
    sent = body(metric_definitions={"m": expression})["AlgorithmSpecification"]["MetricDefinitions"]
    assert sent == [{"Name": "m", "Regex": expression}]


@pytest.mark.parametrize("field", ["instance_count", "volume_size", "max_run_time"])
def test_nothing_of_zero(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        inputs(**{field: 0})


@pytest.fixture(scope="module")
def create() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateTrainingJob")


@pytest.mark.parametrize(
    "given", [{}, SPOT, {"vpc_subnets": "subnet-1", "vpc_security_group_ids": "sg-1"}, {"tags": {"a": "b"}}]
)
def test_a_sound_request_passes_the_service_model(create: Any, given: dict[str, Any]) -> None:
    check(create, body(**given), train.ARGUMENTS)
    check(create, body(Identity("aws.sagemaker.train", "run", "step"), **given), train.ARGUMENTS)


S3 = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/t"}


@pytest.mark.parametrize(
    ("given", "argument", "told"),
    [
        ({"channels": [{"ChannelName": "a"}]}, "channels", "DataSource"),
        ({"channels": [{**CHANNEL, "Contenttype": "text/csv"}]}, "channels", "Contenttype"),
        ({"channels": [{**CHANNEL, "CompressionType": "GZip"}]}, "channels", "did you mean Gzip?"),
        (
            {"channels": [{**CHANNEL, "DataSource": {"S3DataSource": {**S3, "S3DataType": "S3prefix"}}}]},
            "channels",
            "did you mean S3Prefix?",
        ),
        ({"metric_definitions": {"loss": 3}}, "metric_definitions", "Regex"),
        (
            {"checkpoint_config": {"S3Uri": "s3://c", "Path": "x"}, "spot_instance": True},
            "checkpoint_config",
            "Path",
        ),
        ({"debug_hook_config": {"LocalPath": "x"}}, "debug_hook_config", "S3OutputPath"),
        ({"debug_rule_config": [{"RuleConfigurationName": "r"}]}, "debug_rule_config", "RuleEvaluatorImage"),
    ],
)
def test_what_the_service_model_refuses_is_named_by_its_argument(
    create: Any, given: dict[str, Any], argument: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(create, body(**given), train.ARGUMENTS)
    assert str(caught.value).startswith(f"--{argument}: ")
    assert told in str(caught.value)


def test_instance_types_may_be_newer_than_the_client(create: Any) -> None:
    check(create, body(instance_type="ml.z99.xlarge"), train.ARGUMENTS)


# ── The status ──────────────────────────────────────────────────────────────────────────────────────────────────────


def description(state: str, stage: str = "", **more: Any) -> dict[str, Any]:
    return {"TrainingJobName": "job", "TrainingJobStatus": state, "SecondaryStatus": stage or state, **more}


def rules(*states: str) -> list[dict[str, str]]:
    return [{"RuleConfigurationName": f"rule-{n}", "RuleEvaluationStatus": s} for n, s in enumerate(states)]


@pytest.mark.parametrize(
    ("state", "stage", "phase", "brief"),
    [
        ("InProgress", "Starting", Phase.RUNNING, False),
        ("InProgress", "Downloading", Phase.RUNNING, True),
        ("InProgress", "Training", Phase.RUNNING, False),
        ("InProgress", "Uploading", Phase.RUNNING, True),
        ("InProgress", "Pending", Phase.RUNNING, False),
        ("Completed", "Completed", Phase.SUCCEEDED, False),
        ("Failed", "Failed", Phase.FAILED, False),
        ("Stopping", "Stopping", Phase.STOPPING, True),
        ("Stopped", "Stopped", Phase.STOPPED, False),
        ("SomethingNew", "", Phase.RUNNING, False),
    ],
)
def test_the_services_words(state: str, stage: str, phase: Phase, brief: bool) -> None:
    status = train.status(description(state, stage))
    assert (status.phase, status.state, status.brief) == (phase, state, brief)
    assert (status.reason, status.hint) == ("", "")


def test_the_message_is_of_the_last_transition() -> None:
    transitions = [
        {"Status": "Starting", "StatusMessage": "Preparing the instances"},
        {"Status": "Training", "StatusMessage": "Training image download completed."},
    ]
    status = train.status(description("InProgress", "Training", SecondaryStatusTransitions=transitions))
    assert (status.stage, status.message) == ("Training", "Training image download completed.")
    assert (
        train.status(description("InProgress", SecondaryStatusTransitions=[{"Status": "Starting"}])).message
        == ""
    )


def test_a_failure_without_a_reason() -> None:
    status = train.status(description("Failed"))
    assert (status.phase, status.reason, status.hint) == (Phase.FAILED, "", "")


def test_a_failure_with_one() -> None:
    status = train.status(description("Failed", FailureReason="AlgorithmError: exit code: 1"))
    assert status.reason == "AlgorithmError: exit code: 1"
    assert "last log lines" in status.hint


@pytest.mark.parametrize(
    ("stage", "advice"),
    [("MaxRuntimeExceeded", "--max_run_time"), ("MaxWaitTimeExceeded", "--max_wait_time")],
)
@pytest.mark.parametrize("message", ["", "Training job runtime exceeded MaxRuntimeInSeconds provided"])
def test_stopped_by_its_time_limit(stage: str, advice: str, message: str) -> None:
    if message and stage == "MaxWaitTimeExceeded":
        message = "Job exceeded MaxWaitTimeInSeconds"
    transitions = [{"Status": stage, "StatusMessage": message}]
    status = train.status(description("Stopped", stage, SecondaryStatusTransitions=transitions))
    assert status.phase is Phase.STOPPED
    assert status.reason == (message or stage)
    assert advice in status.hint


def test_stopped_by_somebody_has_no_reason_of_its_own() -> None:
    transitions = [{"Status": "Stopped", "StatusMessage": "Training job stopped"}]
    assert train.status(description("Stopped", SecondaryStatusTransitions=transitions)).reason == ""


def test_interrupted_by_spot() -> None:
    assert train.status(description("Stopped", "Interrupted")).reason == "Interrupted"


def test_debug_rules_that_go_on_keep_the_step_going() -> None:
    status = train.status(
        description(
            "Completed",
            DebugRuleEvaluationStatuses=rules("InProgress", "NoIssuesFound"),
            BillableTimeInSeconds=9,
        )
    )
    assert (status.phase, status.stage) == (Phase.RUNNING, "DebugRules")
    assert status.message == "rule-0: InProgress, rule-1: NoIssuesFound"
    assert status.facts == {}
    assert status.metrics == ()


def test_a_debug_rule_that_could_not_be_evaluated_fails_the_step() -> None:
    found = rules("Error", "NoIssuesFound")
    found[0]["StatusDetails"] = "InternalServerError"
    status = train.status(description("Completed", DebugRuleEvaluationStatuses=found))
    assert status.phase is Phase.FAILED
    assert status.reason == "a debug rule could not be evaluated: rule-0: Error (InternalServerError)"


def test_one_that_goes_on_is_waited_for_though_another_is_broken() -> None:
    assert train.status(
        description("Completed", DebugRuleEvaluationStatuses=rules("Error", "InProgress"))
    ).phase is (Phase.RUNNING)


def test_issues_found_are_a_success_that_is_told() -> None:
    status = train.status(
        description("Completed", DebugRuleEvaluationStatuses=rules("IssuesFound", "Stopped"))
    )
    assert status.phase is Phase.SUCCEEDED
    assert status.facts["debug rules"] == "rule-0: IssuesFound, rule-1: Stopped"


@pytest.mark.parametrize("state", ["Failed", "Stopped", "InProgress"])
def test_debug_rules_change_nothing_else(state: str) -> None:
    with_rules = train.status(description(state, DebugRuleEvaluationStatuses=rules("InProgress", "Error")))
    assert with_rules.phase is train.status(description(state)).phase


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"BillableTimeInSeconds": 60, "TrainingTimeInSeconds": 60}, "60 s × 1 instance"),
        ({"BillableTimeInSeconds": 60, "ResourceConfig": {"InstanceCount": 2}}, "60 s × 2 instances"),
        (
            {"BillableTimeInSeconds": 30, "TrainingTimeInSeconds": 100, "EnableManagedSpotTraining": True},
            "30 s × 1 instance (spot saved 70%)",
        ),
        (
            {"BillableTimeInSeconds": 100, "TrainingTimeInSeconds": 100, "EnableManagedSpotTraining": True},
            "100 s × 1 instance (spot saved 0%)",
        ),
        (
            {"BillableTimeInSeconds": 0, "TrainingTimeInSeconds": 0, "EnableManagedSpotTraining": True},
            "0 s × 1 instance",
        ),
    ],
)
def test_what_it_cost(more: dict[str, Any], told: str) -> None:
    assert train.status(description("Completed", **more)).facts == {"billable": told}


def test_the_artifact_is_a_fact_of_an_ended_job() -> None:
    artifact: dict[str, Any] = {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"}}
    assert train.status(description("Completed", **artifact)).facts == {"artifact": "s3://b/model.tar.gz"}
    assert train.status(description("InProgress", **artifact)).facts == {}


def test_final_metrics_come_with_the_end() -> None:
    when = datetime(2026, 1, 31, tzinfo=UTC)
    more: dict[str, Any] = {
        "FinalMetricDataList": [
            {"MetricName": "loss", "Value": 0.25, "Timestamp": when},
            {"MetricName": "accuracy", "Value": 1},
        ]
    }
    assert train.status(description("Completed", **more)).metrics == (
        Metric("loss", 0.25, when.timestamp(), final=True),
        Metric("accuracy", 1.0, 0.0, final=True),
    )
    assert train.status(description("InProgress", **more)).metrics == ()
    assert train.status(description("Stopped", **more)).metrics


def test_equal_descriptions_are_equal_news() -> None:
    one = description("InProgress", "Training", SecondaryStatusTransitions=[{"StatusMessage": "x"}])
    assert train.status(one) == train.status({**one, "LastModifiedTime": datetime.now(UTC)})
    assert isinstance(train.status(one), Status)


# ── Outputs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Algorithms:
    """An `Aws` that knows algorithm resources."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        assert (service, operation) == ("sagemaker", "describe_algorithm")
        self.asked.append(request["AlgorithmName"])
        return {"TrainingSpecification": {"TrainingImage": "resource-image"}}


async def test_outputs_of_an_image() -> None:
    aws = Algorithms()
    more: dict[str, Any] = {
        "ModelArtifacts": {"S3ModelArtifacts": "s3://m"},
        "AlgorithmSpecification": {"TrainingImage": "i"},
    }
    found = await train.outputs(aws, description("Completed", **more))  # type: ignore[arg-type]
    assert found == train.TrainingOutputs(model_artifact_url="s3://m", job_name="job", training_image="i")
    assert aws.asked == []


async def test_outputs_of_an_algorithm_resource() -> None:
    aws = Algorithms()
    more: dict[str, Any] = {"AlgorithmSpecification": {"AlgorithmName": "mine"}}
    found = await train.outputs(aws, description("Stopped", **more))  # type: ignore[arg-type]
    assert found == train.TrainingOutputs(
        model_artifact_url="", job_name="job", training_image="resource-image"
    )
    assert aws.asked == ["mine"]


# ── Images ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs_recorded
def test_every_built_in_algorithm_in_every_region() -> None:
    recorded = json.loads(REQUESTS.read_text())
    registry = recorded["builtin_registry"]
    compared = 0
    for algorithm, regions in registry["by_algorithm"].items():
        for region, image in regions.items():
            expected = f"{image['account']}.dkr.ecr.{region}.{image['domain']}/{image['suffix']}"
            assert builtin_image(algorithm, region) == expected
            compared += 1
    assert compared > 500
    for algorithm, regions in registry["errors"].items():
        for region in regions if algorithm != "xgboost" else ():
            with pytest.raises(InputError, match=f"--algorithm_name: .*{region}"):
                builtin_image(algorithm, region)
    for friendly, name in recorded["builtin_alias"].items():
        if name != "xgboost":
            for spelling in (friendly, friendly.upper(), f" {friendly} "):
                assert builtin_image(spelling, "us-east-1") == builtin_image(name, "us-east-1")


@pytest.mark.parametrize(
    ("version", "image"),
    [
        ("1", "685385470294.dkr.ecr.eu-west-1.amazonaws.com/xgboost:1"),
        ("0.90-2", "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:0.90-2-cpu-py3"),
        ("1.0-1", "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.0-1-cpu-py3"),
        ("1.2-1", "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.2-1"),
        ("1.7-1", "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1"),
    ],
)
def test_versions_of_xgboost(version: str, image: str) -> None:
    assert builtin_image(f"xgboost:{version}", "eu-west-1") == image
    assert builtin_image(f"XGBoost:{version}", "eu-west-1") == image


def test_china_has_a_domain_of_its_own() -> None:
    image = builtin_image("kmeans", "cn-north-1")
    assert image == "390948362332.dkr.ecr.cn-north-1.amazonaws.com.cn/kmeans:1"


@pytest.mark.parametrize(
    ("algorithm", "region", "told"),
    [
        ("xgboost", "eu-west-1", "comes in several versions"),
        ("xgboost:1.7", "eu-west-1", "write --algorithm_name xgboost:1.7-1"),
        (
            "xgboost:1.7-1",
            "mars-north-1",
            "no image of the built-in xgboost:1.7-1 is known for region 'mars-north-1'",
        ),
        ("kmeans", "mars-north-1", "give the image's full name with --image"),
        ("lda", "af-south-1", "lda"),
        ("kmeans:2", "eu-west-1", "the built-in kmeans has no version '2'"),
    ],
)
def test_an_image_that_does_not_exist(algorithm: str, region: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        builtin_image(algorithm, region)
    assert str(caught.value).startswith("--algorithm_name: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "algorithm", ["mine", "arn:aws:sagemaker:eu-west-1:1:algorithm/kmeans", "", "xgboosted"]
)
def test_any_other_algorithm_is_a_resource(algorithm: str) -> None:
    assert builtin_image(algorithm, "mars-north-1") is None


# ── Hints ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ROLE, NO_DATA, BUCKET, IMAGE = "execution role", "no data under", "bucket does not exist", "can't be pulled"
CAPACITY, QUOTA, TIME, MEMORY, DISK, CODE = (
    "no such instance free",
    "quota",
    "time limit",
    "memory",
    "--volume_size",
    "own code",
)
MANIFEST = "manifest can't be read"


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (
            "ClientError: Data download failed:Failed to download data. AccessDenied (403): Access Denied",
            ROLE,
        ),
        (
            (
                "Could not assume role arn:aws:iam::1:role/x. Please ensure that the role exists and allows principal "
                "'sagemaker.amazonaws.com' to assume the role: not authorized to perform: sts:AssumeRole"
            ),
            ROLE,
        ),
        ("ClientError: Data download failed:NoSuchKey (404): The specified key does not exist.", NO_DATA),
        (
            (
                'ClientError: Data download failed:No S3 objects found under S3 URL "s3://b/p" given in input data source. '
                "Please ensure that the bucket exists in the selected region"
            ),
            NO_DATA,
        ),
        ("ClientError: Data download failed:NoSuchBucket (404): The specified bucket does not exist", BUCKET),
        (
            (
                "ClientError: Cannot find repository: mine in registry ID: 1. Please check if your ECR repository "
                "exists and role arn:aws:iam::1:role/x has proper pull permissions for SageMaker"
            ),
            IMAGE,
        ),
        ("ClientError: Requested image 1.dkr.ecr.eu-west-1.amazonaws.com/a:latest not found.", IMAGE),
        ("ClientError: Cannot pull the image 123.dkr.ecr/x:1 of model m.", IMAGE),
        ("ClientError: unable to pull the image 1.dkr.ecr.eu-west-1.amazonaws.com/a:1", IMAGE),
        ("manifest for 1.dkr.ecr.eu-west-1.amazonaws.com/a:1 not found: manifest unknown", IMAGE),
        ("ClientError: the model data s3://b/image.tar.gz was not found", NO_DATA),
        ("ClientError: the file image.tar.gz was not found", ""),
        ("ClientError: the stage of s3://b/image was not found", ""),
        ("ClientError: s3://b/quota/NoSuchKey.csv has an empty line", ""),
        ("ClientError: the input manifest s3://b/m was not found", ""),
        ("ClientError: Your manifest file s3://x is not valid JSON", MANIFEST),
        ("ClientError: The input manifest s3://a/image could not be parsed", MANIFEST),
        ("ClientError: Failed to parse the manifest", MANIFEST),
        ("ClientError: the image manifest is invalid", ""),
        (
            (
                "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML "
                "instance type."
            ),
            CAPACITY,
        ),
        (
            "ResourceLimitExceeded: The account-level service limit 'ml.p3.2xlarge for training job usage' is 0 Instances",
            QUOTA,
        ),
        ("Training job runtime exceeded MaxRuntimeInSeconds provided MaxRuntimeExceeded", TIME),
        ("AlgorithmError: , exit code: 137", MEMORY),
        (
            'AlgorithmError: ExecuteUserScriptError:\nErrorMessage "RuntimeError: CUDA error: out of memory"\nCommand "x"',
            MEMORY,
        ),
        (
            (
                "ClientError: Please use an instance type with more memory, or reduce the size of training data processed "
                "on an instance."
            ),
            MEMORY,
        ),
        ("AlgorithmError: framework error: OSError: [Errno 28] No space left on device, exit code: 1", DISK),
        ("ClientError: Artifact upload failed:Insufficient disk space", DISK),
        (
            'AlgorithmError: ExecuteUserScriptError:\nErrorMessage "KeyError: loss"\nCommand "python train.py"',
            CODE,
        ),
        (
            "AlgorithmError: Exception during training: FileNotFoundError: image 7.png not found, exit code: 1",
            CODE,
        ),
        ('AlgorithmError: ExecuteUserScriptError: ErrorMessage "ValueError: tag <unk> does not exist"', CODE),
        ("AlgorithmError: KeyError: no such key 'loss' in metrics, exit code: 1", CODE),
        ("AlgorithmError: psycopg2: access denied for user 'etl'@'db', exit code: 1", CODE),
        ("AlgorithmError: regex does not match any token, exit code: 1", CODE),
        ("AlgorithmError: the bucket 7 of the histogram does not exist, exit code: 1", CODE),
        ("AlgorithmError: insufficient queue capacity, exit code: 1", CODE),
        ("InternalServerError: We encountered an internal error. Please try again.", ""),
        ("", ""),
    ],
)
def test_a_known_cause_has_a_hint(reason: str, advice: str) -> None:
    assert advice in hint(reason)
    assert bool(hint(reason)) is bool(advice)


@pytest.mark.parametrize(
    "reason", ["NoSuchKey", "AccessDenied", "no space left on device", "AlgorithmError", "CapacityError"]
)
def test_a_hint_reads_well(reason: str) -> None:
    text = hint(reason)
    assert text.endswith(".")
    assert "  " not in text
    assert "- " not in text


# ── Metrics from lines ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("regex", "text", "values"),
    [
        (r"loss=([0-9.]+)", "epoch=1 loss=0.5", [0.5]),
        (r"loss=(\S+)", "loss=1e-3", [0.001]),
        (r"loss=(\S+)", "loss=inf", [float("inf")]),
        (r"loss=(\S+)", "loss=nan", []),
        (r"loss=(\S+)", "loss=low", []),
        (r"loss=(\d+)?", "loss=", []),
        (r"((", "((", []),
        (r"loss=(\S+)", "no such thing", []),
        (r"x=([0-9]+)", "x=1 x=2", [1.0]),
    ],
)
def test_a_line_gives_its_metrics(regex: str, text: str, values: list[float]) -> None:
    found = list(Extractor([{"Name": "m", "Regex": regex}]).metrics(LogLine(text, "algo-1", 7.0)))
    assert found == [Metric("m", value, 7.0, "algo-1") for value in values]


def test_an_expression_without_a_group_is_said_once_to_find_nothing() -> None:
    both = Extractor([{"Name": "m", "Regex": "loss=[0-9]+"}, {"Name": "n", "Regex": "loss=(.)"}])
    notice, metric, *more = [item for _ in range(3) for item in both.metrics(LogLine("loss=1"))]
    assert isinstance(notice, Notice)
    assert notice.text.startswith(
        "the metric m can't be found in the log: its regular expression has no group"
    )
    assert [metric, *more] == [Metric("n", 1.0)] * 3
