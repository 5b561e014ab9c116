"""The model component: inputs → request, what a wrong input is told, and a model that is made, found again, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.session import Session

from components.aws.errors import AlreadyExists
from components.aws.sagemaker._api import MODEL
from components.aws.sagemaker._job import SageMakerJob
from components.aws.sagemaker.model import component as model
from components.aws.validate import check
from runner.errors import InputError, NameTaken, NotFound, Throttled, Transient
from runner.events import Phase
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from runner.job import StopAnswer
from runner.spec import parse
from tests.unit.aws.recorded import arguments, at, holds_all, needs_recorded

IDENTITY = Identity("aws.sagemaker.model", suffix="20260131120000-AB12")
IN_RUN = Identity("aws.sagemaker.model", "run-1", "model")
IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
GIVEN: dict[str, Any] = {
    "region": "us-east-1",
    "model_name": "m-1",
    "role": "arn:aws:iam::123456789012:role/sm",
    "image": IMAGE,
}


def body(identity: Identity = IDENTITY, **changes: Any) -> dict[str, Any]:
    (operation, request), *more = model.request(model.ModelInputs(**{**GIVEN, **changes}), identity).items()
    assert (operation, more) == ("CreateModel", [])
    made: dict[str, Any] = request
    return made


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_that_can_be_asked_for() -> None:
    assert body() == {
        "ModelName": "m-1",
        "PrimaryContainer": {"Image": IMAGE, "Environment": {}},
        "ExecutionRoleArn": GIVEN["role"],
        "Tags": [],
        "EnableNetworkIsolation": True,
    }


PIPELINE = [{"Image": "i1", "ContainerHostname": "c1"}, {"Image": "i2", "ModelDataUrl": "s3://b/m"}]


@pytest.mark.parametrize(
    ("given", "where", "sent"),
    [
        ({"model_name": "mine"}, "ModelName", "mine"),
        ({"role": "arn:r"}, "ExecutionRoleArn", "arn:r"),
        ({"container_host_name": "h"}, "PrimaryContainer.ContainerHostname", "h"),
        ({}, "PrimaryContainer.ContainerHostname", None),
        ({"image": "i"}, "PrimaryContainer.Image", "i"),
        ({"model_artifact_url": "s3://b/m.tar.gz"}, "PrimaryContainer.ModelDataUrl", "s3://b/m.tar.gz"),
        ({}, "PrimaryContainer.ModelDataUrl", None),
        ({"environment": {"b": "1", "a": "2"}}, "PrimaryContainer.Environment", {"b": "1", "a": "2"}),
        ({"model_package": "p"}, "PrimaryContainer.ModelPackageName", "p"),
        ({"model_package": "p"}, "PrimaryContainer.Image", None),
        ({"model_package": "p", "model_artifact_url": "s3://b/m"}, "PrimaryContainer.ModelDataUrl", None),
        ({"model_package": "p", "container_host_name": "h"}, "PrimaryContainer.ContainerHostname", "h"),
        ({"model_package": "p", "environment": {"A": "1"}}, "PrimaryContainer.Environment", {"A": "1"}),
        ({"secondary_containers": PIPELINE}, "Containers", PIPELINE),
        ({"secondary_containers": PIPELINE, "model_package": "p"}, "PrimaryContainer", None),
        ({"secondary_containers": PIPELINE, "image": ""}, "Containers.1.Image", "i2"),
        ({}, "Containers", None),
        (
            {"vpc_security_group_ids": "sg-1,sg-2", "vpc_subnets": "subnet-1, subnet-2"},
            "VpcConfig",
            {"SecurityGroupIds": ["sg-1", "sg-2"], "Subnets": ["subnet-1", "subnet-2"]},
        ),
        ({}, "VpcConfig", None),
        ({"network_isolation": "no"}, "EnableNetworkIsolation", False),
        ({"tags": {"b": "1", "a": 2}}, "Tags", [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}]),
        ({"endpoint_url": "https://vpce", "assume_role": "arn:r"}, "ExecutionRoleArn", GIVEN["role"]),
    ],
)
def test_each_input_goes_where_the_predecessor_sent_it(given: dict[str, Any], where: str, sent: Any) -> None:
    assert at(body(**given), where) == sent


@needs_recorded
def test_every_recorded_input_exists_and_none_is_forgotten() -> None:
    names = arguments("model")
    assert holds_all("model", model.ModelInputs, model.ModelOutputs, names)


def test_in_a_pipeline_run_the_model_carries_the_tags_by_which_it_is_known_again() -> None:
    first = body(IN_RUN, tags={"a": "1"})
    assert first == body(IN_RUN, tags={"a": "1"})
    assert first["ModelName"] == "m-1"
    assert [tag["Key"] for tag in first["Tags"]] == ["a", RUN_TAG, OWNER_TAG]


# ── Wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image": ""}, ["one of --image, --model_package and --secondary_containers is required"]),
        ({"image": "", "model_artifact_url": "s3://b/m"}, ["one of --image"]),
        ({"environment": {"TOKEN": 12345}}, ["--environment", "'TOKEN'", "put it in quotes"]),
        ({"environment": {"A": None, "B": True}}, ["'A'", "'B'"]),
        ({"vpc_subnets": "subnet-1"}, ["--vpc_subnets is 'subnet-1'", "--vpc_security_group_ids is blank"]),
        ({"vpc_security_group_ids": "sg-1"}, ["--vpc_subnets is blank"]),
        (
            {"secondary_containers": [{"Image": "i"}, {}, {"ModelPackageName": "p"}]},
            [
                "--secondary_containers: [1] names nothing to run (it has nothing); it needs Image or ModelPackageName"
            ],
        ),
        (
            {"secondary_containers": [{"Image": "", "ModelDataUrl": "s3://b/m"}]},
            ["[0] names nothing to run (it has Image, ModelDataUrl)"],
        ),
        (
            {"secondary_containers": [{"Image": "i", "ContainerHostname": "h"}] * 2},
            ["--secondary_containers: [1] has the ContainerHostname 'h' of one before it"],
        ),
        ({"model_name": "under_score"}, ["--model_name is 'under_score'"]),
        ({"model_name": "x" * 64}, ["--model_name", "at most 63"]),
        ({"tags": {"aws:x": "1"}}, ["--tags", "aws:"]),
    ],
)
def test_a_wrong_input_is_named_with_what_to_write(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        body(**given)
    for part in told:
        assert part in str(caught.value)
    assert "12345" not in str(caught.value), "the environment may hold secrets"


@pytest.mark.parametrize("name", ["region", "model_name", "role"])
def test_what_is_required_is_named(name: str) -> None:
    argv = {key: value for key, value in GIVEN.items() if key != name}
    with pytest.raises(InputError, match=f"--{name} is required"):
        parse(model.component, argv.items())


@pytest.fixture(scope="module")
def create() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateModel")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model_package": "pkg-1", "image": ""},
        {"secondary_containers": PIPELINE},
        {"vpc_subnets": "subnet-1", "vpc_security_group_ids": "sg-1"},
        {"environment": {"A": "1"}, "model_artifact_url": "s3://b/m.tar.gz", "container_host_name": "h"},
    ],
)
def test_a_sound_request_passes_the_service_model(create: Any, given: dict[str, Any]) -> None:
    check(create, body(**given), model.ARGUMENTS)
    check(create, body(IN_RUN, **given), model.ARGUMENTS)


@pytest.mark.parametrize(
    ("given", "argument", "told"),
    [
        ({"image": "two words"}, "image", "two words"),
        ({"model_artifact_url": "file:///m"}, "model_artifact_url", "file:///m"),
        ({"container_host_name": "a_b"}, "container_host_name", "a_b"),
        ({"model_package": "a b"}, "model_package", "a b"),
        ({"environment": {"a-b": "1"}}, "environment", "a-b"),
        ({"secondary_containers": ["i1"]}, "secondary_containers", "type"),
        ({"secondary_containers": [{"Img": "i1"}]}, "secondary_containers", "Img"),
        ({"secondary_containers": [{"Image": "i"}] * 16}, "secondary_containers", "at most 15"),
        ({"vpc_subnets": "a b", "vpc_security_group_ids": "sg"}, "vpc_subnets", "a b"),
        ({"role": "r"}, "role", "'r'"),
    ],
)
def test_what_the_service_model_refuses_is_named_by_its_argument(
    create: Any, given: dict[str, Any], argument: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(create, body(**given), model.ARGUMENTS)
    assert str(caught.value).startswith(f"--{argument}: ")
    assert told in str(caught.value)


# ── A model that is made ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Service:
    """Stands in for `Aws`: the models that there are, and what to raise in place of, or after, the next calls."""

    region: str = "us-east-1"
    embedded: bool = False
    endpoint_url: str = ""
    role: str = ""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    instead: dict[str, list[Exception]] = field(default_factory=dict)
    after: dict[str, list[Exception]] = field(default_factory=dict)

    async def call(self, _: str, operation: str, **request: Any) -> Mapping[str, Any]:
        self.operations.append(operation)
        if self.instead.get(operation):
            raise self.instead[operation].pop(0)
        answer: Mapping[str, Any] = getattr(self, operation)(**request)
        if self.after.get(operation):
            raise self.after[operation].pop(0)
        return answer

    def add(self, ago: float = 0.0, **request: Any) -> None:
        made = datetime.now(UTC) - timedelta(seconds=ago)
        name = request["ModelName"]
        self.models[name] = {**request, "ModelArn": f"arn:model/{name}", "CreationTime": made}

    def create_model(self, **request: Any) -> Mapping[str, Any]:
        if request["ModelName"] in self.models:
            raise AlreadyExists("SageMaker CreateModel was refused: Cannot create already existing model")
        self.add(**request)
        return {}

    def describe_model(self, ModelName: str) -> Mapping[str, Any]:  # noqa: N803
        if ModelName not in self.models:
            raise NotFound("Could not find model")
        return {key: value for key, value in self.models[ModelName].items() if key != "Tags"}

    def delete_model(self, ModelName: str) -> Mapping[str, Any]:  # noqa: N803
        self.describe_model(ModelName)
        del self.models[ModelName]
        return {}

    def list_tags(self, ResourceArn: str, MaxResults: int) -> Mapping[str, Any]:  # noqa: N803
        return {"Tags": self.models[ResourceArn.rpartition("/")[2]]["Tags"]}


def job_of(service: Service, request: Mapping[str, Any]) -> SageMakerJob:
    reading = model.WIRING.reading
    return SageMakerJob(MODEL, service, "aws.sagemaker.model", reading, request["ModelName"], request)  # type: ignore[arg-type]


async def test_a_model_is_finished_at_once() -> None:
    service = Service()
    job = job_of(service, body())
    event = await job.launch()
    assert (event.job, event.adopted, set(event.links)) == ("m-1", False, {"job"})
    assert event.links["job"].endswith("#/models/m-1")
    status = await job.describe()
    assert (status.phase, status.facts) == (Phase.SUCCEEDED, {"model": "m-1"})
    assert (await job.outputs()).model_dump() == {"model_name": "m-1"}
    assert list(job.feeds()) == []
    assert service.operations == ["create_model", "describe_model"]


async def test_a_model_that_is_not_visible_yet_will_be() -> None:
    service = Service()
    job = job_of(service, body())
    await job.launch()
    service.instead["describe_model"] = [NotFound("Could not find model")]
    with pytest.raises(Transient, match="can't be seen yet"):
        await job.describe()
    assert (await job.describe()).phase is Phase.SUCCEEDED


async def test_a_name_in_use_is_a_clear_error_that_touches_nothing() -> None:
    service = Service()
    service.add(3600, **body(image="other"))
    before = dict(service.models["m-1"])
    job = job_of(service, body())
    with pytest.raises(NameTaken, match="the name m-1 is in use") as caught:
        await job.launch()
    assert "--model_name" in str(caught.value)
    assert "leave it blank" not in str(caught.value), "it is required"
    assert service.models["m-1"] == before


async def test_a_name_in_use_by_what_nobody_can_see_stays_the_services_refusal() -> None:
    service = Service()
    service.instead = {
        "create_model": [AlreadyExists("in use, it says")],
        "describe_model": [NotFound("Could not find model")],
    }
    with pytest.raises(AlreadyExists, match="in use, it says"):
        await job_of(service, body()).launch()


async def test_what_an_unanswered_request_made_is_waited_for() -> None:
    service = Service()
    service.after["create_model"] = [Transient("no answer")]
    job = job_of(service, body())
    with pytest.raises(Transient, match="no answer"):
        await job.launch()
    service.instead["describe_model"] = [NotFound("Could not find model")]
    with pytest.raises(Transient, match="exists, but can't be seen yet"):
        await job.launch()
    assert (await job.launch()).adopted


async def test_a_restarted_step_finds_its_model_and_a_cancelled_start_leaves_it() -> None:
    service, request = Service(), body(IN_RUN)
    service.add(3600, **request)
    job = job_of(service, request)
    assert (await job.launch()).adopted
    assert await job.stop() is StopAnswer.ENDED
    assert list(service.models) == ["m-1"]


async def test_another_steps_model_is_not_adopted() -> None:
    service = Service()
    service.add(3600, **body(Identity("aws.sagemaker.model", "run-2", "model")))
    with pytest.raises(NameTaken):
        await job_of(service, body(IN_RUN)).launch()


async def test_a_cancelled_start_deletes_what_it_made() -> None:
    service = Service()
    job = job_of(service, body())
    await job.launch()
    assert await job.stop() is StopAnswer.AGREED
    assert service.models == {}
    assert await job.stop() is StopAnswer.UNKNOWN


async def test_after_a_lost_answer_the_model_is_ours_and_is_deleted() -> None:
    service = Service(after={"create_model": [Transient("reset")]})
    job = job_of(service, body())
    with pytest.raises(Transient):
        await job.launch()
    assert (await job.launch()).adopted
    assert await job.stop() is StopAnswer.AGREED
    assert service.models == {}


async def test_a_launch_that_made_nothing_deletes_nothing() -> None:
    service = Service(instead={"create_model": [Throttled("slow")]})
    service.add(**body())
    job = job_of(service, body())
    with pytest.raises(Throttled):
        await job.launch()
    assert await job.stop() is StopAnswer.NOT_OURS
    assert list(service.models) == ["m-1"]


def test_the_command_that_deletes_it() -> None:
    assert job_of(Service(), body()).stop_command == (
        "aws sagemaker delete-model --region us-east-1 --model-name m-1"
    )
