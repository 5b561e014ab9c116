"""The deploy component: inputs → requests, what a wrong input is told, and how a description is read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.session import Session
from pydantic import ValidationError

from components.aws.sagemaker.deploy import _status as reading
from components.aws.sagemaker.deploy import component as deploy
from components.aws.validate import check
from runner.errors import InputError
from runner.events import Phase
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from runner.spec import parse
from tests.unit.aws.recorded import at, needs_recorded, recorded

IDENTITY = Identity("aws.sagemaker.deploy", suffix="20260131120000-AB12")
IN_RUN = Identity("aws.sagemaker.deploy", "run-1", "deploy")
GIVEN: dict[str, Any] = {"region": "us-east-1", "model_name_1": "m-1"}
CONFIG, CREATE, UPDATE = "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint"


def requests(identity: Identity = IDENTITY, **changes: Any) -> dict[str, Any]:
    return deploy.request(deploy.DeployInputs(**{**GIVEN, **changes}), identity)


# ── The requests ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_that_can_be_asked_for() -> None:
    assert requests() == {
        CONFIG: {
            "EndpointConfigName": "EndpointConfig20260131120000-AB12",
            "ProductionVariants": [
                {
                    "VariantName": "variant-name-1",
                    "ModelName": "m-1",
                    "InitialInstanceCount": 1,
                    "InstanceType": "ml.m4.xlarge",
                    "InitialVariantWeight": 1.0,
                }
            ],
            "Tags": [],
        },
        CREATE: {
            "EndpointName": "Endpoint20260131120000-AB12",
            "EndpointConfigName": "EndpointConfig20260131120000-AB12",
        },
    }


TAG = [{"Key": "a", "Value": "1"}]


@pytest.mark.parametrize(
    ("given", "where", "sent"),
    [
        ({"endpoint_name": "ep"}, f"{CREATE}.EndpointName", "ep"),
        ({"endpoint_config_name": "epc"}, f"{CREATE}.EndpointConfigName", "epc"),
        ({"endpoint_config_name": "epc"}, f"{CONFIG}.EndpointConfigName", "epc"),
        ({"endpoint_config_tags": {"a": 1}}, f"{CONFIG}.Tags", TAG),
        ({"endpoint_config_tags": {"a": 1}}, f"{CREATE}.Tags", None),
        ({"tags": {"a": 1}}, f"{CREATE}.Tags", TAG),
        ({"tags": {"a": 1}}, f"{CONFIG}.Tags", []),
        ({"resource_encryption_key": "key"}, f"{CONFIG}.KmsKeyId", "key"),
        ({}, f"{CONFIG}.KmsKeyId", None),
        ({"variant_name_1": "v"}, f"{CONFIG}.ProductionVariants.0.VariantName", "v"),
        ({"variant_name_1": ""}, f"{CONFIG}.ProductionVariants.0.VariantName", "variant-name-1"),
        ({"initial_instance_count_1": "3"}, f"{CONFIG}.ProductionVariants.0.InitialInstanceCount", 3),
        ({"instance_type_1": "ml.c5.large"}, f"{CONFIG}.ProductionVariants.0.InstanceType", "ml.c5.large"),
        ({"instance_type_1": ""}, f"{CONFIG}.ProductionVariants.0.InstanceType", "ml.m4.xlarge"),
        ({"initial_variant_weight_1": "0.5"}, f"{CONFIG}.ProductionVariants.0.InitialVariantWeight", 0.5),
        (
            {"accelerator_type_1": "ml.eia1.large"},
            f"{CONFIG}.ProductionVariants.0.AcceleratorType",
            "ml.eia1.large",
        ),
        ({}, f"{CONFIG}.ProductionVariants.0.AcceleratorType", None),
        ({"model_name_2": "m-2"}, f"{CONFIG}.ProductionVariants.1.VariantName", "variant-name-2"),
        ({"model_name_3": "m-3"}, f"{CONFIG}.ProductionVariants.1.ModelName", "m-3"),
        ({"model_name_3": "m-3"}, f"{CONFIG}.ProductionVariants.1.VariantName", "variant-name-3"),
        (
            {"model_name_2": "m-2", "initial_variant_weight_2": "0.0"},
            f"{CONFIG}.ProductionVariants.1.InitialVariantWeight",
            1.0,
        ),
        ({}, UPDATE, None),
        ({"update_endpoint": "yes"}, UPDATE, None),
        ({"update_endpoint": "yes", "endpoint_name": "ep"}, f"{UPDATE}.EndpointName", "ep"),
    ],
)
def test_each_input_goes_where_the_predecessor_sent_it(given: dict[str, Any], where: str, sent: Any) -> None:
    assert at(requests(**given), where) == sent


def test_an_update_has_a_generated_configuration_and_a_creation_instead_the_given_one() -> None:
    made = requests(update_endpoint=True, endpoint_name="ep", endpoint_config_name="epc")
    generated = "EndpointConfig20260131120000-AB12"
    assert made[UPDATE] == {"EndpointName": "ep", "EndpointConfigName": generated}
    assert made[CONFIG]["EndpointConfigName"] == generated
    assert made[CREATE]["EndpointConfigName"] == "epc"


def test_a_variant_without_a_model_is_left_out_whatever_else_is_said_of_it() -> None:
    made = requests(variant_name_2="variant-name-1", initial_instance_count_2=0, initial_variant_weight_3=0)
    assert len(made[CONFIG]["ProductionVariants"]) == 1


@needs_recorded
def test_every_recorded_input_exists_and_none_is_forgotten() -> None:
    known = recorded("deploy")
    names: set[str] = set()
    for entry in known["fields"]:
        for name in re.findall(r"[a-z_]{4,}", entry["arg"]):
            names |= {f"{name}{n}" for n in (1, 2, 3)} if name.endswith("_") else {name}
            names |= {f"{name[:-1]}{n}" for n in (1, 2, 3)} if name.endswith("_i") else set()
    names = {name for name in names if not name.endswith("_i")}
    assert set(deploy.DeployInputs.model_fields) - {"region", "endpoint_url", "assume_role"} == names
    assert set(deploy.DeployOutputs.model_fields) == set(known["outputs"])


def test_in_a_pipeline_run_names_and_tags_follow_from_the_run_key() -> None:
    first = requests(IN_RUN, tags={"a": "1"})
    assert first == requests(IN_RUN, tags={"a": "1"})
    assert re.fullmatch(r"Endpoint-[0-9a-f]{20}", first[CREATE]["EndpointName"])
    assert re.fullmatch(r"EndpointConfig-[0-9a-f]{20}", first[CONFIG]["EndpointConfigName"])
    assert [tag["Key"] for tag in first[CREATE]["Tags"]] == ["a", RUN_TAG, OWNER_TAG]
    assert [tag["Key"] for tag in first[CONFIG]["Tags"]] == [RUN_TAG, OWNER_TAG]
    assert first[CREATE]["Tags"][-1] == first[CONFIG]["Tags"][-1]
    for other in (
        requests(Identity("aws.sagemaker.deploy", "run-2", "deploy"), tags={"a": "1"}),
        requests(Identity("aws.sagemaker.deploy", "run-1", "another"), tags={"a": "1"}),
        requests(IN_RUN, tags={"a": "1"}, instance_type_1="ml.c5.large"),
    ):
        assert other[CREATE]["EndpointName"] != first[CREATE]["EndpointName"]


# ── Wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model_name_1": ""}, ["--model_name_1 is required"]),
        ({"initial_instance_count_1": 0}, ["--initial_instance_count_1 is 0", "at least 1"]),
        ({"model_name_3": "m", "initial_instance_count_3": -1}, ["--initial_instance_count_3 is -1"]),
        ({"model_name_2": "m", "variant_name_2": "variant-name-1"}, ["--variant_name_2", "use another"]),
        ({"endpoint_name": "under_score"}, ["--endpoint_name is 'under_score'"]),
        ({"endpoint_name": "x" * 64}, ["--endpoint_name", "at most 63"]),
        ({"endpoint_config_name": "-x"}, ["--endpoint_config_name is '-x'"]),
        ({"tags": {"aws:x": "1"}}, ["--tags", "aws:"]),
        ({"endpoint_config_tags": {"aws:x": "1"}}, ["--endpoint_config_tags", "aws:"]),
    ],
)
def test_a_wrong_input_is_named_with_what_to_write(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        requests(**given)
    for part in told:
        assert part in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        requests(
            endpoint_name="-x",
            endpoint_config_name="_",
            endpoint_config_tags={"aws:a": "1"},
            initial_instance_count_1=0,
            tags={"aws:b": "1"},
        )
    told = (
        "endpoint_name",
        "endpoint_config_name",
        "endpoint_config_tags",
        "initial_instance_count_1",
        "tags",
    )
    for argument in told:
        assert f"--{argument}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("initial_variant_weight_1", "-1"),
        ("initial_variant_weight_1", "nan"),
        ("initial_variant_weight_2", "inf"),
        ("initial_variant_weight_3", "much"),
        ("initial_variant_weight_1", ""),
        ("initial_instance_count_1", "1.5"),
        ("accelerator_type_1", "ml.eia9.large"),
        ("update_endpoint", "perhaps"),
    ],
)
def test_a_value_of_a_wrong_kind_is_named(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        deploy.DeployInputs(**{**GIVEN, name: value})
    with pytest.raises(InputError, match=f"--{name}"):
        parse(deploy.component, {**GIVEN, name: value}.items())


@pytest.mark.parametrize("name", ["region", "model_name_1"])
def test_what_is_required_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"--{name} is required"):
        parse(deploy.component, {**GIVEN, name: ""}.items())


FULL = {
    "endpoint_name": "ep",
    "update_endpoint": True,
    "model_name_2": "m-2",
    "model_name_3": "m-3",
    "accelerator_type_2": "ml.eia1.medium",
    "tags": {"a": "b"},
    "endpoint_config_tags": {"a": "b"},
    "resource_encryption_key": "key",
}


@pytest.mark.parametrize("given", [{}, FULL])
def test_sound_requests_pass_the_service_model(given: dict[str, Any]) -> None:
    model = Session().get_service_model("sagemaker")
    for identity in (IDENTITY, IN_RUN):
        for operation, body in requests(identity, **given).items():
            check(model.operation_model(operation), body, deploy.ARGUMENTS)


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        ({"model_name_2": "a b"}, "model_name_2"),
        ({"variant_name_1": "a b"}, "variant_name_1"),
        ({"resource_encryption_key": "a b"}, "resource_encryption_key"),
    ],
)
async def test_what_the_service_model_refuses_is_named_by_its_argument(
    given: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InputError) as caught:
        await deploy.check(deploy.DeployInputs(**{**GIVEN, **given}), IDENTITY)
    assert str(caught.value).startswith(f"--{argument}: ")


# ── The status ──────────────────────────────────────────────────────────────────────────────────────────────────────


def description(state: str, config: str = "epc", **more: Any) -> dict[str, Any]:
    return {"EndpointName": "ep", "EndpointStatus": state, "EndpointConfigName": config, **more}


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("Creating", Phase.RUNNING),
        ("Updating", Phase.RUNNING),
        ("SystemUpdating", Phase.RUNNING),
        ("RollingBack", Phase.STOPPING),
        ("Deleting", Phase.STOPPING),
        ("InService", Phase.SUCCEEDED),
        ("OutOfService", Phase.FAILED),
        ("Failed", Phase.FAILED),
        ("UpdateRollbackFailed", Phase.FAILED),
        ("SomethingNew", Phase.RUNNING),
    ],
)
def test_the_services_words(state: str, phase: Phase) -> None:
    status = reading.status(description(state))
    assert (status.phase, status.state) == (phase, state)
    made = {"endpoint": "ep", "configuration": "epc"}
    assert status.facts == (made if phase is Phase.SUCCEEDED else {})
    assert reading.status(description(state), "epc").facts == (made if phase.final else {})


def test_a_failure_with_and_without_a_reason() -> None:
    assert reading.status(description("Failed")).reason == ""
    failed = reading.status(description("Failed", FailureReason="did not pass the ping health check."))
    assert "ping" in failed.reason
    assert "GET /ping" in failed.hint
    assert "out of service" in reading.status(description("OutOfService")).reason
    assert "mix of both" in reading.status(description("UpdateRollbackFailed")).reason
    assert reading.status(description("Updating", FailureReason="of the last time")).reason == ""


def test_an_update_succeeds_on_the_new_configuration_only() -> None:
    assert reading.status(description("InService", "new"), "new").phase is Phase.SUCCEEDED
    again = "the endpoint runs old again"
    back = reading.status(description("InService", "old", FailureReason="no capacity"), "new", again)
    assert (back.phase, back.reason) == (Phase.FAILED, "the endpoint runs old again: no capacity")
    yet_to_begin = reading.status(description("InService", "old"), "new")
    assert (yet_to_begin.phase, yet_to_begin.facts) == (Phase.RUNNING, {})
    moved_on = description("Updating", "new", PendingDeploymentSummary={"EndpointConfigName": "theirs"})
    assert reading.status(moved_on, "new").phase is Phase.SUCCEEDED, "it got there"


def test_the_message_tells_how_each_variant_stands() -> None:
    new = {
        "VariantName": "a",
        "CurrentInstanceCount": 0,
        "DesiredInstanceCount": 2,
        "VariantStatus": [{"Status": "Creating", "StatusMessage": "pulling"}],
    }
    old = {"VariantName": "z", "CurrentInstanceCount": 1, "DesiredInstanceCount": 1}
    summary = {"EndpointConfigName": "new", "ProductionVariants": [new, {"VariantName": "b"}]}
    during = description("Updating", ProductionVariants=[old], PendingDeploymentSummary=summary)
    assert reading.status(during).message == "a: 0 of 2 instances, Creating (pulling); b"
    assert reading.status(description("InService", ProductionVariants=[old])).message == "z: 1 of 1 instance"
    assert reading.status(description("Creating")).message == ""


def test_the_stage_is_the_variants_finer_word() -> None:
    def stage(*words: str) -> str:
        variants = [{"VariantName": w, "VariantStatus": [{"Status": w}]} for w in words]
        return reading.status(description("Updating", ProductionVariants=variants)).stage

    assert stage() == ""
    assert stage("Baking", "Baking") == "Baking"
    assert stage("Baking", "Creating") == ""
    assert stage("Updating") == ""
