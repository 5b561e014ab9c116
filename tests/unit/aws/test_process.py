"""The processing component: inputs → request, description → status and outputs, and what a wrong input is told."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.session import Session

from components.aws.sagemaker._hints import hint
from components.aws.sagemaker.process import component as process
from components.aws.validate import check
from runner.errors import InputError
from runner.events import Phase
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from runner.spec import parse
from tests.unit.aws.recorded import JOB_STATES, arguments, at, holds_all, needs_recorded

IDENTITY = Identity("aws.sagemaker.process", suffix="20260131120000-AB12")
IN_RUN = Identity("aws.sagemaker.process", "run-1", "process")
ROOT = "/opt/ml/processing"


def fetched(name: str = "in", path: str = f"{ROOT}/in", **more: Any) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": "s3://b/in",
            "LocalPath": path,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            **more,
        },
    }


def stored(name: str = "out", path: str = f"{ROOT}/out", **more: Any) -> dict[str, Any]:
    return {
        "OutputName": name,
        "S3Output": {"S3Uri": f"s3://b/{name}", "LocalPath": path, "S3UploadMode": "EndOfJob", **more},
    }


GIVEN: dict[str, Any] = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/sagemaker",
    "image": "mine:1",
    "output_config": [stored()],
}


def inputs(**changes: Any) -> process.ProcessingInputs:
    return process.ProcessingInputs(**{**GIVEN, **changes})


def body(identity: Identity = IDENTITY, **changes: Any) -> dict[str, Any]:
    (operation, request), *more = process.request(inputs(**changes), identity).items()
    assert (operation, more) == ("CreateProcessingJob", [])
    made: dict[str, Any] = request
    return made


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_that_can_be_asked_for() -> None:
    assert body() == {
        "ProcessingJobName": "ProcessingJob-20260131120000-AB12",
        "ProcessingOutputConfig": {"Outputs": [stored()]},
        "RoleArn": GIVEN["role"],
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m4.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30}
        },
        "NetworkConfig": {"EnableInterContainerTrafficEncryption": False, "EnableNetworkIsolation": True},
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
        "AppSpecification": {"ImageUri": "mine:1"},
        "Environment": {},
        "Tags": [],
    }


CLUSTER = "ProcessingResources.ClusterConfig"


@pytest.mark.parametrize(
    ("given", "where", "sent"),
    [
        ({"job_name": "mine"}, "ProcessingJobName", "mine"),
        ({"role": "arn:r"}, "RoleArn", "arn:r"),
        ({"image": "i"}, "AppSpecification.ImageUri", "i"),
        ({"container_entrypoint": '["a", "b"]'}, "AppSpecification.ContainerEntrypoint", ["a", "b"]),
        ({}, "AppSpecification.ContainerEntrypoint", None),
        ({"container_arguments": ["--a", "1"]}, "AppSpecification.ContainerArguments", ["--a", "1"]),
        ({"container_arguments": ""}, "AppSpecification.ContainerArguments", None),
        ({"instance_type": "ml.p5.48xlarge"}, f"{CLUSTER}.InstanceType", "ml.p5.48xlarge"),
        ({"instance_count": "3"}, f"{CLUSTER}.InstanceCount", 3),
        ({"volume_size": "7"}, f"{CLUSTER}.VolumeSizeInGB", 7),
        ({"resource_encryption_key": "key"}, f"{CLUSTER}.VolumeKmsKeyId", "key"),
        ({}, f"{CLUSTER}.VolumeKmsKeyId", None),
        ({"output_encryption_key": "key"}, "ProcessingOutputConfig.KmsKeyId", "key"),
        ({}, "ProcessingOutputConfig.KmsKeyId", None),
        ({"max_run_time": 60}, "StoppingCondition.MaxRuntimeInSeconds", 60),
        ({"environment": {"b": "1", "a": "2"}}, "Environment", {"b": "1", "a": "2"}),
        ({"input_config": [fetched()]}, "ProcessingInputs", [fetched()]),
        ({}, "ProcessingInputs", None),
        (
            {"output_config": [stored("a"), stored("b", f"{ROOT}/b")]},
            "ProcessingOutputConfig.Outputs",
            [stored("a"), stored("b", f"{ROOT}/b")],
        ),
        (
            {"vpc_security_group_ids": "sg-1,sg-2", "vpc_subnets": "subnet-1, subnet-2"},
            "NetworkConfig.VpcConfig",
            {"SecurityGroupIds": ["sg-1", "sg-2"], "Subnets": ["subnet-1", "subnet-2"]},
        ),
        ({}, "NetworkConfig.VpcConfig", None),
        ({"network_isolation": "no"}, "NetworkConfig.EnableNetworkIsolation", False),
        ({"traffic_encryption": "YES"}, "NetworkConfig.EnableInterContainerTrafficEncryption", True),
        ({"tags": {"b": "1", "a": 2}}, "Tags", [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}]),
        ({"endpoint_url": "https://vpce", "assume_role": "arn:r"}, "RoleArn", GIVEN["role"]),
    ],
)
def test_each_input_goes_where_the_predecessor_sent_it(given: dict[str, Any], where: str, sent: Any) -> None:
    assert at(body(**given), where) == sent


@needs_recorded
def test_every_recorded_input_exists_and_none_is_forgotten() -> None:
    names = arguments("process")
    names = names - {"vpc", "pair"} | {"vpc_security_group_ids", "vpc_subnets", "job_name", "role"}
    assert holds_all("process", process.ProcessingInputs, process.ProcessingOutputs, names)


def test_in_a_pipeline_run_the_job_is_known_again() -> None:
    first = body(IN_RUN, tags={"a": "1"})
    assert first == body(IN_RUN, tags={"a": "1"})
    assert re.fullmatch(r"ProcessingJob-[0-9a-f]{20}", first["ProcessingJobName"])
    assert [tag["Key"] for tag in first["Tags"]] == ["a", RUN_TAG, OWNER_TAG]
    assert body(IN_RUN, max_run_time=60)["ProcessingJobName"] != first["ProcessingJobName"]


# ── Wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image": ""}, ["--image is required"]),
        ({"output_config": []}, ["--output_config is []", "at least one output"]),
        ({"output_config": ""}, ["--output_config is []"]),
        ({"environment": {"TOKEN": 12345}}, ["--environment", "'TOKEN'", "put it in quotes"]),
        ({"output_config": [stored(), stored()]}, ["--output_config: OutputName 'out' is used 2 times"]),
        (
            {"input_config": [fetched(path=f"{ROOT}/a"), fetched(path=f"{ROOT}/b")]},
            ["--input_config: InputName 'in' is used 2 times"],
        ),
        (
            {"input_config": [fetched("a"), fetched("b", f"{ROOT}/x/../in/")]},
            [f"--input_config: LocalPath '{ROOT}/in' is used 2 times"],
        ),
        (
            {"output_config": [stored("a"), stored("b", f"{ROOT}//out")]},
            [f"--output_config: LocalPath '{ROOT}/out' is used 2 times"],
        ),
        ({"input_config": [fetched(path="/data")]}, ["--input_config", "'in'", "'/data'", f"below {ROOT}"]),
        ({"input_config": [fetched(path=ROOT)]}, [f"not below {ROOT}"]),
        ({"input_config": [fetched(path=f"{ROOT}/../model")]}, [f"not below {ROOT}"]),
        ({"input_config": [fetched(path="")]}, ["'in'", 'lacks "LocalPath" in S3Input', f"{ROOT}/data"]),
        ({"output_config": [stored(path="/tmp/x")]}, ["--output_config", "'out'", "'/tmp/x'"]),
        ({"output_config": [stored(path=f"{ROOT}x/y")]}, [f"'{ROOT}x/y'"]),
        ({"input_config": [{"InputName": "a"}]}, ["InputName 'a' has neither S3Input nor DatasetDefinition"]),
        ({"output_config": [{"OutputName": "a"}]}, ["'a' has neither S3Output nor FeatureStoreOutput"]),
        ({"vpc_subnets": "subnet-1"}, ["--vpc_subnets is 'subnet-1'", "--vpc_security_group_ids is blank"]),
        ({"job_name": "under_score"}, ["--job_name is 'under_score'"]),
        ({"job_name": "x" * 64}, ["--job_name", "at most 63"]),
        ({"tags": {"aws:x": "1"}}, ["--tags", "aws:"]),
    ],
)
def test_a_wrong_input_is_named_with_what_to_write(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        body(**given)
    assert caught.value.exit_code == 2
    for part in told:
        assert part in str(caught.value)
    assert "12345" not in str(caught.value), "the environment may hold secrets"


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        body(image="", environment={"A": 1}, output_config=[stored(), stored(path="/x")])
    assert str(caught.value).count(";") >= 3


@pytest.mark.parametrize("field", ["instance_count", "volume_size", "max_run_time"])
@pytest.mark.parametrize("value", ["0", "", "x"])
def test_numbers(field: str, value: str) -> None:
    with pytest.raises(InputError, match=f"--{field} is '{value}'"):
        parse(process.component, {**GIVEN, field: value}.items())


@pytest.mark.parametrize("name", ["region", "role"])
def test_what_is_required_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"--{name} is required"):
        parse(process.component, {k: v for k, v in GIVEN.items() if k != name}.items())


@pytest.fixture(scope="module")
def create() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateProcessingJob")


FEATURES = {"OutputName": "features", "FeatureStoreOutput": {"FeatureGroupName": "group"}}
MANAGED = {"InputName": "own", "AppManaged": True, "S3Input": {"S3Uri": "s3://b/x", "S3DataType": "S3Prefix"}}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"input_config": [fetched(), MANAGED], "output_config": [stored(), FEATURES]},
        {"vpc_subnets": "subnet-1", "vpc_security_group_ids": "sg-1", "environment": {"A": ""}},
        {"container_entrypoint": ["a"], "container_arguments": ["b"], "instance_type": "ml.z99.xlarge"},
    ],
)
def test_a_sound_request_passes_the_service_model(create: Any, given: dict[str, Any]) -> None:
    check(create, body(**given), process.ARGUMENTS)
    check(create, body(IN_RUN, **given), process.ARGUMENTS)


@pytest.mark.parametrize(
    ("given", "argument", "told"),
    [
        ({"input_config": ["x"]}, "input_config", "ProcessingInputs[0]"),
        ({"output_config": [1]}, "output_config", "Outputs[0]"),
        ({"input_config": [fetched(S3DataType="S3prefix")]}, "input_config", "did you mean S3Prefix?"),
        ({"input_config": [fetched(S3inputMode="File")]}, "input_config", "S3inputMode"),
        ({"output_config": [stored(S3UploadMode="Later")]}, "output_config", "EndOfJob"),
        ({"output_config": [stored(S3Uri="b/out")]}, "output_config", "'b/out'"),
        ({"output_config": [{**FEATURES, "FeatureStoreOutput": {"Name": "g"}}]}, "output_config", "Name"),
        ({"container_arguments": ["--n", 1]}, "container_arguments", "ContainerArguments[1]"),
        ({"container_entrypoint": [["a"]]}, "container_entrypoint", "ContainerEntrypoint[0]"),
        ({"environment": {"a b": "1"}}, "environment", "(the key)"),
        ({"instance_count": 101}, "instance_count", "at most 100"),
        ({"volume_size": 99999}, "volume_size", "at most 16384"),
        ({"max_run_time": 777601}, "max_run_time", "at most 777600"),
        ({"role": "me"}, "role", "RoleArn"),
        ({"resource_encryption_key": "a key"}, "resource_encryption_key", "'a key'"),
        ({"output_encryption_key": "a key"}, "output_encryption_key", "'a key'"),
        (
            {"vpc_subnets": "subnet-1", "vpc_security_group_ids": "sg_1"},
            "vpc_security_group_ids",
            "'sg_1'",
        ),
        ({"vpc_subnets": "subnet_1", "vpc_security_group_ids": "sg-1"}, "vpc_subnets", "'subnet_1'"),
    ],
)
def test_what_the_service_model_refuses_is_named_by_its_argument(
    create: Any, given: dict[str, Any], argument: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(create, body(**given), process.ARGUMENTS)
    assert str(caught.value).startswith(f"--{argument}: ")
    assert told in str(caught.value)


# ── The status ──────────────────────────────────────────────────────────────────────────────────────────────────────

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def description(state: str, **more: Any) -> dict[str, Any]:
    return {"ProcessingJobName": "job", "ProcessingJobStatus": state, **more}


def ran(seconds: float) -> dict[str, Any]:
    return {"ProcessingStartTime": BEGAN, "ProcessingEndTime": BEGAN + timedelta(seconds=seconds)}


@pytest.mark.parametrize(
    ("state", "phase", "brief"),
    JOB_STATES,
)
def test_the_services_words(state: str, phase: Phase, brief: bool) -> None:
    status = process.status(description(state))
    assert (status.phase, status.state, status.brief) == (phase, state, brief)
    assert (status.reason, status.hint) == ("", "")


@pytest.mark.parametrize(
    ("more", "reason", "advice"),
    [
        (
            {"FailureReason": "AlgorithmError: See job logs for more information", "ExitMessage": "no rows"},
            "AlgorithmError: See job logs for more information: no rows",
            "last log lines",
        ),
        ({"ExitMessage": "no rows"}, "no rows", ""),
        ({"FailureReason": "x", "ExitMessage": "x"}, "x", ""),
        ({"FailureReason": "ClientError: AccessDenied"}, "ClientError: AccessDenied", "--role"),
    ],
)
def test_why_it_failed(more: dict[str, Any], reason: str, advice: str) -> None:
    status = process.status(description("Failed", **more))
    assert status.reason == reason
    assert advice in status.hint
    assert bool(status.hint) is bool(advice)


def test_stopped_by_its_time_limit() -> None:
    limit = {"StoppingCondition": {"MaxRuntimeInSeconds": 60}}
    status = process.status(description("Stopped", **ran(61), **limit))
    assert status.reason == "it ran for its maximum runtime of 60 s"
    assert "--max_run_time" in status.hint
    assert process.status(description("Stopped", **ran(59), **limit)).reason == ""
    assert process.status(description("Stopped", **limit)).reason == ""
    assert process.status(description("Failed", **ran(61), **limit)).reason == ""


def test_facts_of_an_ended_job() -> None:
    outputs = {"ProcessingOutputConfig": {"Outputs": [stored("a"), stored("b")]}}
    cluster = {"ProcessingResources": {"ClusterConfig": {"InstanceCount": 2}}}
    status = process.status(description("Completed", ExitMessage="7 rows", **ran(60), **outputs, **cluster))
    assert status.facts == {
        "ran": "60 s × 2 instances",
        "exit message": "7 rows",
        "outputs": "a: s3://b/a, b: s3://b/b",
    }
    assert process.status(description("InProgress", **outputs)).facts == {}
    assert process.status(description("Stopped", **ran(1), **outputs)).facts == {"ran": "1 s × 1 instance"}


def test_a_container_that_says_something_while_it_goes_well_has_no_reason() -> None:
    assert process.status(description("Completed", ExitMessage="fine")).reason == ""


async def test_outputs() -> None:
    outputs = {"ProcessingOutputConfig": {"Outputs": [stored("b"), FEATURES, stored("a")]}}
    found = await process.outputs(None, description("Completed", **outputs))  # type: ignore[arg-type]
    assert found.job_name == "job"
    assert json.dumps(found.output_artifacts) == '{"b": "s3://b/b", "features": "group", "a": "s3://b/a"}'


def test_hints_of_its_own() -> None:
    assert "last log lines" in hint("ClientError: See job logs for more information")
    assert hint("InternalServerError: We encountered an internal error") == ""
